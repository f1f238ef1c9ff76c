"""What calls have used: sums over the ledger, whole or in points of time, grouped by what they have in common."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from gateway.store.ledger_calls import CallFilter, Where, in_time, where_of
from gateway.store.measures import MEASURES, of_sums
from gateway.store.postgres import Connection, Pool, reading_at_once
from gateway.store.rolled_usage import Reach, cells_of, cells_of_calls, is_rolled, reach_of

KEYS: Final[Mapping[str, str]] = {
    "": "''",
    "model": "call.model",
    "upstream": "call.upstream",
    "token_id": "call.token_id",
    "user_id": "call.user_id",
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

Weight = Literal["cost", "requests", "tokens", "errors"]
"""By what series are ranked: the most of it comes first."""

WEIGHTS: Final[Mapping[Weight, Sequence[str]]] = {
    "cost": ["amount"],
    "requests": ["requests"],
    "tokens": ["input_tokens", "output_tokens"],
    "errors": ["errors"],
}
"""The sums that a weight is made of."""


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
    weight: Weight = "cost",
) -> list[Series]:
    """Series by one of `KEYS`, or by a `TAG`, the one of the most `weight` first; all beyond `most` are one, the last.

    Points are what lies between neighbours of `edges`, which count instead of the filter's start and end. Raises
    `Rejected` where that takes too long, and `StoreUnavailable`.
    """
    async with reading_at_once(pool) as connection:
        where = await where_of(connection, replace(chosen, start=None, end=None))
        with in_time():
            if not is_rolled(chosen, by):
                found = await _of_calls(connection, where, edges, by, most, weight)
            else:
                asked = _Asked(connection, await reach_of(connection), chosen, where, edges)
                found = await asked.series(by, most, weight) if by else {None: await asked.points()}
        names = await _names(connection, by, filter(None, found))
    return [
        Series(key, tuple(points.get(n, NO_USE) for n in range(1, len(edges))), names.get(key))
        for key, points in found.items()
    ]


async def read_sums(pool: Pool, chosen: CallFilter) -> Sums:
    """What all calls of a filter have used. Raises `Rejected` where that takes too long, and `StoreUnavailable`."""
    edges = (chosen.start or _EPOCH, chosen.end or _NEVER)
    if edges[0] >= edges[1]:
        return NO_USE
    async with reading_at_once(pool) as connection:
        where = await where_of(connection, replace(chosen, start=None, end=None))
        with in_time():
            if is_rolled(chosen, ""):
                asked = _Asked(connection, await reach_of(connection), chosen, where, edges)
                points = await asked.points()
            else:
                statement = cells_of_calls(where, edges, KEYS[""])
                points = _points(await connection.fetch(statement, *where.values))
    return points.get(1, NO_USE)


_Points = Mapping[int, Sums]
"""Sums by the number of the point, counted from 1; of those that have any."""


class _Asked(NamedTuple):
    """A question that the rollup answers, in the snapshot that `reach` is of."""

    connection: Connection
    reach: Reach
    chosen: CallFilter
    where: Where
    edges: Sequence[datetime]

    async def points(self) -> _Points:
        """Of all calls together."""
        return _points(await self._cells(""))

    async def series(self, by: str, most: int, weight: Weight) -> dict[str | None, _Points]:
        """Of each key. They are ranked first, and read apart are those that are told apart."""
        ranked = await self._ranked(by, most + 1, weight)
        kept = [row["key"] for row in ranked[:most]]
        rows: Sequence[Any] = ranked[:most]
        if len(self.edges) > 2:  # noqa: PLR2004 -- of one point, ranks are of all that is told
            rows = await self._cells(by, kept if len(ranked) > most else None)
        found: dict[str | None, _Points] = dict(_grouped(rows, map(str, kept)))
        if len(ranked) > most:
            found[None] = _left(await self.points(), found.values())
        return found

    async def _ranked(self, by: str, most: int, weight: Weight) -> list[Any]:
        """The first keys, with all that they have used as point 1 where there is no other."""
        where = self.where.copy()
        measures = MEASURES if len(self.edges) == 2 else _measures_of(weight)  # noqa: PLR2004
        edges = (self.edges[0], self.edges[-1])
        cells = cells_of(self.reach, self.chosen, where, edges, KEYS[by], by, measures)
        statement = f"""
SELECT key, 1 AS point, {of_sums(measures)} FROM ({cells}) cell GROUP BY key HAVING sum(requests) <> 0
 ORDER BY {_order(weight)} LIMIT {where.value(most)}
"""  # noqa: S608 -- our own names
        return await self.connection.fetch(statement, *where.values)

    async def _cells(self, by: str, among: Sequence[Any] | None = None) -> list[Any]:
        where = self.where.copy()
        cells = cells_of(self.reach, self.chosen, where, self.edges, KEYS[by], by, among=among)
        statement = f"""
SELECT key, point, {of_sums()} FROM ({cells}) cell GROUP BY key, point HAVING sum(requests) <> 0
"""  # noqa: S608 -- our own names
        return await self.connection.fetch(statement, *where.values)


async def _of_calls(
    connection: Connection,
    where: Where,
    edges: Sequence[datetime],
    by: str,
    most: int,
    weight: Weight,
) -> Mapping[str | None, _Points]:
    """Series of the ledger alone, in one statement: to read its rows twice takes longer than to keep their sums."""
    key = KEYS[by] if not by.startswith(TAG) else _tag(where, by)
    statement = f"""
WITH part AS MATERIALIZED ({cells_of_calls(where, edges, key)}), ranked AS (
  SELECT key, row_number() OVER (ORDER BY {_order(weight)}) AS rank
    FROM part GROUP BY key HAVING sum(requests) <> 0
), kept AS (
  SELECT key AS found, CASE WHEN rank <= {(largest := where.value(most))} THEN key END AS kept_key,
         least(rank, {largest} + 1) AS rank
    FROM ranked
)
SELECT rank, kept_key AS key, point, {of_sums()}
  FROM part JOIN kept ON key = found GROUP BY 1, 2, 3 HAVING sum(requests) <> 0 ORDER BY 1
"""  # noqa: S608 -- our own names
    rows = await connection.fetch(statement, *where.values)
    return _grouped(rows) if by else {None: _points(rows)}


def _tag(where: Where, by: str) -> str:
    return f"coalesce(call.tags ->> {where.value(by.removeprefix(TAG))}, '')"


def _measures_of(weight: Weight) -> Sequence[str]:
    """What ranks are made of."""
    return [*dict.fromkeys(("requests", "amount", *WEIGHTS[weight]))]


def _order(weight: Weight) -> str:
    most = " + ".join(f"sum({name})" for name in WEIGHTS[weight])
    return f"{most} DESC, sum(amount) DESC, sum(requests) DESC, key::text"


def _grouped(rows: Iterable[Any], keys: Iterable[str] = ()) -> dict[str | None, dict[int, Sums]]:
    """Points by key: those named first, and the others as they come."""
    found: dict[str | None, dict[int, Sums]] = {key: {} for key in keys}
    for row in rows:
        key = row["key"] if row["key"] is None else str(row["key"])
        found.setdefault(key, {})[row["point"]] = _sums(row)
    return found


def _points(rows: Iterable[Any]) -> dict[int, Sums]:
    return {row["point"]: _sums(row) for row in rows}


def _sums(row: Any) -> Sums:
    return {name: row[name] for name in MEASURES}


def _left(whole: _Points, parts: Iterable[_Points]) -> _Points:
    """What is left of sums when parts of them are taken away."""
    left = {point: dict(sums) for point, sums in whole.items()}
    for points in parts:
        for point, sums in points.items():
            rest = left.setdefault(point, dict(NO_USE))
            for name, value in sums.items():
                rest[name] -= value
    return {point: sums for point, sums in left.items() if sums["requests"]}


async def _names(connection: Connection, by: str, keys: Iterable[str]) -> Mapping[str | None, str]:
    if by not in _NAMES:
        return {}
    rows = await connection.fetch(_NAMES[by], [int(key) for key in keys])
    return {str(row["id"]): row["name"] for row in rows}
