"""A stretch of time cut into days or hours of a time zone (pure).

Days are those of the zone's calendar, so that one can have 23 or 25 hours. Hours are those of its clocks, unless these
are a quarter of an hour off (in Nepal and few other places): then they are UTC's, for which there are sums of calls.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, Literal

Interval = Literal["hour", "day", "all"]

INTERVALS: Final[tuple[Interval, ...]] = ("hour", "day", "all")
"""`all` leaves the stretch whole."""

_HALF: Final = timedelta(minutes=30)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_SPAN: Final = {"hour": _HOUR, "day": _DAY}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULT_POINTS: Final = {"hour": 24, "day": 30}


class TooManyPoints(Exception):
    """There would be more points than are allowed; `points` is about how many."""

    def __init__(self, points: int) -> None:
        super().__init__(points)
        self.points = points


def edges(
    start: datetime, end: datetime, interval: Interval, zone: tzinfo, most: int
) -> tuple[datetime, ...]:
    """`start`, every begin of a day or hour between, and `end`: each two neighbours hold a point.

    Raises `TooManyPoints` for more than `most`.
    """
    if interval == "all":
        return (start, end)
    about = int((end - start) / _SPAN[interval])
    if about > most:
        raise TooManyPoints(about)
    found = [start]
    for begin in _begins(start, interval, zone):
        if begin >= end:
            break
        if begin > start:
            found.append(begin)
    if len(found) > most:
        raise TooManyPoints(len(found))
    return (*found, end)


def default_start(end: datetime, interval: Interval, zone: tzinfo) -> datetime:
    """Where a series begins that says no start: 30 days or 24 hours, the present one among them."""
    if interval == "hour":
        start = _hour_of(end, zone) - _HOUR * (_DEFAULT_POINTS["hour"] - 1)
    else:
        day = end.astimezone(zone).date() - _DAY * (_DEFAULT_POINTS["day"] - 1)
        start = _midnight(day, zone)
    return max(start, _EPOCH)


def _begins(start: datetime, interval: Interval, zone: tzinfo) -> Iterator[datetime]:
    """The begins of the days or hours from that of `start` on, without end."""
    if interval == "hour":
        hour = _hour_of(start, zone)
        while True:
            yield hour
            # Looked up anew each time: where a zone's offset changes by half an hour, one hour is as much longer.
            following = _hour_of(hour + _HOUR, zone)
            hour = following if following > hour else _hour_of(hour + 1.5 * _HOUR, zone)
    day = start.astimezone(zone).date()
    while True:
        yield _midnight(day, zone)
        day += _DAY


def _hour_of(at: datetime, zone: tzinfo) -> datetime:
    while True:  # once more where the clock was changed by half an hour meanwhile
        local = at.astimezone(zone)
        if (local.utcoffset() or timedelta()) % _HALF:
            local = at.astimezone(UTC)
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        if not into:
            return at.astimezone(UTC)
        at = at.astimezone(UTC) - into


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
