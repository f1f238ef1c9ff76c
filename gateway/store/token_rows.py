"""Tokens as administrators read them: one by id, and lists with filters, order and pages.

Reads only; the writes are `gateway/store/tokens.py`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from gateway.domain.edit import Actor, TokenRow
from gateway.domain.limits import Limit, Metric
from gateway.domain.rejection import Problem, Rejected
from gateway.store.postgres import Connection, Pool, reading

_COLUMNS = """
SELECT t.id, t.account_id, t.user_id, t.name, t.status, g.name AS "group", ug.name AS user_group,
       t.expires_at,
       t.models, t.models_enabled, t.allow_ips, t.deny_ips, t.limits, t.max_concurrency, t.reserve,
       t.metadata,
       t.granted, t.gver, t.used, t.version, t.created_at, t.accessed_at,
       coalesce(x.display, '') AS display, x.sealed IS NOT NULL AS recoverable
"""
_FROM = """
  FROM token t
  JOIN "user" u ON u.id = t.user_id
  JOIN "group" ug ON ug.id = u.group_id
  LEFT JOIN "group" g ON g.id = t.group_id
  LEFT JOIN LATERAL (SELECT display, sealed FROM token_secret
                      WHERE token_id = t.id AND purpose <> 'playground'
                      ORDER BY id DESC LIMIT 1) x ON true
 WHERE t.deleted_at IS NULL
"""
# The effective state as `gateway.domain.token.effective_status` has it, for the filter only.
_MATCHES = """
   AND ($2 = '' OR t.name ILIKE $2)
   AND ($3 = '' OR coalesce(g.name, ug.name) = $3)
   AND ($4 = 0 OR $4 = CASE WHEN t.status = 2 THEN 2
                            WHEN t.expires_at <= $5 THEN 3
                            WHEN t.granted <= t.used THEN 4
                            ELSE 1 END)
"""
_OF_USER, _OF_EVERYBODY = "AND t.user_id = $1", "AND $1::bigint IS NULL"
_BY_ID: Final = f"{_COLUMNS}{_FROM} AND t.id = $1 AND ($2::bigint IS NULL OR t.user_id = $2)"

SORTS: Final[Mapping[str, str]] = {
    "id": "t.id",
    "name": "lower(t.name)",
    "created_time": "t.created_at",
    "accessed_time": "coalesce(t.accessed_at, '-infinity')",
    "expired_time": "coalesce(t.expires_at, 'infinity')",
    "used_quota": "t.used",
    "remain_quota": "coalesce(t.granted - t.used, 9223372036854775807)",
}
"""What lists may be ordered by, and the expression that does it."""

_MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenQuery:
    """Which tokens, in which order. Empty texts and status 0 filter nothing.

    `user_id` None: everybody's.
    """

    user_id: int | None
    keyword: str = ""
    group: str = ""
    status: int = 0
    sort: str = "id"
    descending: bool = True
    limit: int = 10
    offset: int = 0


async def list_tokens(pool: Pool, query: TokenQuery, now: datetime) -> tuple[int, list[TokenRow]]:
    """How many tokens match, and those of the page. `query.sort` is one of `SORTS`."""
    matching = (query.user_id, _containing(query.keyword), query.group, query.status, now)
    matches = f"{_OF_EVERYBODY if query.user_id is None else _OF_USER}{_MATCHES}"
    direction = "DESC" if query.descending else "ASC"
    order = f"ORDER BY {SORTS[query.sort]} {direction}, t.id {direction}"
    async with reading(pool) as connection:
        total = await connection.fetchval(f"SELECT count(*) {_FROM}{matches}", *matching)
        rows = await connection.fetch(
            f"{_COLUMNS}{_FROM}{matches} {order} LIMIT $6 OFFSET $7",
            *matching,
            query.limit,
            query.offset,
        )
    return total, [_row(row) for row in rows]


async def get_token(pool: Pool, actor: Actor, token_id: int) -> TokenRow:
    """One token that the actor reaches. Raises `Rejected` (not found)."""
    async with reading(pool) as connection:
        return await read_token(connection, actor, token_id)


async def read_token(connection: Connection, actor: Actor, token_id: int) -> TokenRow:
    """As `get_token`, within the caller's transaction."""
    row = None
    if 0 < token_id <= _MAX_ID:
        row = await connection.fetchrow(_BY_ID, token_id, actor.user_id)
    if row is None:
        raise no_such_token(token_id)
    return _row(row)


def no_such_token(token_id: int) -> Rejected:
    """Also for a token of somebody else: that it exists is not told."""
    return Rejected(Problem.NOT_FOUND, f"There is no token {token_id} among your tokens.", "id")


def limit_document(limit: Limit) -> dict[str, Any]:
    """A limit as the column keeps it: `limit` and `burst` in nano-dollars for usd."""
    return {
        "metric": str(limit.metric),
        "window": limit.window,
        "limit": limit.limit,
        "burst": limit.burst,
        "mode": limit.mode,
        "models": None if limit.models is None else sorted(limit.models),
        "time_zone": limit.time_zone,
    }


def read_limit(document: Mapping[str, Any]) -> Limit:
    """The limit of a document as `limit_document` writes it; members that are absent have their default."""
    models = document.get("models")
    return Limit(
        metric=Metric(document["metric"]),
        window=document["window"],
        limit=int(document["limit"]),
        mode=document.get("mode", "sliding"),
        models=None if models is None else frozenset(models),
        time_zone=document.get("time_zone", "UTC"),
        burst=document.get("burst"),
    )


def _row(row: asyncpg.Record) -> TokenRow:
    values = dict(row)
    for name in ("models", "allow_ips", "deny_ips"):
        if values[name] is not None:
            values[name] = tuple(values[name])
    if values["limits"] is not None:
        values["limits"] = tuple(read_limit(document) for document in values["limits"])
    return TokenRow(**values)


def _containing(keyword: str) -> str:
    """The ILIKE pattern of a literal text anywhere; an empty keyword filters nothing."""
    if not keyword:
        return ""
    escaped = keyword.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
