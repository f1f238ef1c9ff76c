"""A token's limits as the scripts read them: counters with their buckets or their period.

Pure: the time is an argument. Knows nothing of keys and commands.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import IntEnum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from gateway.domain.limits import BURST, RINGS, Limit, Metric
from gateway.domain.token import Token

METRICS: Final = (Metric.REQUESTS, Metric.TOKENS, Metric.USD)
"""In the order of their numbers in the scripts, which begin at 1."""

_SHADOW: Final = len(METRICS)
_MINUTE_MS: Final = 60_000
_NUMBERS: Final = struct.Struct("<ddd")
_PAIR: Final = struct.Struct("<dd")
_DIGEST_BYTES: Final = 8


class Kind(IntEnum):
    """How a window counts, as the scripts number it."""

    RING = 0
    CALENDAR = 1
    BURST = 2


@dataclass(frozen=True, slots=True)
class Window:
    """One counter of one scope (0..3) and its limit.

    `first`, `second` are bucket (ms) and number of buckets of a ring, start and end (ms) of a
    calendar period, the minute (ms) and the burst of a limit with one. `models` are those that are
    counted, None for all. `shadow`: it tells what its limit would refuse, and refuses nothing.
    """

    scope: int
    id: str
    metric: Metric
    kind: Kind
    first: int
    second: int
    limit: int
    models: frozenset[str] | None = None
    shadow: bool = False

    def pack(self, ring_key: int) -> bytes:
        """WINDOW of `lua/include/formats.lua`; `ring_key` is the number of the scope's w among KEYS."""
        name = self.id.encode("ascii")
        metric = METRICS.index(self.metric) + 1 + _SHADOW * self.shadow
        head = bytes((self.scope, metric, self.kind, ring_key, len(name)))
        return b"".join((head, name, _NUMBERS.pack(self.first, self.second, self.limit)))

    def since_ms(self, now_ms: int) -> int:
        """From when on (ms since 1970) what was used still counts at `now_ms`."""
        if self.kind is Kind.RING:
            return (now_ms // self.first - self.second) * self.first
        if self.kind is Kind.CALENDAR:
            return self.first
        refill_ms = -(-self.second * self.first // self.limit)
        return now_ms - refill_ms

    def bucket_of(self, started_ms: int) -> int:
        """Where a call that began then counts, as LOAD is told of it: its instant where there is a burst."""
        if self.kind is Kind.RING:
            return started_ms // self.first
        return 0 if self.kind is Kind.CALENDAR else started_ms

    @property
    def bucket_ms(self) -> int | None:
        """The length of a bucket; None where the window is one bucket."""
        return self.first if self.kind is Kind.RING else None


def windows_of(token: Token, model: str, now_ms: int) -> tuple[Window, ...]:
    """The windows that a call of `model` is under.

    Of limits that share a counter, the lowest is the one that binds, and the lowest burst.

    Raises ValueError for a window that no limit may have.
    """
    found: dict[tuple[int, str], Window] = {}
    for scope, limit in token.limits:
        if not limit.counts(model):
            continue
        window = _window(scope, limit, now_ms)
        known = found.get((scope, window.id))
        if known is not None:
            lowest = min(window.limit, known.limit)
            window = replace(window, second=min(window.second, known.second), limit=lowest)
        found[scope, window.id] = window
    return tuple(found.values())


def window_id(limit: Limit) -> str:
    """The counter's name: metric letter, window, mode letter; behind '@' what sets it apart."""
    plain = limit.counter
    apart = limit.id.removeprefix(plain)
    if limit.time_zone != "UTC" and (limit.mode == "calendar" or limit.window not in RINGS):
        apart += f"#{limit.time_zone}"
    if not apart:
        return plain
    digest = hashlib.blake2b(apart.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{plain}@{digest}"


def pack_sums(sums: Mapping[int, int]) -> bytes:
    """What a window holds, as LOAD reads it."""
    return b"".join(_PAIR.pack(bucket, units) for bucket, units in sums.items())


class WindowName(NamedTuple):
    """What a counter's name tells: metric, window ("5h"), and whether it has a burst."""

    metric: Metric
    window: str
    has_burst: bool


def read_window_id(name: str) -> WindowName:
    """The parts of a counter's name."""
    plain = name.partition("@")[0]
    metric = next(m for m in METRICS if m[0] == plain[0])
    return WindowName(metric, plain[1:-1], plain[-1] == BURST)


def period(window: str, time_zone: str, now_ms: int) -> tuple[int, int]:
    """Start and end (ms since 1970) of the calendar period that `now_ms` lies in.

    Periods are the zone's own months, weeks from Monday, days and minutes; a day on which clocks
    change has 23 or 25 hours. Raises ValueError for a window that is no calendar period,
    ZoneInfoNotFoundError for an unknown zone.
    """
    zone: tzinfo = UTC if time_zone == "UTC" else ZoneInfo(time_zone)
    if window == "1m":
        start_ms = now_ms - now_ms % 60_000
        return start_ms, start_ms + 60_000
    local = datetime.fromtimestamp(now_ms / 1000, zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
    if window == "month":
        start = midnight.replace(day=1)
        end = (start + timedelta(days=32)).replace(day=1)
    elif window == "7d":
        start = midnight - timedelta(days=midnight.weekday())
        end = start + timedelta(days=7)
    elif window == "1d":
        start, end = midnight, midnight + timedelta(days=1)
    else:
        raise ValueError(f"{window!r} is no calendar period")
    return _instant_ms(start, zone), _instant_ms(end, zone)


def _instant_ms(local: datetime, zone: tzinfo) -> int:
    """A midnight; where the clock skips it, the day's first instant, as `fold=0` makes it."""
    return int(local.replace(tzinfo=zone).timestamp()) * 1000


def _window(scope: int, limit: Limit, now_ms: int) -> Window:
    ring = None if limit.mode == "calendar" else RINGS.get(limit.window)
    if limit.burst is not None:
        kind, first, second = Kind.BURST, _MINUTE_MS, limit.burst
    elif ring is not None:
        kind, first, second = Kind.RING, ring.bucket_ms, ring.count
    else:
        kind, (first, second) = Kind.CALENDAR, period(limit.window, limit.time_zone, now_ms)
    return Window(
        scope,
        window_id(limit),
        limit.metric,
        kind,
        first,
        second,
        limit.limit,
        limit.models,
        limit.shadow,
    )
