"""A stream as the typed events of a response. Pure.

https://platform.openai.com/docs/api-reference/responses-streaming
"""

from collections.abc import Sequence

import orjson

from gateway.domain.translation.answers import (
    Cited,
    Counted,
    Delta,
    Ended,
    Failed,
    Fault,
    Finish,
    Finished,
    Logprob,
    PartEnded,
    PartStarted,
    Ping,
    Shown,
    Signed,
    Started,
    TextDelta,
)
from gateway.domain.translation.conversation import Citation, Data, Image, Thought
from gateway.domain.translation.responses import items
from gateway.domain.translation.responses.items import Ids, Json
from gateway.domain.usage import Usage

_ITEM_KINDS = {"text": "msg", "declined": "msg", "thought": "rs", "tool": "fc"}
_DELTAS = {
    "text": "response.output_text.delta",
    "declined": "response.refusal.delta",
    "thought": "response.reasoning_summary_text.delta",
    "tool": "response.function_call_arguments.delta",
}
_RATE_LIMIT = "rate_limit_exceeded"


class _Part:
    """The open part, and what has come of it."""

    __slots__ = ("citations", "logprobs", "place", "started", "texts", "thought")

    def __init__(self, started: PartStarted, place: Json) -> None:
        self.started = started
        self.place = place
        self.texts: list[str] = []
        self.citations: list[Citation] = []
        self.logprobs: list[Logprob] = []
        self.thought = Thought()


def writer(*, model: str, now: int) -> "ResponseWriter":
    """For a stream to a caller, who called the model `model`."""
    return ResponseWriter(model=model, now=now)


class ResponseWriter:
    """One for each call. Numbers all events, and repeats at the end all that it has sent."""

    def __init__(self, *, model: str, now: int) -> None:
        self._model = model
        self._now = now
        self._created = now
        self._ids = Ids("")
        self._number = 0
        self._output: list[Json] = []
        self._content: list[Json] | None = None  # of the open message
        self._part: _Part | None = None
        self._finish = Finish.STOP
        self._usage: Usage | None = None

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """The events of these deltas; may be none. A response has one choice, and others are passed over."""
        return b"".join([self._written(each) for each in deltas if not getattr(each, "choice", 0)])

    def _written(self, delta: Delta) -> bytes:  # noqa: C901, PLR0911, PLR0912 -- each kind is told its own way
        match delta:
            case TextDelta():
                return self._text(delta)
            case PartStarted():
                return self._start_part(delta)
            case PartEnded():
                return self._end_part()
            case Started():
                return self._start(delta)
            case Signed():
                if self._part is not None:
                    self._part.thought = Thought("", delta.signature, delta.redacted)
                return b""
            case Cited():
                return self._cited(delta)
            case Shown():
                return self._shown(delta.image)
            case Finished():
                self._finish = delta.finish
                return b""
            case Counted():
                self._usage = delta.usage
                return b""
            case Ping():
                return b": ping\n\n"
            case Failed():
                return self._fail(delta.fault)
            case Ended():
                return self._end()

    def _event(self, kind: str, members: Json) -> bytes:
        told = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(told))

    # The response

    def _response(self) -> Json:
        return items.response_of(
            self._ids, model=self._model, created=self._created, output=self._output
        )

    def _start(self, delta: Started) -> bytes:
        self._ids = Ids(delta.id)
        self._created = delta.created or self._now
        told = {"response": self._response()}
        return self._event("response.created", told) + self._event("response.in_progress", told)

    def _end(self) -> bytes:
        ended = self._end_message()
        response = items.end(self._response(), self._finish, self._usage, self._now)
        return ended + self._event(f"response.{response['status']}", {"response": response})

    def _fail(self, fault: Fault) -> bytes:
        """The error, and that the response has failed; nothing follows."""
        code = _RATE_LIMIT if fault.kind == "rate_limit" else "server_error"
        told = {"code": fault.code or code, "message": fault.message, "param": fault.param or None}
        response = self._response()
        response["status"] = "failed"
        response["error"] = {"code": code, "message": fault.message}
        return self._event("error", told) + self._event("response.failed", {"response": response})

    # Parts

    def _start_part(self, delta: PartStarted) -> bytes:
        is_said = delta.kind in {"text", "declined"}
        ended = b"" if is_said else self._end_message()
        place: Json = {
            "item_id": self._ids.item(_ITEM_KINDS[delta.kind], len(self._output)),
            "output_index": len(self._output),
        }
        self._part = _Part(delta, place)
        if is_said:
            return self._start_content(place, delta.kind)
        if delta.kind == "tool":
            call = (delta.id, delta.name, "", delta.signature)
            item = items.function_call(place["item_id"], call, "in_progress")
            return ended + self._added(item)
        item = items.reasoning(place["item_id"], Thought(), "in_progress")
        added = ended + self._added(item)
        place["summary_index"] = 0
        told = {**place, "part": {"type": "summary_text", "text": ""}}
        return added + self._event("response.reasoning_summary_part.added", told)

    def _shown(self, image: Image) -> bytes:
        """A picture, with the events of a tool that draws; it is there at once."""
        ended = self._end_message()
        place: Json = {
            "item_id": self._ids.item("ig", len(self._output)),
            "output_index": len(self._output),
        }
        begun = items.picture(place["item_id"], Image(Data()), "in_progress")
        told = ended + self._added(begun)
        for step in ("in_progress", "generating", "completed"):
            told += self._event(f"response.image_generation_call.{step}", place)
        return told + self._done(items.picture(place["item_id"], image))

    def _start_content(self, place: Json, kind: str) -> bytes:
        """A part of the open message, or of a new one."""
        added = b""
        if self._content is None:
            self._content = []
            added = self._added(items.message(place["item_id"], [], "in_progress"))
        place["content_index"] = len(self._content)
        part = items.output_text("") if kind == "text" else items.refusal("")
        return added + self._event("response.content_part.added", {**place, "part": part})

    def _added(self, item: Json) -> bytes:
        told = {"output_index": len(self._output), "item": item}
        return self._event("response.output_item.added", told)

    def _text(self, delta: TextDelta) -> bytes:
        part = self._part
        if part is None:
            return b""
        part.texts.append(delta.text)
        told: Json = {**part.place, "delta": delta.text}
        if part.started.kind == "text":
            part.logprobs += delta.logprobs
            told["logprobs"] = items.logprobs_of(delta.logprobs)
        return self._event(_DELTAS[part.started.kind], told)

    def _cited(self, delta: Cited) -> bytes:
        part = self._part
        if part is None:
            return b""
        told: Json = {
            **part.place,
            "annotation_index": len(part.citations),
            "annotation": items.annotation_of(delta.citation, len("".join(part.texts))),
        }
        part.citations.append(delta.citation)
        return self._event("response.output_text.annotation.added", told)

    def _end_part(self) -> bytes:
        part, self._part = self._part, None
        if part is None:
            return b""
        text = "".join(part.texts)
        match part.started.kind:
            case "tool":
                return self._end_call(part, text)
            case "thought":
                return self._end_thought(part, text)
            case "declined":
                done = self._event("response.refusal.done", {**part.place, "refusal": text})
                return done + self._end_content(part, items.refusal(text))
            case "text":
                logprobs = items.logprobs_of(part.logprobs)
                told = {**part.place, "text": text, "logprobs": logprobs}
                done = self._event("response.output_text.done", told)
                cited = [items.annotation_of(each, len(text)) for each in part.citations]
                return done + self._end_content(part, items.output_text(text, cited, logprobs))

    def _end_call(self, part: _Part, arguments: str) -> bytes:
        started, place = part.started, part.place
        call = (started.id, started.name, arguments or "{}", started.signature)
        item = items.function_call(place["item_id"], call)
        told = {**place, "arguments": item["arguments"], "name": started.name}
        return self._event("response.function_call_arguments.done", told) + self._done(item)

    def _end_thought(self, part: _Part, text: str) -> bytes:
        thought = Thought(text, part.thought.signature, part.thought.redacted)
        told = {**part.place, "text": text}
        done = self._event("response.reasoning_summary_text.done", told)
        told = {**part.place, "part": {"type": "summary_text", "text": text}}
        done += self._event("response.reasoning_summary_part.done", told)
        return done + self._done(items.reasoning(part.place["item_id"], thought))

    def _end_content(self, part: _Part, content: Json) -> bytes:
        assert self._content is not None
        self._content.append(content)
        return self._event("response.content_part.done", {**part.place, "part": content})

    def _end_message(self) -> bytes:
        content, self._content = self._content, None
        if content is None:
            return b""
        return self._done(items.message(self._ids.item("msg", len(self._output)), content))

    def _done(self, item: Json) -> bytes:
        told = {"output_index": len(self._output), "item": item}
        self._output.append(item)
        return self._event("response.output_item.done", told)
