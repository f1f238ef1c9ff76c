"""A stream of Gemini's, read. Pure."""

from collections.abc import Iterator, Sequence
from typing import Literal

from gateway.domain.dialects.gemini import UsageMetadata
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
    Started,
    TextDelta,
)
from gateway.domain.translation.contents.candidates import (
    Call,
    Candidate,
    Part,
    arguments_of,
    call_id_of,
    citations_of,
    decoded,
    finish_of,
    is_blocked,
    logprobs_of,
    parts_of,
    picture_of,
)
from gateway.domain.translation.contents.faults import fault_of
from gateway.domain.translation.contents.usage import read_usage
from gateway.domain.translation.conversation import Citation


def reader() -> "ContentsReader":
    """For a stream of an upstream."""
    return ContentsReader()


class ContentsReader:
    """Reads a stream. Models before Gemini 2 finish each event, so that a choice is finished when all has come."""

    __slots__ = ("_calls", "_cited", "_finishes", "_id", "_open", "_started", "_usage")

    def __init__(self) -> None:
        self._started = False
        self._id = ""
        self._usage: UsageMetadata | None = None
        self._open: dict[int, str] = {}
        self._cited: set[tuple[int, Citation]] = set()
        self._calls: dict[int, int] = {}
        self._finishes: dict[int, str] = {}

    def event(self, name: bytes, data: bytes) -> Sequence[Delta]:  # noqa: ARG002 -- events have no names
        """The deltas of one event. Raises `BadAnswer`."""
        found = decoded(data)
        deltas: list[Delta] = []
        if not self._started:
            self._started = True
            self._id = found.response_id or ""
            usage = read_usage(found.usage_metadata)
            deltas.append(Started(self._id, found.model_version or "", usage=usage))
        if found.usage_metadata is not None:
            self._usage = found.usage_metadata
        if found.error is not None:
            return [*deltas, *self._counted(), Failed(fault_of(found.error))]
        for candidate in found.candidates or ():
            self._read(candidate, deltas)
        if is_blocked(found):
            self._finishes.setdefault(0, "SAFETY")
        return deltas

    def end(self) -> Sequence[Delta]:
        """What is left when all has come. Raises `BadAnswer` where a choice was not finished."""
        deltas: list[Delta] = []
        choices = sorted({*self._open, *self._finishes})
        for choice in choices:
            if choice not in self._finishes:
                raise BadAnswer("ended its stream without a finish reason")
            self._close(choice, deltas)
            calls = self._calls.get(choice, 0)
            deltas.append(Finished(choice, finish_of(self._finishes[choice], calls)))
        if not choices:
            raise BadAnswer("ended its stream without a candidate")
        return [*deltas, *self._counted(), Ended()]

    def _counted(self) -> Iterator[Delta]:
        usage = read_usage(self._usage)
        if usage is not None:
            yield Counted(usage)

    def _read(self, candidate: Candidate, deltas: list[Delta]) -> None:
        choice = candidate.index or 0
        probabilities = logprobs_of(candidate.logprobs_result)
        self._open.setdefault(choice, "")
        for part in parts_of(candidate):
            if part.function_call is not None:
                self._call(choice, part, part.function_call, deltas)
            elif part.inline_data is not None:
                self._show(choice, part, deltas)
            elif part.text:
                self._go_on(choice, "thought" if part.thought else "text", deltas)
                deltas.append(TextDelta(choice, part.text, probabilities))
                probabilities = ()
        for citation in citations_of(candidate):
            # Events repeat what was cited before.
            if self._open[choice] == "text" and (choice, citation) not in self._cited:
                self._cited.add((choice, citation))
                deltas.append(Cited(choice, citation))
        if candidate.finish_reason:
            self._finishes[choice] = candidate.finish_reason

    def _call(self, choice: int, part: Part, call: Call, deltas: list[Delta]) -> None:
        calls = self._calls.get(choice, 0)
        self._calls[choice] = calls + 1
        self._close(choice, deltas)
        call_id = call_id_of(call, self._id, choice, calls)
        deltas += (
            PartStarted(choice, "tool", call_id, call.name, part.thought_signature or ""),
            TextDelta(choice, arguments_of(call)),
            PartEnded(choice),
        )

    def _show(self, choice: int, part: Part, deltas: list[Delta]) -> None:
        image = picture_of(part)
        if image is not None:
            self._close(choice, deltas)
            deltas.append(Shown(choice, image))

    def _go_on(self, choice: int, kind: Literal["text", "thought"], deltas: list[Delta]) -> None:
        """With a part of this kind: the open one, or another."""
        if self._open[choice] != kind:
            self._close(choice, deltas)
            self._open[choice] = kind
            deltas.append(PartStarted(choice, kind))

    def _close(self, choice: int, deltas: list[Delta]) -> None:
        if self._open.get(choice):
            self._open[choice] = ""
            deltas.append(PartEnded(choice))
