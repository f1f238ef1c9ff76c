"""Limits are values: how many requests, tokens or nano-dollars in which window.

Rings count the oldest bucket that still overlaps the window whole, so that no real window ever holds more than
the limit; the price is a refusal that comes at most one bucket early. A limit with a burst is the generic cell rate
algorithm: at most `burst` at once, let in again at the limit's rate, so no real minute holds more than both together.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

MAX_EXACT = 2**52
"""Amounts and limits stay below this: Lua's numbers are exact to 2^53."""


class Metric(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"


@dataclass(frozen=True, slots=True)
class Ring:
    """A sliding window as `count` buckets of `bucket_ms`."""

    bucket_ms: int
    count: int


RINGS: dict[str, Ring] = {
    "1m": Ring(1_000, 60),
    "5h": Ring(300_000, 60),
    "1d": Ring(900_000, 96),
    "7d": Ring(3_600_000, 168),
    "30d": Ring(21_600_000, 120),
}
"""Sliding windows. `month` is calendar only."""

BURST = "b"
"""In a counter's name, in the place of the mode."""

_SHADOW = "!"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `limit` of `metric` in `window`. `usd` limits and bursts are nano-dollars.

    `models` restricts what is counted and refused to those models. `time_zone` (IANA) places the edges of calendar
    windows. `burst` (sliding `1m` only): as much at once, and `limit` a minute from then on. One in the `shadow` never
    refuses: it tells what it would have refused, and does not count that, as if it had been refused.
    """

    metric: Metric
    window: str
    limit: int
    mode: str = "sliding"  # sliding | calendar
    models: frozenset[str] | None = None
    time_zone: str = "UTC"
    burst: int | None = None
    shadow: bool = False

    @property
    def counter(self) -> str:
        """What is counted and how, whatever the models: `r1ms` is requests, a minute, sliding; `b` has a burst."""
        return f"{self.metric[0]}{self.window}{BURST if self.burst is not None else self.mode[0]}"

    @property
    def id(self) -> str:
        """The name of the window's counter: limits that count the same share it.

        One in the shadow counts what would have passed, so it shares none with one that refuses.
        """
        scope = "" if self.models is None else "@" + ",".join(sorted(self.models))
        return self.counter + _SHADOW * self.shadow + scope

    @property
    def bound(self) -> int:
        """The most that any real window holds, in the limit's own unit."""
        return self.limit + (self.burst or 0)

    def counts(self, model: str) -> bool:
        """Whether calls of `model` are under this limit."""
        return self.models is None or model in self.models


def strictest(*several: Iterable[Limit]) -> tuple[Limit, ...]:
    """Limits of one scope from several sources: of those that share a counter the lower bounds hold."""
    found: dict[str, Limit] = {}
    for limit in (each for limits in several for each in limits):
        known = found.get(limit.id, limit)
        bursts = [each.burst for each in (known, limit) if each.burst is not None]
        found[limit.id] = replace(
            known, limit=min(known.limit, limit.limit), burst=min(bursts, default=None)
        )
    return tuple(found.values())
