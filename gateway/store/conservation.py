"""Reads both stores so that the books can be compared while calls run, and compares them.

The order is what keeps a running system from raising a false alarm. `used` of Postgres is read first:
the quota store must count at least that much. Then the quota store, shard by shard, each at one
instant. Then everything of Postgres in one snapshot: the quota store cannot have known more. What
is on its way between the stores can still look like a difference, so a difference counts only if it
is there at every look for as long as `patience_s`.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import asyncpg

from gateway.domain.conservation import (
    Difference,
    Kind,
    Report,
    Row,
    Shard,
    Stored,
    Totals,
    account_of,
    compare_scope,
    compare_shard,
    of_calls,
    persisting,
)
from gateway.domain.token import SCOPE_LETTERS
from gateway.store.holdings import Progress, read_shards
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import check_tables, connect, store_errors

PATIENCE_S: Final = 1.0
"""How long what is on its way may take: the posting's commit until its CONFIRM, at most."""
_PAUSE_S: Final = 0.1
_QUOTA_TIMEOUT_S: Final = 30.0
_LATE_SWEEPS: Final = 2
_TURN_LOCK: Final = 0x746F6C61  # "tola": one process at a time audits by itself
_TURN: Final = "SELECT pg_try_advisory_lock($1)"
_IDS: Final = 1000
_PREFETCH: Final = 200
_REQUEST_ID: Final = re.compile(r"[0-9a-f]{32}")

_USED = """
SELECT 't' || id AS scope, used FROM token WHERE used <> 0
UNION ALL SELECT 'm' || account_id || '.' || user_id, used FROM member WHERE used <> 0
UNION ALL SELECT 'g' || account_id || '.' || group_id, used FROM subscription WHERE used <> 0
UNION ALL SELECT 'a' || id, used FROM account WHERE used <> 0
"""

# An account with a token that reserves estimates may be brought beyond its grant by it.
_SCOPES = """
WITH loose AS (SELECT DISTINCT account_id FROM token WHERE reserve = 'estimate'),
books AS (
  SELECT 't' || id AS scope, account_id, granted, gver, used, version,
         reserve IS NOT DISTINCT FROM 'estimate' AS loose FROM token
  UNION ALL SELECT 'm' || account_id || '.' || user_id, account_id, granted, gver, used, version,
         account_id IN (SELECT account_id FROM loose) FROM member
  UNION ALL SELECT 'g' || account_id || '.' || group_id, account_id, granted, gver, used, version,
         account_id IN (SELECT account_id FROM loose) FROM subscription
  UNION ALL SELECT 'a' || id, id, granted, gver, used, version,
         id IN (SELECT account_id FROM loose) FROM account
)
SELECT scope, account_id, granted, gver, used, version, NOT loose AS strict FROM books
"""

# The table is read once: what a token's rows sum to is added up for the other scopes here.
_LEDGER = """
SELECT account_id, token_id, user_id, group_id, count(*) AS charges, sum(amount)::bigint AS amount,
       sum(unbilled)::bigint AS unbilled,
       coalesce(sum(amount) FILTER (WHERE estimated), 0)::bigint AS estimated,
       count(*) FILTER (WHERE amount < 0 OR unbilled < 0) AS negative
  FROM ledger GROUP BY 1, 2, 3, 4
"""

# While a scope is uncapped its spend has no bound: `cap` and `uncap` say that it was.
_ENTRIES = """
SELECT scope_kind::text AS letter, account_id, scope_id, sum(delta)::bigint AS entries,
       max(running)::bigint AS ceiling, bool_or(kind IN ('cap', 'uncap')) AS uncapped
  FROM (SELECT scope_kind, account_id, scope_id, delta, kind,
               sum(delta) OVER (PARTITION BY scope_kind, account_id, scope_id ORDER BY id) AS running
          FROM grant_entry) entry
 GROUP BY 1, 2, 3
"""

_POSTED = "SELECT request_id FROM ledger WHERE request_id = ANY($1::uuid[]) AND kind = 'c'"

# The primary key forbids it, so the table need not be sorted to see it; unless somebody took the key away.
_GUARDED = """
SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = 'ledger'::regclass AND indisprimary AND indisvalid)
"""
_TWICE = """
SELECT min(account_id) AS account_id, request_id FROM ledger WHERE kind = 'c'
 GROUP BY request_id HAVING count(*) > 1
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


class _Charged:
    """What the ledger charged to a scope: rows, and nano-dollars."""

    __slots__ = ("amount", "count")

    def __init__(self) -> None:
        self.count = 0
        self.amount = 0


class Auditor:
    """Audits over connections of its own, which nothing else may use meanwhile.

    `sweep_s` is the setting: what is due for two more sweeps than one is stuck. `strict`: whether
    grants bind while the quota store is lost.
    """

    def __init__(
        self, connection: asyncpg.Connection, pipeline: Pipeline, *, sweep_s: float, strict: bool
    ) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._late_ms = int(_LATE_SWEEPS * sweep_s * 1000)
        self._strict = strict

    async def audit(
        self, *, patience_s: float = PATIENCE_S, progress: Progress = lambda _: None
    ) -> Report:
        """Look until nothing differs, or what differs has differed for `patience_s`.

        At least twice where anything does. Raises `StoreUnavailable`.
        """
        began = time.monotonic()
        totals, found = await self._look(progress)
        looks, seen_at = 1, time.monotonic()
        while _wrong(found) and (looks == 1 or time.monotonic() - seen_at < patience_s):
            await asyncio.sleep(min(_PAUSE_S, patience_s))
            totals, again = await self._look(progress)
            found = persisting(found, again)
            looks += 1
        remarks = [difference for difference in found if difference.kind is Kind.LOWERED]
        return Report(totals, _wrong(found), remarks, looks, time.monotonic() - began)

    async def _look(self, progress: Progress) -> tuple[Totals, list[Difference]]:
        progress("postgres: used")
        with store_errors():
            used_before = {row["scope"]: row["used"] for row in await self._connection.fetch(_USED)}
        shards = await read_shards(self._pipeline, progress)
        with store_errors():
            async with self._connection.transaction(isolation="repeatable_read", readonly=True):
                return await self._compare(shards, used_before, progress)

    async def _compare(
        self, shards: list[Shard], used_before: dict[str, int], progress: Progress
    ) -> tuple[Totals, list[Difference]]:
        totals = Totals()
        found = []
        for shard in shards:
            found += compare_shard(shard, self._late_ms)
            await asyncio.sleep(0)  # the loop may have calls to serve
        stored = {scope: book for shard in shards for scope, book in shard.stored.items()}
        unposted = await self._unposted(shards, totals, found)
        progress("postgres: grants")
        entries = await self._entries()
        progress("postgres: summing the ledger")
        charged = await self._charged(totals, found)
        nameless = {difference.scope for difference in found if not difference.account_id}
        owners: dict[str, int] = {}
        async for row in self._rows(progress):
            if row.scope in nameless:
                owners[row.scope] = row.account_id
            book = stored.pop(row.scope, None)
            sums, ceiling = entries.pop(row.scope, (0, 0))
            charges = charged.pop(row.scope, None)
            whole = row._replace(
                strict=row.strict and self._strict,
                entries=sums,
                ceiling=ceiling,
                charged=0 if charges is None else charges.amount,
            )
            found += compare_scope(
                whole,
                book,
                used_before=used_before.get(row.scope, 0),
                unposted=unposted.get(row.scope, 0),
            )
            totals.by_scope[SCOPE_LETTERS[row.scope[0]]].add(whole, book)
        found += await self._unknown(stored, entries, charged)
        found += await self._twice()
        return totals, [
            replace(each, account_id=each.account_id or owners.get(each.scope, 0)) for each in found
        ]

    async def _unposted(
        self, shards: Iterable[Shard], totals: Totals, found: list[Difference]
    ) -> dict[str, int]:
        """What is held and pending for calls that the ledger does not have, by scope."""
        records = [record for shard in shards for record in shard.records]
        ids = sorted({r.request_id for r in records if _REQUEST_ID.fullmatch(r.request_id)})
        posted: set[str] = set()
        for start in range(0, len(ids), _IDS):
            rows = await self._connection.fetch(_POSTED, ids[start : start + _IDS])
            posted |= {row["request_id"].hex for row in rows}
        sums: dict[str, int] = {}
        twice: dict[int, list[str]] = {}
        for record in records:
            if record.settled:
                totals.pending += 1
                totals.pending_nusd += record.amount
            else:
                totals.live += 1
                totals.held_nusd += record.amount
            if record.request_id not in posted:
                for scope in record.scopes:
                    sums[scope] = sums.get(scope, 0) + record.amount
            elif not record.settled:
                twice.setdefault(record.account_id, []).append(record.request_id)
        found += [of_calls(Kind.CHARGED_AND_HELD, a, some) for a, some in twice.items()]
        return sums

    async def _entries(self) -> dict[str, tuple[int, int | None]]:
        """The sum of a scope's grant entries and the most that they summed to; None: no bound."""
        found: dict[str, tuple[int, int | None]] = {}
        async for row in self._connection.cursor(_ENTRIES, prefetch=_PREFETCH):
            letter, account_id, scope_id = row["letter"], row["account_id"], row["scope_id"]
            inside = f"{account_id}.{scope_id}" if letter in "mg" else scope_id
            ceiling = None if row["uncapped"] else max(0, row["ceiling"])
            found[f"{letter}{inside}"] = (row["entries"], ceiling)
        return found

    async def _charged(self, totals: Totals, found: list[Difference]) -> dict[str, _Charged]:
        """What the ledger says of every scope."""
        sums: dict[str, _Charged] = {}
        negative = []
        async for row in self._connection.cursor(_LEDGER, prefetch=_PREFETCH):
            account_id = row["account_id"]
            totals.charges += row["charges"]
            totals.charged_nusd += row["amount"]
            totals.unbilled_nusd += row["unbilled"]
            totals.estimated_nusd += row["estimated"]
            if row["negative"]:
                negative.append((account_id, row["token_id"], row["negative"]))
            for scope in (
                f"t{row['token_id']}",
                f"m{account_id}.{row['user_id']}",
                f"g{account_id}.{row['group_id']}",
                f"a{account_id}",
            ):
                of_scope = sums.setdefault(scope, _Charged())
                of_scope.count += row["charges"]
                of_scope.amount += row["amount"]
        for account_id, token_id, count in negative:
            rows = await self._connection.fetch(_NEGATIVE, token_id, _IDS)
            ids = tuple(sorted(row["request_id"].hex for row in rows))
            found.append(Difference(Kind.NEGATIVE, f"t{token_id}", account_id, {}, ids, count))
        return sums

    async def _rows(self, progress: Progress) -> AsyncIterator[Row]:
        """Every scope, without what other tables say of it."""
        count = 0
        async for row in self._connection.cursor(_SCOPES, prefetch=_PREFETCH):
            count += 1
            if count % _PREFETCH == 0:
                progress(f"comparing: {count:,} scopes")
            yield Row(*row)

    async def _unknown(
        self,
        stored: dict[str, Stored],
        entries: dict[str, tuple[int, int | None]],
        charged: dict[str, _Charged],
    ) -> list[Difference]:
        """What is left when every scope that has a row is taken away."""
        found = []
        for scope in sorted({*stored, *entries, *charged}):
            book, charges = stored.get(scope), charged.get(scope)
            figures = {
                "ledger_nusd": charges.amount if charges else 0,
                "entries_nusd": entries.get(scope, (0, None))[0],
                "stored_used_nusd": book.used if book else 0,
            }
            ids: tuple[str, ...] = ()
            if charges is not None:
                numbers = [int(number) for number in scope[1:].split(".")]
                rows = await self._connection.fetch(_OF_SCOPE[scope[0]], *numbers, _IDS)
                ids = tuple(sorted(row["request_id"].hex for row in rows))
            count = charges.count if charges else 0
            found.append(
                Difference(Kind.UNKNOWN_SCOPE, scope, account_of(scope), figures, ids, count)
            )
        return found

    async def _twice(self) -> list[Difference]:
        if await self._connection.fetchval(_GUARDED):
            return []
        accounts: dict[int, list[str]] = {}
        for row in await self._connection.fetch(_TWICE):
            accounts.setdefault(row["account_id"], []).append(row["request_id"].hex)
        return [of_calls(Kind.CHARGED_TWICE, account, ids) for account, ids in accounts.items()]


def _wrong(found: list[Difference]) -> list[Difference]:
    return [difference for difference in found if difference.kind is not Kind.LOWERED]


@asynccontextmanager
async def open_auditor(
    dsn: str, url: str, *, sweep_s: float, strict: bool, in_turn: bool = False
) -> AsyncIterator[Auditor | None]:
    """An auditor with connections of its own.

    `in_turn`: None where another process, anywhere, has one that was opened so; the turn is free again
    when its connection ends, however that happens. Raises `StoreUnavailable`, and `SchemaError` for a
    database that is none of ours.
    """
    connection = await connect(dsn)
    try:
        with store_errors():
            await check_tables(connection)
            free = not in_turn or await connection.fetchval(_TURN, _TURN_LOCK)
        if not free:
            yield None
            return
        # A shard's whole contents come as one reply, however much they are.
        async with Pipeline(url, operation_timeout_s=_QUOTA_TIMEOUT_S) as pipeline:
            yield Auditor(connection, pipeline, sweep_s=sweep_s, strict=strict)
    finally:
        connection.terminate()
