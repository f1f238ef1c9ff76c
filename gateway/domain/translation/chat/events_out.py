"""A stream of deltas → chunks of a chat completion, as callers get them. Pure.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.domain.translation.answers import (
    Cited,
    Counted,
    Delta,
    Ended,
    Failed,
    Fault,
    FaultKind,
    Finished,
    PartEnded,
    PartStarted,
    Ping,
    Shown,
    Signed,
    Started,
    TextDelta,
)
from gateway.domain.translation.chat.answers_out import (
    annotation_of,
    call_of,
    detail_of,
    finish_of,
    logprobs_of,
    picture_of,
)
from gateway.domain.translation.chat.usage import counts_of
from gateway.domain.translation.conversation import Thought, ToolCall
from gateway.domain.usage import Usage

_MEMBERS = {"text": "content", "thought": "reasoning_content", "declined": "refusal"}
_TYPES: dict[FaultKind, str] = {
    "authentication": "authentication_error",
    "permission": "permission_error",
    "rate_limit": "rate_limit_error",
    "overloaded": "service_unavailable_error",
    "timeout": "server_error",
    "internal": "server_error",
}


class _Choice:
    """What of a choice decides how it goes on. Positions are characters of its text, which citations stand on."""

    __slots__ = ("at", "calls", "declined", "kind", "length", "pictures", "signed", "thoughts")

    def __init__(self) -> None:
        self.kind = ""
        self.calls = 0
        self.pictures = 0
        self.thoughts = 0
        self.declined = False
        self.length = 0
        self.at = 0
        self.signed: list[str] = []


def writer(*, model: str, now: int) -> "ChunkWriter":
    """For a stream to a caller, who called the model `model`."""
    return ChunkWriter(model=model, now=now)


class ChunkWriter:
    """One for each call. The last chunk tells what was used; whom it is not for does not get that far."""

    __slots__ = (
        "_before",
        "_begins",
        "_choices",
        "_head",
        "_model",
        "_now",
        "_usage",
    )

    def __init__(self, *, model: str, now: int) -> None:
        self._model = model
        self._now = now
        self._begins = self._head = b""
        self._before: dict[tuple[int, str], bytes] = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """The events of these deltas; may be none."""
        return b"".join([self._event(delta) for delta in deltas])

    def _event(self, delta: Delta) -> bytes:  # noqa: C901, PLR0911 -- each kind is told its own way
        match delta:
            case TextDelta():
                return self._text(delta)
            case PartStarted():
                return self._part(delta)
            case Signed():
                return self._signed(delta)
            case Cited():
                return self._cited(delta)
            case PartEnded():
                return b""
            case Shown():
                return self._shown(delta)
            case Started():
                return self._start(delta)
            case Finished():
                return self._finish(delta)
            case Counted():
                self._usage = delta.usage
                return b""
            case Ping():
                return b": ping\n\n"
            case Failed():
                return _fault(delta.fault)
            case Ended():
                return self._end()

    def _start(self, delta: Started) -> bytes:
        told = {
            "id": delta.id,
            "object": "chat.completion.chunk",
            "created": delta.created or self._now,
            "model": self._model,
        }
        self._begins = b"data: %b," % orjson.dumps(told)[:-1]
        self._head = self._begins + b'"usage":null,'
        return self._open(0)

    def _open(self, choice: int) -> bytes:
        """The first chunk of a choice, which says who speaks."""
        self._choices[choice] = _Choice()
        return self._chunk(choice, {"role": "assistant", "content": "", "refusal": None})

    def _chunk(
        self, choice: int, told: dict[str, Any], finish: str | None = None, logprobs: Any = None
    ) -> bytes:
        one = {"index": choice, "delta": told, "logprobs": logprobs, "finish_reason": finish}
        return b'%b"choices":[%b]}\n\n' % (self._head, orjson.dumps(one))

    def _text(self, delta: TextDelta) -> bytes:
        """The chunk that most of a stream consists of; all of it but the text is put together once."""
        number = delta.choice
        choice = self._choices[number]
        kind = choice.kind
        if kind == "text":
            choice.length += len(delta.text)
        elif kind == "thought":
            choice.signed.append(delta.text)
        if delta.logprobs:
            name = _MEMBERS.get(kind, "content")
            return self._chunk(number, {name: delta.text}, logprobs=logprobs_of(delta.logprobs))
        before = self._before.get((number, kind))
        if before is None:
            before = self._before[number, kind] = self._text_before(number, kind)
        end = b"}}]" if kind == "tool" else b""
        return b'%b%b%b},"logprobs":null,"finish_reason":null}]}\n\n' % (
            before,
            orjson.dumps(delta.text),
            end,
        )

    def _text_before(self, number: int, kind: str) -> bytes:
        start = b'%b"choices":[{"index":%d,"delta":{' % (self._head, number)
        if kind == "tool":
            at = self._choices[number].calls - 1
            return b'%b"tool_calls":[{"index":%d,"function":{"arguments":' % (start, at)
        return b'%b"%b":' % (start, _MEMBERS[kind].encode())

    def _part(self, delta: PartStarted) -> bytes:
        number = delta.choice
        opened = b"" if number in self._choices else self._open(number)
        choice = self._choices[number]
        choice.kind = delta.kind
        choice.at = choice.length
        choice.signed = []
        choice.declined = choice.declined or delta.kind == "declined"
        if delta.kind != "tool":
            return opened
        call = call_of(ToolCall(delta.id, delta.name, "", delta.signature))
        told = {"tool_calls": [{"index": choice.calls, **call}]}
        choice.calls += 1
        self._before.pop((number, "tool"), None)
        return opened + self._chunk(number, told)

    def _signed(self, delta: Signed) -> bytes:
        choice = self._choices[delta.choice]
        thought = Thought("".join(choice.signed), delta.signature, delta.redacted)
        detail = detail_of(thought, choice.thoughts)
        choice.thoughts += 1
        return self._chunk(delta.choice, {"reasoning_details": [detail]})

    def _cited(self, delta: Cited) -> bytes:
        choice = self._choices[delta.choice]
        told = annotation_of(delta.citation, choice.at, choice.length)
        return self._chunk(delta.choice, {"annotations": [told]})

    def _shown(self, delta: Shown) -> bytes:
        number = delta.choice
        opened = b"" if number in self._choices else self._open(number)
        choice = self._choices[number]
        told = picture_of(delta.image, choice.pictures)
        choice.pictures += 1
        return opened + self._chunk(number, {"images": [told]})

    def _finish(self, delta: Finished) -> bytes:
        number = delta.choice
        opened = b"" if number in self._choices else self._open(number)
        finish = finish_of(delta.finish, has_declined=self._choices[number].declined)
        return opened + self._chunk(number, {}, finish)

    def _end(self) -> bytes:
        done = b"data: [DONE]\n\n"
        if self._usage is None:
            return done
        counts = orjson.dumps(counts_of(self._usage))
        return b'%b"choices":[],"usage":%b}\n\n%b' % (self._begins, counts, done)


def _fault(fault: Fault) -> bytes:
    """The error as a last event, which no terminator follows."""
    error = {
        "message": fault.message,
        "type": _TYPES.get(fault.kind, "invalid_request_error"),
        "param": fault.param or None,
        "code": fault.code or fault.kind,
    }
    return b"data: %b\n\n" % orjson.dumps({"error": error})
