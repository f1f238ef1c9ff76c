"""Handlers of refusals: counts by hour, token and reason, and series of them. SQL is `gateway/store/refusals.py`'s."""

from typing import Any

from aiohttp import web

from admin_api.context import CALLER, SERVICES
from admin_api.envelope import accept
from admin_api.logs.handlers import within_reach
from admin_api.logs.refusal_queries import (
    FILTERS,
    cursor_of,
    key_of,
    refusal_filter_of,
    refusal_query_of,
)
from admin_api.logs.usage_queries import PARAMETERS, SeriesQuery, series_query_of
from gateway.domain.errors import FAILURES
from gateway.store.refusals import (
    SHADOW,
    Place,
    RefusalSeries,
    add_up,
    read_refusal_series,
    read_refusals,
)


async def list_refusals(request: web.Request) -> web.Response:
    """GET /api/refusal: how often calls were refused, by hour, token and reason, the newest hours first.

    Counts of one hour, one token and one reason; what a single call was is in the gateway's access log alone. They come
    a few seconds late, and are kept for 400 days.
    """
    query = refusal_query_of(request.query, request[CALLER].user.id)
    chosen = within_reach(request, query.chosen)
    # One more than is shown tells whether there are more.
    rows = await read_refusals(request.app[SERVICES].pool, chosen, query.size + 1, query.before)
    page = rows[: query.size]
    last = page[-1] if len(rows) > query.size else None
    return accept(
        {
            "items": [_object(row) for row in page],
            "next_cursor": last
            and cursor_of(Place(last["hour"], last["token_id"], last["reason"])),
        }
    )


async def show_series(request: web.Request) -> web.Response:
    """GET /api/refusal/series: the same over time, by reason, token or user."""
    services = request.app[SERVICES]
    query = series_query_of(request.query, services.now(), PARAMETERS | FILTERS, key_of)
    chosen = refusal_filter_of(request.query, request[CALLER].user.id, PARAMETERS | FILTERS)
    series = await read_refusal_series(
        services.pool, within_reach(request, chosen), query.edges, query.by, query.most
    )
    return accept(_series_object(query, series))


def _object(row: Any) -> dict[str, object]:
    reason = row["reason"]
    return {
        **{name: row[name] for name in ("hour", "token_id", "token_name", "user_id", "username")},
        "reason": reason,
        "kind": "shadow" if reason == SHADOW else "failure" if reason in FAILURES else "refusal",
        "calls": row["n"],
    }


def _series_object(query: SeriesQuery, series: list[RefusalSeries]) -> dict[str, object]:
    starts = [int(edge.timestamp()) for edge in query.edges]
    return {
        "interval": query.interval,
        "time_zone": query.zone.key,
        "start": starts[0],
        "end": starts[-1],
        "by": query.by or None,
        "total": add_up([add_up(each.points) for each in series])._asdict(),
        "series": [
            {
                "key": each.key,
                "name": each.name,
                "total": add_up(each.points)._asdict(),
                "points": [
                    {"start": start, **point._asdict()}
                    for start, point in zip(starts, each.points, strict=False)
                ],
            }
            for each in series
        ],
    }
