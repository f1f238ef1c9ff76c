"""A page of many tokens, read along an index in the list's order until it is full.

What posting writes is in no index, only how large it is to three digits (`used_step` …): along such a
column tokens come in order but for those of one step, which are sorted as they are reached. Amounts
that many tokens share (nothing used, a grant untouched) would be one large step, so they are read apart, by id.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.store.postgres import Connection
from gateway.store.token_filters import Filter, TokenQuery


class Run(NamedTuple):
    """A part of the tokens that an index has in order.

    `order`: what they are ordered by before their ids; `key`: what parts are merged by.
    """

    part: str
    order: tuple[str, ...]
    key: str


_EXPIRY = "coalesce(t.expires_at, 'infinity')"
_RUNS: Final[Mapping[str, tuple[Run, ...]]] = {
    "name": (Run("true", ('lower(t.name) COLLATE "C"',), 'lower(t.name) COLLATE "C"'),),
    "created_time": (Run("true", ("t.created_at",), "t.created_at"),),
    "expired_time": (Run("true", (_EXPIRY,), _EXPIRY),),
    "accessed_time": (
        Run("t.accessed_step = 0", (), "'-infinity'::timestamptz"),
        Run("t.accessed_step > 0", ("t.accessed_step", "t.accessed_at"), "t.accessed_at"),
    ),
    "used_quota": (
        Run("t.used_step = 0", (), "0"),
        Run("t.used_step > 0", ("t.used_step", "t.used"), "t.used"),
    ),
    "remain_quota": (
        Run("t.used_step = 0 AND t.granted IS NULL", (), "9223372036854775807"),
        Run("t.used_step > 0 AND t.remain_step IS NULL", (), "9223372036854775807"),
        Run("t.used_step = 0 AND t.granted IS NOT NULL", ("t.granted",), "t.granted"),
        Run(
            "t.used_step > 0 AND t.remain_step IS NOT NULL",
            ("t.remain_step", "(t.granted - t.used)"),
            "t.granted - t.used",
        ),
    ),
}


async def walk(connection: Connection, query: TokenQuery, wanted: Filter) -> list[int]:
    """The ids of a page, in the query's order."""
    direction = "DESC" if query.descending else "ASC"
    page = f"LIMIT {query.limit} OFFSET {query.offset}"
    if query.sort == "id":
        along = f"SELECT t.id FROM token t WHERE {wanted.whole} ORDER BY t.id {direction} {page}"  # noqa: S608 -- our own
    else:
        along = _merged(query, wanted, direction, page)
    return [row["id"] for row in await connection.fetch(along, *wanted.values)]


def _merged(query: TokenQuery, wanted: Filter, direction: str, page: str) -> str:
    """Each part as far as the page can reach into it, then all of them in order."""
    reach = query.offset + query.limit
    parts = " UNION ALL ".join(
        f"(SELECT t.id, {run.key} AS key FROM token t"  # noqa: S608 -- our own
        f" WHERE t.standing = {standing} AND {run.part} AND ({wanted.passed})"
        f" ORDER BY {', '.join(f'{each} {direction}' for each in (*run.order, 't.id'))} LIMIT {reach})"
        for standing in wanted.standings
        for run in _RUNS[query.sort]
    )
    return f"SELECT id FROM ({parts}) m ORDER BY key {direction}, id {direction} {page}"  # noqa: S608 -- our own
