"""A stream as Gemini sends it. Pure.

Each event is an answer with what is new; a call of a function comes whole, and the last event has the finish reasons
and the usage. No terminator follows. https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from collections.abc import Sequence

import msgspec

from gateway.domain.translation.answers import (
    Cited,
    Counted,
    Delta,
    Ended,
    Failed,
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
from gateway.domain.translation.contents.answers_out import (
    MALFORMED,
    reason_of,
    write_call,
    write_citations,
    write_logprobs,
    write_picture,
    write_thought,
)
from gateway.domain.translation.contents.faults import write_fault
from gateway.domain.translation.contents.usage import write_usage
from gateway.domain.translation.conversation import Citation, Thought
from gateway.domain.usage import Usage

Json = dict[str, object]


class _Choice:
    """One candidate: which part is open, and what is to be told of it with the next event."""

    __slots__ = ("arguments", "citations", "logprobs", "part", "parts", "reason")

    def __init__(self) -> None:
        self.part: PartStarted | None = None
        self.arguments: list[str] = []
        self.parts: list[Json] = []
        self.logprobs: list[Logprob] = []
        self.citations: list[Citation] = []
        self.reason = ""

    def take(self, delta: Delta) -> None:
        match delta:
            case TextDelta():
                self._text(delta)
            case PartStarted():
                self.part = delta
                self.arguments = []
            case PartEnded():
                self._end_part()
            case Signed():
                self.parts.append(write_thought(Thought("", delta.signature, delta.redacted)))
            case Shown():
                self.parts.append(write_picture(delta.image))
            case Cited():
                self.citations.append(delta.citation)
            case Finished() if not self.reason:
                self.reason = reason_of(delta.finish)
            case _:
                pass

    def _text(self, delta: TextDelta) -> None:
        kind = "text" if self.part is None else self.part.kind
        if kind == "tool":
            self.arguments.append(delta.text)
        elif delta.text:
            is_thought = kind == "thought"
            self.parts.append(
                write_thought(Thought(delta.text)) if is_thought else {"text": delta.text}
            )
            self.logprobs += delta.logprobs

    def _end_part(self) -> None:
        part, self.part = self.part, None
        if part is None or part.kind != "tool":
            return
        call = write_call(part.id, part.name, "".join(self.arguments), part.signature)
        if call is None:
            self.reason = MALFORMED
        else:
            self.parts.append(call)

    def candidate(self, index: int, *, is_last: bool) -> Json | None:
        """What is new of it; None where nothing is."""
        if not self.parts and not self.citations and not is_last:
            return None
        # Google's SDK keeps an answer for its history only if each event of it has content.
        parts = self.parts or [{"text": ""}]
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": index}
        self.parts = []
        if is_last:
            candidate["finishReason"] = self.reason or "STOP"
        if self.logprobs:
            candidate["logprobsResult"] = write_logprobs(self.logprobs)
            self.logprobs = []
        if self.citations:
            candidate["groundingMetadata"] = write_citations([(each, "") for each in self.citations])
            self.citations = []
        return candidate


def writer(*, model: str, now: int) -> "ContentsWriter":  # noqa: ARG001 -- Gemini tells no time
    """For a stream to a caller, who called the model `model`."""
    return ContentsWriter(model)


class ContentsWriter:
    """Writes a stream for a caller, who called the model `model`."""

    __slots__ = ("_choices", "_common", "_model", "_usage")

    def __init__(self, model: str) -> None:
        self._model = model
        self._common: Json = {"modelVersion": model}
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """The events of these deltas; may be none."""
        is_last = False
        for delta in deltas:
            match delta:
                case Started():
                    self._common = {"modelVersion": self._model, "responseId": delta.id}
                case Counted():
                    self._usage = delta.usage
                case Ended():
                    is_last = True
                case Failed():
                    return self._event(is_last=False) + write_fault(delta.fault)
                case (
                    PartStarted(choice)
                    | PartEnded(choice)
                    | TextDelta(choice)
                    | Signed(choice)
                    | Cited(choice)
                    | Shown(choice)
                    | Finished(choice)
                ):
                    if choice not in self._choices:
                        self._choices[choice] = _Choice()
                    self._choices[choice].take(delta)
                case Ping():
                    pass
        return self._event(is_last=is_last)

    def _event(self, *, is_last: bool) -> bytes:
        candidates = []
        for index, choice in self._choices.items():
            candidate = choice.candidate(index, is_last=is_last)
            if candidate is not None:
                candidates.append(candidate)
        if not candidates and not is_last:
            return b""
        event: Json = {"candidates": candidates}
        if is_last and self._usage is not None:
            event["usageMetadata"] = write_usage(self._usage)
        event |= self._common
        return b"data: %b\n\n" % msgspec.json.encode(event)
