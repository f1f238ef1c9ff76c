"""Handlers of redeem codes."""

from typing import Any

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import CALLER, SERVICES, Services, self_actor, wallet_actor
from admin_api.envelope import accept, accept_again, json_bytes
from admin_api.paging import page_in, page_object
from admin_api.requests import once_of
from admin_api.wallets.bodies import CodeBody, CodesBody, RevokeBody
from admin_api.wallets.edits import batch_of
from admin_api.wallets.objects import code_object, codes_object, granted_object
from admin_api.wallets.queries import codes_of
from admin_api.wallets.requests import guess, publish
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.store.idempotency import carry_out
from gateway.store.postgres import Connection
from gateway.store.redeem import (
    MadeBatch,
    UnknownCode,
    list_codes,
    revoke_codes,
    use_code,
    write_batch,
)
from gateway.store.top_ups import Granted, Of


async def create(request: web.Request) -> web.Response:
    """POST /api/redeem: makes codes, each of which adds its amount to an account once. They are shown this once."""
    services, actor = request.app[SERVICES], wallet_actor(request)
    body = await read_body(request, CodesBody)
    batch = batch_of(body, services.units, services.now())

    async def write(connection: Connection) -> MadeBatch:
        return await write_batch(connection, actor, batch, services.pepper)

    def told_of(made: MadeBatch) -> dict[str, Any]:
        return codes_object(made, batch)

    done = await carry_out(
        services.pool, await once_of(request), write, lambda made: json_bytes(told_of(made))
    )
    return accept_again(done) if isinstance(done, bytes) else accept(told_of(done))


async def list_page(request: web.Request) -> web.Response:
    """GET /api/redeem: codes, the newest first, and what has become of them."""
    page = page_in(request.query)
    query = codes_of(request.query, page)
    found = await list_codes(request.app[SERVICES].pool, query)
    items = [code_object(row) for row in found.rows]
    return accept(page_object(page, found.total, items))


async def revoke(request: web.Request) -> web.Response:
    """POST /api/redeem/revoke: lets nobody use the codes that nobody has used yet; the answer is how many."""
    body = await read_body(request, RevokeBody)
    if (body.batch_id is None) == (body.ids is None):
        raise invalid("batch_id", Rule.ONE_OF_TWO, other="ids")
    count = await revoke_codes(
        request.app[SERVICES].pool,
        wallet_actor(request),
        batch_id=body.batch_id,
        ids=tuple(body.ids or ()),
    )
    return accept(count)


async def use(request: web.Request) -> web.Response:
    """POST /api/redeem/use: adds a code's amount to the account of your new tokens, or to another of yours."""
    done, account_id, told = await _use(request)
    return accept(granted_object(done, Of(account_id)), told=told)


async def top_up(request: web.Request) -> web.Response:
    """POST /api/user/topup: New-API's way to redeem a code; the answer is how many quota units it added."""
    done, _, told = await _use(request)
    services: Services = request.app[SERVICES]
    return accept(services.units.granted(done.entry.delta), told=told)


async def _use(request: web.Request) -> tuple[Granted, int, bool]:
    services, user = request.app[SERVICES], request[CALLER].user
    body = await read_body(request, CodeBody)
    account_id = user.account_id if body.account_id is None else body.account_id
    with guess(request, "code", UnknownCode):
        done = await use_code(
            services.pool,
            self_actor(request, user),
            user.id,
            account_id,
            body.key,
            services.pepper,
        )
    return done, account_id, await publish(services, account_id, done.book)
