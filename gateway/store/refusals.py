"""Refusals by token, reason and hour: for owners who ask why, and for operators who look for abuse.

Token 0 is a caller without one. Beside refusals there are two things that are none: calls that were let pass and failed
at an upstream, which the ledger has, too, and calls that a limit in the shadow would have refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import asyncpg

from gateway.domain.errors import FAILURES
from gateway.store.ledger_calls import Where, in_time
from gateway.store.postgres import Connection, Pool, reading

SHADOW: Final = "shadow"
"""In the place of a reason: no refusal, but what one in the shadow would have been."""

KEYS: Final[Mapping[str, str]] = {
    "": "''",
    "reason": "r.reason",
    "token_id": "r.token_id",
    "user_id": "coalesce(t.user_id, 0)",
}
"""By what series may be grouped, and the expression that does it; "" is one series of all."""

KEPT: Final = "400 days"

_ADD = """
INSERT INTO refusal AS r (token_id, reason, hour, n)
SELECT token_id, reason, date_trunc('hour', $1::timestamptz, 'UTC'), n
  FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS new (token_id, reason, n)
    ON CONFLICT (token_id, reason, hour) DO UPDATE SET n = r.n + excluded.n
"""
_REMOVE_OLD = f"DELETE FROM refusal WHERE hour < now() - interval '{KEPT}'"  # noqa: S608 -- a constant
_JOINED = "LEFT JOIN token t ON t.id = r.token_id"
_NAMES: Final[Mapping[str, str]] = {
    "token_id": "SELECT id, name FROM token WHERE id = ANY ($1::bigint[])",
    "user_id": 'SELECT id, username AS name FROM "user" WHERE id = ANY ($1::bigint[])',
}
_FAILED = ", ".join(f"'{reason}'" for reason in sorted(FAILURES))
_SUMS = ", ".join(
    f"coalesce(sum(r.n) FILTER (WHERE {condition}), 0)::bigint AS {name}"
    for name, condition in {
        "refusals": f"r.reason NOT IN ('{SHADOW}', {_FAILED})",
        "failures": f"r.reason IN ({_FAILED})",
        "shadow": f"r.reason = '{SHADOW}'",
    }.items()
)


async def add_refusals(
    pool: asyncpg.Pool, counts: Mapping[tuple[int, str], int], at: datetime
) -> None:
    """Add counts by (token id, reason) to the hour of `at`; token 0 is a caller without one.

    Raises `StoreUnavailable`.
    """
    # In one order, so that two workers' statements cannot lock each other out.
    rows = sorted((token_id, reason, n) for (token_id, reason), n in counts.items())
    async with reading(pool) as connection:
        await connection.execute(_ADD, at, *(list(column) for column in zip(*rows, strict=True)))


async def remove_old_refusals(pool: Pool) -> None:
    """Forget what is older than `KEPT`. Raises `StoreUnavailable`."""
    async with reading(pool) as connection:
        await connection.execute(_REMOVE_OLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalFilter:
    """Which refusals; what is None filters nothing. `user_id` None: everybody's, and those of callers without a token.

    Hours that begin before `end` count, and the one that `start` is in.
    """

    user_id: int | None
    start: datetime | None = None
    end: datetime | None = None
    token_id: int | None = None
    token_name: str | None = None
    reason: str | None = None


class Place(NamedTuple):
    """Where a count stands in the list; hours in Unix seconds."""

    hour: int
    token_id: int
    reason: str


class Sums(NamedTuple):
    """Calls that were refused; that failed at an upstream; that a limit in the shadow would have refused."""

    refusals: int = 0
    failures: int = 0
    shadow: int = 0


@dataclass(frozen=True, slots=True)
class RefusalSeries:
    """What one key has in each point. `key` None: all that no other series has; `name`: of a token or a user."""

    key: str | None
    name: str | None
    points: tuple[Sums, ...]


async def read_refusals(
    pool: Pool, chosen: RefusalFilter, limit: int, before: Place | None = None
) -> Sequence[asyncpg.Record]:
    """At most `limit` counts, the newest hours first, behind the place `before`. Raises as `read_calls`."""
    where = _where(chosen)
    if before is not None:
        where.add(
            "(r.hour, r.token_id, r.reason) < (to_timestamp({}), {}, {})",
            *(float(before.hour), before.token_id, before.reason),
        )
    statement = f"""
SELECT extract(epoch FROM r.hour)::bigint AS hour, r.token_id, t.name AS token_name, t.user_id, u.username,
       r.reason, r.n
  FROM refusal r {_JOINED} LEFT JOIN "user" u ON u.id = t.user_id WHERE {where}
 ORDER BY r.hour DESC, r.token_id DESC, r.reason DESC LIMIT {where.value(limit)}
"""  # noqa: S608 -- our own names
    async with reading(pool) as connection:
        return await _fetch(connection, statement, where)


async def read_refusal_series(
    pool: Pool, chosen: RefusalFilter, edges: Sequence[datetime], by: str, most: int
) -> list[RefusalSeries]:
    """Series by one of `KEYS`, the largest first; what is beyond the `most` largest is one, the last.

    Points are what lies between neighbours of `edges`, which count instead of the filter's start and end: an hour is in
    the point in which it begins. Raises as `read_calls`.
    """
    bounds = [_hour_of(edges[0]), *edges[1:]]
    where = _where(chosen)
    where.add("r.hour >= {}", bounds[0])
    where.add("r.hour < {}", bounds[-1])
    async with reading(pool) as connection:
        cells = await _fetch(connection, _cells(where, bounds, by, most), where)
        names = await _names(connection, by, {cell["key"] for cell in cells} - {None})
    found: dict[str | None, dict[int, Sums]] = {} if by else {None: {}}
    for cell in cells:
        points = found.setdefault(cell["key"] if by else None, {})
        points[cell["point"]] = Sums(cell["refusals"], cell["failures"], cell["shadow"])
    return [
        RefusalSeries(
            key, names.get(key), tuple(points.get(n, Sums()) for n in range(1, len(edges)))
        )
        for key, points in found.items()
    ]


def add_up(several: Sequence[Sums]) -> Sums:
    """The sum of sums."""
    return Sums(*map(sum, zip(*several, strict=True))) if several else Sums()


def _where(chosen: RefusalFilter) -> Where:
    where = Where()
    for value, condition in (
        (chosen.start and _hour_of(chosen.start), "r.hour >= {}"),
        (chosen.end, "r.hour < {}"),
        (chosen.token_id, "r.token_id = {}"),
        (chosen.token_name, "t.name = {}"),
        (chosen.reason, "r.reason = {}"),
    ):
        if value is not None:
            where.add(condition, value)
    if chosen.user_id is not None:
        # By the account: the index by maker has no tokens that are deleted.
        where.add(
            "r.token_id = ANY (ARRAY(SELECT id FROM token WHERE user_id = {}"
            " AND account_id IN (SELECT account_id FROM member WHERE user_id = {})))",
            *(chosen.user_id, chosen.user_id),
        )
    return where


async def _names(
    connection: Connection, by: str, keys: Iterable[str]
) -> Mapping[str | None, str | None]:
    if by not in _NAMES:
        return {}
    rows = await connection.fetch(_NAMES[by], [int(key) for key in keys])
    return {str(row["id"]): row["name"] for row in rows}


def _cells(where: Where, bounds: Sequence[datetime], by: str, most: int) -> str:
    """The statement: what each key has in each point, keys by how much it is.

    Keys are ranked first, so that the points of those without a series of their own are never apart.
    """
    key, largest = KEYS[by], where.value(most)
    return f"""
WITH ranked AS (
  SELECT {key} AS key, row_number() OVER (ORDER BY sum(r.n) DESC, {key}) AS rank
    FROM refusal r {_JOINED} WHERE {where} GROUP BY 1
)
SELECT least(rank, {largest} + 1) AS rank, CASE WHEN rank <= {largest} THEN key::text END AS key,
       width_bucket(r.hour, {where.value(bounds)}::timestamptz[]) AS point, {_SUMS}
  FROM refusal r {_JOINED} JOIN ranked ON key = {key} WHERE {where} GROUP BY 1, 2, 3 ORDER BY 1, 3
"""  # noqa: S608 -- our own names


async def _fetch(connection: Connection, statement: str, where: Where) -> Sequence[asyncpg.Record]:
    with in_time():
        return await connection.fetch(statement, *where.values)


def _hour_of(at: datetime) -> datetime:
    """The begin of its hour: counts are by hours of UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
