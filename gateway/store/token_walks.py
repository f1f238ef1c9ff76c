"""A page of many tokens, read along indexes in the list's order until it is full.

What posting writes is in no index, only how large it is to three digits (`used_step` …): along such a
column tokens come in order but for those of one step, which are sorted as they are reached. Amounts
that many tokens share (nothing used, a grant untouched) would be one large step, so they are read apart, by id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from asyncpg import Record

from gateway.store.postgres import Connection
from gateway.store.token_filters import Filter, TokenQuery
from gateway.store.token_pages import bounds_of, page_of


class Run(NamedTuple):
    """A part of the tokens that an index has in order.

    `key`: what they are ordered by before their ids, "" where all have the same. `step`: the column by which the index
    has them in order but for those of one step.
    """

    part: str = "true"
    key: str = ""
    step: str = ""

    def order(self) -> Mapping[str, str]:
        """What they are ordered by, by the name that it has while runs are merged."""
        columns = {"step": self.step, "key": self.key, "id": "t.id"}
        return {name: column for name, column in columns.items() if column}


Tier = tuple[Run, ...]
"""Runs that are merged."""

_TIERS: Final[Mapping[str, tuple[Tier, ...]]] = {
    "name": ((Run(key='lower(t.name) COLLATE "C"'),),),
    "created_time": ((Run(key="t.created_at"),),),
    "expired_time": ((Run(key="coalesce(t.expires_at, 'infinity')"),),),
    "accessed_time": (
        (Run("t.accessed_step = 0"),),
        (Run("t.accessed_step > 0", "t.accessed_at", "t.accessed_step"),),
    ),
    "used_quota": (
        (Run("t.used_step = 0"),),
        (Run("t.used_step > 0", "t.used", "t.used_step"),),
    ),
    "remain_quota": (
        (
            Run("t.used_step = 0 AND t.granted IS NOT NULL", "t.granted", "t.remain_step"),
            Run("t.used_step > 0 AND t.granted IS NOT NULL", "t.granted - t.used", "t.remain_step"),
        ),
        (Run("t.granted IS NULL"),),
    ),
}
"""Of each order, ascending: whatever is in a tier comes before the next."""

# Further down it pays to learn first, from the index alone, between which steps the page lies.
_DEEP = 500


async def walk(connection: Connection, query: TokenQuery, wanted: Filter) -> list[Record]:
    """The rows of a page, as `page_of` has them."""
    if query.sort == "id":
        bounds = bounds_of(query, wanted)
        along = (
            f"SELECT t.id FROM token t WHERE {wanted.whole}"  # noqa: S608 -- our own
            f" ORDER BY t.id {query.direction} LIMIT {bounds.limit} OFFSET {bounds.offset}"
        )
        return await connection.fetch(page_of(along), *bounds.values)
    rows: list[Record] = []
    tiers = _TIERS[query.sort]
    for tier in reversed(tiers) if query.descending else tiers:
        found = await _along(connection, query, wanted, tier)
        rows += found
        if len(found) == query.limit:
            break
        before = query.offset if found else await _length(connection, query, wanted, tier)
        query = replace(query, offset=query.offset - before, limit=query.limit - len(found))
    return rows


async def _along(
    connection: Connection, query: TokenQuery, wanted: Filter, tier: Tier
) -> list[Record]:
    """The rows of a page of one tier."""
    within = "true"
    steps: tuple[int, ...] = ()
    if tier[0].step and query.offset >= _DEEP:
        lowest, highest, before = await _steps(connection, query, wanted, tier)
        query = replace(query, offset=query.offset - before)
        steps = lowest, highest
    bounds = bounds_of(query, wanted)
    if steps:
        within = f"{{step}} BETWEEN ${len(bounds.values) + 1} AND ${len(bounds.values) + 2}"
    parts = _parts(query, wanted, tier, tuple(tier[0].order()), within)
    order = _ordered(query, tier[0].order())
    ids = f"SELECT id FROM ({parts}) m ORDER BY {order} LIMIT {bounds.limit} OFFSET {bounds.offset}"  # noqa: S608 -- our own
    return await connection.fetch(page_of(ids), *bounds.values, *steps)


async def _steps(
    connection: Connection, query: TokenQuery, wanted: Filter, tier: Tier
) -> tuple[int, int, int]:
    """The lowest and the highest step of a page, and how many of its tier stand before both."""
    direction, beyond = query.direction, "> highest" if query.descending else "< lowest"
    bounds = bounds_of(query, wanted)
    row = await connection.fetchrow(
        f"""
        WITH way AS MATERIALIZED (
          SELECT step FROM ({_parts(query, wanted, tier, ("step",))}) m ORDER BY step {direction} LIMIT {bounds.reach}
        ), page AS (
          SELECT coalesce(min(step), 0) AS lowest, coalesce(max(step), 0) AS highest
            FROM (SELECT step FROM way ORDER BY step {direction} OFFSET {bounds.offset}) last
        )
        SELECT lowest, highest, (SELECT count(*) FROM way WHERE step {beyond}) FROM page
        """,  # noqa: S608 -- our own
        *bounds.values,
    )
    assert row is not None, "aggregates are one row"
    return row[0], row[1], row[2]


async def _length(connection: Connection, query: TokenQuery, wanted: Filter, tier: Tier) -> int:
    """How many are in a tier that ends before the page begins."""
    length: int = await connection.fetchval(
        f"SELECT count(*) FROM ({_parts(query, wanted, tier, ())}) m",  # noqa: S608 -- our own
        *bounds_of(query, wanted).values,
    )
    return length


def _parts(
    query: TokenQuery, wanted: Filter, tier: Tier, columns: Sequence[str], within: str = "true"
) -> str:
    """Each run of a tier, as far as the page can reach into it, with what it is ordered by."""
    reach = bounds_of(query, wanted).reach
    passed = wanted.named if query.sort == "name" else (wanted.passed,)
    parts = []
    for standing in wanted.standings:
        for run in tier:
            order = {name: column for name, column in run.order().items() if name in columns}
            shown = ", ".join(f"{column} AS {name}" for name, column in order.items())
            sought = within.format(step=run.step)
            parts += [
                f"(SELECT {shown} FROM token t"  # noqa: S608 -- our own
                f" WHERE t.standing = {standing} AND {run.part} AND {sought} AND ({each})"
                f"{f' ORDER BY {_ordered(query, order.values())}' if order else ''} LIMIT {reach})"
                for each in passed
            ]
    return " UNION ALL ".join(parts)


def _ordered(query: TokenQuery, columns: Iterable[str]) -> str:
    return ", ".join(f"{column} {query.direction}" for column in columns)
