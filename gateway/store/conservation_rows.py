"""What Postgres says of charges, grants and scopes, read for an audit: in streams, so that tables may be large.

Everything is read over the caller's connection, within the caller's transaction where figures must be of one instant.
"""

from collections.abc import AsyncIterator, Collection
from typing import Final, NamedTuple

import asyncpg

from gateway.domain.conservation import Difference, Kind, Row

_PREFETCH: Final = 1000
_ASKED_AT_ONCE: Final = 1000
_MOST_IDS: Final = 100
"""Of the calls of one difference that only Postgres knows."""

_USED = """
SELECT 't' || id AS scope, used FROM token WHERE used <> 0
UNION ALL SELECT 'm' || account_id || '.' || user_id, used FROM member WHERE used <> 0
UNION ALL SELECT 'g' || account_id || '.' || group_id, used FROM subscription WHERE used <> 0
UNION ALL SELECT 'a' || id, used FROM account WHERE used <> 0
"""

# One row for each scope that has a row, a grant's entry or a charge. Postgres joins them, on its disk where they are
# many, so that they need not be in memory here. The ledger is read once: what a token's rows sum to is added up for
# the other scopes. What the months came to that were dropped is in `carried`. An account with a token that reserves
# estimates may be brought beyond its grant by it. While a scope is uncapped its spend has no bound: `cap` and `uncap`
# say that it was.
_SCOPES = """
WITH loose AS (SELECT DISTINCT account_id FROM token WHERE reserve = 'estimate'),
book AS (
  SELECT 't' || id AS scope, account_id, granted, gver, used, version,
         reserve IS NOT DISTINCT FROM 'estimate' AS loose FROM token
  UNION ALL SELECT 'm' || account_id || '.' || user_id, account_id, granted, gver, used, version,
         account_id IN (SELECT account_id FROM loose) FROM member
  UNION ALL SELECT 'g' || account_id || '.' || group_id, account_id, granted, gver, used, version,
         account_id IN (SELECT account_id FROM loose) FROM subscription
  UNION ALL SELECT 'a' || id, id, granted, gver, used, version,
         id IN (SELECT account_id FROM loose) FROM account
),
entry AS (
  SELECT scope_kind::text || CASE WHEN scope_kind IN ('m', 'g') THEN account_id || '.' ELSE '' END || scope_id AS scope,
         sum(delta)::bigint AS entries,
         CASE WHEN NOT bool_or(kind IN ('cap', 'uncap')) THEN greatest(0, max(running))::bigint END AS ceiling
    FROM (SELECT scope_kind, account_id, scope_id, delta, kind,
                 sum(delta) OVER (PARTITION BY scope_kind, account_id, scope_id ORDER BY id) AS running
            FROM grant_entry) entries
   GROUP BY 1
),
of_token AS MATERIALIZED (
  SELECT account_id, token_id, user_id, group_id, count(*) AS charges, sum(amount)::bigint AS amount,
         sum(unbilled)::bigint AS unbilled,
         coalesce(sum(amount) FILTER (WHERE estimated), 0)::bigint AS estimated,
         count(*) FILTER (WHERE amount < 0 OR unbilled < 0) AS negative
    FROM ledger GROUP BY 1, 2, 3, 4
   UNION ALL
  SELECT account_id, token_id, user_id, group_id, charges, amount, unbilled, estimated, 0 FROM carried
),
of_user AS (
  SELECT account_id, user_id, group_id, sum(charges) AS charges, sum(amount) AS amount
    FROM of_token GROUP BY 1, 2, 3
),
charge AS (
  SELECT 't' || token_id AS scope, sum(charges)::bigint AS charges, sum(amount)::bigint AS amount,
         sum(unbilled)::bigint AS unbilled, sum(estimated)::bigint AS estimated,
         sum(negative)::bigint AS negative
    FROM of_token GROUP BY token_id
  UNION ALL SELECT scope, sum(charges)::bigint, sum(amount)::bigint, 0, 0, 0
    FROM of_user CROSS JOIN LATERAL (
      VALUES ('m' || account_id || '.' || user_id), ('g' || account_id || '.' || group_id), ('a' || account_id)
    ) AS of (scope)
   GROUP BY scope
)
SELECT scope, account_id, granted, gver, used, version, $1 AND NOT loose AS strict,
       coalesce(entries, 0) AS entries, CASE WHEN entries IS NULL THEN 0 ELSE ceiling END AS ceiling,
       coalesce(amount, 0) AS amount, coalesce(charges, 0) AS charges, unbilled, estimated, negative
  FROM book FULL JOIN entry USING (scope) FULL JOIN charge USING (scope)
"""

_POSTED = "SELECT request_id FROM ledger WHERE request_id = ANY($1::uuid[]) AND kind = 'c'"

# The primary key forbids it, so the table need not be sorted to see it; unless somebody took the key away.
_GUARDED = """
SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = 'ledger'::regclass AND indisprimary AND indisvalid)
"""
_TWICE = """
SELECT account_id, count(*) AS calls, (array_agg(request_id ORDER BY request_id))[1:$1] AS ids
  FROM (SELECT min(account_id) AS account_id, request_id FROM ledger WHERE kind = 'c'
         GROUP BY request_id HAVING count(*) > 1) twice
 GROUP BY 1
"""
_NEGATIVE = """
SELECT request_id FROM ledger WHERE token_id = $1 AND (amount < 0 OR unbilled < 0) LIMIT $2
"""
_OF_SCOPE = {
    "t": "SELECT request_id FROM ledger WHERE token_id = $1 LIMIT $2",
    "m": "SELECT request_id FROM ledger WHERE account_id = $1 AND user_id = $2 LIMIT $3",
    "g": "SELECT request_id FROM ledger WHERE account_id = $1 AND group_id = $2 LIMIT $3",
    "a": "SELECT request_id FROM ledger WHERE account_id = $1 LIMIT $2",
}


class Charges(NamedTuple):
    """What the ledger has of a scope; nano-dollars. The last three are a token's alone, so that each counts once."""

    amount: int = 0
    calls: int = 0
    unbilled: int | None = None
    estimated: int | None = None
    negative: int | None = None


class ScopeRow(NamedTuple):
    """All that Postgres has of a scope. `row` is None where only entries or charges name it."""

    scope: str
    row: Row | None = None
    entries: int = 0
    charges: Charges = Charges()


async def read_scopes(connection: asyncpg.Connection, *, strict: bool) -> AsyncIterator[ScopeRow]:
    """Every scope that anything is known of, in no order."""
    async for row in connection.cursor(_SCOPES, strict, prefetch=_PREFETCH):
        known = Row(*row[:10]) if row["account_id"] is not None else None
        yield ScopeRow(row["scope"], known, row["entries"], Charges(*row[9:]))


async def read_used(connection: asyncpg.Connection, scopes: Collection[str]) -> dict[str, int]:
    """What each of `scopes` has used, where it has used anything."""
    async with connection.transaction(readonly=True):
        rows = connection.cursor(_USED, prefetch=_PREFETCH)
        return {scope: used async for scope, used in rows if scope in scopes}


async def find_posted(connection: asyncpg.Connection, ids: list[str]) -> set[str]:
    """Those of these calls that the ledger has."""
    posted: set[str] = set()
    for start in range(0, len(ids), _ASKED_AT_ONCE):
        rows = await connection.fetch(_POSTED, ids[start : start + _ASKED_AT_ONCE])
        posted |= {row["request_id"].hex for row in rows}
    return posted


async def find_calls(connection: asyncpg.Connection, scope: str) -> tuple[str, ...]:
    """The first calls that the ledger has of a scope."""
    numbers = [int(number) for number in scope[1:].split(".")]
    return _hexes(await connection.fetch(_OF_SCOPE[scope[0]], *numbers, _MOST_IDS))


async def find_negative(connection: asyncpg.Connection, scope: str) -> tuple[str, ...]:
    """The first calls of a token that have an amount below zero."""
    return _hexes(await connection.fetch(_NEGATIVE, int(scope[1:]), _MOST_IDS))


async def find_twice(connection: asyncpg.Connection) -> list[Difference]:
    """Calls that stand in the ledger more than once, by account."""
    if await connection.fetchval(_GUARDED):
        return []
    return [
        Difference(
            Kind.CHARGED_TWICE,
            f"a{account_id}",
            account_id,
            ids=tuple(each.hex for each in ids),
            count=calls,
        )
        for account_id, calls, ids in await connection.fetch(_TWICE, _MOST_IDS)
    ]


def _hexes(rows: list[asyncpg.Record]) -> tuple[str, ...]:
    return tuple(sorted(row["request_id"].hex for row in rows))
