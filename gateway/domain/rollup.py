"""Which part of a stretch of time the rollup answers, and which the ledger itself (pure).

The rollup has sums by whole hours and whole days of UTC, up to where it has come. What is left are the tail behind
that, and what the edges of points cut off an hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


class Span(NamedTuple):
    """From `start` on, before `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Parts:
    """What to read of days, of hours and of the ledger: each instant once, in order, neighbours joined."""

    days: list[Span] = field(default_factory=list)
    hours: list[Span] = field(default_factory=list)
    calls: list[Span] = field(default_factory=list)


def parts_of(
    edges: Sequence[datetime], rolled_before: datetime, dropped_before: datetime, *, by_day: bool
) -> Parts:
    """The parts of the points between neighbours of `edges`.

    Both instants are whole hours, `dropped_before` the earlier. What is before that is no longer in the ledger: an
    hour that an edge cuts there is in the point that it begins in. `by_day`: whether there are sums of days.
    """
    parts = Parts()
    for start, end in pairwise(edges):
        there = min(max(start, dropped_before), end)
        _add_rolled(parts, _hour_from(start), _hour_from(there), by_day=by_day)
        first, last = _hour_from(there), min(_hour_to(end), rolled_before)
        if first < last:
            _add(parts.calls, there, first)
            _add_rolled(parts, first, last, by_day=by_day)
            _add(parts.calls, last, end)
        else:
            _add(parts.calls, there, end)
    return parts


def _add_rolled(parts: Parts, first: datetime, last: datetime, *, by_day: bool) -> None:
    middle, late = _day_from(first), _day_to(last)
    if by_day and middle < late:
        _add(parts.hours, first, middle)
        _add(parts.days, middle, late)
        _add(parts.hours, late, last)
    else:
        _add(parts.hours, first, last)


def _add(spans: list[Span], start: datetime, end: datetime) -> None:
    if start >= end:
        return
    if spans and spans[-1].end == start:
        spans[-1] = Span(spans[-1].start, end)
    else:
        spans.append(Span(start, end))


def _hour_to(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _hour_from(at: datetime) -> datetime:
    floor = _hour_to(at)
    return floor if floor == at else floor + _HOUR


def _day_to(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _day_from(at: datetime) -> datetime:
    floor = _day_to(at)
    return floor if floor == at else floor + _DAY
