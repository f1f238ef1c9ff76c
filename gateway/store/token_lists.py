"""Lists of tokens: a page of those that match, at a cost that does not grow with their number.

Up to `FEW` matches are fetched, counted and sorted. Of more, a page is read along an index in its
order, and how many there are is an estimate: `docs/decisions/0010-token-lists.md`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, NamedTuple

from gateway.domain.edit import TokenRow
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.store.postgres import Connection, Pool, reading
from gateway.store.token_estimates import estimate
from gateway.store.token_filters import FEW, Filter, TokenQuery, filter_of
from gateway.store.token_rows import read_tokens
from gateway.store.token_walks import walk

SORTS: Final[Mapping[str, str]] = {
    "id": "t.id",
    "name": 'lower(t.name) COLLATE "C"',
    "created_time": "t.created_at",
    "accessed_time": "coalesce(t.accessed_at, '-infinity')",
    "expired_time": "coalesce(t.expires_at, 'infinity')",
    "used_quota": "t.used",
    "remain_quota": "coalesce(t.granted - t.used, 9223372036854775807)",
}
"""What lists may be ordered by, and the expression that does it."""

# Fetched from all over the table, so many cost as much as to read an index until a page of them is full.
_SORTED = 2_000
# What an index is worth depends on the values: a plan for any values would be the wrong one.
_BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off
"""
# But rows are found by their ids in one way: to plan that costs as much as to do it.
_KEEP_PLANS = "SET LOCAL plan_cache_mode = auto"


class TokenPage(NamedTuple):
    """A page, and how many tokens match in all: exact up to `FEW`, more is an estimate."""

    rows: list[TokenRow]
    total: int
    total_is_estimate: bool = False


async def list_tokens(pool: Pool, query: TokenQuery, now: datetime) -> TokenPage:
    """A page of the tokens that match. `query.sort` is one of `SORTS`.

    Raises `Rejected` for a page too deep in an order that is made while it is read, and
    `StoreUnavailable`.
    """
    async with _at_one_moment(pool) as connection:
        wanted = await filter_of(connection, query, now)
        if wanted is None:
            return TokenPage([], 0)
        found = await estimate(connection, wanted)
        if found.surely_many and _reaches(query):
            ids = await walk(connection, query, wanted)
            if len(ids) == query.limit:
                rows = await _shown(connection, ids)
                return TokenPage(rows, found.expected, total_is_estimate=True)
        return await _counted(connection, query, wanted, found.expected)


@asynccontextmanager
async def _at_one_moment(pool: Pool) -> AsyncIterator[Connection]:
    """A connection that sees the tokens of one moment, and plans for values. Raises `StoreUnavailable`.

    Begun by hand, in one way to the server and back.
    """
    async with reading(pool) as connection:
        await connection.execute(_BEGIN)
        try:
            yield connection
        finally:
            await connection.execute("ROLLBACK")


async def _shown(connection: Connection, ids: list[int]) -> list[TokenRow]:
    await connection.execute(_KEEP_PLANS)
    return await read_tokens(connection, ids)


async def _counted(
    connection: Connection, query: TokenQuery, wanted: Filter, expected: int
) -> TokenPage:
    """The page where it is not known how many match, or where the planner was wrong."""
    ids: list[int] | None = None
    if query.keyword or expected <= _SORTED:
        count, ids = await _sorted(connection, query, wanted)
    else:
        count = await _count(connection, wanted)
    estimated = count > FEW
    if count <= query.offset and not estimated:
        return TokenPage([], count)
    if ids is None and count <= _SORTED:
        _, ids = await _sorted(connection, query, wanted)
    elif ids is None or estimated:
        _check_depth(query)
        ids = await walk(connection, query, wanted)
    total = max(FEW + 1, expected) if estimated else count
    return TokenPage(await _shown(connection, ids), total, estimated)


def _reaches(query: TokenQuery) -> bool:
    """Whether a page of many is not too deep."""
    return query.sort == "id" or query.offset + query.limit <= FEW


async def _count(connection: Connection, wanted: Filter) -> int:
    """The number of matches; one more than `FEW` where they are more than that."""
    matches = _matches(wanted, "")
    count: int = await connection.fetchval(
        f"SELECT count(*) FROM ({matches} LIMIT {FEW + 1}) m",  # noqa: S608 -- our own
        *wanted.values,
    )
    return count


async def _sorted(
    connection: Connection, query: TokenQuery, wanted: Filter
) -> tuple[int, list[int]]:
    """As `_count`, and the ids of the page out of all matches, where they are no more than `FEW`."""
    direction = "DESC" if query.descending else "ASC"
    row = await connection.fetchrow(
        f"""
        WITH few AS MATERIALIZED ({_matches(wanted, f"t.id, {SORTS[query.sort]} AS key")} LIMIT {FEW + 1})
        SELECT (SELECT count(*) FROM few),
               ARRAY(SELECT id FROM few ORDER BY key {direction}, id {direction}
                      LIMIT {query.limit} OFFSET {query.offset})
        """,  # noqa: S608 -- our own
        *wanted.values,
    )
    assert row is not None, "aggregates are one row"
    return row[0], row[1]


def _matches(wanted: Filter, columns: str) -> str:
    return " UNION ALL ".join(
        f"SELECT {columns} FROM token t WHERE {wanted.standing} AND {branch}"  # noqa: S608 -- our own
        for branch in wanted.branches
    )


def _check_depth(query: TokenQuery) -> None:
    if not _reaches(query):
        raise invalid("p", Rule.PAGE_TOO_DEEP, sort=query.sort, most=FEW)
