"""Handlers of users, for administrators."""

from typing import Any

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import CALLER, SERVICES, self_actor
from admin_api.envelope import accept, accept_again, json_bytes
from admin_api.paging import page_object
from admin_api.people.bodies import CreateUserBody, ManageBody, PutUserBody, UpdateUserBody
from admin_api.people.edits import change_of, draft_of
from admin_api.people.letters import write_verification
from admin_api.people.objects import user_object
from admin_api.people.queries import user_query_of
from admin_api.people.requests import publish
from admin_api.requests import if_match, number_in_path, once_of, wanted_version
from gateway.domain.edit import Actor
from gateway.domain.people import UserChange, UserRow
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.domain.token import DISABLED, ENABLED
from gateway.store.idempotency import carry_out
from gateway.store.passwords import check_new_password, one_time_password
from gateway.store.postgres import Connection
from gateway.store.user_rows import get_user, list_users
from gateway.store.users import EditedUser, create_user, delete_user, renew_password, update_user


async def list_page(request: web.Request) -> web.Response:
    """GET /api/user and /api/user/search: a page of the users, the newest first."""
    services = request.app[SERVICES]
    page, query = user_query_of(request.query)
    rows, total = await list_users(services.pool, query)
    items = [user_object(row, services.units) for row in rows]
    return accept(page_object(page, total, items))


async def show(request: web.Request) -> web.Response:
    """GET /api/user/{id}: one user, with the money of their account."""
    services = request.app[SERVICES]
    row = await get_user(services.pool, number_in_path(request))
    return accept(user_object(row, services.units))


async def create(request: web.Request) -> web.Response:
    """POST /api/user: makes a user; without a password the answer holds a one-time one, once.

    A one-time password opens only the user's own profile, until they have chosen another.
    """
    services, caller = request.app[SERVICES], request[CALLER]
    body = await read_body(request, CreateUserBody)
    draft = draft_of(body, caller, services.units)
    if body.password is not None:
        check_new_password(body.password, username=draft.username, old="")
    once, actor = await once_of(request), _actor(request)
    made_here = one_time_password() if body.password is None else None
    hashed = await services.passwords.hash(made_here or body.password or "")

    async def write(connection: Connection) -> UserRow:
        return await create_user(connection, actor, draft, hashed, once=made_here is not None)

    def told_of(row: UserRow) -> dict[str, Any]:
        return user_object(row, services.units) | {"password": made_here}

    done = await carry_out(services.pool, once, write, lambda row: json_bytes(told_of(row)))
    return accept_again(done) if isinstance(done, bytes) else accept(told_of(done))


async def update_by_body(request: web.Request) -> web.Response:
    """PUT /api/user: changes the user whose id is in the body; absent fields stay as they are."""
    body = await read_body(request, PutUserBody)
    return await _update(request, body.id, body)


async def update_by_path(request: web.Request) -> web.Response:
    """PATCH /api/user/{id}: changes the user; absent fields stay as they are."""
    body = await read_body(request, UpdateUserBody)
    user_id = number_in_path(request)
    if body.id not in {None, user_id}:
        raise invalid("id", Rule.ID_DISAGREES, given=body.id or 0, path=user_id)
    return await _update(request, user_id, body)


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/user/{id}: deletes the user for good.

    Their sessions, access tokens and tokens end; what was used stays in the ledger, and their account stays.
    """
    services = request.app[SERVICES]
    edited = await delete_user(
        services.pool, _actor(request), number_in_path(request), if_version=if_match(request)
    )
    return accept(told=await publish(services, edited))


async def renew(request: web.Request) -> web.Response:
    """POST /api/user/{id}/password: makes a one-time password, answers it once, and ends the user's sessions."""
    services = request.app[SERVICES]
    password = one_time_password()
    hashed = await services.passwords.hash(password)
    row = await renew_password(services.pool, _actor(request), number_in_path(request), hashed)
    return accept({"username": row.username, "password": password})


async def manage(request: web.Request) -> web.Response:
    """POST /api/user/manage: enables, disables, promotes, demotes or deletes a user, as New-API says it."""
    services = request.app[SERVICES]
    body = await read_body(request, ManageBody)
    if body.action == "delete":
        edited = await delete_user(services.pool, _actor(request), body.id)
    else:
        change = _ACTIONS[body.action]
        edited = await update_user(services.pool, _actor(request), body.id, lambda _: change)
    return await _answer(request, edited)


async def _update(request: web.Request, user_id: int, body: UpdateUserBody) -> web.Response:
    services = request.app[SERVICES]

    async def ask_for_new_email(connection: Connection, before: UserRow, after: UserRow) -> None:
        if after.email is not None and after.email != before.email and services.dispatch.has_mail:
            await write_verification(connection, services, after.id, after.email)

    edited = await update_user(
        services.pool,
        _actor(request),
        user_id,
        lambda row: change_of(body, row),
        if_version=wanted_version(request, body.version),
        then=ask_for_new_email,
    )
    services.dispatch.wake()
    return await _answer(request, edited)


async def _answer(request: web.Request, edited: EditedUser) -> web.Response:
    services = request.app[SERVICES]
    told = await publish(services, edited)
    return accept(user_object(edited.row, services.units), told=told)


def _actor(request: web.Request) -> Actor:
    return self_actor(request, request[CALLER].user)


_ACTIONS = {
    "enable": UserChange(status=ENABLED),
    "disable": UserChange(status=DISABLED),
    "promote": UserChange(role="admin"),
    "demote": UserChange(role="user"),
}
