"""The query string of a usage series, and the object that answers it (pure)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from multidict import MultiMapping

from admin_api.mistakes import Mistakes
from admin_api.parameters import choice, instant, integer, require_known, text, time_zone
from admin_api.tokens.objects import usd
from gateway.domain.intervals import INTERVALS, Interval, TooManyPoints, default_start, edges
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.domain.units import Units
from gateway.store.charges import COUNTS
from gateway.store.usage import KEYS, TAG, WEIGHTS, Series, Sums, Weight, add_up

PARAMETERS: Final = frozenset({"interval", "start", "end", "time_zone", "by"})
USAGE_PARAMETERS: Final = PARAMETERS | {"top", "top_by"}
MAX_POINTS: Final = 1000
_MAX_CELLS: Final = 10_000
"""Points of all series together."""
_CELLS: Final = 1500
"""The same, unless more are asked for: each takes its time."""


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Series by a key that the store knows, or by a tag, a point between two neighbours of `edges`."""

    interval: Interval
    zone: ZoneInfo
    edges: tuple[datetime, ...]
    by: str
    top: int  # 0: unsaid
    weight: Weight

    @property
    def most(self) -> int:
        """How many keys have a series of their own."""
        points = len(self.edges) - 1
        return max(1, min(self.top or _CELLS // points, _MAX_CELLS // points))


def series_query_of(
    parameters: MultiMapping[str],
    now: datetime,
    known: frozenset[str] = USAGE_PARAMETERS,
    key_of: Callable[[Mapping[str, str]], str] | None = None,
) -> SeriesQuery:
    """The series asked for. Raises `Rejected` naming the parameter; `known` are all that are read.

    Where `top` is not read there are as many as there may be. `key_of` reads by what they are grouped; without it by
    what calls have in common.
    """
    found = Mistakes()
    found.reading(require_known, parameters, known, repeatable="tag")
    interval = found.reading(choice, parameters, "interval", INTERVALS, "day")
    begun = found.reading(instant, parameters, "start")
    end = found.reading(instant, parameters, "end") or now
    zone = found.reading(time_zone, parameters, "time_zone")
    by = found.reading(key_of or _key_of, parameters)
    top = found.reading(integer, parameters, "top", 0 if "top" in known else _MAX_CELLS)
    weight = found.reading(choice, parameters, "top_by", WEIGHTS, "cost")
    found.raise_any()
    start = begun or default_start(end, interval, zone)
    if start >= end:
        raise invalid("start", Rule.NOT_BEFORE_END, end=int(end.timestamp()))
    try:
        points = edges(start, end, interval, zone, MAX_POINTS)
    except TooManyPoints as error:
        raise invalid(
            "interval",
            Rule.TOO_MANY_POINTS,
            interval=interval,
            points=error.points,
            most=MAX_POINTS,
        ) from None
    return SeriesQuery(interval, zone, points, by, top, weight)


def series_object(query: SeriesQuery, series: Sequence[Series], units: Units) -> dict[str, Any]:
    """The answer: what was asked, the total, and each series with its points."""
    starts = [int(edge.timestamp()) for edge in query.edges]
    totals = [each.total for each in series]
    return {
        "interval": query.interval,
        "time_zone": query.zone.key,
        "start": starts[0],
        "end": starts[-1],
        "by": query.by or None,
        "total": sums_object(add_up(totals), units),
        "series": [
            {
                "key": each.key,
                "name": each.name,
                "total": sums_object(total, units),
                "points": [
                    {"start": start, **sums_object(point, units)}
                    for start, point in zip(starts, each.points, strict=False)
                ],
            }
            for each, total in zip(series, totals, strict=True)
        ],
    }


def sums_object(sums: Sums, units: Units) -> dict[str, Any]:
    """Requests, tokens and money: in units rounded up, in dollars and nano-dollars exact. Times are means."""
    return {
        "requests": sums["requests"],
        "errors": sums["errors"],
        "duration_ms": _mean(sums["duration_ms"], sums["requests"]),
        "ttfb_ms": _mean(sums["ttfb_ms"], sums["timed"]),
        **{name: sums[name] for name in COUNTS},
        "quota": units.used(sums["amount"]),
        "usd": usd(sums["amount"]),
        "amount_nusd": sums["amount"],
    }


def _mean(total: int, count: int) -> int | None:
    return (total + count // 2) // count if count else None


def _key_of(parameters: Mapping[str, str]) -> str:
    by = text(parameters, "by")
    if by not in KEYS and not (by.startswith(TAG) and by != TAG):
        choices = [*filter(None, KEYS)]
        raise invalid("by", Rule.NO_SERIES_KEY, choices=choices, tag=TAG, given=by)
    return by
