"""Warnings that were told: what, of whom, and what became of each message that told of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import asyncpg

from gateway.store.ledger_calls import Where
from gateway.store.postgres import Connection, Pool, reading

Kind = Literal["quota", "limit", "expiry", "upstream"]
State = Literal["sent", "waiting", "failed"]

KINDS: Final[tuple[Kind, ...]] = ("quota", "limit", "expiry", "upstream")
STATES: Final[tuple[State, ...]] = ("sent", "waiting", "failed")

_ADD: Final = """
INSERT INTO warning (kind, subject, data, concerned, at) VALUES ($1, $2, $3, $4, $5) RETURNING id
"""
_REMOVE_OLD: Final = "DELETE FROM warning WHERE at < now() - interval '90 days'"
_STATE: Final = """
CASE WHEN o.sent_at IS NOT NULL THEN 'sent' WHEN o.failed_at IS NOT NULL THEN 'failed' ELSE 'waiting' END
"""
# What one's own list tells is what was sent to oneself.
_PAGE: Final = """
SELECT w.id, w.kind, w.subject, w.data, extract(epoch FROM w.at)::bigint AS time,
       t.name AS token_name, u.username, a.name AS account_name, g.name AS "group", sent.deliveries
  FROM (SELECT *, (data ->> 'token_id')::bigint AS token_id, (data ->> 'user_id')::bigint AS user_id,
               (data ->> 'account_id')::bigint AS account_id, (data ->> 'group_id')::bigint AS group_id
          FROM warning w WHERE {where} ORDER BY id DESC LIMIT {limit}) w
  LEFT JOIN token t ON t.id = w.token_id
  LEFT JOIN "user" u ON u.id = w.user_id
  LEFT JOIN account a ON a.id = w.account_id
  LEFT JOIN "group" g ON g.id = w.group_id
  LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
             'channel', o.kind, 'target', o.target, 'user_id', o.user_id, 'username', r.username, 'state', {state},
             'attempts', o.attempts, 'error', o.error,
             'time', extract(epoch FROM coalesce(o.sent_at, o.failed_at, o.due_at))::bigint)
             ORDER BY o.id) AS deliveries
      FROM outbox o LEFT JOIN "user" r ON r.id = o.user_id WHERE o.warning_id = w.id AND {mine}
  ) sent ON true
 ORDER BY w.id DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningFilter:
    """Which warnings; what is None filters nothing. `user_id` None: all, the operator's among them.

    `state`: some message that told of it is in it.
    """

    user_id: int | None
    kind: str | None = None
    state: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    before: int | None = None
    limit: int = 10


async def add_warning(
    connection: Connection,
    kind: Kind,
    subject: str,
    data: Mapping[str, Any],
    concerned: Sequence[int],
    at: datetime,
) -> int:
    """Note that it is told, in the transaction that writes the messages; its id."""
    made: int = await connection.fetchval(_ADD, kind, subject, data, list(concerned), at)
    return made


async def remove_old_warnings(connection: Connection) -> None:
    """Forget those of more than 90 days ago, with what became of their messages."""
    await connection.execute(_REMOVE_OLD)


async def read_warnings(pool: Pool, chosen: WarningFilter) -> Sequence[asyncpg.Record]:
    """At most `limit` warnings, newest first, those after the one `before`. Raises `StoreUnavailable`.

    `deliveries` is null where nothing was sent; with a `user_id` it has what was sent to them alone.
    """
    where, mine = Where(), "true"
    if chosen.user_id is not None:
        where.add("concerned @> ARRAY[{}::bigint]", chosen.user_id)
        mine = f"o.user_id = {where.value(chosen.user_id)}"
    for value, condition in (
        (chosen.kind, "kind = {}"),
        (chosen.start, "at >= {}"),
        (chosen.end, "at < {}"),
        (chosen.before, "id < {}"),
        (
            chosen.state,
            f"EXISTS (SELECT FROM outbox o WHERE o.warning_id = w.id AND {mine} AND {_STATE} = {{}})",
        ),
    ):
        if value is not None:
            where.add(condition, value)
    statement = _PAGE.format(where=where, limit=chosen.limit, state=_STATE, mine=mine)
    async with reading(pool) as connection:
        return await connection.fetch(statement, *where.values)
