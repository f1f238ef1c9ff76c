"""Subscriptions: accounts in groups, from when to when, and what binds an account's tokens of a group together.

A row that came with a token is implied: it keeps sums and opens the group to nobody. Setting a subscription makes it a
real one. Each edit locks the account's row; the caller publishes the book.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import asyncpg

from gateway.domain.edit import UNCHANGED, Actor
from gateway.domain.rejection import Problem, Rejected, invalid, rejected
from gateway.domain.rules import Rule
from gateway.domain.wallets import SubscriptionChange, SubscriptionRow, regranted
from gateway.store import audit
from gateway.store.accounts import check_version, differences, lock_account
from gateway.store.books import Book
from gateway.store.grants import Scope, write_regrant
from gateway.store.postgres import Connection, Pool, reading, transaction
from gateway.store.scopes import ensure_subscription
from gateway.store.token_rows import limit_document, read_limit

_SELECT: Final = """
SELECT s.account_id, s.group_id, g.name AS "group", s.implied, s.starts_at, s.ends_at, s.limits, s.max_concurrency,
       s.granted, s.gver, s.used, s.version
  FROM subscription s JOIN "group" g ON g.id = s.group_id WHERE s.account_id = $1
"""
_LIST: Final = f"{_SELECT} ORDER BY g.name"
_ONE: Final = f"{_SELECT} AND g.name = $2"
_UPDATE: Final = """
UPDATE subscription SET implied = false, starts_at = $3, ends_at = $4, limits = $5, max_concurrency = $6, granted = $7,
       gver = gver + CASE WHEN granted IS DISTINCT FROM $7 THEN 1 ELSE 0 END, version = version + 1
 WHERE account_id = $1 AND group_id = $2
"""
_END: Final = """
UPDATE subscription SET ends_at = now(), version = version + 1
 WHERE account_id = $1 AND group_id = $2
"""


async def list_subscriptions(pool: Pool, account_id: int) -> Sequence[SubscriptionRow]:
    """The groups of an account, by name; those that only came with tokens, too."""
    async with reading(pool) as connection:
        return [_row(row) for row in await connection.fetch(_LIST, account_id)]


async def set_subscription(
    pool: Pool,
    actor: Actor,
    account_id: int,
    group: str,
    change: SubscriptionChange,
    *,
    if_version: int | None = None,
) -> SubscriptionRow:
    """Subscribe an account to a group, or change that.

    Raises `Rejected` (no such account or group, version mismatch, an end before the start) and `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        await lock_account(connection, actor, account_id)
        await ensure_subscription(connection, account_id, group, actor.label)
        before = await _read(connection, account_id, group)
        check_version(before.version, if_version)
        wanted = _after(before, change)
        if wanted.starts_at and wanted.ends_at and wanted.ends_at <= wanted.starts_at:
            raise invalid("ends_time", Rule.START_AFTER_END)
        if wanted == before:
            return before
        await connection.execute(
            _UPDATE,
            account_id,
            before.group_id,
            wanted.starts_at,
            wanted.ends_at,
            [limit_document(limit) for limit in wanted.limits],
            wanted.max_concurrency,
            wanted.granted,
        )
        scope: Scope = ("g", account_id, before.group_id)
        await write_regrant(connection, actor, scope, before.granted, wanted.granted)
        after = await _read(connection, account_id, group)
        object_id = f"{account_id}.{before.group_id}"
        if before.implied:
            new = asdict(after) | {"limits": [limit_document(each) for each in after.limits]}
            await audit.record(connection, actor, "subscription.create", object_id, after=new)
        else:
            changed = differences(before, after)
            await audit.record(connection, actor, "subscription.update", object_id, **changed)
        return after


async def end_subscription(
    pool: Pool, actor: Actor, account_id: int, group: str, *, if_version: int | None = None
) -> SubscriptionRow:
    """End a subscription now: the next call with a token of the group is refused, unless it is its user's own group.

    Raises `Rejected` (not found, version mismatch) and `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        await lock_account(connection, actor, account_id)
        before = await _read(connection, account_id, group)
        check_version(before.version, if_version)
        if before.implied:
            raise _no_such_subscription(account_id, group)
        await connection.execute(_END, account_id, before.group_id)
        after = await _read(connection, account_id, group)
        await audit.record(
            connection,
            actor,
            "subscription.end",
            f"{account_id}.{before.group_id}",
            **differences(before, after),
        )
        return after


async def find_group_id(connection: Connection, account_id: int, group: str) -> int:
    """The id of a group that the account has a row for. Raises `Rejected` (not found)."""
    return (await _read(connection, account_id, group)).group_id


def subscription_book(row: SubscriptionRow) -> Book:
    """A subscription's own book."""
    return Book(f"g{row.account_id}.{row.group_id}", row.granted, row.gver, row.used, row.version)


def _after(before: SubscriptionRow, change: SubscriptionChange) -> SubscriptionRow:
    names = ("starts_at", "ends_at", "limits", "max_concurrency")
    wanted: dict[str, Any] = {
        name: value for name in names if (value := getattr(change, name)) is not UNCHANGED
    }
    granted = regranted(change.regrant, before.granted, before.used)
    return replace(before, implied=False, granted=granted, **wanted)


async def _read(connection: Connection, account_id: int, group: str) -> SubscriptionRow:
    row = await connection.fetchrow(_ONE, account_id, group)
    if row is None:
        raise _no_such_subscription(account_id, group)
    return _row(row)


def _no_such_subscription(account_id: int, group: str) -> Rejected:
    rule = Rule.NO_SUBSCRIPTION
    return rejected(Problem.NOT_FOUND, "group", rule, given=group, account=account_id)


def _row(row: asyncpg.Record) -> SubscriptionRow:
    limits = tuple(read_limit(document) for document in row["limits"])
    return SubscriptionRow(**dict(row) | {"limits": limits})
