"""A stream of deltas → events of a message, as callers of Anthropic's dialect get them. Pure.

https://docs.claude.com/en/docs/build-with-claude/streaming
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
    Finish,
    Finished,
    PartEnded,
    PartStarted,
    Ping,
    Shown,
    Signed,
    Started,
    TextDelta,
)
from gateway.domain.translation.messages.answers_out import cited, instead_of, reason_of
from gateway.domain.translation.messages.usage import counts_of
from gateway.domain.usage import NOTHING, Usage

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_MEMBERS = {
    "text": (b"text_delta", b"text"),
    "declined": (b"text_delta", b"text"),
    "thought": (b"thinking_delta", b"thinking"),
    "tool": (b"input_json_delta", b"partial_json"),
}
# https://docs.claude.com/en/api/errors
_TYPES: dict[FaultKind, str] = {
    "authentication": "authentication_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "too_large": "request_too_large",
    "rate_limit": "rate_limit_error",
    "overloaded": "overloaded_error",
    "timeout": "timeout_error",
    "internal": "api_error",
}


def writer(*, model: str, now: int) -> "MessageWriter":  # noqa: ARG001 -- it tells no time
    """For a stream to a caller, who called the model `model`."""
    return MessageWriter(model)


class MessageWriter:
    """One for each call. The reason why the message ended waits for the usage, which stands beside it."""

    __slots__ = ("_before", "_finished", "_index", "_is_open", "_kind", "_model", "_usage")

    def __init__(self, model: str) -> None:
        self._model = model
        self._index = -1
        self._kind = ""
        self._is_open = (
            False  # whether the block's beginning is told: a thought's waits for what it is
        )
        self._before = b""
        self._finished = Finished(0, Finish.STOP)
        self._usage: Usage | None = None

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """The events of these deltas; may be none. Choices but the first are not told."""
        return b"".join(
            [self._event(delta) for delta in deltas if getattr(delta, "choice", 0) == 0]
        )

    def _event(self, delta: Delta) -> bytes:  # noqa: C901, PLR0911 -- each kind is told its own way
        match delta:
            case TextDelta():
                opened = b"" if self._is_open else self._open_thought()
                return b"%b%b%b}}\n\n" % (opened, self._before, orjson.dumps(delta.text))
            case PartStarted():
                return self._part(delta)
            case Signed():
                return self._signed(delta)
            case Cited():
                return self._change({"type": "citations_delta", "citation": cited(delta.citation)})
            case PartEnded():
                return self._close()
            case Shown(choice):
                said = TextDelta(choice, instead_of(delta.image))
                return self.write((PartStarted(choice, "text"), said, PartEnded(choice)))
            case Started():
                return self._start(delta)
            case Finished():
                self._finished = delta
                return b""
            case Counted():
                self._usage = delta.usage
                return b""
            case Ping():
                return _PING
            case Failed():
                return _fault(delta.fault)
            case Ended():
                return self._end()

    def _start(self, delta: Started) -> bytes:
        self._usage = delta.usage
        # For how long was written is told at the end alone: what is told twice is not taken back.
        counts = counts_of((delta.usage or NOTHING)._replace(cache_write_1h_tokens=None))
        message: dict[str, Any] = {
            "id": delta.id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": counts,
        }
        return _told({"type": "message_start", "message": message}) + _PING

    def _part(self, delta: PartStarted) -> bytes:
        self._index += 1
        self._kind = delta.kind
        name, member = _MEMBERS[delta.kind]
        self._before = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
            b'"delta":{"type":"%b","%b":' % (self._index, name, member)
        )
        self._is_open = delta.kind != "thought"
        if delta.kind == "thought":
            return b""
        if delta.kind == "tool":
            return self._open({"type": "tool_use", "id": delta.id, "name": delta.name, "input": {}})
        return self._open({"type": "text", "text": ""})

    def _open(self, block: dict[str, Any]) -> bytes:
        self._is_open = True
        return _told({"type": "content_block_start", "index": self._index, "content_block": block})

    def _open_thought(self) -> bytes:
        return self._open({"type": "thinking", "thinking": "", "signature": ""})

    def _change(self, told: dict[str, Any]) -> bytes:
        return _told({"type": "content_block_delta", "index": self._index, "delta": told})

    def _signed(self, delta: Signed) -> bytes:
        if not delta.redacted:
            opened = b"" if self._is_open else self._open_thought()
            return opened + self._change({"type": "signature_delta", "signature": delta.signature})
        closed = b""
        if self._is_open:  # what is redacted is a block of its own
            closed = self._close()
            self._index += 1
        return closed + self._open({"type": "redacted_thinking", "data": delta.redacted})

    def _close(self) -> bytes:
        opened = b"" if self._is_open else self._open_thought()
        self._is_open = True
        return opened + _told({"type": "content_block_stop", "index": self._index})

    def _end(self) -> bytes:
        finished = self._finished
        change = {
            "stop_reason": reason_of(finished.finish),
            "stop_sequence": finished.stop_sequence or None,
        }
        counts = counts_of(self._usage)
        return _told({"type": "message_delta", "delta": change, "usage": counts}) + _STOP


def _told(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))


def _fault(fault: Fault) -> bytes:
    """The error as a last event, which no `message_stop` follows."""
    error = {"type": _TYPES.get(fault.kind, "invalid_request_error"), "message": fault.message}
    return _told({"type": "error", "error": error})
