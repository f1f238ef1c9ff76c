"""Money that is given to accounts, members and subscriptions, or taken back: an entry and the new book, as one.

A payment system names each payment by a reference of its own: the same one again answers the first entry, and books
nothing.
"""

from dataclasses import dataclass
from typing import Final, Literal

import asyncpg

from gateway.domain.edit import Actor
from gateway.domain.rejection import Problem, rejected
from gateway.domain.rules import Rule
from gateway.domain.wallets import Entry, Regrant
from gateway.store import audit
from gateway.store.accounts import MAX_ID, get_account, lock_account
from gateway.store.books import Book
from gateway.store.grants import TOP_UP, Scope, find_entry, list_entries, write_grant
from gateway.store.postgres import Connection, Pool, reading, transaction
from gateway.store.subscriptions import find_group_id

_TABLES: Final = {
    "a": ("account", "id = $1 AND id = $2"),
    "m": ("member", "account_id = $1 AND user_id = $2"),
    "g": ("subscription", "account_id = $1 AND group_id = $2"),
    "t": ("token", "account_id = $1 AND id = $2"),
}
_READ: Final = {
    kind: f"SELECT granted, gver, used, version FROM {table} WHERE {which}"  # noqa: S608 -- constants
    for kind, (table, which) in _TABLES.items()
}
# Whoever was removed is given nothing; what they were given before can be told again.
_READ_LIVE: Final = {**_READ, "m": f"{_READ['m']} AND removed_at IS NULL"}
_GRANT: Final = {
    kind: f"""
UPDATE {table} SET granted = $3, gver = gver + 1, version = version + 1 WHERE {which}
RETURNING granted, gver, used, version
"""  # noqa: S608 -- constants
    for kind, (table, which) in _TABLES.items()
}


@dataclass(frozen=True, slots=True)
class Of:
    """What in an account is meant: a member, a subscription, a token, or the account itself."""

    account_id: int
    user_id: int | None = None
    group: str | None = None
    token_id: int | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """An entry, and the scope's book as it is now. `repeated`: it had been booked before."""

    entry: Entry
    book: Book
    repeated: bool = False


class _Taken(Exception):
    """Somebody else booked this reference at the same time, for another account."""


async def write_grant_of(
    connection: Connection,
    actor: Actor,
    of: Of,
    wish: Regrant,
    kind: Literal["grant", "redeem", "top_up"],
    *,
    note: str = "",
    idem_key: str | None = None,
) -> Granted:
    """Change a grant, within the caller's transaction, in which the account is locked.

    Raises `Rejected` (no such scope, no cap there, out of bounds).
    """
    scope = await _scope(connection, of)
    before = await _book(connection, scope, _READ_LIVE[scope[0]])
    after = wish.of(before.granted, before.used)
    assert after is not None, "additions never uncap"
    delta = after - (before.granted or 0)
    book = await _book(connection, scope, _GRANT[scope[0]], after)
    entry = await write_grant(connection, actor, scope, delta, kind, note=note, idem_key=idem_key)
    audited = {
        "scope": book.scope_id,
        "delta": delta,
        "kind": kind,
        "note": note,
        "reference": entry.reference,
    }
    await audit.record(connection, actor, "account.grant", of.account_id, after=audited)
    return Granted(entry, book)


async def give(connection: Connection, actor: Actor, of: Of, wish: Regrant, note: str) -> Granted:
    """An administrator's grant, within the caller's transaction. Raises as `write_grant_of` does."""
    await lock_account(connection, actor, of.account_id)
    return await write_grant_of(connection, actor, of, wish, "grant", note=note)


async def top_up(
    pool: Pool, actor: Actor, of: Of, wish: Regrant, *, reference: str, note: str = ""
) -> Granted:
    """Book a payment once, whatever is repeated.

    Raises `Rejected` as `write_grant_of` does, and where the reference stands for another payment; and
    `StoreUnavailable`.
    """
    while True:
        try:
            return await _top_up(pool, actor, of, wish, reference, note)
        except _Taken:
            continue  # the other has committed: it will be found


async def _top_up(
    pool: Pool, actor: Actor, of: Of, wish: Regrant, reference: str, note: str
) -> Granted:
    idem_key = f"{TOP_UP}:{reference}"
    async with transaction(pool) as connection:
        await lock_account(connection, actor, of.account_id)
        if (entry := await find_entry(connection, idem_key)) is not None:
            scope = await _scope(connection, of)
            if (entry.scope, entry.account_id, entry.scope_id, entry.delta) != (
                *scope,
                wish.amount,
            ):
                raise rejected(
                    Problem.REFERENCE_REUSED, "reference", Rule.REFERENCE_REUSED, given=reference
                )
            book = await _book(connection, scope, _READ[scope[0]])
            return Granted(entry, book, repeated=True)
        try:
            return await write_grant_of(
                connection, actor, of, wish, TOP_UP, note=note, idem_key=idem_key
            )
        except asyncpg.UniqueViolationError:
            raise _Taken from None


async def history(
    pool: Pool, actor: Actor, of: Of, *, before: int = MAX_ID, limit: int
) -> list[Entry]:
    """The entries of a scope, newest first, from below the id `before`. Raises `Rejected` (not found)."""
    await get_account(pool, actor, of.account_id)
    async with reading(pool) as connection:
        scope = await _scope(connection, of)
    return await list_entries(pool, scope, before=before, limit=limit)


async def _scope(connection: Connection, of: Of) -> Scope:
    if of.user_id is not None:
        return "m", of.account_id, of.user_id
    if of.token_id is not None:
        return "t", of.account_id, of.token_id
    if of.group is not None:
        return "g", of.account_id, await find_group_id(connection, of.account_id, of.group)
    return "a", of.account_id, of.account_id


async def _book(connection: Connection, scope: Scope, statement: str, *values: int) -> Book:
    kind, account_id, scope_id = scope
    row = await connection.fetchrow(statement, account_id, scope_id, *values)
    if row is None:
        ids = {"given": scope_id, "account": account_id}
        raise rejected(Problem.NOT_FOUND, "user_id", Rule.NO_MEMBER, **ids)
    book_id = f"{kind}{scope_id}" if kind in "at" else f"{kind}{account_id}.{scope_id}"
    return Book(book_id, row["granted"], row["gver"], row["used"], row["version"])
