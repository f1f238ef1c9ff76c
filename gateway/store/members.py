"""Members of accounts: their roles, caps and limits, and which account a user's new tokens belong to.

Each edit locks the account's row, changes the member's, and answers it; the caller publishes its book. Who is removed
leaves a row behind, which keeps what was used; whoever is added again goes on with it.
"""

from dataclasses import asdict, replace
from typing import Any, Final

import asyncpg

from gateway.domain.edit import UNCHANGED, Actor
from gateway.domain.rejection import Problem, Rejected, mistake, rejected
from gateway.domain.roles import may_manage_member
from gateway.domain.rules import Rule
from gateway.domain.wallets import AccountRow, MemberChange, MemberRow, regranted
from gateway.store import audit
from gateway.store.accounts import (
    MAX_ID,
    Page,
    check_version,
    differences,
    lock_account,
    not_your_role,
    write_account,
)
from gateway.store.books import Book
from gateway.store.grants import Scope, write_regrant
from gateway.store.people import User
from gateway.store.postgres import Connection, Pool, reading, transaction
from gateway.store.token_rows import limit_document, read_limit

_FROM: Final = """
  FROM member m JOIN "user" u ON u.id = m.user_id
 WHERE m.account_id = $1 AND m.removed_at IS NULL AND u.deleted_at IS NULL
"""
_SELECT: Final = f"""
SELECT m.account_id, m.user_id, u.username, u.display_name, m.role, m.limits, m.max_concurrency,
       m.granted, m.gver, m.used, m.version {_FROM}
"""
_ONE: Final = f"{_SELECT} AND m.user_id = $2"
_LIST: Final = f"""
{_SELECT} AND ($2::bigint IS NULL OR m.user_id = $2)
 ORDER BY array_position(ARRAY['owner', 'admin', 'member'], m.role), m.user_id LIMIT $3 OFFSET $4
"""
_COUNT: Final = f"SELECT count(*) {_FROM} AND ($2::bigint IS NULL OR m.user_id = $2)"
_OWNERS: Final = f"SELECT count(*) {_FROM} AND m.role = 'owner'"
_ADD: Final = """
INSERT INTO member (account_id, user_id) VALUES ($1, $2)
    ON CONFLICT (account_id, user_id) DO UPDATE
   SET removed_at = NULL, role = 'member', limits = '[]', max_concurrency = NULL, version = member.version + 1
 WHERE member.removed_at IS NOT NULL
"""
_UPDATE: Final = """
UPDATE member SET role = $3, limits = $4, max_concurrency = $5, granted = $6,
       gver = gver + CASE WHEN granted IS DISTINCT FROM $6 THEN 1 ELSE 0 END, version = version + 1
 WHERE account_id = $1 AND user_id = $2
"""
_REMOVE: Final = """
UPDATE member SET removed_at = now(), version = version + 1
 WHERE account_id = $1 AND user_id = $2 RETURNING version
"""
# The account of whom was removed: one of their own before others.
_ANOTHER: Final = """
SELECT account_id FROM member WHERE user_id = $1 AND removed_at IS NULL
 ORDER BY role = 'owner' DESC, account_id LIMIT 1
"""


class UnknownUser(Rejected):
    """There is no such user; guesses are counted."""

    def __init__(self, user: int | str) -> None:
        name = "user_id" if isinstance(user, int) else "username"
        super().__init__(Problem.NOT_FOUND, mistake(name, Rule.NO_USER, given=user))


async def list_members(
    pool: Pool, account: AccountRow, caller_id: int, *, limit: int, offset: int
) -> Page:
    """The members of an account, owners first. A plain member sees themselves alone."""
    only = caller_id if account.role == "member" else None
    async with reading(pool) as connection:
        total = await connection.fetchval(_COUNT, account.id, only)
        rows = await connection.fetch(_LIST, account.id, only, limit, offset)
    return Page(total, [_row(row) for row in rows])


async def add_member(
    pool: Pool, actor: Actor, account_id: int, user: int | str, change: MemberChange
) -> MemberRow:
    """Make a user, by id or name, a member.

    Raises `Rejected` (no such account or user, a member already, not the role for it) and `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        account = await lock_account(connection, actor, account_id)
        role = "member" if change.role is UNCHANGED else change.role
        _require_manager(account, role)
        user_id = await _user_id(connection, user)
        if await connection.execute(_ADD, account_id, user_id) == "INSERT 0 0":
            raise rejected(Problem.ALREADY_MEMBER, "user_id", Rule.ALREADY_MEMBER, given=user_id)
        before = await _read(connection, account_id, user_id)
        after = await _write(connection, actor, before, replace(change, role=role))
        await audit.record(
            connection, actor, "member.add", f"{account_id}.{user_id}", after=_auditable(after)
        )
        return after


async def update_member(
    pool: Pool,
    actor: Actor,
    account_id: int,
    user_id: int,
    change: MemberChange,
    *,
    if_version: int | None = None,
) -> MemberRow:
    """Change a member. Raises `Rejected` (not found, version mismatch, not the role for it, the last owner)."""
    async with transaction(pool) as connection:
        account, before = await _lock(connection, actor, account_id, user_id)
        check_version(before.version, if_version)
        _require_manager(account, before.role)
        if change.role not in {UNCHANGED, before.role}:
            _require_manager(account, str(change.role))
            await _require_other_owner(connection, before)
        after = await _write(connection, actor, before, change)
        if after != before:
            await audit.record(
                connection,
                actor,
                "member.update",
                f"{account_id}.{user_id}",
                **differences(before, after),
            )
        return after


async def remove_member(
    pool: Pool, actor: Actor, account_id: int, user_id: int, *, if_version: int | None = None
) -> Book:
    """Remove a member: the next call with a token of theirs in this account is refused. Members may leave themselves.

    The account that their new tokens belong to becomes another of theirs; who is left without any gets an
    empty one. Raises as `update_member` does.
    """
    async with transaction(pool) as connection:
        account, before = await _lock(connection, actor, account_id, user_id)
        check_version(before.version, if_version)
        if actor.user_id != user_id:
            _require_manager(account, before.role)
        await _require_other_owner(connection, before)
        version = await connection.fetchval(_REMOVE, account_id, user_id)
        await _give_another_account(connection, actor, before)
        await audit.record(
            connection, actor, "member.remove", f"{account_id}.{user_id}", before=_auditable(before)
        )
        return replace(member_book(before), version=version)


async def set_default_account(pool: Pool, actor: Actor, user: User, account_id: int) -> None:
    """Say which account a user's new tokens belong to. Raises `Rejected` unless they are a member of it."""
    async with transaction(pool) as connection:
        # Locked, so that nobody removes them from it meanwhile.
        await lock_account(connection, actor, account_id)
        if account_id == user.account_id:
            return
        await connection.execute(
            'UPDATE "user" SET account_id = $2 WHERE id = $1', user.id, account_id
        )
        await audit.record(
            connection,
            actor,
            "user.update",
            user.id,
            before={"account_id": user.account_id},
            after={"account_id": account_id},
        )


def member_book(row: MemberRow) -> Book:
    """A member's own book."""
    return Book(f"m{row.account_id}.{row.user_id}", row.granted, row.gver, row.used, row.version)


async def _lock(
    connection: Connection, actor: Actor, account_id: int, user_id: int
) -> tuple[AccountRow, MemberRow]:
    account = await lock_account(connection, actor, account_id)
    if account.role == "member" and actor.user_id != user_id:
        raise not_your_role("user_id", Rule.FOR_MANAGERS)
    return account, await _read(connection, account_id, user_id)


async def _read(connection: Connection, account_id: int, user_id: int) -> MemberRow:
    row = None
    if 0 < user_id <= MAX_ID:
        row = await connection.fetchrow(_ONE, account_id, user_id)
    if row is None:
        ids = {"given": user_id, "account": account_id}
        raise rejected(Problem.NOT_FOUND, "user_id", Rule.NO_MEMBER, **ids)
    return _row(row)


async def _write(
    connection: Connection, actor: Actor, before: MemberRow, change: MemberChange
) -> MemberRow:
    limits = before.limits if change.limits is UNCHANGED else change.limits
    at_once = (
        before.max_concurrency if change.max_concurrency is UNCHANGED else change.max_concurrency
    )
    role = before.role if change.role is UNCHANGED else change.role
    granted = regranted(change.regrant, before.granted, before.used)
    wanted = replace(before, role=role, limits=limits, max_concurrency=at_once, granted=granted)
    if wanted == before:
        return before
    account_id, user_id = before.account_id, before.user_id
    documents = [limit_document(limit) for limit in limits]
    await connection.execute(_UPDATE, account_id, user_id, role, documents, at_once, granted)
    scope: Scope = ("m", account_id, user_id)
    await write_regrant(connection, actor, scope, before.granted, granted)
    return await _read(connection, account_id, user_id)


async def _user_id(connection: Connection, user: int | str) -> int:
    by = "u.id = $1" if isinstance(user, int) else "lower(u.username) = lower($1)"
    found = await connection.fetchval(
        f'SELECT u.id FROM "user" u WHERE {by} AND u.deleted_at IS NULL',  # noqa: S608 -- constants
        user,
    )
    if found is None:
        raise UnknownUser(user)
    return int(found)


async def _require_other_owner(connection: Connection, member: MemberRow) -> None:
    """Refuse what would leave the account without an owner."""
    if member.role == "owner" and await connection.fetchval(_OWNERS, member.account_id) < 2:  # noqa: PLR2004
        raise rejected(Problem.LAST_OWNER, "role", Rule.LAST_ACCOUNT_OWNER)


async def _give_another_account(connection: Connection, actor: Actor, member: MemberRow) -> None:
    """So that nobody's new tokens belong to an account that they are no member of."""
    name = await connection.fetchval(
        'SELECT username FROM "user" WHERE id = $1 AND account_id = $2 FOR NO KEY UPDATE',
        member.user_id,
        member.account_id,
    )
    if name is None:
        return
    account_id = await connection.fetchval(_ANOTHER, member.user_id)
    if account_id is None:
        account_id = (await write_account(connection, actor, name, 0, member.user_id)).id
    await connection.execute(
        'UPDATE "user" SET account_id = $2 WHERE id = $1', member.user_id, account_id
    )


def _require_manager(account: AccountRow, role: str) -> None:
    if not may_manage_member(account.role, role):
        raise not_your_role("role", Rule.ROLE_TOO_LOW, role=str(account.role), other=role)


def _row(row: asyncpg.Record) -> MemberRow:
    limits = tuple(read_limit(document) for document in row["limits"])
    return MemberRow(**dict(row) | {"limits": limits})


def _auditable(row: MemberRow) -> dict[str, Any]:
    return asdict(row) | {"limits": [limit_document(limit) for limit in row.limits]}
