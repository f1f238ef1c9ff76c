"""A whole answer as Gemini gives it. Pure. https://ai.google.dev/api/generate-content#response-body."""

from collections.abc import Iterable, Sequence

import msgspec

from gateway.domain.translation.answers import Answer, Choice, Finish, Logprob
from gateway.domain.translation.contents.usage import write_usage
from gateway.domain.translation.conversation import (
    Citation,
    Declined,
    Image,
    Part,
    Text,
    Thought,
    ToolCall,
)
from gateway.domain.translation.proofs import write_proof

Json = dict[str, object]

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
MALFORMED = "MALFORMED_FUNCTION_CALL"
_REASONS = {
    Finish.STOP: "STOP",
    Finish.STOP_SEQUENCE: "STOP",
    Finish.TOOL_CALLS: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.CONTENT_FILTER: "SAFETY",
    Finish.DECLINED: "SAFETY",
    Finish.PAUSED: "OTHER",
    Finish.MALFORMED: MALFORMED,
}


def write_answer(answer: Answer, *, model: str, now: int) -> bytes:  # noqa: ARG001 -- Gemini tells no time
    """A whole answer for a caller, who called the model `model`."""
    body: Json = {
        "candidates": [_candidate(choice, at) for at, choice in enumerate(answer.choices)]
    }
    if answer.usage is not None:
        body["usageMetadata"] = write_usage(answer.usage)
    body["modelVersion"] = model
    body["responseId"] = answer.id
    return msgspec.json.encode(body)


def reason_of(finish: Finish) -> str:
    """The `finishReason`."""
    return _REASONS[finish]


def _candidate(choice: Choice, index: int) -> Json:
    parts: list[Json] = []
    reason = reason_of(choice.finish)
    for part in choice.parts:
        if isinstance(part, ToolCall):
            call = write_call(part.id, part.name, part.arguments, part.signature)
            if call is None:
                reason = MALFORMED
            else:
                parts.append(call)
        else:
            parts.extend(_written(part))
    candidate: Json = {
        "content": {"parts": parts, "role": "model"},
        "finishReason": reason,
        "index": index,
    }
    if choice.logprobs:
        candidate["logprobsResult"] = write_logprobs(choice.logprobs)
    texts = (part for part in choice.parts if isinstance(part, Text))
    cited = [(each, _words_of(each, text.text)) for text in texts for each in text.citations]
    if cited:
        candidate["groundingMetadata"] = write_citations(cited)
    return candidate


def _written(part: Part) -> Iterable[Json]:
    match part:
        case Text(text) | Declined(text):
            return ({"text": text},) if text else ()
        case Thought():
            return (write_thought(part),)
        case Image():
            return (write_picture(part),)
        case _:
            return ()  # nothing else is answered by any of the dialects


def write_thought(thought: Thought) -> Json:
    """A thought, with what proves it."""
    part: Json = {"text": thought.text, "thought": True}
    if thought.signature or thought.redacted:
        part["thoughtSignature"] = write_proof(thought)
    return part


def write_picture(image: Image) -> Json:
    """A picture that the model has made, or where it is."""
    data = image.data
    part: Json = {"inlineData": {"mimeType": data.media_type, "data": data.base64}}
    if not data.base64:
        part = {"fileData": {"fileUri": data.url}}
    if image.signature:
        part["thoughtSignature"] = image.signature
    return part


def write_call(call_id: str, name: str, arguments: str, signature: str) -> Json | None:
    """A call of a function; None where the model's arguments are no object, which Gemini cannot tell."""
    try:
        args = arguments.encode() or b"{}"
        _decode_object(args)
        if b"\n" in args or b"\r" in args:
            args = msgspec.json.format(args, indent=-1)  # an event's data is one line
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    function: Json = {"id": call_id} if call_id else {}
    function |= {"name": name, "args": msgspec.Raw(args)}
    part: Json = {"functionCall": function}
    if signature:
        part["thoughtSignature"] = signature
    return part


def write_logprobs(logprobs: Sequence[Logprob]) -> Json:
    """The `logprobsResult`."""
    written: Json = {
        "chosenCandidates": [
            {"token": each.token, "logProbability": each.logprob} for each in logprobs
        ]
    }
    if any(each.others for each in logprobs):
        written["topCandidates"] = [
            {
                "candidates": [
                    {"token": token, "logProbability": logprob} for token, logprob in each.others
                ]
            }
            for each in logprobs
        ]
    return written


def _words_of(citation: Citation, text: str) -> str:
    """The words of the text that it is said to stand on."""
    if citation.start is None or citation.end is None:
        return ""
    return text[citation.start : citation.end]


def write_citations(cited: Sequence[tuple[Citation, str]]) -> Json:
    """The `groundingMetadata`: what Gemini tells of the pages that it has found itself. Of each, the words if known."""
    written: Json = {
        "groundingChunks": [{"web": {"uri": each.url, "title": each.title}} for each, _ in cited]
    }
    supports = [
        {"segment": {"text": words}, "groundingChunkIndices": [at]}
        for at, (_, words) in enumerate(cited)
        if words
    ]
    if supports:
        written["groundingSupports"] = supports
    return written
