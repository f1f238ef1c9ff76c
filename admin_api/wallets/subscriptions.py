"""Handlers of an account's subscriptions to groups."""

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import SERVICES, Services, wallet_actor
from admin_api.envelope import accept
from admin_api.requests import wanted_version
from admin_api.wallets.bodies import SubscriptionBody
from admin_api.wallets.edits import subscription_change_of
from admin_api.wallets.objects import subscription_object
from admin_api.wallets.requests import account_in_path, books_of, publish
from gateway.domain.wallets import SubscriptionRow
from gateway.store.accounts import get_account
from gateway.store.subscriptions import (
    end_subscription,
    list_subscriptions,
    set_subscription,
    subscription_book,
)


async def list_all(request: web.Request) -> web.Response:
    """GET /api/account/{id}/subscription: the groups of an account, and what binds its tokens there."""
    services = request.app[SERVICES]
    actor = wallet_actor(request, writes=False)
    account = await get_account(services.pool, actor, account_in_path(request))
    rows = await list_subscriptions(services.pool, account.id)
    scope_ids = [subscription_book(row).scope_id for row in rows]
    books = await books_of(services, account.id, *scope_ids)
    return accept([subscription_object(row, books, services.now()) for row in rows])


async def put(request: web.Request) -> web.Response:
    """PUT /api/account/{id}/subscription/{group}: subscribes the account to a group, or changes that.

    Absent fields stay as they are.
    """
    services = request.app[SERVICES]
    body = await read_body(request, SubscriptionBody)
    row = await set_subscription(
        services.pool,
        wallet_actor(request),
        account_in_path(request),
        request.match_info["group"],
        subscription_change_of(body),
        if_version=wanted_version(request, body.version),
    )
    return await _answer(services, row)


async def end(request: web.Request) -> web.Response:
    """DELETE /api/account/{id}/subscription/{group}: ends a subscription now.

    The next call with a token of the group is refused, unless the group is its user's own.
    """
    services = request.app[SERVICES]
    row = await end_subscription(
        services.pool,
        wallet_actor(request),
        account_in_path(request),
        request.match_info["group"],
        if_version=wanted_version(request, None),
    )
    return await _answer(services, row)


async def _answer(services: Services, row: SubscriptionRow) -> web.Response:
    book = subscription_book(row)
    told = await publish(services, row.account_id, book)
    books = await books_of(services, row.account_id, book.scope_id)
    return accept(subscription_object(row, books, services.now()), told=told)
