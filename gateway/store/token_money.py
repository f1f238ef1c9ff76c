"""The money of a token's four scopes, as both stores have it."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.domain.edit import TokenRow
from gateway.domain.errors import StoreUnavailable
from gateway.domain.token import SCOPE_LETTERS
from gateway.store.books import Reservation, StoredBook
from gateway.store.postgres import Pool, reading
from gateway.store.quota import QuotaStore

_SCOPES = """
WITH t AS (SELECT t.id, t.account_id, t.user_id, coalesce(t.group_id, u.group_id) AS group_id, t.granted, t.used
             FROM token t JOIN "user" u ON u.id = t.user_id WHERE t.id = $1)
SELECT 't' || id, granted, used FROM t
UNION ALL SELECT 'm' || m.account_id || '.' || m.user_id, m.granted, m.used
            FROM member m JOIN t USING (account_id, user_id)
UNION ALL SELECT 'g' || s.account_id || '.' || s.group_id, s.granted, s.used
            FROM subscription s JOIN t USING (account_id, group_id)
UNION ALL SELECT 'a' || a.id, a.granted, a.used FROM account a JOIN t ON t.account_id = a.id
"""


class ScopeMoney(NamedTuple):
    """A scope's money; nano-dollars. `granted` None = uncapped.

    `pending` is settled and not in `used` yet, `held` is reserved by running calls; both are None
    where the quota store cannot be asked.
    """

    granted: int | None
    used: int
    pending: int | None
    held: int | None

    @property
    def available(self) -> int | None:
        """What a further call could be held for; None where uncapped or not known."""
        if self.granted is None or self.pending is None or self.held is None:
            return None
        return self.granted - self.used - self.pending - self.held


async def read_money(pool: Pool, quota: QuotaStore, row: TokenRow) -> dict[str, ScopeMoney]:
    """The money of a token's scopes, by their kind. Raises `StoreUnavailable` for Postgres alone."""
    async with reading(pool) as connection:
        scopes = [tuple(each) for each in await connection.fetch(_SCOPES, row.id)]
    books = await _books(quota, row.account_id, [scope_id for scope_id, _, _ in scopes])
    money = {}
    for n, (scope_id, granted, used) in enumerate(scopes):
        book = None if books is None else books[n]
        pending = held = None if books is None else 0
        if book is not None:
            pending, held = book.pending, book.reserved
        money[SCOPE_LETTERS[scope_id[0]]] = ScopeMoney(granted, used, pending, held)
    return money


async def read_held(quota: QuotaStore, rows: Sequence[TokenRow]) -> list[int | None]:
    """What running calls hold of each token (nano-dollars), with one command for each account.

    None where the quota store cannot be asked.
    """
    scopes = [(row.account_id, f"t{row.id}") for row in rows]
    books = await read_books(quota, scopes)
    if books is None:
        return [None] * len(rows)
    return [books[name].reserved if name in books else 0 for _, name in scopes]


async def read_books(
    quota: QuotaStore, scopes: Iterable[tuple[int, str]]
) -> dict[str, StoredBook] | None:
    """The books of scopes (account, scope id) as far as there are any, with one command for each account.

    None where the quota store cannot be asked.
    """
    accounts: dict[int, list[str]] = {}
    for account_id, scope_id in scopes:
        accounts.setdefault(account_id, []).append(scope_id)
    asked = await asyncio.gather(*(_books(quota, *each) for each in accounts.items()))
    if None in asked:
        return None
    return {book.scope_id: book for found in asked for book in found or () if book is not None}


async def read_reservations(quota: QuotaStore, row: TokenRow) -> list[Reservation]:
    """The live reservations of a token, oldest first. Raises `StoreUnavailable`."""
    live = await quota.live(row.account_id)
    mine = [reservation for reservation in live if f"t{row.id}" in reservation.scope_ids]
    return sorted(mine, key=lambda reservation: (reservation.started_ms, reservation.request_id))


async def _books(
    quota: QuotaStore, account_id: int, scope_ids: Sequence[str]
) -> list[StoredBook | None] | None:
    try:
        return await quota.books(account_id, scope_ids)
    except StoreUnavailable:
        return None
