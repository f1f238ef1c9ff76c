"""What is watched, as Postgres has it; what was told of it; and whom it concerns.

A look is one transaction under an advisory lock: whoever has it reads, remembers and writes to the outbox, or does
nothing of it. So each crossing is told once, however many admin processes there are.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from gateway.domain.marks import Remembered
from gateway.store.postgres import Connection

_LOCK: Final = 0x746F6C77

# Posting writes `used` and `accessed_at` at once: what has not been accessed has not come past anything. The index
# is of `accessed_step` (schema.sql).
_ACTIVE: Final = """
WITH active AS MATERIALIZED (
  SELECT t.id, t.account_id, t.user_id, coalesce(t.group_id, u.group_id) AS group_id, t.granted, t.used
    FROM token t JOIN "user" u ON u.id = t.user_id
   WHERE t.deleted_at IS NULL AND t.standing IN (1, 2, 4) AND t.accessed_at >= $1
     AND t.accessed_step >= (extract(epoch FROM $1 AT TIME ZONE 'UTC') / 600)::integer - 1
)
"""
_BOOKS: Final = f"""{_ACTIVE}
SELECT 't' || id AS subject, used, granted FROM active WHERE granted IS NOT NULL
UNION ALL
SELECT DISTINCT 'm' || m.account_id || '.' || m.user_id, m.used, m.granted
  FROM active JOIN member m USING (account_id, user_id) WHERE m.granted IS NOT NULL
UNION ALL
SELECT DISTINCT 'g' || s.account_id || '.' || s.group_id, s.used, s.granted
  FROM active JOIN subscription s USING (account_id, group_id) WHERE s.granted IS NOT NULL
UNION ALL
SELECT DISTINCT 'a' || a.id, a.used, a.granted
  FROM active JOIN account a ON a.id = active.account_id WHERE a.granted IS NOT NULL
"""  # noqa: S608 -- constants
_ACTIVE_IDS: Final = f"{_ACTIVE} SELECT id FROM active"  # noqa: S608 -- a constant
_EXPIRING: Final = """
SELECT 't' || id AS subject, extract(epoch FROM expires_at)::bigint AS expires_at FROM token
 WHERE deleted_at IS NULL AND standing IN (1, 4)
   AND coalesce(expires_at, 'infinity') > $1 AND coalesce(expires_at, 'infinity') <= $2
"""
_REMEMBERED: Final = """
SELECT subject, rule, value, extract(epoch FROM seen_at)::bigint AS seen_at,
       told_level, extract(epoch FROM told_at)::bigint AS told_at
  FROM warned WHERE subject = ANY ($1)
"""
_REMEMBER: Final = """
INSERT INTO warned (subject, rule, value, seen_at, told_level, told_at)
SELECT s, r, v, to_timestamp(n), l, to_timestamp(t)
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::int[], $6::bigint[]) AS w (s, r, v, n, l, t)
ON CONFLICT (subject, rule) DO UPDATE
   SET value = excluded.value, seen_at = excluded.seen_at, told_level = excluded.told_level, told_at = excluded.told_at
"""
_FORGET: Final = """
DELETE FROM warned w USING unnest($1::text[], $2::text[]) AS f (s, r) WHERE w.subject = f.s AND w.rule = f.r
"""
_FIND: Final = "SELECT id, name, account_id, user_id FROM token WHERE id = $1"
_CONCERNED: Final = """
SELECT u.id, CASE WHEN u.mail_warnings THEN u.email END AS email,
       coalesce(array_agg(w.id) FILTER (WHERE w.id IS NOT NULL), '{}') AS webhooks
  FROM "user" u LEFT JOIN webhook w ON w.user_id = u.id
 WHERE u.deleted_at IS NULL AND u.status = 1
   AND (u.id = $1 OR u.id IN (SELECT user_id FROM member WHERE account_id = $2 AND role IN ('owner', 'admin')
                                       AND removed_at IS NULL))
 GROUP BY u.id ORDER BY u.id
"""


class Book(NamedTuple):
    """A scope's money, nano-dollars."""

    subject: str
    used: int
    granted: int


class Concerned(NamedTuple):
    """Somebody whom an event concerns; no e-mail where they have none, or want none."""

    user_id: int
    email: str | None
    webhook_ids: Sequence[int]


async def take_turn(connection: Connection) -> bool:
    """Whether this transaction is the one that looks."""
    return await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK) is True


async def read_books(connection: Connection, since: datetime) -> list[Book]:
    """The capped scopes of all tokens that were used since then."""
    return [Book(*row) for row in await connection.fetch(_BOOKS, since)]


async def read_active(connection: Connection, since: datetime) -> list[int]:
    """The tokens that were used since then and may be under limits."""
    return [row["id"] for row in await connection.fetch(_ACTIVE_IDS, since)]


async def read_expiring(
    connection: Connection, now: datetime, until: datetime
) -> list[tuple[str, int]]:
    """Tokens that expire until then: subject, and when (Unix seconds)."""
    rows = await connection.fetch(_EXPIRING, now, until)
    return [(row["subject"], row["expires_at"]) for row in rows]


async def read_remembered(
    connection: Connection, subjects: Sequence[str]
) -> dict[tuple[str, str], Remembered]:
    """What is remembered of those subjects, by subject and rule."""
    return {
        (row["subject"], row["rule"]): Remembered(
            row["value"], row["seen_at"], row["told_level"], row["told_at"]
        )
        for row in await connection.fetch(_REMEMBERED, subjects)
    }


async def write_remembered(
    connection: Connection, kept: Mapping[tuple[str, str], Remembered | None]
) -> None:
    """Keep those, forget where there is none."""
    gone = [name for name, each in kept.items() if each is None]
    if gone:
        await connection.execute(_FORGET, [s for s, _ in gone], [r for _, r in gone])
    there = [(*name, *_fields(each)) for name, each in kept.items() if each is not None]
    if there:
        await connection.execute(_REMEMBER, *map(list, zip(*there, strict=True)))


async def find_token(connection: Connection, token_id: int) -> asyncpg.Record | None:
    """Id, name, account and maker of a token, deleted or not."""
    return await connection.fetchrow(_FIND, token_id)


async def find_concerned(
    connection: Connection, *, user_id: int | None, account_id: int | None
) -> list[Concerned]:
    """The user, and those who run the account, as far as they are given; nobody who is disabled."""
    return [Concerned(*row) for row in await connection.fetch(_CONCERNED, user_id, account_id)]


def _fields(each: Remembered) -> tuple[int, int, int, int]:
    return each.value, each.seen_at, each.told_level, each.told_at
