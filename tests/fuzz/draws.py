"""Numbers, texts and choices read out of bytes: how a promise about values is tried with bytes."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """Bytes, drawn from the front; zeros once there are no more."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._data)

    def some(self, count: int) -> bytes:
        """So many bytes."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken.ljust(count, b"\0")

    def byte(self) -> int:
        return self.some(1)[0]

    def number(self, below: int) -> int:
        """From 0; as many bytes as it takes."""
        return int.from_bytes(self.some((below - 1).bit_length() + 7 >> 3), "little") % below

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[self.byte() % len(choices)]

    def rest(self) -> bytes:
        """What is left."""
        return self._data[self._at :]
