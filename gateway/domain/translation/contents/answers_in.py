"""A whole answer of Gemini's, read. Pure."""

import msgspec

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.answers import Answer, Choice, Finish
from gateway.domain.translation.contents.candidates import (
    Candidate,
    arguments_of,
    call_id_of,
    citations_of,
    decoded,
    finish_of,
    is_blocked,
    logprobs_of,
    parts_of,
    picture_of,
)
from gateway.domain.translation.contents.usage import read_usage
from gateway.domain.translation.conversation import Image, Text, Thought, ToolCall


def read_answer(body: bytes) -> Answer:
    """A whole answer of an upstream. Raises `BadAnswer`."""
    found = decoded(body)
    response_id = found.response_id or ""
    if found.error is not None:
        raise BadAnswer("told an error, with the status of a success")
    candidates = sorted(found.candidates or (), key=lambda each: each.index or 0)
    choices = tuple(_choice(each, response_id) for each in candidates)
    if not choices:
        if not is_blocked(found):
            raise BadAnswer("answered without a candidate")
        choices = (Choice((), Finish.CONTENT_FILTER),)
    usage = read_usage(found.usage_metadata)
    return Answer(id=response_id, model=found.model_version or "", choices=choices, usage=usage)


def _cite(candidate: Candidate, parts: list[Text | Thought | ToolCall | Image]) -> None:
    """Let the last text have the sources."""
    for at in reversed(range(len(parts))):
        text = parts[at]
        if isinstance(text, Text):
            cited = tuple(citations_of(candidate, text.text))
            parts[at] = msgspec.structs.replace(text, citations=cited)
            break


def _choice(candidate: Candidate, response_id: str) -> Choice:
    parts: list[Text | Thought | ToolCall | Image] = []
    calls = 0
    for part in parts_of(candidate):
        if part.function_call is not None:
            call = part.function_call
            call_id = call_id_of(call, response_id, candidate.index or 0, calls)
            signature = part.thought_signature or ""
            parts.append(ToolCall(call_id, call.name, arguments_of(call), signature))
            calls += 1
        elif part.inline_data is not None:
            image = picture_of(part)
            if image is not None:
                parts.append(image)
        elif part.text:
            kind: type[Text | Thought] = Thought if part.thought else Text
            if parts and isinstance(parts[-1], kind):
                parts[-1] = kind(parts[-1].text + part.text)
            else:
                parts.append(kind(part.text))
    if candidate.citation_metadata is not None or candidate.grounding_metadata is not None:
        _cite(candidate, parts)
    probabilities = logprobs_of(candidate.logprobs_result)
    finish = finish_of(candidate.finish_reason, calls)
    return Choice(tuple(parts), finish, logprobs=probabilities or None)
