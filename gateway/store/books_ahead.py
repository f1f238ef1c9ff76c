"""Books that look-ups of keys bring to the quota store ahead of need: of an account, one LOAD at a time."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from gateway.store.books import Book
from gateway.store.quota import QuotaStore

_MOST: Final = 64
"""Look-ups whose books go with one LOAD."""


class _Found(NamedTuple):
    """What a look-up found, and who is told when it is on its way."""

    books: Sequence[Book]
    sent: asyncio.Future[None]


class BooksAhead:
    """Brings books along. What is found while a LOAD of the same account is under way goes with the next one.

    Each LOAD reads all records of its account, in a busy one thousands for some milliseconds: a LOAD for each of
    dozens of new keys would keep all calls behind them waiting for longer than the store may take.

    `is_over` gets an account and an opening of its shard that is over.
    """

    def __init__(self, quota: QuotaStore, is_over: Callable[[int, bytes], None]) -> None:
        self._quota = quota
        self._is_over = is_over
        # By account and opening, there as long as such a LOAD is under way.
        self._waiting: dict[tuple[int, bytes], list[_Found]] = {}

    async def bring(self, account_id: int, books: Sequence[Book], opening: bytes) -> None:
        """Bring books that were read in this opening. Ends when they are on their way: what is sent then finds them."""
        waiting = self._waiting.get((account_id, opening))
        if waiting is not None:
            sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting.append(_Found(books, sent))
            await sent
            return
        self._waiting[account_id, opening] = []
        self._send(account_id, opening, books)

    def _send(self, account_id: int, opening: bytes, books: Sequence[Book]) -> None:
        done = partial(self._loaded, account_id, opening)
        self._quota.load_ahead(account_id, books, opening, done)

    def _loaded(self, account_id: int, opening: bytes, reply: object) -> None:
        if reply == b"EPOCH":
            self._is_over(account_id, opening)
        waiting = self._waiting.pop((account_id, opening))
        if not waiting:
            return
        now, self._waiting[account_id, opening] = waiting[:_MOST], waiting[_MOST:]
        self._send(account_id, opening, _latest(found.books for found in now))
        for found in now:
            if not found.sent.done():  # whoever waited may have left
                found.sent.set_result(None)


def _latest(read: Iterable[Sequence[Book]]) -> list[Book]:
    """Of each scope the row that was read last: what it has only grows."""
    latest: dict[str, Book] = {}
    for books in read:
        for book in books:
            known = latest.setdefault(book.scope_id, book)
            if (known.used, known.gver, known.version) < (book.used, book.gver, book.version):
                latest[book.scope_id] = book
    return list(latest.values())
