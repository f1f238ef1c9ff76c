"""Lists of tokens: a page of those that match, at a cost that does not grow with their number.

Up to `FEW` matches are fetched, counted and sorted. Of more, a page is read along an index in its
order, and how many there are is an estimate: `docs/decisions/0010-token-lists.md`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from asyncpg import Record

from gateway.domain.edit import TokenRow
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.store.postgres import Connection, Pool, reading
from gateway.store.token_estimates import estimate
from gateway.store.token_filters import FEW, Filter, TokenQuery, filter_of
from gateway.store.token_pages import SORTS, bounds_of, page_of
from gateway.store.token_rows import row_of
from gateway.store.token_walks import walk

# Fetched from all over the table, so many cost as much as to read an index until a page of them is full.
_SORTED = 2_000
# What an index is worth depends on the values: a plan for any values would be the wrong one.
_BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off
"""


class TokenPage(NamedTuple):
    """A page, and how many tokens match in all: exact up to `FEW`, more is an estimate.

    `generation`: of the catalog by which its rows are shown; None where there are none.
    """

    rows: list[TokenRow]
    total: int
    total_is_estimate: bool = False
    generation: int | None = None


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
            rows = await walk(connection, query, wanted)
            if len(rows) == query.limit:
                return _page(rows, found.expected, estimated=True)
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


async def _counted(
    connection: Connection, query: TokenQuery, wanted: Filter, expected: int
) -> TokenPage:
    """The page where it is not known how many match, or where the planner was wrong."""
    rows: list[Record] | None = None
    if query.keyword or expected <= _SORTED:
        count, rows = await _sorted(connection, query, wanted)
    else:
        count = await _count(connection, wanted)
    estimated = count > FEW
    if count <= query.offset and not estimated:
        return TokenPage([], count)
    if rows is None and count <= _SORTED:
        _, rows = await _sorted(connection, query, wanted)
    elif rows is None or estimated:
        _check_depth(query)
        rows = await walk(connection, query, wanted)
    return _page(rows, max(FEW + 1, expected) if estimated else count, estimated=estimated)


def _page(rows: list[Record], total: int, *, estimated: bool) -> TokenPage:
    generation = rows[0]["generation"] if rows else None
    return TokenPage([row_of(row) for row in rows], total, estimated, generation)


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
) -> tuple[int, list[Record]]:
    """As `_count`, and the rows of the page out of all matches, where they are no more than `FEW`."""
    bounds = bounds_of(query, wanted)
    found = f"{_matches(wanted, f't.id, {SORTS[query.sort]} AS key')} LIMIT {FEW + 1}"
    ids = f"""
        SELECT id FROM few ORDER BY key {query.direction}, id {query.direction}
         LIMIT {bounds.limit} OFFSET {bounds.offset}
    """  # noqa: S608 -- our own
    page = page_of(ids, "(SELECT count(*) FROM few) AS count")
    rows = await connection.fetch(
        f"WITH few AS MATERIALIZED ({found}) {page}",
        *bounds.values,
    )
    if rows:
        return rows[0]["count"], rows
    return await _count(connection, wanted) if query.offset else 0, rows


def _matches(wanted: Filter, columns: str) -> str:
    return " UNION ALL ".join(
        f"SELECT {columns} FROM token t WHERE {wanted.standing} AND {branch}"  # noqa: S608 -- our own
        for branch in wanted.branches
    )


def _check_depth(query: TokenQuery) -> None:
    if not _reaches(query):
        raise invalid("p", Rule.PAGE_TOO_DEEP, sort=query.sort, most=FEW)
