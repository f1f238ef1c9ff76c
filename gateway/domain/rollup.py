"""Which sums of the rollup, and which calls of the ledger, make up the points of a stretch of time (pure).

The rollup has sums of stretches of 32 days, of days, of hours and of parts of hours, up to where it has come. A day
that a point's edge cuts is put whole into one of the two points; then the hours between the edge and the day's begin or
end are moved to the other, and within the hour that is cut, its parts, and at last single calls. So the days of any
time zone take those of UTC and a few hours of each; and a year takes eleven stretches and the days that they have too
many or too few. Behind where the rollup has come, calls are read one by one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

QUARTER: Final = timedelta(minutes=15)
HALF: Final = timedelta(minutes=30)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
STRETCH: Final = timedelta(days=32)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Span(NamedTuple):
    """From `start` on, before `end`."""

    start: datetime
    end: datetime


class Layer(NamedTuple):
    """Sums of one length: `edges` are where points begin in them, `spans` which of them are read.

    Those of the first layer are added to the points of its edges. Those of each other one are moved: added to the point
    of its own edges, and taken from that of the layer's before.
    """

    length: timedelta
    edges: tuple[datetime, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """What points between `edges` are made of.

    Calls in `moved` are added to the point of `edges`, and taken from that of the last layer's; those in `tail`, which
    may be empty, are added.
    """

    edges: tuple[datetime, ...]
    layers: tuple[Layer, ...]
    moved: tuple[Span, ...]
    tail: Span


def parts_of(
    edges: Sequence[datetime],
    lengths: Mapping[timedelta, datetime],
    rolled_before: datetime,
    dropped_before: datetime,
) -> Parts:
    """The parts of the points between neighbours of `edges`.

    `lengths`: the longest first, whole days and hours among them, and from when on the rollup has each. Calls of before
    `dropped_before`, a whole day, are no longer in the ledger: what an edge cuts there of the shortest sums is in the
    point that it begins in.
    """
    told = tuple(
        edge if edge >= dropped_before else _ceiling(edge, _shortest(lengths, edge))
        for edge in edges
    )
    rolled = tuple(min(edge, rolled_before) for edge in told)
    firsts = [each for each, since in lengths.items() if each >= HOUR and since <= rolled[0]]
    layers = min((_layers(rolled, lengths, first, rolled_before) for first in firsts), key=_reads)
    tail = Span(max(told[0], rolled_before), told[-1])
    return Parts(told, layers, _between(layers[-1].edges, rolled), tail)


def _shortest(lengths: Mapping[timedelta, datetime], at: datetime) -> timedelta:
    return min(each for each, since in lengths.items() if since <= at)


def _layers(
    edges: Sequence[datetime],
    lengths: Mapping[timedelta, datetime],
    first: timedelta,
    rolled_before: datetime,
) -> tuple[Layer, ...]:
    """The layers, from those of length `first` on, of edges that are not behind where the rollup has come."""
    layers: list[Layer] = []
    for length, since in lengths.items():
        if length > first:
            continue
        before = layers[-1].edges if layers else None
        found = tuple(
            before[n] if before and edge < since else _nearest(edge, length, rolled_before)
            for n, edge in enumerate(edges)
        )
        spans = _between(found, before) if before else _joined([Span(found[0], found[-1])])
        layers.append(Layer(length, found, spans))
    return tuple(layers)


def _nearest(edge: datetime, length: timedelta, rolled_before: datetime) -> datetime:
    """Where a point begins in sums of that length: the nearest whole day or stretch, the hour or less that it lies in.

    The last of each has what is rolled of it, and no more.
    """
    if edge == rolled_before:
        return edge
    begin = edge - (edge - EPOCH) % length
    end = min(begin + length, rolled_before)
    return begin if length < DAY or edge - begin <= end - edge else end


def _reads(layers: Sequence[Layer]) -> float:
    """How many sums of each key are read; those that are moved count twice."""
    return sum(
        (span.end - span.start) / layer.length * (2 if n else 1)
        for n, layer in enumerate(layers)
        for span in layer.spans
    )


def _between(some: Iterable[datetime], others: Iterable[datetime]) -> tuple[Span, ...]:
    """What lies between each edge and where the other layer has it."""
    return _joined(Span(min(pair), max(pair)) for pair in zip(some, others, strict=True))


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """In order, each instant once."""
    found: list[Span] = []
    for span in sorted(spans):
        if span.start >= span.end:
            continue
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return tuple(found)


def _ceiling(at: datetime, length: timedelta) -> datetime:
    """The begin of the next such length, unless it is one: they are UTC's, which began with the epoch."""
    return at + (EPOCH - at) % length
