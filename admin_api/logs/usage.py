"""Handlers of usage: what a token's calls have used, by day or hour. SQL is `gateway/store/usage.py`'s."""

from aiohttp import web

from admin_api.context import SERVICES, actor_of
from admin_api.envelope import accept
from admin_api.logs.usage_queries import series_object, series_query_of
from admin_api.requests import number_in_path
from gateway.store.ledger_calls import CallFilter
from gateway.store.token_rows import get_token
from gateway.store.usage import read_series


async def of_token(request: web.Request) -> web.Response:
    """GET /api/token/{id}/usage: series of one token."""
    services = request.app[SERVICES]
    query = series_query_of(request.query, services.now())
    row = await get_token(services.pool, actor_of(request, writes=False), number_in_path(request))
    chosen = CallFilter(user_id=None, token_id=row.id)
    series = await read_series(
        services.pool, chosen, query.edges, query.by, query.most, query.weight
    )
    return accept({"token_id": row.id} | series_object(query, series, services.units))
