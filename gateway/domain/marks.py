"""Marks that a value comes past on its way to a bound: per cent of a quota or limit, days before an expiry. Pure.

A warning is told when a value comes past a mark that it had not reached where it was seen last, measured against the
bound of now: so a quota that was raised can run out a second time, and one that was raised a little is not told again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_PER_CENT = 100


class Marks(Protocol):
    """How many marks are reached, and what they are called."""

    def reached(self, value: int, bound: int) -> int:
        """How many of them `value` has come past."""
        ...

    def name(self, level: int) -> int:
        """The mark that makes the `level`."""
        ...


@dataclass(frozen=True, slots=True)
class PerCent:
    """Marks in per cent of the bound, rising. What may hold nothing at all reaches none."""

    marks: Sequence[int]

    def reached(self, value: int, bound: int) -> int:
        """As `Marks`."""
        if bound <= 0:
            return 0
        return sum(value * _PER_CENT >= bound * mark for mark in self.marks)

    def name(self, level: int) -> int:
        """As `Marks`."""
        return self.marks[level - 1]


@dataclass(frozen=True, slots=True)
class DaysBefore:
    """Marks in days before an instant, falling. Values and bounds are Unix seconds; what is over reaches none."""

    marks: Sequence[int]

    def reached(self, value: int, bound: int) -> int:
        """As `Marks`."""
        left_s = bound - value
        return 0 if left_s <= 0 else sum(left_s <= days * 86_400 for days in self.marks)

    def name(self, level: int) -> int:
        """As `Marks`."""
        return self.marks[level - 1]


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that is watched.

    `quiet_s`: so long after it was told, the same mark is not told again. `forgotten_s`: what was not seen for so long
    has fallen meanwhile; None: it falls only where its bound is raised.
    """

    subject: str
    """What it is of: a scope (`t5`, `m1.2`, `g1.3`, `a1`), or `u` and an upstream's name."""
    rule: str
    value: int
    bound: int
    marks: Marks
    quiet_s: int = 0
    forgotten_s: int | None = None

    @property
    def level(self) -> int:
        """How many marks are reached."""
        return self.marks.reached(self.value, self.bound)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is kept of a reading: its last value, the highest mark that was told, and when both were (Unix seconds)."""

    value: int
    seen_at: int
    told_level: int
    told_at: int


def crossing(reading: Reading, before: Remembered | None, now: int) -> int | None:
    """The mark that is to be told now, if there is one."""
    level = reading.level
    if before is None:
        return reading.marks.name(level) if level else None
    forgotten = reading.forgotten_s is not None and now - before.seen_at > reading.forgotten_s
    if level <= (0 if forgotten else reading.marks.reached(before.value, reading.bound)):
        return None
    quiet = now - before.told_at < reading.quiet_s
    return None if quiet and level <= before.told_level else reading.marks.name(level)


def remember(
    reading: Reading, before: Remembered | None, *, told: bool, now: int
) -> Remembered | None:
    """What is to be kept; None where there is nothing."""
    if told:
        return Remembered(reading.value, now, reading.level, now)
    quiet = before is not None and now - before.told_at < reading.quiet_s
    if before is None or not (reading.level or quiet):
        return None
    return Remembered(reading.value, now, before.told_level, before.told_at)
