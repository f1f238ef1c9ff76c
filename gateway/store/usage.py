"""What calls have used: sums over the ledger, whole or in points of time, grouped by what they have in common."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from gateway.store.ledger_calls import CallFilter, Where, in_time, where_of
from gateway.store.measures import MEASURES, OF_SUMS
from gateway.store.postgres import Connection, Pool, reading_at_once
from gateway.store.rolled_usage import Cells, cells_of

KEYS: Final[Mapping[str, str]] = {
    "": "''",
    "model": "call.model",
    "upstream": "call.upstream",
    "token_id": "call.token_id::text",
    "user_id": "call.user_id::text",
    "end_user": "coalesce(call.end_user, '')",
}
"""By what series may be grouped, and the expression that does it; "" is one series of all."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)

_NAMES: Final[Mapping[str, str]] = {
    "token_id": "SELECT id, name FROM token WHERE id = ANY($1::bigint[])",
    "user_id": 'SELECT id, username AS name FROM "user" WHERE id = ANY($1::bigint[])',
}

TAG: Final = "tag:"
"""With the key of a tag behind it: grouped by the tag's value."""

Sums = Mapping[str, int]
"""`requests`, of which `errors` failed; each of `COUNTS`; `amount` in nano-dollars; `duration_ms`, and `ttfb_ms` of the
`timed` ones, whose upstream answered something.
"""

NO_USE: Final[Sums] = dict.fromkeys(MEASURES, 0)
"""Of no call."""


@dataclass(frozen=True, slots=True)
class Series:
    """What one key has used in each point. `key` None: of all calls that no other series has.

    `name` is what a token or a user is called; None where the key is no id, or nobody knows it.
    """

    key: str | None
    points: tuple[Sums, ...]
    name: str | None = None

    @property
    def total(self) -> Sums:
        """All points together."""
        return add_up(self.points)


def add_up(several: Sequence[Sums]) -> Sums:
    """The sum of sums."""
    return {name: sum(each[name] for each in several) for name in MEASURES}


async def read_series(
    pool: Pool,
    chosen: CallFilter,
    edges: Sequence[datetime],
    by: str,
    most: int,
) -> list[Series]:
    """Series by one of `KEYS`, or by a `TAG`, the dearest first; what is beyond the `most` dearest is one, the last.

    Points are what lies between neighbours of `edges`, which count instead of the filter's start and end. Raises
    `Rejected` where that takes too long, and `StoreUnavailable`.
    """
    async with reading_at_once(pool) as connection:
        where = await where_of(connection, replace(chosen, start=None, end=None))
        key = _key(where, by)
        with in_time():
            cells = await cells_of(connection, chosen, where, edges, key, by)
            rows = await connection.fetch(_ranked(cells, where, most), *where.values)
        names = await _names(connection, by, {row["key"] for row in rows} - {None})
    found: dict[str | None, dict[int, Sums]] = {} if by else {None: {}}
    for row in rows:
        points = found.setdefault(row["key"] if by else None, {})
        points[row["point"]] = {name: row[name] for name in MEASURES}
    return [
        Series(key, tuple(points.get(n, NO_USE) for n in range(1, len(edges))), names.get(key))
        for key, points in found.items()
    ]


async def read_sums(pool: Pool, chosen: CallFilter) -> Sums:
    """What all calls of a filter have used. Raises `Rejected` where that takes too long, and `StoreUnavailable`."""
    edges = (chosen.start or _EPOCH, chosen.end or _NEVER)
    async with reading_at_once(pool) as connection:
        where = await where_of(connection, replace(chosen, start=None, end=None))
        with in_time():
            cells = await cells_of(connection, chosen, where, edges, "''", "")
            row = await connection.fetchrow(
                f"SELECT {OF_SUMS} FROM ({cells.statement}) cell",  # noqa: S608 -- our own names
                *where.values,
            )
    assert row is not None, "sums without a group are one row"
    return {name: row[name] or 0 for name in MEASURES}


async def _names(connection: Connection, by: str, keys: Iterable[str]) -> Mapping[str | None, str]:
    if by not in _NAMES:
        return {}
    rows = await connection.fetch(_NAMES[by], [int(key) for key in keys])
    return {str(row["id"]): row["name"] for row in rows}


def _key(where: Where, by: str) -> str:
    if not by.startswith(TAG):
        return KEYS[by]
    return f"coalesce(call.tags ->> {where.value(by.removeprefix(TAG))}, '')"


def _ranked(cells: Cells, where: Where, most: int) -> str:
    """The statement: what each key has used in each point, keys by their amount.

    Keys are ranked first, so that the points of those without a series of their own are never apart.
    """
    return f"""
WITH part AS {"NOT" if cells.is_cheap else ""} MATERIALIZED ({cells.statement}), ranked AS (
  SELECT key, row_number() OVER (ORDER BY sum(amount) DESC, sum(requests) DESC, key) AS rank
    FROM part GROUP BY key HAVING sum(requests) <> 0
), kept AS (
  SELECT key AS found, CASE WHEN rank <= {(largest := where.value(most))} THEN key END AS kept_key,
         least(rank, {largest} + 1) AS rank
    FROM ranked
)
SELECT rank, kept_key AS key, point, {OF_SUMS}
  FROM part JOIN kept ON key = found GROUP BY 1, 2, 3 HAVING sum(requests) <> 0 ORDER BY 1, 3
"""  # noqa: S608 -- our own names
