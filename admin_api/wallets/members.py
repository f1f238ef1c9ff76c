"""Handlers of the members of an account."""

from contextlib import nullcontext

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import CALLER, SERVICES, Services, wallet_actor
from admin_api.envelope import accept
from admin_api.paging import page_in, page_object
from admin_api.requests import number_in_path, wanted_version
from admin_api.wallets.bodies import MemberBody, MemberUpdate
from admin_api.wallets.edits import member_change_of
from admin_api.wallets.objects import member_object
from admin_api.wallets.requests import account_in_path, books_of, guess, publish
from gateway.domain.rejection import invalid
from gateway.domain.roles import Permission
from gateway.domain.rules import Rule
from gateway.domain.wallets import MemberRow
from gateway.store.accounts import get_account
from gateway.store.members import (
    UnknownUser,
    add_member,
    list_members,
    member_book,
    remove_member,
    update_member,
)


async def list_page(request: web.Request) -> web.Response:
    """GET /api/account/{id}/member: the members, owners first. Plain members see themselves alone."""
    services, caller = request.app[SERVICES], request[CALLER]
    page = page_in(request.query)
    actor = wallet_actor(request, writes=False)
    account = await get_account(services.pool, actor, account_in_path(request))
    found = await list_members(
        services.pool, account, caller.user.id, limit=page.size, offset=page.offset
    )
    books = await books_of(services, account.id, *(member_book(row).scope_id for row in found.rows))
    items = [member_object(row, books) for row in found.rows]
    return accept(page_object(page, found.total, items))


async def add(request: web.Request) -> web.Response:
    """POST /api/account/{id}/member: makes a user a member, for its owners and admins.

    What a member who was removed had used still counts in their cap.
    """
    services, caller = request.app[SERVICES], request[CALLER]
    body = await read_body(request, MemberBody)
    user = body.username if body.user_id is None else body.user_id
    if user is None or None not in {body.user_id, body.username}:
        raise invalid("user_id", Rule.ONE_OF_TWO, other="username")
    # Who may list users anyway guesses nothing.
    knows = caller.may(Permission.USER_READ)
    with nullcontext() if knows else guess(request, "user", UnknownUser):
        row = await add_member(
            services.pool,
            wallet_actor(request),
            account_in_path(request),
            user,
            member_change_of(body),
        )
    return await _answer(services, row)


async def update(request: web.Request) -> web.Response:
    """PATCH /api/account/{id}/member/{user_id}: changes a member; absent fields stay as they are."""
    services = request.app[SERVICES]
    body = await read_body(request, MemberUpdate)
    row = await update_member(
        services.pool,
        wallet_actor(request),
        account_in_path(request),
        number_in_path(request, "user_id"),
        member_change_of(body),
        if_version=wanted_version(request, body.version),
    )
    return await _answer(services, row)


async def remove(request: web.Request) -> web.Response:
    """DELETE /api/account/{id}/member/{user_id}: removes a member, or leaves the account.

    The next call with a token of theirs in this account is refused. The tokens stay, and go on if they are made a
    member again.
    """
    services = request.app[SERVICES]
    account_id = account_in_path(request)
    book = await remove_member(
        services.pool,
        wallet_actor(request),
        account_id,
        number_in_path(request, "user_id"),
        if_version=wanted_version(request, None),
    )
    return accept(told=await publish(services, account_id, book))


async def _answer(services: Services, row: MemberRow) -> web.Response:
    book = member_book(row)
    told = await publish(services, row.account_id, book)
    books = await books_of(services, row.account_id, book.scope_id)
    return accept(member_object(row, books), told=told)
