"""A user's access tokens as they manage them: made, listed, deleted. What one opens is `gateway/store/people.py`'s."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.domain import key as keys
from gateway.domain.edit import Actor
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Problem, rejected
from gateway.domain.rules import Rule
from gateway.store import audit
from gateway.store.people import write_access_token
from gateway.store.postgres import Connection, Pool
from gateway.store.users import about_user

MOST: Final = 100
"""How many access tokens a user may have; those that have ended do not count."""

_COLUMNS: Final = (
    "id, user_id, name, scopes, allow_ips, expires_at, last_used_at, created_at FROM access_token"
)
_DROP_ENDED: Final = """
DELETE FROM access_token WHERE user_id = $1 AND expires_at <= now() - interval '30 days'
"""
# One at a time, so that they are counted right.
_LOCK_USER: Final = 'SELECT id FROM "user" WHERE id = $1 FOR NO KEY UPDATE'
_COUNT: Final = """
SELECT count(*) FROM access_token WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > now())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokenDraft:
    """An access token to be made. Empty `scopes`: all that the role may do; empty `allow_ips`: from anywhere."""

    name: str
    scopes: tuple[str, ...] = ()
    allow_ips: tuple[str, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token as it is shown: the secret itself is not kept."""

    id: int
    user_id: int
    name: str
    scopes: list[str]
    allow_ips: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


async def create_access_token(
    connection: Connection, actor: Actor, user_id: int, draft: AccessTokenDraft, pepper: Pepper
) -> tuple[AccessToken, str]:
    """Make an access token, within the caller's transaction: its row, and the secret, which is known only now.

    Raises `Rejected` where the user has as many as there may be.
    """
    await connection.execute(_LOCK_USER, user_id)
    await connection.execute(_DROP_ENDED, user_id)
    if await connection.fetchval(_COUNT, user_id) >= MOST:
        raise rejected(Problem.TOO_MANY_SECRETS, None, Rule.MOST_ACCESS_TOKENS, most=MOST)
    secret = await write_access_token(
        connection,
        actor,
        user_id,
        draft.name,
        pepper,
        expires_at=draft.expires_at,
        scopes=draft.scopes,
        allow_ips=draft.allow_ips,
    )
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} WHERE digest = $1",
        keys.digest(secret, pepper),
    )
    assert row is not None, "it was made a moment ago"
    return AccessToken(**row), secret


async def list_access_tokens(pool: Pool, actor: Actor, user_id: int) -> list[AccessToken]:
    """A user's access tokens, the newest first. Raises `Rejected` (not found) and `StoreUnavailable`."""
    async with about_user(pool, actor, user_id) as connection:
        rows = await connection.fetch(
            f"SELECT {_COLUMNS} WHERE user_id = $1 ORDER BY id DESC LIMIT 1000",
            user_id,
        )
    return [AccessToken(**row) for row in rows]


async def delete_access_token(pool: Pool, actor: Actor, user_id: int, access_token_id: int) -> None:
    """End an access token for good. Raises `Rejected` (not found) and `StoreUnavailable`."""
    async with about_user(pool, actor, user_id) as connection:
        row = await connection.fetchrow(
            "DELETE FROM access_token WHERE user_id = $1 AND id = $2 RETURNING name",
            user_id,
            access_token_id,
        )
        if row is None:
            raise rejected(Problem.NOT_FOUND, "id", Rule.NO_ACCESS_TOKEN, given=access_token_id)
        before = {"user_id": user_id, "name": row["name"]}
        await audit.record(connection, actor, "access_token.delete", access_token_id, before=before)
