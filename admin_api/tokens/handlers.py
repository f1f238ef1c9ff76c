"""Handlers of the token API. What the fields mean is `admin_api/tokens/edits.py`'s."""

from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import CALLER, SERVICES, actor_of, self_actor
from admin_api.envelope import Code, Declined, accept, accept_again, json_bytes
from admin_api.paging import page_object
from admin_api.people.links import require_verified_email
from admin_api.requests import asking_quota, if_match, number_in_path, once_of, wanted_version
from admin_api.tokens.bodies import CreateBody, PutBody, UpdateBody
from admin_api.tokens.edits import change_of, drafts_of, status_change_of
from admin_api.tokens.objects import quota_object, reservation_object
from admin_api.tokens.queries import query_of
from admin_api.tokens.requests import object_of, objects_of, publish, secrets_of
from gateway.catalog_settings import GroupSettings, TokenDefaultSettings
from gateway.domain.edit import TokenChange, TokenRow
from gateway.domain.rejection import invalid
from gateway.domain.roles import Permission
from gateway.domain.rules import Rule
from gateway.store.editing import Keyed
from gateway.store.idempotency import carry_out
from gateway.store.postgres import Connection
from gateway.store.token_creations import write_tokens
from gateway.store.token_lists import list_tokens
from gateway.store.token_money import read_money, read_reservations
from gateway.store.token_rows import get_token
from gateway.store.token_rules import group_of
from gateway.store.tokens import delete_token, update_token
from gateway.store.users import lock_user


async def list_page(request: web.Request) -> web.Response:
    """GET /api/token and /api/token/search: a page of your tokens, the newest first."""
    services, caller = request.app[SERVICES], request[CALLER]
    page, query = query_of(request.query, caller.user.id)
    if query.user_id != caller.user.id and not caller.may(Permission.TOKEN_READ_ANY):
        raise Declined(Code.FORBIDDEN, "user_id: only administrators list the tokens of others.")
    found = await list_tokens(services.pool, query, services.now())
    shown = await objects_of(services, found.rows, found.generation)
    return accept(page_object(page, found.total, shown, total_is_estimate=found.total_is_estimate))


async def show(request: web.Request) -> web.Response:
    """GET /api/token/{id}: one token, with the money of all its scopes, and its secrets."""
    services = request.app[SERVICES]
    row = await get_token(services.pool, actor_of(request, writes=False), number_in_path(request))
    money = await read_money(services.pool, services.quota, row)
    await services.catalogs.read()
    shown = object_of(services, row, money["token"].held)
    more = {"quota": quota_object(money), "secrets": await secrets_of(services, row)}
    return accept(shown | more)


async def list_reservations(request: web.Request) -> web.Response:
    """GET /api/token/{id}/reservations: the running calls, and what each holds."""
    services = request.app[SERVICES]
    row = await get_token(services.pool, actor_of(request, writes=False), number_in_path(request))
    with asking_quota():
        live = await read_reservations(services.quota, row)
    now = services.clock()
    return accept([reservation_object(each, services.units, now) for each in live])


async def create(request: web.Request) -> web.Response:
    """POST /api/token: makes a token; the answer holds the full key, once.

    With a `count` above 1 it makes so many, and the answer holds `items`.
    """
    services = request.app[SERVICES]
    require_verified_email(request)
    body = await read_body(request, CreateBody)
    actor, user_id = actor_of(request), _maker(request, body)
    defaults = await _defaults(request, user_id, body.group)
    drafts, warnings = drafts_of(body, services.units, services.now(), defaults)
    once = await once_of(request)

    async def write(connection: Connection) -> list[Keyed]:
        if user_id != request[CALLER].user.id:
            await lock_user(connection, self_actor(request, request[CALLER].user), user_id)
        return await write_tokens(
            connection,
            actor,
            user_id,
            drafts,
            pepper=services.pepper,
            max_tokens=services.config.admin.max_tokens_per_user,
            seal=services.kept_seal,
        )

    def told_of(made: Sequence[Keyed]) -> dict[str, Any]:
        objects = [
            object_of(services, each.row, 0) | {"key": each.key, "warnings": warnings}
            for each in made
        ]
        return objects[0] if body.count == 1 else {"items": objects}

    done = await carry_out(
        services.pool,
        once,
        write,
        lambda made: json_bytes(told_of(made)),
        one_statement=body.count == 1,
    )
    if isinstance(done, bytes):
        return accept_again(done)
    return accept(told_of(done), told=await publish(services, done, made=True))


async def _defaults(request: web.Request, user_id: int, group: str | None) -> TokenDefaultSettings:
    """Those of the group that a new token is to be in; none, where there is no such group."""
    services, user = request.app[SERVICES], request[CALLER].user
    await services.catalogs.read()
    name = (group or "").strip()
    if not name:
        name = user.group if user_id == user.id else await group_of(services.pool, user_id)
    return services.groups.get(name, GroupSettings()).token_defaults


async def update_by_body(request: web.Request) -> web.Response:
    """PUT /api/token: changes the token whose id is in the body; absent fields stay as they are."""
    body = await read_body(request, PutBody)
    return await _update(request, body.id, body)


async def update_by_path(request: web.Request) -> web.Response:
    """PATCH /api/token/{id}: changes the token; absent fields stay as they are."""
    body = await read_body(request, UpdateBody)
    token_id = number_in_path(request)
    if body.id not in {None, token_id}:
        raise invalid("id", Rule.ID_DISAGREES, given=body.id or 0, path=token_id)
    return await _update(request, token_id, body)


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/token/{id}: revokes the token for good."""
    services = request.app[SERVICES]
    edited = await delete_token(
        services.pool,
        actor_of(request),
        number_in_path(request),
        if_version=if_match(request),
    )
    return accept(told=await publish(services, [edited]))


def _maker(request: web.Request, body: CreateBody) -> int:
    """Whose the new tokens are. Raises `Declined` where it is not for the caller to say."""
    caller = request[CALLER]
    if body.user_id in {None, caller.user.id}:
        return caller.user.id
    if not caller.may(Permission.TOKEN_WRITE_ANY):
        raise Declined(Code.FORBIDDEN, "user_id: only administrators make tokens for others.")
    assert body.user_id is not None
    return body.user_id


async def _update(request: web.Request, token_id: int, body: UpdateBody) -> web.Response:
    services = request.app[SERVICES]
    edited = await update_token(
        services.pool,
        actor_of(request),
        token_id,
        _decision(request, body),
        if_version=wanted_version(request, body.version),
    )
    told = await publish(services, [edited])
    (shown,) = await objects_of(services, [edited.row])
    return accept(shown, told=told)


def _decision(request: web.Request, body: UpdateBody) -> Callable[[TokenRow], TokenChange]:
    services = request.app[SERVICES]
    if request.query.get("status_only"):
        change = status_change_of(body)
        return lambda _: change
    now = services.now()
    return lambda row: change_of(body, row, services.units, now)
