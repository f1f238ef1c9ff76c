"""A stream of Anthropic's Messages, as an upstream sends it → deltas. Pure.

https://docs.claude.com/en/docs/build-with-claude/streaming. Blocks of kinds that the neutral form does not have (what
tools of the provider's own did) are passed over.
"""

from collections.abc import Sequence

import msgspec

from gateway.domain.dialects.anthropic import MessagesMeter
from gateway.domain.dialects.meter import BadAnswer, BadUsage
from gateway.domain.translation.answers import (
    Cited,
    Counted,
    Delta,
    Ended,
    Failed,
    Finish,
    Finished,
    PartEnded,
    PartStarted,
    Ping,
    Signed,
    Started,
    TextDelta,
)
from gateway.domain.translation.messages.answers_in import (
    Block,
    CitedSource,
    Error,
    citation_of,
    fault_of,
    finish_of,
    named,
)
from gateway.domain.translation.reading import is_said, json_answered, read_answered

_ABSENT = msgspec.Raw(b"")


class _Message(msgspec.Struct):
    id: str = ""
    model: str = ""


class _Change(msgspec.Struct):
    """Of a block, or of the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    citation: CitedSource | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(msgspec.Struct):
    type: str
    index: int | None = None
    message: _Message | None = None
    content_block: Block | None = None
    delta: _Change | None = None
    error: Error | None = None
    usage: msgspec.Raw = _ABSENT


_decode = msgspec.json.Decoder(_Event).decode
_PASSED_OVER = -1


def reader() -> "MessageReader":
    """For a stream of an upstream."""
    return MessageReader()


class MessageReader:
    """One for each call."""

    __slots__ = ("_given", "_has_finished", "_has_started", "_is_over", "_kind", "_meter", "_open")

    def __init__(self) -> None:
        self._meter = MessagesMeter()
        self._has_started = False
        self._has_finished = False
        self._is_over = False
        self._open: int | None = None
        self._kind = ""
        self._given = ""  # a call's arguments as its beginning has them, where nothing follows

    def event(  # noqa: PLR0911 -- each kind is read its own way
        self,
        name: bytes,  # noqa: ARG002 -- the data has it, too
        data: bytes,
    ) -> Sequence[Delta]:
        """The deltas of one event. Raises `BadAnswer`."""
        event = read_answered(_decode, data)
        kind = event.type
        if kind == "content_block_delta":
            return self._change(event)
        if self._is_over:
            return ()
        if kind == "ping":
            return (Ping(),) if self._has_started else ()
        if kind == "error":
            self._is_over = True
            return (Failed(fault_of(event.error)),)
        if kind == "message_start":
            return self._start(event, data)
        if kind in _LATER and not self._has_started:
            raise BadAnswer("sent a stream that does not begin at its beginning")
        if kind == "content_block_start":
            return self._block(event)
        if kind == "content_block_stop":
            return self._close()
        if kind == "message_delta":
            return self._end_of_message(event, data)
        return self._stop() if kind == "message_stop" else ()

    def end(self) -> Sequence[Delta]:
        """The upstream has sent all. Raises `BadAnswer` where no end of the message came."""
        if not self._is_over:
            raise BadAnswer("ended its stream before the message was whole")
        return ()

    def _start(self, event: _Event, data: bytes) -> Sequence[Delta]:
        if self._has_started or event.message is None:
            raise BadAnswer("sent a stream whose beginning is none")
        self._has_started = True
        self._count(data)
        return (Started(event.message.id, event.message.model, 0, self._meter.so_far),)

    def _count(self, data: bytes) -> None:
        try:
            self._meter.event(data)
        except BadUsage as error:
            raise BadAnswer(f"told a usage that is none ({error})") from None

    def _block(self, event: _Event) -> Sequence[Delta]:
        block, index = event.content_block, event.index
        if block is None or index is None or self._has_finished:
            raise BadAnswer("sent a part of a message that is none")
        deltas = [*self._close()]
        self._open, self._kind = index, block.type
        match block.type:
            case "text":
                deltas.append(PartStarted(0, "text"))
                if block.text:
                    deltas.append(TextDelta(0, block.text))
                deltas += [Cited(0, citation_of(each)) for each in block.citations or ()]
            case "thinking":
                deltas.append(PartStarted(0, "thought"))
                if block.thinking:
                    deltas.append(TextDelta(0, block.thinking))
                if block.signature:
                    deltas.append(Signed(0, block.signature))
            case "redacted_thinking":
                deltas += [PartStarted(0, "thought"), Signed(0, redacted=block.data or "")]
            case "tool_use":
                self._given = json_answered(block.input) if is_said(block.input) else "{}"
                deltas.append(PartStarted(0, "tool", *named(block)))
            case _:
                self._kind = ""
        return deltas

    def _change(self, event: _Event) -> Sequence[Delta]:  # noqa: PLR0911 -- likewise
        change = event.delta
        if change is None or self._open is None or event.index != self._open:
            raise BadAnswer("sent more of a part that is not open")
        kind = self._kind
        if not kind:
            return ()
        match change.type:
            case "text_delta" if kind == "text" and change.text:
                return (TextDelta(0, change.text),)
            case "input_json_delta" if kind == "tool_use" and change.partial_json:
                self._given = ""
                return (TextDelta(0, change.partial_json),)
            case "thinking_delta" if kind == "thinking" and change.thinking:
                return (TextDelta(0, change.thinking),)
            case "signature_delta" if kind == "thinking" and change.signature:
                return (Signed(0, change.signature),)
            case "citations_delta" if kind == "text" and change.citation is not None:
                return (Cited(0, citation_of(change.citation)),)
            case _:
                return ()

    def _close(self) -> Sequence[Delta]:
        if self._open is None:
            return ()
        self._open = None
        if not self._kind:
            return ()
        given, self._given = self._given, ""
        if given:
            return (TextDelta(0, given), PartEnded(0))
        return (PartEnded(0),)

    def _end_of_message(self, event: _Event, data: bytes) -> Sequence[Delta]:
        deltas = [*self._close()]
        change = event.delta
        if change is not None and change.stop_reason is not None and not self._has_finished:
            self._has_finished = True
            sequence = change.stop_sequence or ""
            deltas.append(Finished(0, finish_of(change.stop_reason), sequence))
        if is_said(event.usage):
            self._count(data)
            if self._meter.usage is not None:
                deltas.append(Counted(self._meter.usage))
        return deltas

    def _stop(self) -> Sequence[Delta]:
        self._is_over = True
        deltas = [*self._close()]
        if not self._has_finished:
            deltas.append(Finished(0, Finish.STOP))
        return (*deltas, Ended())


_LATER = frozenset({"content_block_start", "content_block_stop", "message_delta", "message_stop"})
