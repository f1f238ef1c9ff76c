"""What the handlers of people share: whom a request is about, and whom it tells of an edit."""

import asyncio

from aiohttp import web

from admin_api.context import CALLER, Services
from gateway.domain.rejection import Problem, rejected
from gateway.domain.rules import Rule
from gateway.store.users import EditedUser

_MAX_DIGITS = 19  # of a 64-bit number


def number_in_path(request: web.Request, name: str = "id") -> int:
    """An id in the path. Raises `Rejected` where none can be so long."""
    digits = request.match_info[name]
    if len(digits) > _MAX_DIGITS or (number := int(digits)) >= 2**63:
        raise rejected(Problem.NOT_FOUND, name, Rule.NO_USER_OF_ID, given=digits)
    return number


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
