"""A response of an upstream, whole. Pure.

Of a thought its summary is read, or what it says where that is told, and what OpenAI would have back of it
(`encrypted_content`) as a signature that no other provider is given.
"""

from collections.abc import Iterator, Sequence

import msgspec

from gateway.domain.dialects.meter import BadAnswer, BadUsage
from gateway.domain.dialects.openai import OpenAIMeter
from gateway.domain.translation.answers import Answer, Choice, Finish, Logprob
from gateway.domain.translation.conversation import (
    Citation,
    Data,
    Declined,
    Image,
    Part,
    Text,
    Thought,
    ToolCall,
)
from gateway.domain.translation.proofs import sealed
from gateway.domain.translation.reading import read_answered
from gateway.domain.usage import Usage


class _Token(msgspec.Struct):
    token: str = ""
    logprob: float = 0.0


class TokenLogprob(_Token):
    """A token of a text."""

    top_logprobs: list[_Token] | None = None


class Annotation(msgspec.Struct):
    """A source."""

    type: str = ""
    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Content(msgspec.Struct):
    """A part of a message, or of a thought."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[Annotation] | None = None
    logprobs: list[TokenLogprob] | None = None


class _Google(msgspec.Struct):
    thought_signature: str | None = None


class _Extra(msgspec.Struct):
    google: _Google | None = None


class Item(msgspec.Struct):
    """An item of the output."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: list[Content] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None
    result: str | None = None
    output_format: str | None = None
    extra_content: _Extra | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class Error(msgspec.Struct):
    """Why a response has failed, or a call was refused."""

    message: str | None = None
    code: str | int | None = None
    type: str | None = None
    param: str | None = None


class Response(msgspec.Struct):
    """A response as far as it is read."""

    id: str = ""
    model: str = ""
    created_at: float = 0
    status: str | None = None
    output: list[Item] | None = None
    error: Error | None = None
    incomplete_details: _Incomplete | None = None
    service_tier: str | None = None


_decode = msgspec.json.Decoder(Response).decode


def read_answer(body: bytes) -> Answer:
    """A whole answer of an upstream. Raises `BadAnswer`."""
    found = read_answered(_decode, body)
    if found.status in {"failed", "cancelled"} or found.output is None:
        raise BadAnswer("told a failure, with the status of a success")
    parts = tuple(part for item in found.output for part in _parts(item))
    finish = finish_of(found, has_calls=any(isinstance(part, ToolCall) for part in parts))
    logprobs = tuple(
        each
        for item in found.output
        for content in item.content or ()
        for each in logprobs_of(content.logprobs)
    )
    return Answer(
        id=found.id,
        model=found.model,
        choices=(Choice(parts, finish, logprobs=logprobs or None),),
        usage=usage_of(body),
        created=int(found.created_at),
        tier=found.service_tier or "",
    )


def usage_of(payload: bytes) -> Usage | None:
    """The usage that an answer or event tells; None where it tells none that can be believed."""
    meter = OpenAIMeter()
    try:
        meter.event(payload)
    except BadUsage:
        return None
    return meter.usage


def finish_of(response: Response, *, has_calls: bool) -> Finish:
    """Why it ended; what is no known reason is a filter's, for it is no good end."""
    if response.status == "incomplete":
        details = response.incomplete_details
        is_length = details is not None and details.reason == "max_output_tokens"
        return Finish.LENGTH if is_length else Finish.CONTENT_FILTER
    return Finish.TOOL_CALLS if has_calls else Finish.STOP


def citation_of(annotation: Annotation) -> Citation | None:
    """A source; None of a file that OpenAI keeps."""
    if annotation.type != "url_citation":
        return None
    return Citation(
        annotation.url,
        annotation.title or "",
        start=annotation.start_index,
        end=annotation.end_index,
    )


def signature_of(item: Item) -> str:
    """What OpenAI would have back of a thought; empty where it was not asked for."""
    return "" if not item.encrypted_content else sealed(item.id or "", item.encrypted_content)


def picture_of(item: Item, result: str) -> Image:
    """A picture that a tool of OpenAI's has drawn: PNG, as it draws unasked, unless it says what it is."""
    google = None if item.extra_content is None else item.extra_content.google
    signature = "" if google is None else google.thought_signature or ""
    return Image(Data(f"image/{item.output_format or 'png'}", result), signature=signature)


def logprobs_of(found: Sequence[TokenLogprob] | None) -> tuple[Logprob, ...]:
    """Probabilities of a text's tokens."""
    return tuple(
        Logprob(
            each.token,
            each.logprob,
            tuple((top.token, top.logprob) for top in each.top_logprobs or ()),
        )
        for each in found or ()
    )


def _parts(item: Item) -> Iterator[Part]:
    match item.type:
        case "message":
            for content in item.content or ():
                if content.type == "refusal":
                    yield Declined(content.refusal or "")
                elif content.text:
                    found = (citation_of(each) for each in content.annotations or ())
                    cited = tuple(each for each in found if each is not None)
                    yield Text(content.text, citations=cited)
        case "reasoning":
            *before, last = [each.text or "" for each in item.content or item.summary or ()] or [""]
            yield from map(Thought, before)
            signature = signature_of(item)
            if last or signature:
                yield Thought(last, signature)
        case "function_call":
            if not (item.call_id and item.name):
                raise BadAnswer("told a call of a function without its id or name")
            yield ToolCall(item.call_id, item.name, item.arguments or "{}")
        case "image_generation_call" if item.result:
            yield picture_of(item, item.result)
        case _:
            pass
