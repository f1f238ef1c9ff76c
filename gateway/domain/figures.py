"""Figures for a monitoring system: their values, and how those of several workers become one. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gateway.domain.families import FAMILIES, Family, Kind

Labels = tuple[str, ...]
"""The values of a figure's labels, in the order of its family."""


class Exemplar(NamedTuple):
    """One call of a bucket: its value, when it was (Unix seconds), and by which ids it is found elsewhere."""

    value: float
    at: float
    request_id: str
    trace_id: str


class Spread(NamedTuple):
    """A histogram: how many fell into each bucket (the last is beyond all bounds), and their sum.

    `slow` has an example of some buckets, by their place.
    """

    counts: Sequence[int]
    total: float
    slow: Mapping[int, Exemplar] = {}


Value = int | float | Spread


class Figure(NamedTuple):
    """What a worker tells under one name, by the values of the family's labels."""

    name: str
    values: Mapping[Labels, Value]


def narrowed(spread: Spread, bounds: Sequence[float], kept: Sequence[float]) -> Spread:
    """A histogram with some of its bounds only."""
    counts = [0] * (len(kept) + 1)
    for place, count in enumerate(spread.counts):
        # What a bucket holds is no more than its bound, so it is in the first that is kept from there on.
        counts[bisect_left(kept, bounds[place]) if place < len(bounds) else len(kept)] += count
    slow = {
        bisect_left(kept, bounds[place]) if place < len(bounds) else len(kept): each
        for place, each in spread.slow.items()
    }
    return Spread(counts, spread.total, slow)


def merged(of_workers: Iterable[Iterable[Figure]]) -> list[Figure]:
    """The figures of several workers as if one had told them, in the order of `FAMILIES`, and those that nobody has."""
    values: dict[str, dict[Labels, Value]] = {name: {} for name in FAMILIES}
    for figures in of_workers:
        for name, told in figures:
            into, family = values[name], FAMILIES[name]
            for labels, value in told.items():
                before = into.get(labels)
                into[labels] = value if before is None else _joined(family, before, value)
    return [Figure(name, of) for name, of in values.items()]


def lasting(figures: Iterable[Figure]) -> list[Figure]:
    """What stays counted when its worker has ended."""
    return [each for each in figures if FAMILIES[each.name].kind is not Kind.GAUGE]


def _joined(family: Family, one: Value, other: Value) -> Value:
    if isinstance(one, Spread) and isinstance(other, Spread):
        counts = [a + b for a, b in zip(one.counts, other.counts, strict=True)]
        latest = dict(one.slow)
        for place, each in other.slow.items():
            known = latest.get(place)
            latest[place] = each if known is None or known.at < each.at else known
        return Spread(counts, one.total + other.total, latest)
    assert not isinstance(one, Spread)
    assert not isinstance(other, Spread)
    return one + other if family.join is None else family.join(one, other)


class Workers:
    """The figures of workers by their number, over their lives: what one that has ended had counted stays counted.

    Else a sum would fall when a worker is started anew, and a monitoring system would take the rest for new calls.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[str, list[Figure]]] = {}
        self._ended: list[Figure] = []

    def hear(self, number: int, instance: str, figures: list[Figure]) -> None:
        """A worker tells its figures; `instance` is another each time that it is started."""
        before = self._last.get(number)
        if before is not None and before[0] != instance:
            self._ended = merged([self._ended, lasting(before[1])])
        self._last[number] = instance, figures

    def all(self, heard: Iterable[int]) -> list[Figure]:
        """All that is known, when the workers `heard` have just told theirs."""
        now = frozenset(heard)
        told = [
            figures if number in now else lasting(figures)
            for number, (_, figures) in self._last.items()
        ]
        return merged([self._ended, *told])
