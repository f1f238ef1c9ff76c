"""Calls as rows: newest first, from a place on that stays where it is while rows are added."""

from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

import asyncpg

from gateway.store.ledger_calls import CALLS, CallFilter, Where, in_time, where_of
from gateway.store.postgres import Pool, reading

LoggedCall = asyncpg.Record
"""The columns of `CALLS`, with `token_name`, `username` and `group`; a name is null where its row is gone.

`attempts` are those that needed several tries at an upstream, in their order; else null.
"""

EXPORT_ROWS: Final = 500
"""Rows that an export reads at once."""


async def read_calls(
    pool: Pool,
    chosen: CallFilter,
    limit: int,
    *,
    before: UUID | None = None,
    offset: int = 0,
) -> Sequence[LoggedCall]:
    """At most `limit` calls, those after the one `before` in the order of the list.

    Raises `Rejected` where that takes too long, and `StoreUnavailable`.
    """
    async with reading(pool) as connection:
        where = await where_of(connection, chosen)
        if before is not None:
            where.add("call.request_id < {}", before)
        statement = _page(where, limit, offset)
        with in_time():
            return await connection.fetch(statement, *where.values)


async def count_calls(pool: Pool, chosen: CallFilter, most: int) -> int:
    """How many calls there are, counted up to `most`. Raises as `read_calls`."""
    async with reading(pool) as connection:
        where = await where_of(connection, chosen)
        statement = f"SELECT count(*) FROM (SELECT FROM {CALLS} WHERE {where} LIMIT {most}) counted"  # noqa: S608 -- our own names
        with in_time():
            count: int = await connection.fetchval(statement, *where.values)
    return count


async def every_call(pool: Pool, chosen: CallFilter) -> AsyncIterator[Sequence[LoggedCall]]:
    """All calls, some at a time, each once; none where there are none. Raises as `read_calls`.

    Between two reads nothing is open at the database, so that whoever takes them slowly keeps no connection, no
    snapshot and no memory.
    """
    rows = await read_calls(pool, chosen, EXPORT_ROWS)
    yield rows
    while len(rows) == EXPORT_ROWS:
        rows = await read_calls(pool, chosen, EXPORT_ROWS, before=rows[-1]["request_id"])
        yield rows


def _page(where: Where, limit: int, offset: int) -> str:
    """The statement: the rows are found first, then what they are called is looked up."""
    return f"""
SELECT call.*, t.name AS token_name, u.username, g.name AS "group", tried.attempts
  FROM (SELECT * FROM {CALLS} WHERE {where}
         ORDER BY call.request_id DESC LIMIT {where.value(limit)} OFFSET {where.value(offset)}) call
  LEFT JOIN token t ON t.id = call.token_id
  LEFT JOIN "user" u ON u.id = call.user_id
  LEFT JOIN "group" g ON g.id = call.group_id
  LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('upstream', upstream, 'status', status,
                                        'at', extract(epoch FROM at)) ORDER BY no) AS attempts
      FROM attempt WHERE request_id = call.request_id
  ) tried ON true
 ORDER BY call.request_id DESC
"""  # noqa: S608 -- our own names
