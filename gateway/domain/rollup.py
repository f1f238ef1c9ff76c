"""Which part of a stretch of time the rollup answers, and which the ledger itself (pure).

The rollup has sums by steps (hours, or quarters of an hour) and whole days of UTC, up to where it has come. What is
left are the tail behind that, and what the edges of points cut off a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

QUARTER: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Span(NamedTuple):
    """From `start` on, before `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Parts:
    """What to read of days, of steps and of the ledger: each instant once, in order, neighbours joined."""

    days: list[Span] = field(default_factory=list)
    steps: list[Span] = field(default_factory=list)
    calls: list[Span] = field(default_factory=list)


def parts_of(
    edges: Sequence[datetime],
    rolled_before: datetime,
    dropped_before: datetime,
    *,
    step: timedelta,
) -> Parts:
    """The parts of the points between neighbours of `edges`.

    Both instants are whole hours, `dropped_before` the earlier. What is before that is no longer in the ledger: a
    step that an edge cuts there is in the point that it begins in.
    """
    parts = Parts()
    for start, end in pairwise(edges):
        there = min(max(start, dropped_before), end)
        _add_rolled(parts, _ceiling(start, step), _ceiling(there, step))
        first, last = _ceiling(there, step), min(_floor(end, step), rolled_before)
        if first < last:
            _add(parts.calls, there, first)
            _add_rolled(parts, first, last)
            _add(parts.calls, last, end)
        else:
            _add(parts.calls, there, end)
    return parts


def cuts_hours(edges: Sequence[datetime]) -> bool:
    """Whether points begin within an hour, as the days of some time zones do."""
    return any((edge - _EPOCH) % HOUR for edge in edges[1:-1])


def _add_rolled(parts: Parts, first: datetime, last: datetime) -> None:
    middle, late = _ceiling(first, _DAY), _floor(last, _DAY)
    if middle < late:
        _add(parts.steps, first, middle)
        _add(parts.days, middle, late)
        _add(parts.steps, late, last)
    else:
        _add(parts.steps, first, last)


def _add(spans: list[Span], start: datetime, end: datetime) -> None:
    if start >= end:
        return
    if spans and spans[-1].end == start:
        spans[-1] = Span(spans[-1].start, end)
    else:
        spans.append(Span(start, end))


def _floor(at: datetime, step: timedelta) -> datetime:
    """The begin of the step that it lies in: hours and days are UTC's, which began with the epoch."""
    return at - (at - _EPOCH) % step


def _ceiling(at: datetime, step: timedelta) -> datetime:
    return at + (_EPOCH - at) % step
