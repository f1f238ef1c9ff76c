"""Handlers of the installation's state: what both stores say now, and nothing that nobody knows."""

from collections.abc import Awaitable
from typing import TypeVar

from aiohttp import web

from admin_api.context import SERVICES
from admin_api.envelope import accept
from admin_api.requests import asking_quota
from admin_api.state.objects import (
    calls_object,
    catalog_object,
    ledger_object,
    postgres_object,
    running_object,
    token_id_of,
    upstream_objects,
    valkey_object,
)
from gateway import __version__
from gateway.domain.errors import StoreUnavailable
from gateway.store.state import read_callers, read_postgres_state
from gateway.store.underway import read_underway, read_valkey_state

_MOST_SHOWN = 200

T = TypeVar("T")


async def show(request: web.Request) -> web.Response:
    """GET /api/state: how the stores, the running calls, the ledger, the outbox and the upstreams are."""
    services = request.app[SERVICES]
    pipeline, catalogs = services.quota.pipeline, services.catalogs
    postgres = await _known(read_postgres_state(services.pool))
    catalog = await _known(catalogs.read())
    valkey = await _known(read_valkey_state(pipeline))
    underway = await _known(read_underway(pipeline))
    now = services.clock()
    return accept(
        {
            "version": __version__,
            "at": int(now),
            "postgres": None if postgres is None else postgres_object(postgres),
            "valkey": None if valkey is None else valkey_object(valkey),
            "gateways": None if valkey is None else valkey.gateways,
            "calls": None if underway is None else calls_object(underway, services.units, now),
            "ledger": ledger_object(underway, postgres, now),
            "outbox": None if postgres is None else postgres.outbox,
            "upstreams": None
            if catalog is None or postgres is None
            else upstream_objects(catalog, postgres.outages),
            "catalog": None if catalog is None else catalog_object(catalog, catalogs.entries),
        }
    )


async def list_running(request: web.Request) -> web.Response:
    """GET /api/reservation: the running calls of all tokens, the oldest first, 200 of them at most."""
    services = request.app[SERVICES]
    with asking_quota():
        underway = await read_underway(services.quota.pipeline)
    shown = underway.running[:_MOST_SHOWN]
    callers = await read_callers(services.pool, {token_id_of(each) for each in shown})
    now = services.clock()
    return accept(
        [
            running_object(each, callers.get(token_id_of(each)), services.units, now)
            for each in shown
        ]
    )


async def _known(answer: Awaitable[T]) -> T | None:
    """What a store answers; None where it does not."""
    try:
        return await answer
    except StoreUnavailable:
        return None
