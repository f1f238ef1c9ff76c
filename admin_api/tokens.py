"""Handlers of the token API. What the fields mean is `admin_api/token_edits.py`'s."""

from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from admin_api.bodies import CreateBody, UpdateBody, read_body
from admin_api.context import CALLER, SERVICES, Permission, Services, actor_of
from admin_api.envelope import Code, Declined, accept
from admin_api.token_edits import change_of, draft_of, status_change_of
from admin_api.token_object import quota_object, reservation_object, token_object
from admin_api.token_queries import page_of, query_of
from gateway.domain.edit import TokenChange, TokenRow
from gateway.domain.errors import StoreUnavailable
from gateway.domain.rejection import Problem, Rejected, invalid
from gateway.store.token_money import read_held, read_money, read_reservations
from gateway.store.token_rows import get_token, list_tokens
from gateway.store.tokens import Edited, create_token, delete_token, update_token


async def list_page(request: web.Request) -> web.Response:
    """GET /api/token/ and /api/token/search: a page of tokens."""
    services, caller = request.app[SERVICES], request[CALLER]
    page, query = query_of(request.query, caller.user.id)
    if query.user_id != caller.user.id and not caller.may(Permission.TOKEN_READ_ANY):
        raise Declined(Code.FORBIDDEN, "user_id: only administrators list the tokens of others.")
    total, rows = await list_tokens(services.pool, query, services.now())
    return accept(page_of(page, query, total, await _objects(services, rows)))


async def show(request: web.Request) -> web.Response:
    """GET /api/token/{id}: with the money of all its scopes."""
    services = request.app[SERVICES]
    row = await get_token(services.pool, actor_of(request, writes=False), _path_id(request))
    money = await read_money(services.pool, services.quota, row)
    shown = _object(services, row, money["token"].held)
    return accept(shown | {"quota": quota_object(money)})


async def list_reservations(request: web.Request) -> web.Response:
    """GET /api/token/{id}/reservations: the running calls, and what each holds."""
    services = request.app[SERVICES]
    row = await get_token(services.pool, actor_of(request, writes=False), _path_id(request))
    try:
        live = await read_reservations(services.quota, row)
    except StoreUnavailable as error:
        raise Declined(
            Code.STORE_UNAVAILABLE,
            "The quota store does not answer, and nothing else knows what is held. Try again.",
            {"Retry-After": "1"},
        ) from error
    now = services.clock()
    return accept([reservation_object(each, services.units, now) for each in live])


async def create(request: web.Request) -> web.Response:
    """POST /api/token/: the answer holds the full key, once."""
    services = request.app[SERVICES]
    body = await read_body(request, CreateBody)
    draft, warnings = draft_of(body, services.units, services.now())
    created = await create_token(
        services.pool,
        actor_of(request),
        request[CALLER].user.id,
        draft,
        pepper=services.pepper,
        max_tokens=services.config.admin.max_tokens_per_user,
    )
    told = await _publish(services, created)
    (shown,) = await _objects(services, [created.row])
    answer = shown | {"key": created.key, "warnings": warnings}
    return accept(answer, told=told)


async def update_by_body(request: web.Request) -> web.Response:
    """PUT /api/token/: the id is in the body; absent fields stay as they are."""
    body = await read_body(request, UpdateBody)
    if body.id is None:
        raise invalid("id", "is required: PUT /api/token/ changes the token that the body names.")
    return await _update(request, body.id, body)


async def update_by_path(request: web.Request) -> web.Response:
    """PATCH /api/token/{id}."""
    body = await read_body(request, UpdateBody)
    token_id = _path_id(request)
    if body.id not in {None, token_id}:
        raise invalid("id", f"is {body.id}, but the path says {token_id}; leave it out.")
    return await _update(request, token_id, body)


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/token/{id}: revoked for good."""
    services = request.app[SERVICES]
    edited = await delete_token(
        services.pool,
        actor_of(request),
        _path_id(request),
        if_version=_if_match(request),
    )
    return accept(told=await _publish(services, edited))


async def _update(request: web.Request, token_id: int, body: UpdateBody) -> web.Response:
    services = request.app[SERVICES]
    edited = await update_token(
        services.pool,
        actor_of(request),
        token_id,
        _decision(request, body),
        if_version=body.version if (match := _if_match(request)) is None else match,
    )
    told = await _publish(services, edited)
    (shown,) = await _objects(services, [edited.row])
    return accept(shown, told=told)


def _decision(request: web.Request, body: UpdateBody) -> Callable[[TokenRow], TokenChange]:
    services = request.app[SERVICES]
    if request.query.get("status_only"):
        change = status_change_of(body)
        return lambda _: change
    now = services.now()
    return lambda row: change_of(body, row, services.units, now)


async def _publish(services: Services, edited: Edited) -> bool:
    row = edited.row
    return await services.notifier.token_changed(row.account_id, row.id, edited.books)


async def _objects(services: Services, rows: Sequence[TokenRow]) -> list[dict[str, Any]]:
    held = await read_held(services.quota, rows)
    return [_object(services, *each) for each in zip(rows, held, strict=True)]


def _object(services: Services, row: TokenRow, held_nusd: int | None) -> dict[str, Any]:
    return token_object(row, services.units, services.config.groups, services.clock(), held_nusd)


def _path_id(request: web.Request) -> int:
    text = request.match_info["id"]
    if len(text) > 19:  # noqa: PLR2004 -- more digits than a 64-bit id has
        raise Rejected(Problem.NOT_FOUND, "There is no such token among your tokens.", "id")
    return int(text)


def _if_match(request: web.Request) -> int | None:
    """The version in `If-Match`, quoted or not; None where any will do."""
    sent = request.headers.get("If-Match", "*").strip()
    if sent == "*":
        return None
    version = sent.removeprefix("W/").strip('"')
    if not (version.isascii() and version.isdigit() and len(version) <= 19):  # noqa: PLR2004
        raise invalid("If-Match", f'must be a version such as "3", it is {sent[:40]!a}.')
    return int(version)
