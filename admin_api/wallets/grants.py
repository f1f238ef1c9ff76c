"""Handlers of grants: what administrators give, what payment systems book, and the history of both."""

from typing import Any

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import SERVICES, wallet_actor
from admin_api.envelope import accept, accept_again, json_bytes
from admin_api.requests import once_of
from admin_api.wallets.bodies import GrantBody, TopUpBody
from admin_api.wallets.edits import gift_of, of_body
from admin_api.wallets.objects import entry_object, granted_object
from admin_api.wallets.queries import history_of
from admin_api.wallets.requests import account_in_path, publish
from gateway.store.accounts import get_account, require_manager
from gateway.store.idempotency import carry_out
from gateway.store.postgres import Connection
from gateway.store.top_ups import Granted, give, history, top_up


async def grant(request: web.Request) -> web.Response:
    """POST /api/account/{id}/grant: gives money to the account, a member or a subscription, or takes it back.

    What is taken back may leave less than was used: then nothing is left. It never goes below 0 granted.
    """
    services, actor = request.app[SERVICES], wallet_actor(request)
    body = await read_body(request, GrantBody)
    of = of_body(body, account_in_path(request))
    wish = gift_of(body, services.units)

    async def write(connection: Connection) -> Granted:
        return await give(connection, actor, of, wish, body.note)

    def told_of(granted: Granted) -> dict[str, Any]:
        return granted_object(granted, of)

    done = await carry_out(
        services.pool, await once_of(request), write, lambda made: json_bytes(told_of(made))
    )
    if isinstance(done, bytes):
        return accept_again(done)
    return accept(told_of(done), told=await publish(services, of.account_id, done.book))


async def book_payment(request: web.Request) -> web.Response:
    """POST /api/account/{id}/top_up: books a payment once, however often it is told.

    The same `reference` again answers the first entry, with `Idempotency-Replayed: true`, and books nothing; with
    another amount or wallet it is a 409.
    """
    services = request.app[SERVICES]
    body = await read_body(request, TopUpBody)
    of = of_body(body, account_in_path(request))
    wish = gift_of(body, services.units, positive=True)
    done = await top_up(
        services.pool,
        wallet_actor(request),
        of,
        wish,
        reference=body.reference,
        note=body.note,
    )
    # Published even where it is repeated: the first time may have failed to.
    told = await publish(services, of.account_id, done.book)
    answer = accept(granted_object(done, of), told=told)
    if done.repeated:
        answer.headers["Idempotency-Replayed"] = "true"
    return answer


async def show_history(request: web.Request) -> web.Response:
    """GET /api/account/{id}/history: every change of a grant, the newest first, for owners and admins."""
    services, actor = request.app[SERVICES], wallet_actor(request, writes=False)
    of, before, limit = history_of(request.query, account_in_path(request))
    account = await get_account(services.pool, actor, of.account_id)
    require_manager(account, "id")
    entries = await history(services.pool, actor, of, before=before, limit=limit + 1)
    more = len(entries) > limit
    return accept(
        {
            "items": [entry_object(each, of) for each in entries[:limit]],
            "next_cursor": str(entries[limit - 1].id) if more else None,
        }
    )
