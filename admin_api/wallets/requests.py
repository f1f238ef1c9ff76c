"""What the handlers of wallets share: which account a request is about, and whom it tells."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from admin_api.brake import Braked
from admin_api.context import CALLER, SERVICES, Services
from admin_api.envelope import too_many
from admin_api.requests import number_in_path
from admin_api.wallets.objects import Books
from gateway.domain.rejection import Rejected
from gateway.store.books import Book
from gateway.store.token_money import read_books


def account_in_path(request: web.Request) -> int:
    """The account that the path names."""
    return number_in_path(request, "id")


async def publish(services: Services, account_id: int, book: Book) -> bool:
    """Tell of a committed edit; whether the next request on any worker obeys."""
    return await services.notifier.books_changed(account_id, [book])


async def books_of(services: Services, account_id: int, *scope_ids: str) -> Books:
    """Books of one account's scopes in the quota store; None where it cannot be asked."""
    return await read_books(services.quota, [(account_id, each) for each in scope_ids])


@contextmanager
def guess(request: web.Request, what: str, wrong: type[Rejected]) -> Iterator[None]:
    """One try at something that nobody is to find by trying: those that are `wrong` slow the caller down.

    Raises `Declined` where there were too many.
    """
    # In the place of the address, too: wherever it is done from, and whatever others do.
    brake, whose = request.app[SERVICES].guesses, f"{what} {request[CALLER].user.id}"
    try:
        with brake.attempt(whose, whose):
            yield
    except Braked as braked:
        raise too_many(f"wrong {what}s", braked.retry_after_s) from None
    except wrong:
        brake.failed(whose, whose)
        raise
    brake.succeeded(whose, whose)
