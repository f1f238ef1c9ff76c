"""Chunks of a chat completion, as an upstream sends them → deltas. Pure.

https://platform.openai.com/docs/api-reference/chat-streaming, and what others that speak the dialect do: thoughts in
`reasoning_content` or `reasoning`, calls without an index, with the same one, whole in one chunk, or several at once.
"""

from collections.abc import Sequence

import msgspec

from gateway.domain.dialects.meter import BadAnswer, BadUsage
from gateway.domain.dialects.openai import OpenAIMeter
from gateway.domain.translation.answers import (
    Cited,
    Counted,
    Delta,
    Ended,
    Failed,
    Finished,
    PartStarted,
    Shown,
    Started,
)
from gateway.domain.translation.chat.answers_in import (
    Call,
    Error,
    Logprobs,
    Said,
    call_id,
    citations_of,
    fault_of,
    finish_of,
    logprobs_of,
    pictures_of,
    seconds_of,
    signature_of,
)
from gateway.domain.translation.chat.parts_in import Parts
from gateway.domain.translation.reading import is_said, read_answered

_ABSENT = msgspec.Raw(b"")
_MOST_CHOICES = 128


class _Choice(msgspec.Struct):
    index: int = 0
    delta: Said | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    usage: msgspec.Raw = _ABSENT
    error: Error | str | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class _Open(Parts):
    """What of a choice decides how it goes on."""

    __slots__ = ("has_declined", "is_over")

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.has_declined = False
        self.is_over = False


def reader() -> "ChunkReader":
    """For a stream of an upstream."""
    return ChunkReader()


class ChunkReader:
    """One for each call."""

    __slots__ = ("_choices", "_id", "_is_over", "_meter", "_started")

    def __init__(self) -> None:
        self._meter = OpenAIMeter()
        self._choices: dict[int, _Open] = {}
        self._id = ""
        self._started = False
        self._is_over = False

    def event(self, name: bytes, data: bytes) -> Sequence[Delta]:  # noqa: ARG002 -- events have no names
        """The deltas of one event. Raises `BadAnswer`."""
        if self._is_over:
            return ()
        if data == b"[DONE]":
            return self.end()
        chunk = read_answered(_decode, data)
        if chunk.error is not None:
            self._is_over = True
            return (Failed(fault_of(chunk.error)),)
        deltas: list[Delta] = []
        if not self._started and (chunk.choices or is_said(chunk.usage)):
            self._started = True
            self._id = chunk.id or ""
            deltas.append(Started(self._id, chunk.model or "", seconds_of(chunk.created)))
        for choice in chunk.choices or ():
            self._choice(choice, deltas)
        if chunk.usage is not _ABSENT and is_said(chunk.usage):
            deltas += self._count(data)
        return deltas

    def end(self) -> Sequence[Delta]:
        """The upstream has sent all. Raises `BadAnswer` where a choice is not whole."""
        if self._is_over:
            return ()
        if not self._choices or not all(choice.is_over for choice in self._choices.values()):
            raise BadAnswer("ended its stream before the answer was whole")
        self._is_over = True
        return (Ended(),)

    def _count(self, data: bytes) -> Sequence[Delta]:
        try:
            self._meter.event(data)
        except BadUsage as error:
            raise BadAnswer(f"told a usage that is none ({error})") from None
        return () if self._meter.usage is None else (Counted(self._meter.usage),)

    def _choice(self, found: _Choice, deltas: list[Delta]) -> None:
        number = found.index
        choice = self._choices.get(number)
        if choice is None:
            if not 0 <= number < _MOST_CHOICES:
                raise BadAnswer("sent a choice that nobody asked for")
            choice = self._choices[number] = _Open(number)
        if choice.is_over:
            return
        if found.delta is not None:
            self._said(choice, found.delta, found.logprobs, deltas)
        if found.finish_reason:
            choice.end(deltas)
            choice.is_over = True
            finish = finish_of(
                found.finish_reason,
                has_called=choice.calls > 0,
                has_declined=choice.has_declined,
            )
            deltas.append(Finished(number, finish))

    def _said(
        self, choice: _Open, said: Said, logprobs: Logprobs | None, deltas: list[Delta]
    ) -> None:
        thought = said.reasoning_content or said.reasoning
        if thought:
            choice.say("thought", thought, deltas)
        if said.content:
            probable = () if logprobs is None else logprobs_of(logprobs) or ()
            choice.say("text", said.content, deltas, probable)
        if said.annotations:
            for citation in citations_of(said.annotations):
                choice.note(Cited(choice.number, citation), deltas)
        if said.images:
            for image in pictures_of(said.images):
                choice.show(Shown(choice.number, image), deltas)
        if said.refusal:
            choice.has_declined = True
            choice.say("declined", said.refusal, deltas)
        if said.tool_calls:
            for call in said.tool_calls:
                self._call(choice, call, deltas)

    def _call(self, choice: _Open, call: Call, deltas: list[Delta]) -> None:
        told, number = call.function, choice.number
        if not choice.has_call(call.index, call.id):
            if told is None or not told.name:
                raise BadAnswer("called a tool without its name")
            given = call.id or call_id(self._id, number, choice.calls)
            started = PartStarted(number, "tool", given, told.name, signature_of(call))
            choice.call(started, call.index, call.id, deltas)
        if told is not None and told.arguments:
            choice.go_on(told.arguments, deltas)
