"""Users and the access tokens with which their automation calls the admin API.

Access tokens are opaque: `tht_` + 256 random bits and a checksum, formed as keys are; only a digest
is stored.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from gateway.domain import key as keys
from gateway.domain.edit import UNCHANGED, Actor, Unchanged
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Problem, Rejected, invalid, rejected
from gateway.domain.rules import Rule
from gateway.store import audit
from gateway.store.grants import Scope, write_grant
from gateway.store.postgres import Connection, Pool, reading, transaction

ACCESS_TOKEN_PREFIX: Final = "tht_"  # noqa: S105 -- a prefix, not a secret

USER_COLUMNS: Final = """
       u.id, u.username, u.display_name, u.email, u.role, u.account_id, u.status = 1 AS enabled,
       u.password_once, u.mail_warnings, u.email_verified_at IS NOT NULL AS email_verified, g.name AS "group"
"""
# One that another pepper's digest was found for is stored anew.
_NOTE_ACCESS: Final = """
UPDATE access_token SET last_used_at = now(), digest = $2, pepper_version = $3 WHERE id = $1
"""
_CHANGE_OWN: Final = """
UPDATE "user" SET display_name = $2, email = $3, mail_warnings = $4, version = version + 1,
       email_verified_at = CASE WHEN email IS NOT DISTINCT FROM $3 THEN email_verified_at END
 WHERE id = $1
"""


@dataclass(frozen=True, slots=True)
class User:
    """A user as the admin API knows them. `password_once`: the password was made by an operator."""

    id: int
    username: str
    display_name: str
    email: str | None
    role: str
    account_id: int
    enabled: bool
    password_once: bool
    mail_warnings: bool
    email_verified: bool
    group: str


@dataclass(frozen=True, slots=True)
class OwnChange:
    """What becomes of what a user says of themselves."""

    display_name: str | Unchanged = UNCHANGED
    email: str | Unchanged | None = UNCHANGED
    mail_warnings: bool | Unchanged = UNCHANGED


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """What an access token opens.

    Empty `scopes`: all that the role may do; empty `allow_ips`: from anywhere.
    """

    user: User
    scopes: frozenset[str]
    allow_ips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wallet:
    """The money of an account, nano-dollars; `granted` None = uncapped."""

    granted: int | None
    used: int


def user_of(row: asyncpg.Record) -> User:
    """A user from a row that selects `USER_COLUMNS`."""
    return User(**{name: row[name] for name in User.__slots__})


def is_access_token(text: str) -> bool:
    """Whether the text can be an access token that we made: shape and checksum."""
    return text.startswith(ACCESS_TOKEN_PREFIX) and keys.is_sound(
        "sk-" + text.removeprefix(ACCESS_TOKEN_PREFIX)
    )


async def find_user(pool: Pool, username: str) -> tuple[User, str | None] | None:
    """A user by name, whatever its case, with the password's hash; None where there is none."""
    async with reading(pool) as connection:
        row = await connection.fetchrow(
            f"""
            SELECT {USER_COLUMNS}, u.password_hash FROM "user" u JOIN "group" g ON g.id = u.group_id
             WHERE lower(u.username) = lower($1) AND u.deleted_at IS NULL
            """,  # noqa: S608 -- a constant
            username,
        )
    return None if row is None else (user_of(row), row["password_hash"])


async def find_access(pool: Pool, token: str, pepper: Pepper) -> AccessGrant | None:
    """What an access token opens, if anything. Notes the use, at most once a minute."""
    if not is_access_token(token):
        return None
    digests = keys.digests(token, pepper)
    async with reading(pool) as connection:
        row = await connection.fetchrow(
            f"""
            SELECT {USER_COLUMNS}, k.id AS access_token_id, k.scopes, k.allow_ips,
                   coalesce(k.last_used_at < now() - interval '1 minute', true) OR k.pepper_version <> $2 AS note_use
              FROM access_token k
              JOIN "user" u ON u.id = k.user_id JOIN "group" g ON g.id = u.group_id
             WHERE k.digest = ANY ($1) AND u.deleted_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
            """,  # noqa: S608 -- a constant
            digests,
            pepper.version,
        )
        if row is None:
            return None
        if row["note_use"]:
            await connection.execute(
                _NOTE_ACCESS, row["access_token_id"], digests[0], pepper.version
            )
    return AccessGrant(user_of(row), frozenset(row["scopes"]), tuple(row["allow_ips"]))


async def find_wallet(pool: Pool, account_id: int) -> Wallet:
    """The money of an account that exists."""
    async with reading(pool) as connection:
        row = await connection.fetchrow(
            "SELECT granted, used FROM account WHERE id = $1", account_id
        )
    assert row is not None, "users reference their account"
    return Wallet(row["granted"], row["used"])


async def write_user(
    connection: Connection,
    actor: Actor,
    username: str,
    *,
    display_name: str = "",
    email: str | None = None,
    role: str = "user",
    group: str = "default",
    password_hash: str | None = None,
    password_once: bool = False,
    account_id: int | None = None,
    member_role: str = "owner",
    granted: int | None = 0,
    grant_note: str = "",
) -> int:
    """Make a user, within the caller's transaction, and answer the id.

    Without `account_id` the user gets an account of their own with `granted` nano-dollars (None =
    uncapped); with it they become its member as `member_role` says. Raises `Rejected` (name or e-mail taken, no such
    group).
    """
    group_id = await group_id_of(connection, group)
    if account_id is None:
        account_id = await _write_account(connection, actor, username, granted, grant_note)
    try:
        user_id: int = await connection.fetchval(
            """
            INSERT INTO "user" (username, display_name, email, role, password_hash, password_once,
                                account_id, group_id)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id
            """,
            username,
            display_name,
            email,
            role,
            password_hash,
            password_once,
            account_id,
            group_id,
        )
    except asyncpg.UniqueViolationError as error:
        raise taken(error, username, email) from None
    await connection.execute(
        "INSERT INTO member (account_id, user_id, role) VALUES ($1, $2, $3)",
        account_id,
        user_id,
        member_role,
    )
    after = {
        "username": username,
        "email": email,
        "role": role,
        "group": group,
        "account_id": account_id,
    }
    await audit.record(connection, actor, "user.create", user_id, after=after)
    return user_id


async def group_id_of(connection: Connection, name: str) -> int:
    """The id of a group. Raises `Rejected` where there is none of that name."""
    group_id: int | None = await connection.fetchval('SELECT id FROM "group" WHERE name = $1', name)
    if group_id is None:
        raise invalid("group", Rule.NO_GROUP, given=name)
    return group_id


def taken(error: asyncpg.UniqueViolationError, username: str, email: str | None) -> Rejected:
    """Which of the two that are unique another user has."""
    if error.constraint_name == "user_email":
        return rejected(Problem.EMAIL_TAKEN, "email", Rule.EMAIL_TAKEN, given=email or "")
    return rejected(Problem.NAME_TAKEN, "username", Rule.NAME_TAKEN, given=username)


async def write_access_token(
    connection: Connection,
    actor: Actor,
    user_id: int,
    name: str,
    pepper: Pepper,
    *,
    expires_at: datetime | None = None,
    scopes: tuple[str, ...] = (),
    allow_ips: tuple[str, ...] = (),
) -> str:
    """Make an access token, within the caller's transaction. It is known only now."""
    token = ACCESS_TOKEN_PREFIX + keys.create_key().removeprefix("sk-")
    access_token_id = await connection.fetchval(
        """
        INSERT INTO access_token (user_id, digest, pepper_version, name, scopes, allow_ips, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
        """,
        user_id,
        keys.digest(token, pepper),
        pepper.version,
        name,
        scopes,
        allow_ips,
        expires_at,
    )
    after = {"user_id": user_id, "name": name, "scopes": scopes, "expires_at": expires_at}
    await audit.record(connection, actor, "access_token.create", access_token_id, after=after)
    return token


async def set_password(
    pool: Pool, actor: Actor, user_id: int, password_hash: str, *, once: bool
) -> None:
    """Give a user a password and end their sessions. `once`: it must be changed after its use."""
    async with transaction(pool) as connection:
        await write_password(connection, actor, user_id, password_hash, once=once)


async def write_password(
    connection: Connection, actor: Actor, user_id: int, password_hash: str, *, once: bool
) -> None:
    """As `set_password`, within the caller's transaction."""
    await connection.execute(
        """
        UPDATE "user" SET password_hash = $2, password_once = $3, version = version + 1
         WHERE id = $1
        """,
        user_id,
        password_hash,
        once,
    )
    await connection.execute("DELETE FROM session WHERE user_id = $1", user_id)
    await audit.record(connection, actor, "user.password", user_id, after={"once": once})


async def change_own(connection: Connection, actor: Actor, user: User, change: OwnChange) -> None:
    """Change what a user says of themselves, within the caller's transaction. Another address is not verified.

    Raises `Rejected` (the address is somebody else's).
    """
    before = {name: getattr(user, name) for name in OwnChange.__slots__}
    given = {name: getattr(change, name) for name in OwnChange.__slots__}
    after = before | {name: each for name, each in given.items() if each is not UNCHANGED}
    if after == before:
        return
    try:
        await connection.execute(_CHANGE_OWN, user.id, *after.values())
    except asyncpg.UniqueViolationError as error:
        raise taken(error, user.username, after["email"]) from None
    changed = [name for name in after if after[name] != before[name]]
    await audit.record(
        connection,
        actor,
        "user.update",
        user.id,
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
    )


async def _write_account(
    connection: Connection, actor: Actor, name: str, granted: int | None, note: str
) -> int:
    account_id: int = await connection.fetchval(
        "INSERT INTO account (name, granted) VALUES ($1, $2) RETURNING id", name, granted
    )
    if granted is not None:
        scope: Scope = ("a", account_id, account_id)
        await write_grant(connection, actor, scope, granted, "create", note=note)
    return account_id
