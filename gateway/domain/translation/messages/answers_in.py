"""A message that Anthropic's dialect answers with, and its errors → the neutral form. Pure.

https://docs.claude.com/en/api/messages, https://docs.claude.com/en/api/errors. Members and blocks of kinds that the
neutral form does not have are passed over.
"""

from typing import Final

import msgspec

from gateway.domain.dialects.anthropic import MessagesMeter
from gateway.domain.dialects.meter import BadAnswer, BadUsage
from gateway.domain.translation import faults
from gateway.domain.translation.answers import Answer, Choice, Fault, FaultKind, Finish
from gateway.domain.translation.conversation import Citation, Part, Text, Thought, ToolCall
from gateway.domain.translation.reading import is_said, json_answered, read_answered

_ABSENT = msgspec.Raw(b"")
_FINISHES: Final = {
    "end_turn": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "tool_use": Finish.TOOL_CALLS,
    "pause_turn": Finish.PAUSED,
    "refusal": Finish.DECLINED,
}
_KINDS: Final[dict[str, FaultKind]] = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "authentication",
    "billing_error": "permission",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "timeout_error": "timeout",
    "api_error": "internal",
    "overloaded_error": "overloaded",
}


class CitedSource(msgspec.Struct):
    """Where a statement comes from, in any of the forms that there are."""

    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    cited_text: str | None = None


class Block(msgspec.Struct):
    """A part of a message, of any kind."""

    type: str
    text: str | None = None
    citations: list[CitedSource] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _ABSENT


class Error(msgspec.Struct):
    """What went wrong."""

    type: str = ""
    message: str = ""


class _Message(msgspec.Struct):
    content: list[Block]
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Failure(msgspec.Struct):
    error: Error


_decode = msgspec.json.Decoder(_Message).decode
_decode_failure = msgspec.json.Decoder(_Failure).decode


def read_answer(body: bytes) -> Answer:
    """A whole answer of an upstream. Raises `BadAnswer`."""
    message = read_answered(_decode, body)
    try:
        usage = MessagesMeter().whole(body)
    except BadUsage as error:
        raise BadAnswer(f"told a usage that is none ({error})") from None
    parts = tuple(part for block in message.content if (part := _part(block)) is not None)
    finish = finish_of(message.stop_reason or "end_turn")
    choice = Choice(parts, finish, message.stop_sequence or "")
    return Answer(id=message.id, model=message.model, choices=(choice,), usage=usage)


def read_fault(status: int, body: bytes) -> Fault:
    """An error of an upstream; of a body that is none of its dialect's, what the status says."""
    try:
        found = _decode_failure(body).error
    except (msgspec.DecodeError, ValueError, RecursionError):
        return faults.bare(status)
    if not found.message:
        return faults.bare(status)
    kind = _KINDS.get(found.type, faults.kind_of(status))
    return Fault(kind, found.message, found.type)


def fault_of(error: Error | None) -> Fault:
    """An error in the middle of a stream."""
    told = error or Error()
    message = told.message or "The upstream broke off without saying why."
    return Fault(_KINDS.get(told.type, "internal"), message, told.type)


def finish_of(stop_reason: str) -> Finish:
    """Why a message ended; for reasons that are not known, because it did."""
    return _FINISHES.get(stop_reason, Finish.STOP)


def citation_of(found: CitedSource) -> Citation:
    """Where a statement comes from. Offsets of Anthropic's are in the source, not in the statement."""
    title = found.title or found.document_title or ""
    return Citation(found.url or found.source or "", title, found.cited_text or "")


def named(block: Block) -> tuple[str, str]:
    """A call's id and name. Raises `BadAnswer` where nobody could answer it."""
    if not (block.id and block.name):
        raise BadAnswer("called a tool without its name or an id")
    return block.id, block.name


def _part(block: Block) -> Part | None:
    match block.type:
        case "text":
            cited = tuple(citation_of(each) for each in block.citations or ())
            return Text(block.text or "", citations=cited)
        case "thinking":
            return Thought(block.thinking or "", block.signature or "")
        case "redacted_thinking":
            return Thought(redacted=block.data or "")
        case "tool_use":
            arguments = json_answered(block.input) if is_said(block.input) else "{}"
            return ToolCall(*named(block), arguments)
        case _:
            return None
