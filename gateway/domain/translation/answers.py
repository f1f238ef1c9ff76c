"""What is answered, in the terms that all dialects share: whole, or as a stream of deltas. Values only.

A stream is, in this order: `Started`; of each choice its parts one after the other, each `PartStarted`, any number of
deltas, `PartEnded`, or a `Shown` alone; `Finished` of each choice; `Counted` at any place, of which the last counts;
`Ended`. `Failed` ends a stream in its middle. A reader makes exactly that of whatever its upstream sends: it opens
parts that are not opened on the wire, and closes those that are left open. A writer may rely on it.
"""

from enum import StrEnum
from typing import Literal

from gateway.domain.translation.conversation import Citation, Image, Part, Value
from gateway.domain.usage import NOTHING, Usage


class Finish(StrEnum):
    """Why a choice ended."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"  # a filter beside the model took the answer, or the question
    DECLINED = "declined"  # the model itself, as Anthropic's `refusal`
    PAUSED = "paused"  # Anthropic's `pause_turn`: to be gone on with
    MALFORMED = "malformed"  # the model called a tool in a way that is none


class Logprob(Value, frozen=True):
    """A token's logarithmic probability, and those of the likeliest others in its place."""

    token: str
    logprob: float
    others: tuple[tuple[str, float], ...] = ()


class Choice(Value, frozen=True):
    """One of the answers to a conversation. `stop_sequence`: which of the caller's it was, if known."""

    parts: tuple[Part, ...]
    finish: Finish
    stop_sequence: str = ""
    logprobs: tuple[Logprob, ...] | None = None


class Answer(Value, frozen=True, kw_only=True):
    """A whole answer.

    `created` is in Unix seconds, 0 where the dialect does not say; `model` is as the upstream calls it.
    """

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    created: int = 0
    tier: str = ""


FaultKind = Literal[
    "invalid_request",
    "authentication",
    "permission",
    "not_found",
    "too_large",
    "rate_limit",
    "overloaded",
    "timeout",
    "internal",
]


class Fault(Value, frozen=True):
    """An error of the upstream's own. `param` is as it names it, if it does; the caller's dialect may have no such."""

    kind: FaultKind
    message: str
    code: str = ""
    param: str = ""


class Started(Value, frozen=True, tag=True):
    """The first of a stream. `usage` holds what is known at the beginning: the input, of some."""

    id: str
    model: str
    created: int = 0
    usage: Usage | None = None


class PartStarted(Value, frozen=True, tag=True):
    """A choice goes on with a part of this kind; a `tool` has its id and name now."""

    choice: int
    kind: Literal["text", "thought", "tool", "declined"]
    id: str = ""
    name: str = ""
    signature: str = ""


class TextDelta(Value, frozen=True, tag=True):
    """More of the open part's text: of a tool, more of the JSON of its arguments."""

    choice: int
    text: str
    logprobs: tuple[Logprob, ...] = ()


class Signed(Value, frozen=True, tag=True):
    """The open thought's signature, or what of it is redacted."""

    choice: int
    signature: str = ""
    redacted: str = ""


class Cited(Value, frozen=True, tag=True):
    """The open text has this source."""

    choice: int
    citation: Citation


class Shown(Value, frozen=True, tag=True):
    """A picture that the model has made: a part that comes whole."""

    choice: int
    image: Image


class PartEnded(Value, frozen=True, tag=True):
    """The choice's open part is whole."""

    choice: int


class Finished(Value, frozen=True, tag=True):
    """A choice is whole."""

    choice: int
    finish: Finish
    stop_sequence: str = ""


class Counted(Value, frozen=True, tag=True):
    """What was used up to here."""

    usage: Usage = NOTHING


class Ping(Value, frozen=True, tag=True):
    """A sign of life."""


class Failed(Value, frozen=True, tag=True):
    """The upstream broke off, and said why."""

    fault: Fault


class Ended(Value, frozen=True, tag=True):
    """The last of a stream."""


Delta = (
    Started
    | PartStarted
    | TextDelta
    | Signed
    | Cited
    | Shown
    | PartEnded
    | Finished
    | Counted
    | Ping
    | Failed
    | Ended
)
