"""Handlers of access tokens: one's own, and those of users whom one may manage."""

from typing import Any

from aiohttp import web

from admin_api.auth import require_own_password
from admin_api.bodies import read_body
from admin_api.context import CALLER, SERVICES, self_actor
from admin_api.envelope import accept, accept_again, json_bytes
from admin_api.people.bodies import AccessTokenBody
from admin_api.people.edits import access_token_of
from admin_api.people.objects import access_token_object
from admin_api.people.requests import whom
from admin_api.requests import number_in_path, once_of
from gateway.store.access_tokens import (
    AccessToken,
    create_access_token,
    delete_access_token,
    list_access_tokens,
)
from gateway.store.idempotency import carry_out
from gateway.store.postgres import Connection


async def list_them(request: web.Request) -> web.Response:
    """GET /api/user/self/access_token and /api/user/{user_id}/access_token: access tokens, the newest first."""
    services = request.app[SERVICES]
    actor = self_actor(request, request[CALLER].user)
    found = await list_access_tokens(services.pool, actor, whom(request))
    return accept([access_token_object(each) for each in found])


async def create(request: web.Request) -> web.Response:
    """POST /api/user/self/access_token: makes an access token; the answer holds the secret, once.

    It may do no more than who makes it: one made with a confined access token is confined likewise.
    """
    services, caller = request.app[SERVICES], request[CALLER]
    require_own_password(caller)  # an access token would outlive the one-time one
    body = await read_body(request, AccessTokenBody)
    draft = access_token_of(body, caller, services.now())
    actor = self_actor(request, caller.user)

    async def write(connection: Connection) -> tuple[AccessToken, str]:
        return await create_access_token(connection, actor, caller.user.id, draft, services.pepper)

    def told_of(made: tuple[AccessToken, str]) -> dict[str, Any]:
        row, secret = made
        return access_token_object(row) | {"access_token": secret}

    done = await carry_out(
        services.pool, await once_of(request), write, lambda made: json_bytes(told_of(made))
    )
    return accept_again(done) if isinstance(done, bytes) else accept(told_of(done))


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/user/self/access_token/{id} and /api/user/{user_id}/access_token/{id}: ends an access token."""
    services = request.app[SERVICES]
    actor = self_actor(request, request[CALLER].user)
    await delete_access_token(services.pool, actor, whom(request), number_in_path(request))
    return accept()
