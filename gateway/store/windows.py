"""A token's limits as the scripts read them: counters with their buckets or their period.

Pure: the time is an argument. Knows nothing of keys and commands.
"""

import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from gateway.domain.limits import RINGS, Limit, Metric
from gateway.domain.token import Token

METRICS: Final = (Metric.REQUESTS, Metric.TOKENS, Metric.USD)
"""In the order of their numbers in the scripts, which begin at 1."""

_RING, _CALENDAR = 0, 1
_NUMBERS: Final = struct.Struct("<ddd")
_DIGEST_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Window:
    """One counter of one scope (0..3) and its limit.

    `first`, `second` are bucket (ms) and number of buckets of a ring, start and end (ms) of a
    calendar period.
    """

    scope: int
    id: str
    metric: Metric
    calendar: bool
    first: int
    second: int
    limit: int

    def pack_reserve(self, ring_key: int) -> bytes:
        """As `reserve.lua` reads it; `ring_key` is the number of the scope's w among KEYS."""
        kind = _CALENDAR if self.calendar else _RING
        head = bytes((self.scope, self._metric, kind, ring_key))
        return b"".join((head, self._name, _NUMBERS.pack(self.first, self.second, self.limit)))

    def pack_settle(self, ring_key: int) -> bytes:
        """As `settle.lua` reads it."""
        return bytes((self._metric, ring_key)) + self._name

    @property
    def _metric(self) -> int:
        return METRICS.index(self.metric) + 1

    @property
    def _name(self) -> bytes:
        name = self.id.encode("ascii")
        return bytes((len(name),)) + name


def windows_of(token: Token, model: str, now_ms: int) -> tuple[Window, ...]:
    """The windows that a call of `model` is under.

    Of limits that share a counter, the lowest is the one that binds.

    Raises ValueError for a window that no limit may have.
    """
    found: dict[tuple[int, str], Window] = {}
    for scope, limit in token.limits:
        if not limit.counts(model):
            continue
        window = _window(scope, limit, now_ms)
        known = found.get((scope, window.id))
        if known is None or window.limit < known.limit:
            found[scope, window.id] = window
    return tuple(found.values())


def window_id(limit: Limit) -> str:
    """The counter's name: metric letter, window, mode letter; behind '@' what sets it apart."""
    plain = f"{limit.metric[0]}{limit.window}{limit.mode[0]}"
    apart = limit.id.removeprefix(plain)
    if limit.time_zone != "UTC" and (limit.mode == "calendar" or limit.window not in RINGS):
        apart += f"#{limit.time_zone}"
    if not apart:
        return plain
    digest = hashlib.blake2b(apart.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{plain}@{digest}"


def read_window_id(name: str) -> tuple[Metric, str]:
    """Metric and window ("5h") of a counter's name."""
    plain = name.partition("@")[0]
    metric = next(m for m in METRICS if m[0] == plain[0])
    return metric, plain[1:-1]


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
    if ring is not None:
        first, second = ring.bucket_ms, ring.count
    else:
        first, second = period(limit.window, limit.time_zone, now_ms)
    return Window(scope, window_id(limit), limit.metric, ring is None, first, second, limit.limit)
