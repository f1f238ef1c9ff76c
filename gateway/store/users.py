"""Users as administrators manage them: validate → write → audit, in one transaction. The caller publishes the books.

Who acts and who is meant are locked first, in the order of their ids, and the rank of who acts is read anew behind
that: of two who demote each other at once the second one finds that they may not any more.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg

from gateway.domain.edit import Actor
from gateway.domain.people import (
    UserChange,
    UserDraft,
    UserRow,
    check_role,
    last_owner,
    reaches,
)
from gateway.domain.rejection import Problem, invalid, rejected
from gateway.domain.rules import Rule
from gateway.store import audit
from gateway.store.books import Book
from gateway.store.people import group_id_of, taken, write_password, write_user
from gateway.store.postgres import Connection, Pool, transaction
from gateway.store.user_rows import no_such_user, read_user

_OWNERS_LOCK: Final = 0x746F6C6E
# NO KEY UPDATE excludes other edits, not foreign keys of new rows.
_LOCK_USERS: Final = 'SELECT id FROM "user" WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE'
_ROLE: Final = 'SELECT role FROM "user" WHERE id = $1 AND status = 1 AND deleted_at IS NULL'
_OTHER_OWNER: Final = """
SELECT EXISTS (SELECT FROM "user" WHERE role = 'owner' AND status = 1 AND deleted_at IS NULL AND id <> $1)
"""
_UPDATE: Final = """
UPDATE "user" SET display_name = $2, email = $3, group_id = $4, role = $5, status = $6, version = version + 1,
       email_verified_at = CASE WHEN lower(email) = lower($3) THEN email_verified_at END
 WHERE id = $1
"""
_DELETE: Final = """
UPDATE "user" SET deleted_at = now(), status = 2, password_hash = NULL, version = version + 1 WHERE id = $1
"""
# As ledger posting does, so that the two do not wait for each other in a circle.
_LOCK_ACCOUNTS: Final = """
SELECT a.id FROM account a
 WHERE a.id IN (SELECT account_id FROM member WHERE user_id = $1 UNION
                SELECT account_id FROM token WHERE user_id = $1 AND deleted_at IS NULL)
 ORDER BY a.id FOR NO KEY UPDATE OF a
"""
_RAISE_MEMBERS: Final = """
UPDATE member SET version = version + 1 WHERE user_id = $1
RETURNING account_id, 'm' || account_id || '.' || user_id, granted, gver, used, version
"""
_REVOKE_TOKENS: Final = """
WITH gone AS (UPDATE token SET deleted_at = now(), version = version + 1
               WHERE user_id = $1 AND deleted_at IS NULL RETURNING id)
SELECT count(*) FROM gone
"""


@dataclass(frozen=True, slots=True)
class EditedUser:
    """A user after a committed edit, and the books by account that the quota store must be told."""

    row: UserRow
    books: tuple[tuple[int, Book], ...] = ()


@contextlib.asynccontextmanager
async def about_user(pool: Pool, actor: Actor, user_id: int) -> AsyncIterator[Connection]:
    """A transaction about oneself, or about a user whom the actor may manage.

    Raises `Rejected` (not found) and `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        if actor.user_id != user_id:
            await lock_user(connection, actor, user_id)
        yield connection


async def lock_user(
    connection: Connection, actor: Actor, user_id: int, if_version: int | None = None
) -> UserRow:
    """A user whom the actor may manage, and whom nobody else edits until the transaction ends.

    Raises `Rejected` (not found, version mismatch).
    """
    await read_user(connection, user_id)  # no number that no row has
    await connection.execute(_LOCK_USERS, [user_id, actor.user_id or user_id])
    row = await read_user(connection, user_id)
    if not reaches(await _role_of(connection, actor), row.role):
        raise no_such_user(user_id, managed=True)
    if if_version is not None and if_version != row.version:
        versions = {"version": row.version, "given": if_version}
        raise rejected(Problem.VERSION_MISMATCH, "version", Rule.VERSION_CHANGED, **versions)
    return row


async def create_user(
    connection: Connection, actor: Actor, draft: UserDraft, password_hash: str, *, once: bool
) -> UserRow:
    """Make a user, within the caller's transaction. `once`: the password must be changed after its use.

    Raises `Rejected` (role not allowed, name or e-mail taken, invalid field).
    """
    check_role(await _role_of(connection, actor), draft.role)
    if draft.account_id is not None:
        await _check_account(connection, draft.account_id)
    user_id = await write_user(
        connection,
        actor,
        draft.username,
        display_name=draft.display_name,
        email=draft.email,
        role=draft.role,
        group=draft.group,
        password_hash=password_hash,
        password_once=once,
        account_id=draft.account_id,
        member_role="owner" if draft.account_id is None else "member",
        granted=draft.granted,
    )
    return await read_user(connection, user_id)


async def update_user(
    pool: Pool,
    actor: Actor,
    user_id: int,
    decide: Callable[[UserRow], UserChange],
    *,
    if_version: int | None = None,
    then: Callable[[Connection, UserRow, UserRow], Awaitable[None]] | None = None,
) -> EditedUser:
    """Change a user: `decide` sees the row and says what it becomes. What changes nothing writes nothing.

    `then` writes what follows from a change, in its transaction; it is given the row before and after.

    Raises `Rejected` (not found, version mismatch, role not allowed, last owner, e-mail taken, invalid field) and
    `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        before = await lock_user(connection, actor, user_id, if_version)
        values = before.after(decide(before))
        if all(values[name] == getattr(before, name) for name in values):
            return EditedUser(before)
        if values["role"] != before.role:
            check_role(await _role_of(connection, actor), values["role"])
        group_id = await group_id_of(connection, values["group"])
        try:
            await connection.execute(
                _UPDATE,
                user_id,
                values["display_name"],
                values["email"],
                group_id,
                values["role"],
                values["status"],
            )
        except asyncpg.UniqueViolationError as error:
            raise taken(error, before.username, values["email"]) from None
        after = await read_user(connection, user_id)
        await _check_owners(connection, before, after)
        await audit.record(
            connection,
            actor,
            "user.update",
            user_id,
            **audit.differences(_auditable(before), _auditable(after)),
        )
        if then is not None:
            await then(connection, before, after)
        bound = (before.status, before.group) != (after.status, after.group)
        return EditedUser(after, await _raise_members(connection, user_id) if bound else ())


async def delete_user(
    pool: Pool, actor: Actor, user_id: int, *, if_version: int | None = None
) -> EditedUser:
    """Delete a user: sessions, access tokens and tokens end. The row stays for the ledger; nothing finds it any more.

    Raises `Rejected` (not found, version mismatch, last owner) and `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        before = await lock_user(connection, actor, user_id, if_version)
        await connection.execute(_DELETE, user_id)
        await _check_owners(connection, before, None)
        await connection.execute("DELETE FROM session WHERE user_id = $1", user_id)
        await connection.execute("DELETE FROM access_token WHERE user_id = $1", user_id)
        books = await _raise_members(connection, user_id)
        revoked = await connection.fetchval(_REVOKE_TOKENS, user_id)
        await audit.record(
            connection,
            actor,
            "user.delete",
            user_id,
            before=_auditable(before),
            after={"revoked_tokens": revoked},
        )
        return EditedUser(before, books)


async def renew_password(pool: Pool, actor: Actor, user_id: int, password_hash: str) -> UserRow:
    """Give a user a one-time password and end their sessions. Raises `Rejected` (not found) and `StoreUnavailable`."""
    async with transaction(pool) as connection:
        row = await lock_user(connection, actor, user_id)
        await write_password(connection, actor, user_id, password_hash, once=True)
        return row


async def _role_of(connection: Connection, actor: Actor) -> str | None:
    """The role of who acts as it is now; None where they are gone. What is nobody's is the operator's own."""
    if actor.user_id is None:
        return "owner"
    role: str | None = await connection.fetchval(_ROLE, actor.user_id)
    return role


async def _check_account(connection: Connection, account_id: int) -> None:
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM account WHERE id = $1)", account_id
    ):
        raise invalid("account_id", Rule.NO_ACCOUNT, given=account_id)


async def _check_owners(connection: Connection, before: UserRow, after: UserRow | None) -> None:
    """Refuse to leave nobody who rules; those who end one take turns."""
    if not before.rules or (after is not None and after.rules):
        return
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _OWNERS_LOCK)
    if not await connection.fetchval(_OTHER_OWNER, before.id):
        raise last_owner()


async def _raise_members(connection: Connection, user_id: int) -> tuple[tuple[int, Book], ...]:
    """The user's book in each of their wallets, with a version that the next call of their tokens meets."""
    await connection.execute(_LOCK_ACCOUNTS, user_id)
    rows = await connection.fetch(_RAISE_MEMBERS, user_id)
    return tuple((account_id, Book(*book)) for account_id, *book in rows)


def _auditable(row: UserRow) -> dict[str, Any]:
    document = asdict(row)
    return {name: document[name] for name in document if name not in {"granted", "used"}}
