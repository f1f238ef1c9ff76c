"""Handlers of the log of calls: lists and sums. SQL is `gateway/store/logs.py`'s and `usage.py`'s."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from aiohttp import web

from admin_api.context import CALLER, SERVICES
from admin_api.envelope import Code, Declined, accept
from admin_api.logs.objects import call_object, new_api_object
from admin_api.logs.queries import FILTERS, MAX_ROWS_OF_PAGES, cursor_of, filter_of, log_query_of
from admin_api.logs.usage_queries import (
    USAGE_PARAMETERS,
    series_object,
    series_query_of,
    sums_object,
)
from gateway.domain.roles import Permission
from gateway.domain.units import Units
from gateway.store.ledger_calls import CallFilter
from gateway.store.logs import LoggedCall, count_calls, read_calls
from gateway.store.refusals import RefusalFilter
from gateway.store.usage import read_series, read_sums

_MINUTE = timedelta(minutes=1)

F = TypeVar("F", CallFilter, RefusalFilter)


async def list_calls(request: web.Request) -> web.Response:
    """GET /api/log: calls, newest first, in parts that a cursor joins."""
    return await _list(request, call_object, pages=False)


async def list_own(request: web.Request) -> web.Response:
    """GET /api/log/self: the same as New-API's clients ask for it."""
    return await _list(request, new_api_object, pages=True)


async def sum_up(request: web.Request) -> web.Response:
    """GET /api/log/stat and /api/log/self/stat: sums over the calls of a filter, and the last minute's pace."""
    services = request.app[SERVICES]
    chosen = within_reach(request, filter_of(request.query, request[CALLER].user.id))
    sums = await read_sums(services.pool, chosen)
    minute_ago = services.now() - _MINUTE
    since = minute_ago if chosen.start is None else max(chosen.start, minute_ago)
    minute = await read_sums(services.pool, replace(chosen, start=since))
    pace = {"rpm": minute["requests"], "tpm": minute["input_tokens"] + minute["output_tokens"]}
    return accept(sums_object(sums, services.units) | pace)


async def show_usage(request: web.Request) -> web.Response:
    """GET /api/usage: series over the calls of a filter."""
    services = request.app[SERVICES]
    known = USAGE_PARAMETERS | FILTERS
    query = series_query_of(request.query, services.now(), known)
    chosen = within_reach(request, filter_of(request.query, request[CALLER].user.id, known))
    series = await read_series(
        services.pool, chosen, query.edges, query.by, query.most, query.weight
    )
    return accept(series_object(query, series, services.units))


async def _list(
    request: web.Request, shown: Callable[[LoggedCall, Units], dict[str, object]], *, pages: bool
) -> web.Response:
    services = request.app[SERVICES]
    query = log_query_of(request.query, request[CALLER].user.id, pages=pages)
    chosen = within_reach(request, query.chosen)
    # One more than is shown tells whether there are more.
    calls = await read_calls(
        services.pool, chosen, query.size + 1, before=query.before, offset=query.offset
    )
    page = calls[: query.size]
    data: dict[str, object] = {
        "items": [shown(call, services.units) for call in page],
        "next_cursor": cursor_of(page[-1]["request_id"]) if len(calls) > query.size else None,
    }
    if query.page is not None:
        total = await count_calls(services.pool, chosen, MAX_ROWS_OF_PAGES + 1)
        data |= {
            "page": query.page,
            "page_size": query.size,
            "total": min(total, MAX_ROWS_OF_PAGES),
            "total_is_more": total > MAX_ROWS_OF_PAGES,
        }
    return accept(data)


def within_reach(request: web.Request, chosen: F) -> F:
    """The filter, if the caller may see what it chooses."""
    caller = request[CALLER]
    if chosen.user_id != caller.user.id and not caller.may(Permission.TOKEN_READ_ANY):
        raise Declined(Code.FORBIDDEN, "user_id: only administrators see the calls of others.")
    return chosen
