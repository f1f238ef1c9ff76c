"""A stream as Gemini sends it. Pure.

Each event is an answer with what is new; a call of a function comes whole, and the last event has the finish reasons
and the usage. No terminator follows. https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from collections.abc import Sequence

import msgspec
import orjson

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

_encode = msgspec.json.Encoder().encode
# Google's SDK keeps an answer for its history only if each event of it has content.
_NOTHING = b'{"text":""}'


class _Choice:
    """One candidate: which part is open, and what is to be told of it with the next event, its parts in JSON."""

    __slots__ = ("arguments", "citations", "logprobs", "part", "parts", "reason")

    def __init__(self) -> None:
        self.part: PartStarted | None = None
        self.arguments: list[str] = []
        self.parts: list[bytes] = []
        self.logprobs: list[Logprob] = []
        self.citations: list[Citation] = []
        self.reason = ""

    def say(self, delta: TextDelta) -> None:
        """More of the open part, which nearly always is text."""
        kind = "text" if self.part is None else self.part.kind
        if kind == "tool":
            self.arguments.append(delta.text)
        elif delta.text:
            if kind == "thought":
                self._add(write_thought(Thought(delta.text)))
            else:
                self.parts.append(b'{"text":%b}' % orjson.dumps(delta.text))
            self.logprobs += delta.logprobs

    def take(self, delta: PartStarted | PartEnded | Signed | Shown | Cited | Finished) -> None:
        """What is no text."""
        match delta:
            case PartStarted():
                self.part = delta
                self.arguments = []
            case PartEnded():
                self._end_part()
            case Signed():
                self._add(write_thought(Thought("", delta.signature, delta.redacted)))
            case Shown():
                self._add(write_picture(delta.image))
            case Cited():
                self.citations.append(delta.citation)
            case Finished():
                self.reason = self.reason or reason_of(delta.finish)

    def _add(self, part: Json) -> None:
        self.parts.append(_encode(part))

    def _end_part(self) -> None:
        part, self.part = self.part, None
        if part is None or part.kind != "tool":
            return
        call = write_call(part.id, part.name, "".join(self.arguments), part.signature)
        if call is None:
            self.reason = MALFORMED
        else:
            self._add(call)

    def candidate(self, index: int, *, is_last: bool) -> bytes:
        """What is new of it; empty where nothing is."""
        if not self.parts and not self.citations and not is_last:
            return b""
        parts = b",".join(self.parts) or _NOTHING
        self.parts = []
        more = b""
        if is_last:
            more = b',"finishReason":"%b"' % (self.reason or "STOP").encode()
        if self.logprobs:
            more += b',"logprobsResult":%b' % _encode(write_logprobs(self.logprobs))
            self.logprobs = []
        if self.citations:
            cited = write_citations([(each, "") for each in self.citations])
            more += b',"groundingMetadata":%b' % _encode(cited)
            self.citations = []
        return b'{"content":{"parts":[%b],"role":"model"},"index":%d%b}' % (parts, index, more)


def writer(*, model: str, now: int) -> "ContentsWriter":  # noqa: ARG001 -- Gemini tells no time
    """For a stream to a caller, who called the model `model`."""
    return ContentsWriter(model)


class ContentsWriter:
    """Writes a stream for a caller, who called the model `model`."""

    __slots__ = ("_choices", "_common", "_usage")

    def __init__(self, model: str) -> None:
        self._common = b',"modelVersion":%b' % orjson.dumps(model)
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """The events of these deltas; may be none."""
        is_last = False
        for delta in deltas:
            match delta:
                case TextDelta():
                    self._choice(delta.choice).say(delta)
                case PartStarted() | PartEnded() | Signed() | Shown() | Cited() | Finished():
                    self._choice(delta.choice).take(delta)
                case Started():
                    self._common += b',"responseId":%b' % orjson.dumps(delta.id)
                case Counted():
                    self._usage = delta.usage
                case Ended():
                    is_last = True
                case Failed():
                    return self._event(is_last=False) + write_fault(delta.fault)
                case Ping():
                    pass
        return self._event(is_last=is_last)

    def _choice(self, number: int) -> _Choice:
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice()
        return choice

    def _event(self, *, is_last: bool) -> bytes:
        told = [
            candidate
            for index, choice in self._choices.items()
            if (candidate := choice.candidate(index, is_last=is_last))
        ]
        if not told and not is_last:
            return b""
        usage = b""
        if is_last and self._usage is not None:
            usage = b',"usageMetadata":%b' % _encode(write_usage(self._usage))
        return b'data: {"candidates":[%b]%b%b}\n\n' % (b",".join(told), usage, self._common)
