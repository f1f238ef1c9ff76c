"""Sessions of the console: opaque 256-bit references in a cookie, stored as a digest.

A session ends after half an hour without use, after twelve hours in any case, and with every new
password.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.domain import key as keys
from gateway.domain.edit import Actor
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Problem, rejected
from gateway.domain.rules import Rule
from gateway.store import audit
from gateway.store.people import USER_COLUMNS, User, user_of
from gateway.store.postgres import Pool, reading, transaction
from gateway.store.users import about_user

_MAX_AGENT_CHARACTERS = 200
_SEEN: Final = (
    "UPDATE session SET seen_at = now(), digest = $2, pepper_version = $3 WHERE digest = ANY ($1)"
)
_LIVE: Final = "expires_at > now() AND seen_at > now() - interval '30 minutes'"

_END_OTHERS: Final = f"""
DELETE FROM session WHERE user_id = $1 AND NOT coalesce(digest = ANY ($2), false) RETURNING {_LIVE} AS live
"""  # noqa: S608 -- a constant


@dataclass(frozen=True, slots=True)
class Session:
    """A session that goes on. `current`: the one that asks."""

    id: int
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str
    current: bool


async def open_session(
    pool: Pool, actor: Actor, user: User, pepper: Pepper, *, user_agent: str = ""
) -> str:
    """Begin a session and answer the cookie's value. The user's ended sessions are removed."""
    value = secrets.token_urlsafe(32)
    async with transaction(pool) as connection:
        await connection.execute(
            """
            DELETE FROM session WHERE user_id = $1
               AND (expires_at <= now() OR seen_at <= now() - interval '30 minutes')
            """,
            user.id,
        )
        await connection.execute(
            """
            INSERT INTO session (digest, pepper_version, user_id, expires_at, address, user_agent)
            VALUES ($1, $2, $3, now() + interval '12 hours', $4, $5)
            """,
            keys.digest(value, pepper),
            pepper.version,
            user.id,
            actor.address,
            user_agent[:_MAX_AGENT_CHARACTERS],
        )
        await audit.record(connection, actor, "user.login", user.id)
    return value


async def find_session(pool: Pool, value: str, pepper: Pepper) -> User | None:
    """Whose session this is; None where it has ended. Notes the use, at most once a minute."""
    digests = keys.digests(value, pepper)
    async with reading(pool) as connection:
        row = await connection.fetchrow(
            f"""
            SELECT {USER_COLUMNS}, s.seen_at < now() - interval '1 minute' AS note_use
              FROM session s JOIN "user" u ON u.id = s.user_id JOIN "group" g ON g.id = u.group_id
             WHERE s.digest = ANY ($1) AND u.deleted_at IS NULL AND s.expires_at > now()
               AND s.seen_at > now() - interval '30 minutes'
            """,  # noqa: S608 -- a constant
            digests,
        )
        if row is None:
            return None
        if row["note_use"]:
            await connection.execute(_SEEN, digests, digests[0], pepper.version)
    return user_of(row)


async def close_session(pool: Pool, actor: Actor, user: User, value: str, pepper: Pepper) -> None:
    """End a session; one that has ended already is none to end."""
    async with transaction(pool) as connection:
        await connection.execute(
            "DELETE FROM session WHERE digest = ANY ($1)", keys.digests(value, pepper)
        )
        await audit.record(connection, actor, "user.logout", user.id)


async def list_sessions(
    pool: Pool, actor: Actor, user_id: int, value: str | None, pepper: Pepper
) -> list[Session]:
    """A user's sessions, the newest first; `value` is the cookie that asks.

    Raises `Rejected` (not found) and `StoreUnavailable`.
    """
    async with about_user(pool, actor, user_id) as connection:
        rows = await connection.fetch(
            f"""
            SELECT id, created_at, seen_at, expires_at, host(address) AS address, user_agent,
                   coalesce(digest = ANY ($2), false) AS current
              FROM session WHERE user_id = $1 AND {_LIVE} ORDER BY id DESC LIMIT 100
            """,  # noqa: S608 -- a constant
            user_id,
            _digests(value, pepper),
        )
    return [Session(**row) for row in rows]


async def end_session(pool: Pool, actor: Actor, user_id: int, session_id: int) -> None:
    """End one of a user's sessions. Raises `Rejected` (not found) and `StoreUnavailable`."""
    async with about_user(pool, actor, user_id) as connection:
        ended = await connection.fetchval(
            "DELETE FROM session WHERE user_id = $1 AND id = $2 RETURNING id", user_id, session_id
        )
        if ended is None:
            raise rejected(Problem.NOT_FOUND, "id", Rule.NO_SESSION, given=session_id)
        await audit.record(connection, actor, "user.end_sessions", user_id, after={"ended": 1})


async def end_sessions(
    pool: Pool, actor: Actor, user_id: int, value: str | None, pepper: Pepper
) -> int:
    """End a user's sessions but the one that asks; how many there were.

    Raises `Rejected` (not found) and `StoreUnavailable`.
    """
    async with about_user(pool, actor, user_id) as connection:
        rows = await connection.fetch(
            _END_OTHERS,
            user_id,
            _digests(value, pepper),
        )
        ended: int = sum(row["live"] for row in rows)
        await audit.record(connection, actor, "user.end_sessions", user_id, after={"ended": ended})
    return ended


def _digests(value: str | None, pepper: Pepper) -> tuple[bytes, ...] | None:
    return None if value is None else keys.digests(value, pepper)
