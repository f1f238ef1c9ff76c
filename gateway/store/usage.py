"""What calls have used: sums over the ledger, whole or in points of time, grouped by what they have in common."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.store.ledger import COUNTS
from gateway.store.ledger_calls import (
    CALLS,
    CallFilter,
    Where,
    in_time,
    uuid7_floor,
    where_of,
)
from gateway.store.postgres import Connection, Pool, reading

KEYS: Final[Mapping[str, str]] = {
    "": "''",
    "model": "call.model",
    "upstream": "call.upstream",
    "token_id": "call.token_id::text",
    "user_id": "call.user_id::text",
    "end_user": "coalesce(call.end_user, '')",
}
"""By what series may be grouped, and the expression that does it; "" is one series of all."""

FAILED_FROM: Final = 400
"""The lowest status that says that a call failed; 499 is a caller who left."""

_NAMES: Final[Mapping[str, str]] = {
    "token_id": "SELECT id, name FROM token WHERE id = ANY($1::bigint[])",
    "user_id": 'SELECT id, username AS name FROM "user" WHERE id = ANY($1::bigint[])',
}

TAG: Final = "tag:"
"""With the key of a tag behind it: grouped by the tag's value."""

_ADDED = (*COUNTS, "amount", "duration_ms", "ttfb_ms")
_COUNTED = ("requests", "errors", "timed")
_MEASURES = (*_COUNTED, *_ADDED)
_SUMS = ", ".join(
    (
        "count(*) AS requests",
        f"count(*) FILTER (WHERE call.status >= {FAILED_FROM}) AS errors",
        "count(call.ttfb_ms) AS timed",
        *(f"sum(call.{name})::bigint AS {name}" for name in _ADDED),
    )
)
_OF_CELLS = ", ".join(f"sum({name})::bigint AS {name}" for name in _MEASURES)

Sums = Mapping[str, int]
"""`requests`, of which `errors` failed; each of `COUNTS`; `amount` in nano-dollars; `duration_ms`, and `ttfb_ms` of the
`timed` ones, whose upstream answered something.
"""

NO_USE: Final[Sums] = dict.fromkeys(_MEASURES, 0)
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
    return {name: sum(each[name] for each in several) for name in _MEASURES}


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
    bounds = [uuid7_floor(edge) for edge in edges]
    async with reading(pool) as connection:
        where = await where_of(connection, chosen)
        where.add("call.request_id >= {}", bounds[0])
        where.add("call.request_id < {}", bounds[-1])
        with in_time():
            cells = await connection.fetch(_cells(where, bounds, by, most), *where.values)
        names = await _names(connection, by, {cell["key"] for cell in cells} - {None})
    found: dict[str | None, dict[int, Sums]] = {} if by else {None: {}}
    for cell in cells:
        points = found.setdefault(cell["key"] if by else None, {})
        points[cell["point"]] = {name: cell[name] for name in _MEASURES}
    return [
        Series(key, tuple(points.get(n, NO_USE) for n in range(1, len(edges))), names.get(key))
        for key, points in found.items()
    ]


async def read_sums(pool: Pool, chosen: CallFilter) -> Sums:
    """What all calls of a filter have used. Raises `Rejected` where that takes too long, and `StoreUnavailable`."""
    async with reading(pool) as connection:
        where = await where_of(connection, chosen)
        with in_time():
            row = await connection.fetchrow(
                f"SELECT {_SUMS} FROM {CALLS} WHERE {where}",  # noqa: S608 -- our own names
                *where.values,
            )
    assert row is not None, "sums without a group are one row"
    return {name: row[name] or 0 for name in _MEASURES}


async def _names(connection: Connection, by: str, keys: Iterable[str]) -> Mapping[str | None, str]:
    if by not in _NAMES:
        return {}
    rows = await connection.fetch(_NAMES[by], [int(key) for key in keys])
    return {str(row["id"]): row["name"] for row in rows}


def _key(where: Where, by: str) -> str:
    if not by.startswith(TAG):
        return KEYS[by]
    return f"coalesce(call.tags ->> {where.value(by.removeprefix(TAG))}, '')"


def _cells(where: Where, bounds: Sequence[Any], by: str, most: int) -> str:
    """The statement: what each key has used in each point, keys by their amount."""
    return f"""
WITH cell AS (
  SELECT width_bucket(call.request_id, {where.value(bounds)}::uuid[]) AS point, {_key(where, by)} AS key,
         {_SUMS}
    FROM {CALLS} WHERE {where} GROUP BY 1, 2
), ranked AS (
  SELECT key, row_number() OVER (ORDER BY sum(amount) DESC, sum(requests) DESC, key) AS rank
    FROM cell GROUP BY key
), kept AS (
  SELECT key AS found, CASE WHEN rank <= {(largest := where.value(most))} THEN key END AS kept_key,
         least(rank, {largest} + 1) AS rank
    FROM ranked
)
SELECT rank, kept_key AS key, point, {_OF_CELLS}
  FROM cell JOIN kept ON key = found GROUP BY 1, 2, 3 ORDER BY 1, 3
"""  # noqa: S608 -- our own names
