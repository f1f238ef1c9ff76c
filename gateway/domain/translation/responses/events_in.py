"""A response of an upstream, as a stream of typed events. Pure.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.answers import (
    Cited,
    Counted,
    Delta,
    Ended,
    Failed,
    Finished,
    PartEnded,
    PartStarted,
    Shown,
    Signed,
    Started,
    TextDelta,
)
from gateway.domain.translation.reading import read_answered
from gateway.domain.translation.responses.answers_in import (
    Annotation,
    Error,
    Item,
    Response,
    TokenLogprob,
    citation_of,
    finish_of,
    logprobs_of,
    picture_of,
    signature_of,
    usage_of,
)
from gateway.domain.translation.responses.faults import fault_of

Kind = Literal["text", "thought", "tool", "declined"]
_Place = tuple[int, int, str]


class _Event(msgspec.Struct):
    type: str = ""
    response: Response | None = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    item: Item | None = None
    delta: str = ""
    arguments: str = ""
    annotation: Annotation | None = None
    logprobs: list[TokenLogprob] | None = None
    error: Error | None = None
    message: str | None = None
    code: str | int | None = None
    param: str | None = None


_decode = msgspec.json.Decoder(_Event).decode
_TEXTS: dict[str, Kind] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "declined",
    "response.reasoning_summary_text.delta": "thought",
    "response.reasoning_text.delta": "thought",
}


def reader() -> "ResponseReader":
    """For a stream of an upstream."""
    return ResponseReader()


class ResponseReader:
    """Reads a stream. One part is open at a time: OpenAI sends its items one after the other."""

    def __init__(self) -> None:
        self._open: _Place | None = None
        self._calls: dict[int, bool] = {}  # whether arguments have come
        self._has_ended = False
        self._has_started = False

    def event(self, name: bytes, data: bytes) -> Sequence[Delta]:  # noqa: ARG002 -- the data says it, too
        """The deltas of one event. Raises `BadAnswer`."""
        event = read_answered(_decode, data)
        deltas: list[Delta] = []
        if not self._has_started:
            self._has_started = True
            response = event.response or Response()
            deltas.append(Started(response.id, response.model, int(response.created_at)))
        if self._has_ended:
            return deltas
        kind = _TEXTS.get(event.type)
        if kind is not None:
            self._text(event, kind, deltas)
        elif event.type in {"response.completed", "response.incomplete"}:
            self._end(event.response or Response(), data, deltas)
        elif event.type in {"response.failed", "error"}:
            deltas.append(Failed(fault_of(_error(event))))
        else:
            self._item(event, deltas)
        return deltas

    def _item(self, event: _Event, deltas: list[Delta]) -> None:
        """What is told of an item beside its text."""
        match event.type:
            case "response.output_item.added" if event.item is not None:
                self._add(event, event.item, deltas)
            case "response.function_call_arguments.delta":
                self._arguments(event, event.delta, deltas)
            case "response.function_call_arguments.done":
                if not self._calls.get(event.output_index, True):
                    self._arguments(event, event.arguments, deltas)
            case "response.output_text.annotation.added" if event.annotation is not None:
                citation = citation_of(event.annotation)
                if citation is not None and self._open == (*_where(event), "text"):
                    deltas.append(Cited(0, citation))
            case "response.output_item.done":
                self._done(event.item or Item(), deltas)
            case _:
                pass

    def end(self) -> Sequence[Delta]:
        """What is left when all has come. Raises `BadAnswer` where the response has not ended."""
        if not self._has_ended:
            raise BadAnswer("ended its stream before its response")
        return [Ended()]

    def _add(self, event: _Event, item: Item, deltas: list[Delta]) -> None:
        self._close(deltas)
        if item.type == "function_call":
            if not (item.call_id and item.name):
                raise BadAnswer("sent a call of a function without its id or name")
            self._calls[event.output_index] = False
            self._open = (event.output_index, 0, "tool")
            deltas.append(PartStarted(0, "tool", item.call_id, item.name))

    def _done(self, item: Item, deltas: list[Delta]) -> None:
        """An item is whole; of some only now is told what is in them."""
        signature = signature_of(item) if item.type == "reasoning" else ""
        if signature:
            if self._open is None or self._open[2] != "thought":
                self._close(deltas)
                self._open = (0, 0, "thought")
                deltas.append(PartStarted(0, "thought"))
            deltas.append(Signed(0, signature))
        self._close(deltas)
        if item.type == "image_generation_call" and item.result:
            deltas.append(Shown(0, picture_of(item, item.result)))

    def _arguments(self, event: _Event, text: str, deltas: list[Delta]) -> None:
        if self._open != (event.output_index, 0, "tool"):
            raise BadAnswer("sent arguments of a call that is not open")
        if text:
            self._calls[event.output_index] = True
            deltas.append(TextDelta(0, text))

    def _text(self, event: _Event, kind: Kind, deltas: list[Delta]) -> None:
        if not event.delta:
            return
        place = (*_where(event), kind)
        if self._open != place:
            self._close(deltas)
            self._open = place
            deltas.append(PartStarted(0, kind))
        deltas.append(TextDelta(0, event.delta, logprobs_of(event.logprobs)))

    def _close(self, deltas: list[Delta]) -> None:
        if self._open is not None:
            self._open = None
            deltas.append(PartEnded(0))

    def _end(self, response: Response, data: bytes, deltas: list[Delta]) -> None:
        self._has_ended = True
        self._close(deltas)
        deltas.append(Finished(0, finish_of(response, has_calls=bool(self._calls))))
        usage = usage_of(data)
        if usage is not None:
            deltas.append(Counted(usage))


def _where(event: _Event) -> tuple[int, int]:
    return event.output_index, event.content_index + event.summary_index


def _error(event: _Event) -> Error:
    """Of a failed response, or of an event that is an error or holds one."""
    if event.response is not None and event.response.error is not None:
        return event.response.error
    return event.error or Error(event.message, event.code, None, event.param)
