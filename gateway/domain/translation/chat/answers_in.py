"""A chat completion that an upstream answers with, and its errors → the neutral form. Pure.

https://platform.openai.com/docs/api-reference/chat/object, and what others that speak the dialect answer with: thoughts
in `reasoning_content` or `reasoning`, pictures in `images`, errors as a text. Members that the neutral form does not
have are passed over.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from gateway.domain.ask import Invalid
from gateway.domain.dialects.meter import BadAnswer, BadUsage
from gateway.domain.dialects.openai import OpenAIMeter
from gateway.domain.translation import faults
from gateway.domain.translation.answers import Answer, Choice, Fault, FaultKind, Finish, Logprob
from gateway.domain.translation.chat.wire import Annotation, ExtraContent
from gateway.domain.translation.conversation import (
    Citation,
    Declined,
    Image,
    Part,
    Text,
    Thought,
    ToolCall,
)
from gateway.domain.translation.media import data_of_url
from gateway.domain.translation.reading import read_answered

_FINISHES: Final = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
}
# Codes and types of errors in the middle of a stream, where no status tells:
# https://platform.openai.com/docs/guides/error-codes
_KINDS: Final[dict[str, FaultKind]] = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "authentication",
    "permission_error": "permission",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "insufficient_quota": "rate_limit",
    "service_unavailable_error": "overloaded",
    "timeout": "timeout",
}
_NO_TIME: Final = 2**53


class _Likely(msgspec.Struct):
    token: str
    logprob: float


class _Token(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Likely] | None = None


class Logprobs(msgspec.Struct):
    """Of each token of the answer."""

    content: list[_Token] | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct):
    """A call of a tool, or in a stream more of one."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    extra_content: ExtraContent | None = None


class _Url(msgspec.Struct):
    url: str


class Picture(msgspec.Struct):
    """A picture that the model has made: https://openrouter.ai/docs/features/multimodal/image-generation."""

    image_url: _Url
    extra_content: ExtraContent | None = None


class Said(msgspec.Struct):
    """What the model says, or in a stream more of it."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] | None = None
    annotations: list[Annotation] | None = None
    images: list[Picture] | None = None


class _Choice(msgspec.Struct):
    message: Said
    index: int = 0
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    service_tier: str | None = None


class Error(msgspec.Struct):
    """What went wrong."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _Failure(msgspec.Struct):
    error: Error | str | None = None
    message: str | None = None


_decode = msgspec.json.Decoder(_Completion).decode
_decode_failure = msgspec.json.Decoder(_Failure | list[_Failure]).decode


def read_answer(body: bytes) -> Answer:
    """A whole answer of an upstream. Raises `BadAnswer`."""
    found = read_answered(_decode, body)
    try:
        usage = OpenAIMeter().whole(body)
    except BadUsage as error:
        raise BadAnswer(f"told a usage that is none ({error})") from None
    if not found.choices:
        raise BadAnswer("answered without a choice")
    answer_id = found.id or ""
    choices = sorted(found.choices, key=lambda choice: choice.index)
    return Answer(
        id=answer_id,
        model=found.model or "",
        choices=tuple(_choice(each, answer_id) for each in choices),
        usage=usage,
        created=seconds_of(found.created),
        tier=found.service_tier or "",
    )


def read_fault(status: int, body: bytes) -> Fault:
    """An error of an upstream; of a body that is none of its dialect's, what the status says."""
    try:
        found = _decode_failure(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return faults.bare(status)
    if isinstance(found, list):  # as Gemini's server of the dialect puts it
        found = found[0] if found else _Failure()
    error = Error(message=found.error) if isinstance(found.error, str) else found.error
    error = error or Error(message=found.message)
    if not error.message:
        return faults.bare(status)
    return Fault(faults.kind_of(status), error.message, _code(error), error.param or "")


def fault_of(error: Error | str) -> Fault:
    """An error in the middle of a stream."""
    if isinstance(error, str):
        return Fault("internal", error)
    message = error.message or "The upstream broke off without saying why."
    kind = _KINDS.get(_code(error)) or _KINDS.get(error.type or "", "internal")
    return Fault(kind, message, _code(error), error.param or "")


def finish_of(reason: str, *, has_called: bool, has_declined: bool) -> Finish:
    """Why a choice ended. Some say `stop` where tools are called, and all where the model declines."""
    finish = _FINISHES.get(reason, Finish.STOP)
    if finish is Finish.STOP and has_called:
        return Finish.TOOL_CALLS
    return Finish.DECLINED if finish is Finish.STOP and has_declined else finish


def logprobs_of(found: Logprobs | None) -> tuple[Logprob, ...] | None:
    """Of each token of the text; None where none are told."""
    if found is None or found.content is None:
        return None
    return tuple(
        Logprob(
            each.token,
            each.logprob,
            tuple((other.token, other.logprob) for other in each.top_logprobs or ()),
        )
        for each in found.content
    )


def citations_of(found: list[Annotation] | None) -> tuple[Citation, ...]:
    """The sources of a text."""
    return tuple(
        Citation(each.url, each.title or "", "", each.start_index, each.end_index)
        for each in (annotation.url_citation for annotation in found or ())
        if each is not None
    )


def pictures_of(found: list[Picture] | None) -> Iterator[Image]:
    """The pictures that the model has made. Raises `BadAnswer`."""
    for each in found or ():
        try:
            data = data_of_url(each.image_url.url, "images")
        except Invalid:
            raise BadAnswer("sent a picture that is none") from None
        yield Image(data, signature=signature_of(each))


def seconds_of(created: float | None) -> int:
    """When an answer was made, in Unix seconds; 0 where that is no time."""
    return int(created) if created is not None and 0 < created < _NO_TIME else 0


def call_id(answer_id: str, choice: int, number: int) -> str:
    """The id of a call whose upstream gave it none."""
    return f"call_{answer_id}_{choice}_{number}"


def signature_of(found: Call | Picture) -> str:
    """Gemini's, of the thought before a call or a picture."""
    extra = found.extra_content
    return "" if extra is None or extra.google is None else extra.google.thought_signature or ""


def _choice(found: _Choice, answer_id: str) -> Choice:
    said = found.message
    parts: list[Part] = []
    thought = said.reasoning_content or said.reasoning
    if thought:
        parts.append(Thought(thought))
    if said.content:
        parts.append(Text(said.content, citations=citations_of(said.annotations)))
    if said.images:
        parts += pictures_of(said.images)
    if said.refusal:
        parts.append(Declined(said.refusal))
    for number, call in enumerate(said.tool_calls or ()):
        if call.function is None or not call.function.name:
            raise BadAnswer("called a tool without its name")
        given = call.id or call_id(answer_id, found.index, number)
        arguments = call.function.arguments or "{}"
        parts.append(ToolCall(given, call.function.name, arguments, signature_of(call)))
    finish = finish_of(
        found.finish_reason or "stop",
        has_called=bool(said.tool_calls),
        has_declined=bool(said.refusal),
    )
    return Choice(tuple(parts), finish, logprobs=logprobs_of(found.logprobs))


def _code(error: Error) -> str:
    return "" if error.code is None else str(error.code)
