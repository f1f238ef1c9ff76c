"""Handlers of accounts."""

from typing import Any

from aiohttp import web

from admin_api import fields
from admin_api.bodies import read_body
from admin_api.context import CALLER, SERVICES, Services, wallet_actor
from admin_api.envelope import Code, Declined, accept, accept_again, json_bytes
from admin_api.paging import page_in, page_object
from admin_api.requests import once_of, wanted_version
from admin_api.tokens.objects import quota_object
from admin_api.wallets.bodies import AccountBody, AccountUpdate
from admin_api.wallets.edits import account_change_of
from admin_api.wallets.objects import (
    account_object,
    member_object,
    money_of,
    subscription_object,
)
from admin_api.wallets.queries import accounts_of
from admin_api.wallets.requests import account_in_path, books_of, publish
from gateway.domain.catalog import nusd
from gateway.domain.wallets import AccountRow
from gateway.store.accounts import (
    account_book,
    get_account,
    list_accounts,
    update_account,
    write_account,
)
from gateway.store.idempotency import carry_out
from gateway.store.members import list_members, member_book
from gateway.store.postgres import Connection
from gateway.store.subscriptions import list_subscriptions, subscription_book
from gateway.store.token_money import read_books

_SHOWN_MEMBERS = 100


async def list_page(request: web.Request) -> web.Response:
    """GET /api/account: the accounts that you are a member of, the newest first."""
    services, caller = request.app[SERVICES], request[CALLER]
    page = page_in(request.query)
    query = accounts_of(request.query, page, caller.user.id)
    actor = wallet_actor(request, writes=False)
    if query.member_id != caller.user.id and actor.user_id is not None:
        raise Declined(Code.FORBIDDEN, "user_id: only administrators list the accounts of others.")
    found = await list_accounts(services.pool, actor, query)
    books = await read_books(services.quota, [(row.id, f"a{row.id}") for row in found.rows])
    items = [account_object(row, books) for row in found.rows]
    return accept(page_object(page, found.total, items))


async def create(request: web.Request) -> web.Response:
    """POST /api/account: makes an account, with its first owner and grant."""
    services, actor = request.app[SERVICES], wallet_actor(request)
    body = await read_body(request, AccountBody)
    name = fields.parse_name(body.name)
    granted = None if body.quota_usd is None else nusd(body.quota_usd)

    async def write(connection: Connection) -> AccountRow:
        return await write_account(connection, actor, name, granted, body.owner_id)

    once = await once_of(request)
    done = await carry_out(
        services.pool, once, write, lambda row: json_bytes(account_object(row, {}))
    )
    if isinstance(done, bytes):
        return accept_again(done)
    return accept(account_object(done, {}))


async def show(request: web.Request) -> web.Response:
    """GET /api/account/{id}: one account, with its money, members and groups.

    Plain members see themselves alone among the members.
    """
    services, caller = request.app[SERVICES], request[CALLER]
    row = await get_account(
        services.pool, wallet_actor(request, writes=False), account_in_path(request)
    )
    members = await list_members(services.pool, row, caller.user.id, limit=_SHOWN_MEMBERS, offset=0)
    subscriptions = await list_subscriptions(services.pool, row.id)
    scopes = [account_book(row), *map(member_book, members.rows)]
    scopes += map(subscription_book, subscriptions)
    books = await books_of(services, row.id, *(each.scope_id for each in scopes))
    now = services.now()
    more = {
        "quota": quota_object({"account": money_of(row, books)})["account"],
        "members": [member_object(each, books) for each in members.rows],
        "subscriptions": [subscription_object(each, books, now) for each in subscriptions],
    }
    return accept(account_object(row, books) | more)


async def update(request: web.Request) -> web.Response:
    """PATCH /api/account/{id}: changes the account; absent fields stay as they are.

    Owners and admins of the account change its name; status and quota are for administrators.
    """
    services = request.app[SERVICES]
    body = await read_body(request, AccountUpdate)
    row = await update_account(
        services.pool,
        wallet_actor(request),
        account_in_path(request),
        account_change_of(body),
        if_version=wanted_version(request, body.version),
    )
    told = await publish(services, row.id, account_book(row))
    return accept(await _object_of(services, row), told=told)


async def _object_of(services: Services, row: AccountRow) -> dict[str, Any]:
    return account_object(row, await books_of(services, row.id, f"a{row.id}"))
