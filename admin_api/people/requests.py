"""What the handlers of people share: whom a request is about, and whom it tells of an edit."""

import asyncio

from aiohttp import web

from admin_api.context import CALLER, Services
from admin_api.requests import number_in_path
from gateway.store.users import EditedUser


def whom(request: web.Request) -> int:
    """The user whom the path names; who calls, where it names none."""
    if "user_id" in request.match_info:
        return number_in_path(request, "user_id")
    return request[CALLER].user.id


async def publish(services: Services, edited: EditedUser) -> bool:
    """Tell of a committed edit; whether the next call of the user's tokens obeys it on every worker."""
    told = await asyncio.gather(
        *(services.notifier.books_changed(account_id, [book]) for account_id, book in edited.books)
    )
    if edited.books:
        await services.notifier.user_changed(edited.row.id)
    return all(told)
