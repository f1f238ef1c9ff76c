"""The parts of a choice one after the other, in whatever order an upstream sends the pieces of several. Pure.

OpenAI sends its calls of tools one after the other. Others switch between calls that are all under way, as the
dialect's `index` allows: https://platform.openai.com/docs/api-reference/chat-streaming. Of what the neutral form opens
one at a time, the first that began is open, and the others wait until it is whole. A call is whole when its arguments
are JSON, or all has come; so where calls come one after the other, nothing waits. Large arguments are looked at each
time that they have grown by an eighth: for every piece it would take as long again as all that is there.
"""

from collections import deque
from typing import Literal

import msgspec

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.answers import (
    Delta,
    Logprob,
    PartEnded,
    PartStarted,
    TextDelta,
)

Said = Literal["text", "thought", "declined"]
_MOST_WAITING = 1_048_576  # characters
_LARGE = 4096  # likewise
_is_json = msgspec.json.Decoder(msgspec.Raw).decode


class _Part:
    """A part that has begun. `arguments` are a call's so far, `waiting` is what was not told yet."""

    __slots__ = ("_look_at", "_size", "arguments", "id", "index", "is_over", "kind", "waiting")

    def __init__(self, kind: str, index: int | None = None, call_id: str | None = None) -> None:
        self.kind = kind
        self.index = index
        self.id = call_id
        self.arguments: list[str] = []
        self.waiting: list[Delta] = []
        self.is_over = False
        self._size = self._look_at = 0

    def add(self, arguments: str) -> None:
        """More of a call's arguments."""
        self.arguments.append(arguments)
        self._size += len(arguments)

    def is_whole(self) -> bool:
        """Whether it may end here. What is said may at any time, for nothing says where it would go on."""
        if self.kind != "tool":
            return True
        if self._size < self._look_at or not self.arguments:
            return False
        if not self.arguments[-1].rstrip().endswith("}"):
            return False
        try:
            _is_json("".join(self.arguments))
        except (msgspec.DecodeError, RecursionError):
            self._look_at = self._size + self._size // 8 if self._size > _LARGE else 0
            return False
        return True


class Parts:
    """Of one choice; what may be told is added to the deltas that each method is given."""

    __slots__ = ("_by_id", "_by_index", "_last", "_open", "_size", "_waiting", "calls", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self._open: _Part | None = None
        self._waiting: deque[_Part] = deque()
        self._size = 0
        self._by_id: dict[str, _Part] = {}
        self._by_index: dict[int, _Part] = {}
        self._last: _Part | None = None  # of the calls

    def say(
        self, kind: Said, text: str, deltas: list[Delta], logprobs: tuple[Logprob, ...] = ()
    ) -> None:
        """More of a text of this kind, which the last part is, or which begins now."""
        delta = TextDelta(self.number, text, logprobs)
        last = self._open
        if last is not None and last.kind == kind and not self._waiting:
            deltas.append(delta)  # as nearly all of a stream is
            return
        last = self._waiting[-1] if self._waiting else None
        if last is None or last.kind != kind:
            last = _Part(kind)
            self._begin(last, PartStarted(self.number, kind), deltas)
        self._tell(last, delta, deltas)

    def note(self, delta: Delta, deltas: list[Delta]) -> None:
        """Something about the text that the last part is; passed over where it is none."""
        last = self._waiting[-1] if self._waiting else self._open
        if last is not None and last.kind == "text":
            self._tell(last, delta, deltas)

    def has_call(self, index: int | None, call_id: str | None) -> bool:
        """Whether this is more of a call that has begun; it is the one that `go_on` is about.

        Some give calls no index, or all the same one and ids that differ, or repeat the id in each chunk.
        """
        if call_id:
            known = self._by_id.get(call_id)
            if index is not None and (known is None or known.index not in {None, index}):
                known = self._by_index.get(index)
                if known is not None and known.id:
                    known = None
        else:
            known = self._last if index is None else self._by_index.get(index)
        if known is not None:
            self._last = known
        return known is not None

    def call(
        self, started: PartStarted, index: int | None, call_id: str | None, deltas: list[Delta]
    ) -> None:
        """A call of a tool begins."""
        part = self._last = _Part("tool", index, call_id)
        if call_id:
            self._by_id[call_id] = part
        if index is not None:
            self._by_index[index] = part
        self.calls += 1
        self._begin(part, started, deltas)

    def go_on(self, arguments: str, deltas: list[Delta]) -> None:
        """More of the arguments of the call that was begun or found last. Raises `BadAnswer`."""
        part = self._last
        assert part is not None
        if part.is_over:
            if arguments.strip():
                raise BadAnswer("went back to a call of a tool that had ended")
            return
        part.add(arguments)
        self._tell(part, TextDelta(self.number, arguments), deltas)
        if self._waiting and part is self._open:
            self._move_on(deltas)

    def show(self, delta: Delta, deltas: list[Delta]) -> None:
        """A part that comes whole."""
        self._begin(_Part("whole"), delta, deltas)

    def end(self, deltas: list[Delta]) -> None:
        """All has come."""
        self._close(deltas)
        while self._waiting:
            self._open_next(deltas)
            self._close(deltas)

    def _begin(self, part: _Part, first: Delta, deltas: list[Delta]) -> None:
        if self._waiting or not (self._open is None or self._open.is_whole()):
            self._waiting.append(part)
        else:
            self._close(deltas)
            self._open = part
        self._tell(part, first, deltas)

    def _tell(self, part: _Part, delta: Delta, deltas: list[Delta]) -> None:
        if part is self._open:
            deltas.append(delta)
            return
        self._size += len(delta.text) if isinstance(delta, TextDelta) else 1
        if self._size > _MOST_WAITING:
            raise BadAnswer("called more tools at once than can be told one after the other")
        part.waiting.append(delta)

    def _move_on(self, deltas: list[Delta]) -> None:
        while self._waiting and self._open is not None and self._open.is_whole():
            self._close(deltas)
            self._open_next(deltas)

    def _open_next(self, deltas: list[Delta]) -> None:
        part = self._open = self._waiting.popleft()
        deltas += part.waiting
        part.waiting = []

    def _close(self, deltas: list[Delta]) -> None:
        """End the open part; a call that was told no arguments has an object without any."""
        part, self._open = self._open, None
        if part is None:
            return
        part.is_over = True
        if part.kind == "whole":
            return
        if part.kind == "tool" and not part.arguments:
            deltas.append(TextDelta(self.number, "{}"))
        deltas.append(PartEnded(self.number))
