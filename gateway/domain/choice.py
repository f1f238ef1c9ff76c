"""Which of several comes next, decided on numbers alone: upstreams by fitness, priority and load. Pure."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple


class Fitness(IntEnum):
    """Whether an upstream should be asked now, the fittest first. None is left out: the last may be all there is."""

    FIT = 0
    BUSY = 1  # calls would have to wait in line
    UNWELL = 2  # it failed lately, or declined all of our keys


class Load(NamedTuple):
    """An upstream at the moment of the choice. `troubled_at`: when it last failed; `chosen`: its last turn."""

    fitness: Fitness
    priority: int
    weight: int
    outstanding: int
    troubled_at: float
    chosen: int


def best(loads: Sequence[Load]) -> int:
    """The index of the one to ask.

    Of those that are fit: the lowest priority, within it the fewest calls under way for its weight, counting the one
    that is to come; equals take turns. Of those that are unwell: the one whose last trouble is the longest ago.
    """
    ranks = [_rank(load) for load in loads]
    return ranks.index(min(ranks))


_UNWELL = Fitness.UNWELL


def _rank(load: Load) -> tuple[float, ...]:
    fitness, priority, weight, outstanding, troubled_at, chosen = load
    share = (outstanding + 1) / weight
    if fitness is _UNWELL:
        return (fitness, troubled_at, priority, share, chosen)
    return (fitness, priority, share, chosen)
