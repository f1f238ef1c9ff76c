"""What a wire form must be able to do to take part in translation."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from gateway.domain.translation.answers import Answer, Delta, Fault
from gateway.domain.translation.conversation import Conversation


class Uncarried(Exception):
    """Something that the other dialect has no way to say.

    `member` is a member of `Conversation` or the kind of a part (`audio`, `file_reference`, …); the reading codec's
    `PARAMS` has what the caller calls it. `param`: that itself, where the reading codec found it. `why` is a clause for
    a sentence.
    """

    def __init__(self, member: str, why: str, param: str = "") -> None:
        super().__init__(f"{member}: {why}")
        self.member = member
        self.why = why
        self.param = param


class Losses:
    """What was left out of a call, because the operator lets it (`drop`); `*` lets everything be that can be left out.

    Only what steers an answer can be: sampling settings, tags and the like. What is part of the conversation itself (a
    picture, a tool) is told with `Uncarried`, always.
    """

    def __init__(
        self, drop: frozenset[str] = frozenset(), params: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._drop = drop
        self._params = params
        self.dropped: list[str] = []

    def leave_out(self, member: str, why: str, param: str = "") -> None:
        """Note that `member` is left out. Raises `Uncarried` where the operator does not let it be.

        `param` is its name at the caller, where the reader found it; the operator may name either, or the name that
        the reading codec's `PARAMS` (`params`) has for it.
        """
        if not {"*", member, param, self._params.get(member, member)} & self._drop:
            raise Uncarried(member, why, param)
        self._name(param or self._params.get(member, member))

    def leave_out_of(self, member: str, keyword: str, why: str) -> None:
        """The same of a keyword of `member`, by whose name the operator lets it be left out."""
        if not {"*", keyword} & self._drop:
            raise Uncarried(member, why)
        self._name(keyword)

    def note(self, member: str) -> None:
        """Note what is passed over, as no answer hangs on it, or is told to the model in words: that needs no leave."""
        self._name(self._params.get(member, member))

    def _name(self, told: str) -> None:
        if told not in self.dropped:
            self.dropped.append(told)


class EventReader(Protocol):
    """Reads an upstream's stream. One for each call."""

    def event(self, name: bytes, data: bytes) -> Sequence[Delta]:
        """The deltas of one event: its name (empty where it has none) and its data. Raises `BadAnswer`."""
        ...

    def end(self) -> Sequence[Delta]:
        """The upstream has sent all. Raises `BadAnswer` where its dialect promises more than came."""
        ...


class EventWriter(Protocol):
    """Writes a stream for a caller. One for each call."""

    def write(self, deltas: Sequence[Delta]) -> bytes:
        """The events of these deltas as they go over the wire; may be none."""
        ...


class Codec(Protocol):
    """One wire form, which is a package. All of it is pure; `now` is in Unix seconds, for dialects that tell when."""

    PARAMS: Mapping[str, str]
    """What callers of this form call the members of a `Conversation`, where that differs."""

    def read_request(
        self, body: bytes, losses: Losses, *, model: str, stream: bool
    ) -> Conversation:
        """What a caller asks. `model` and `stream` are known from the body or path already.

        Raises `Invalid` (gateway.domain.ask) for what is wrong in the caller's own dialect, and `Uncarried`.
        """
        ...

    def write_request(self, conversation: Conversation, losses: Losses) -> bytes:
        """The body for an upstream. Raises `Uncarried`."""
        ...

    def read_answer(self, body: bytes) -> Answer:
        """A whole answer of an upstream. Raises `BadAnswer`."""
        ...

    def write_answer(self, answer: Answer, *, model: str, now: int) -> bytes:
        """A whole answer for a caller, who called the model `model`."""
        ...

    def read_fault(self, status: int, body: bytes) -> Fault:
        """An error of an upstream; of a body that is none of its dialect's, what the status says."""
        ...

    def reader(self) -> EventReader:
        """For a stream of an upstream."""
        ...

    def writer(self, *, model: str, now: int) -> EventWriter:
        """For a stream to a caller, who called the model `model`."""
        ...
