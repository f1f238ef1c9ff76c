"""Invites: with which people register, each so often as it says.

What is handed out is random and shown once; only a digest is kept.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from gateway.domain import key as keys
from gateway.domain.edit import Actor
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Problem, invalid, rejected
from gateway.domain.roles import ROLES, Permission, may_manage
from gateway.domain.rules import Rule
from gateway.store import audit
from gateway.store.people import group_id_of
from gateway.store.postgres import Connection, Pool, reading, transaction

_COLUMNS = """
       i.id, i.made_by, (SELECT username FROM "user" u WHERE u.id = i.made_by) AS maker,
       i.role, g.name AS "group", i.account_id, i.granted, i.email, i.uses, i.used,
       i.expires_at, i.revoked_at, i.created_at
"""
# What is used at the same time takes turns on the row, and each looks at `used` anew.
_USE = """
UPDATE invite i SET used = i.used + 1 FROM "user" m
 WHERE i.digest = ANY ($1) AND i.used < i.uses AND i.revoked_at IS NULL AND i.expires_at > now()
   AND m.id = i.made_by AND m.status = 1 AND m.deleted_at IS NULL
RETURNING i.id, i.role, (SELECT name FROM "group" WHERE id = i.group_id) AS "group", i.account_id, i.granted,
          m.role AS maker_role
"""
_MAX_CHARACTERS = 128
_AUDITED = ("role", "group", "account_id", "granted", "email", "uses")


@dataclass(frozen=True, slots=True)
class InviteDraft:
    """An invite to be made. `account_id` None: each gets a wallet of their own.

    `granted` are the nano-dollars on it; None: as many as the operator gives to whoever registers.
    """

    role: str
    group: str
    account_id: int | None
    granted: int | None
    email: str | None
    uses: int
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class Invite:
    """An invite as it is stored."""

    id: int
    made_by: int
    maker: str
    role: str
    group: str
    account_id: int | None
    granted: int | None
    email: str | None
    uses: int
    used: int
    expires_at: datetime
    revoked_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Admission:
    """What an invite makes of whoever uses it; `invite_id` None: nothing, they came without one."""

    invite_id: int | None
    role: str
    group: str
    account_id: int | None
    granted: int | None


async def write_invite(
    connection: Connection, actor: Actor, user_id: int, draft: InviteDraft, pepper: Pepper
) -> tuple[Invite, str]:
    """Make one, within the caller's transaction; with its secret, which is known only now.

    Raises `Rejected` for a group or an account that there is not.
    """
    secret = secrets.token_urlsafe(32)
    group_id = await group_id_of(connection, draft.group)
    try:
        invite_id = await connection.fetchval(
            """
            INSERT INTO invite (digest, pepper_version, made_by, role, group_id, account_id, granted, email, uses,
                                expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + $10) RETURNING id
            """,
            keys.digest(secret, pepper),
            pepper.version,
            user_id,
            draft.role,
            group_id,
            draft.account_id,
            draft.granted,
            draft.email,
            draft.uses,
            draft.lifetime,
        )
    except asyncpg.ForeignKeyViolationError:
        assert draft.account_id is not None, "the other references were looked up"
        raise invalid("account_id", Rule.NO_ACCOUNT, given=draft.account_id) from None
    row = await connection.fetchrow(
        f"""SELECT {_COLUMNS} FROM invite i JOIN "group" g ON g.id = i.group_id WHERE i.id = $1""",  # noqa: S608 -- a constant
        invite_id,
    )
    assert row is not None
    made = Invite(**row)
    after = {name: getattr(made, name) for name in _AUDITED}
    await audit.record(connection, actor, "invite.create", made.id, after=after)
    return made, secret


async def list_invites(
    pool: Pool, role: str, keyword: str, limit: int, offset: int
) -> tuple[Sequence[Invite], int]:
    """Those that somebody of `role` could have made, the newest first, and how many there are."""
    async with reading(pool) as connection:
        rows = await connection.fetch(
            f"""
            SELECT {_COLUMNS}, count(*) OVER () AS total
              FROM invite i JOIN "group" g ON g.id = i.group_id
             WHERE i.role = ANY($1) AND strpos(lower(coalesce(i.email, '')), lower($2)) > 0
             ORDER BY i.id DESC LIMIT $3 OFFSET $4
            """,  # noqa: S608 -- a constant
            _within_reach(role),
            keyword,
            limit,
            offset,
        )
        total = rows[0]["total"] if rows else await _count(connection, role, keyword)
    return [Invite(**{name: row[name] for name in Invite.__slots__}) for row in rows], total


async def revoke_invite(pool: Pool, actor: Actor, role: str, invite_id: int) -> None:
    """End one for good. Raises `Rejected` where there is none within reach that is not revoked."""
    async with transaction(pool) as connection:
        revoked = await connection.fetchval(
            """
            UPDATE invite SET revoked_at = now()
             WHERE id = $1 AND role = ANY($2) AND revoked_at IS NULL RETURNING id
            """,
            invite_id,
            _within_reach(role),
        )
        if revoked is None:
            raise rejected(Problem.NOT_FOUND, "id", Rule.NO_INVITE, given=invite_id)
        await audit.record(connection, actor, "invite.revoke", invite_id)


async def use_invite(connection: Connection, secret: str, pepper: Pepper) -> Admission | None:
    """Use one once, within the transaction of what it is used for; None where it does not work (any more).

    It ends with its maker's right to make it.
    """
    if not (secret.isascii() and 0 < len(secret) <= _MAX_CHARACTERS):
        return None
    row = await connection.fetchrow(_USE, keys.digests(secret, pepper))
    if row is None or not may_manage(row["maker_role"], row["role"]):
        return None
    if row["granted"] and Permission.ACCOUNT_WRITE_ANY not in ROLES[row["maker_role"]]:
        return None
    return Admission(row["id"], row["role"], row["group"], row["account_id"], row["granted"])


async def _count(connection: Connection, role: str, keyword: str) -> int:
    counted: int = await connection.fetchval(
        "SELECT count(*) FROM invite WHERE role = ANY($1) AND strpos(lower(coalesce(email, '')), lower($2)) > 0",
        _within_reach(role),
        keyword,
    )
    return counted


def _within_reach(role: str) -> list[str]:
    return [each for each in ROLES if may_manage(role, each)]
