"""Reads both stores so that the books can be compared while calls run, and compares them.

The order is what keeps a running system from raising a false alarm. What the quota store has is listed, and `used` of
Postgres is read: the quota store must count at least that much. Then the quota store, shard by shard, each at one
instant. Then everything of Postgres in one snapshot: the quota store cannot have known more. What
is on its way between the stores can still look like a difference, so a difference counts only if it
is there at every look for as long as `patience_s`.

In memory is what the quota store has. What Postgres has passes by, a scope at a time.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from gateway.domain.conservation import (
    Difference,
    Kind,
    Report,
    Shard,
    Stored,
    Totals,
    account_of,
    compare_scope,
    compare_shard,
    of_calls,
)
from gateway.domain.findings import Findings
from gateway.domain.token import SCOPE_LETTERS
from gateway.giving_way import THIRTIETH
from gateway.store.conservation_rows import (
    ScopeRow,
    find_calls,
    find_negative,
    find_posted,
    find_twice,
    read_scopes,
    read_used,
)
from gateway.store.holdings import Progress, list_names, read_shards
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import check_tables, connect, store_errors

PATIENCE_S: Final = 1.0
"""How long what is on its way may take: the posting's commit until its CONFIRM, at most."""
_PAUSE_S: Final = 0.1
_QUOTA_TIMEOUT_S: Final = 30.0
_LATE_SWEEPS: Final = 2
_TOLD_EVERY: Final = 1000
_REQUEST_ID: Final = re.compile(r"[0-9a-f]{32}")


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
        self,
        *,
        patience_s: float = PATIENCE_S,
        account_id: int | None = None,
        progress: Progress = lambda _: None,
    ) -> Report:
        """Look until nothing differs, or what differs has differed for `patience_s`.

        At least twice where anything does. Of one account alone where `account_id` is given. Raises `StoreUnavailable`.
        """
        began = time.monotonic()
        findings = Findings(account_id=account_id)
        totals = await self._look(findings, progress)
        looks, seen_at = 1, time.monotonic()
        while findings.wrong and (looks == 1 or time.monotonic() - seen_at < patience_s):
            await asyncio.sleep(min(_PAUSE_S, patience_s))
            findings = Findings(findings, account_id=account_id)
            totals = await self._look(findings, progress)
            looks += 1
        return Report(
            totals,
            findings.differences,
            findings.remarks,
            findings.counts,
            findings.overspend_nusd,
            looks,
            time.monotonic() - began,
        )

    async def _look(self, findings: Findings, progress: Progress) -> Totals:
        names = await list_names(self._pipeline, progress)
        progress("postgres: used")
        with store_errors():
            listed = {scope for each in names.values() for scope in each.scopes}
            used_before = await read_used(self._connection, listed)
        shards = await read_shards(self._pipeline, names, progress)
        progress("postgres: ledger and grants")
        with store_errors():
            async with self._connection.transaction(isolation="repeatable_read", readonly=True):
                return await self._compare(shards, used_before, findings, progress)

    async def _compare(
        self,
        shards: list[Shard],
        used_before: dict[str, int],
        findings: Findings,
        progress: Progress,
    ) -> Totals:
        totals = Totals()
        for shard in shards:
            findings.add(compare_shard(shard, self._late_ms))
        unposted = await self._unposted(shards, totals, findings)
        stored = {scope: book for shard in shards for scope, book in shard.stored.items()}
        nameless, owners = findings.nameless, dict[str, int]()
        count = 0
        async for each in read_scopes(self._connection, strict=self._strict):
            count += 1
            if count % _TOLD_EVERY == 0:
                progress(f"comparing: {count:,} scopes")
            scope, row = each.scope, each.row
            book = stored.pop(scope, None)
            if scope[0] == "t":
                await self._add_charges(each, totals, findings)
            if row is None:
                findings.add([await self._unknown(each, book, findings)])
                continue
            if scope in nameless:
                owners[scope] = row.account_id
            before, waiting = used_before.get(scope, 0), unposted.get(scope, 0)
            findings.add(compare_scope(row, book, used_before=before, unposted=waiting))
            totals.by_scope[SCOPE_LETTERS[scope[0]]].add(row, book)
        findings.add(_unknown(ScopeRow(book.scope), book) for book in stored.values())
        findings.add(await find_twice(self._connection))
        findings.own(owners)
        return totals

    async def _unposted(
        self, shards: Iterable[Shard], totals: Totals, findings: Findings
    ) -> dict[str, int]:
        """What is held and pending for calls that the ledger does not have, by scope."""
        records = [record for shard in shards for record in shard.records]
        ids = sorted({r.request_id for r in records if _REQUEST_ID.fullmatch(r.request_id)})
        posted = await find_posted(self._connection, ids)
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
        findings.add(of_calls(Kind.CHARGED_AND_HELD, a, some) for a, some in twice.items())
        return sums

    async def _add_charges(self, of: ScopeRow, totals: Totals, findings: Findings) -> None:
        """Count a token's charges, which are all that there are."""
        charges = of.charges
        totals.charges += charges.calls
        totals.charged_nusd += charges.amount
        totals.unbilled_nusd += charges.unbilled or 0
        totals.estimated_nusd += charges.estimated or 0
        if charges.negative:
            ids: tuple[str, ...] = ()
            if findings.names(Kind.NEGATIVE, of.scope):
                ids = await find_negative(self._connection, of.scope)
            account_id = of.row.account_id if of.row else 0
            findings.add(
                [Difference(Kind.NEGATIVE, of.scope, account_id, {}, ids, charges.negative)]
            )

    async def _unknown(self, of: ScopeRow, book: Stored | None, findings: Findings) -> Difference:
        """A scope that has no row."""
        ids: tuple[str, ...] = ()
        if of.charges.calls and findings.names(Kind.UNKNOWN_SCOPE, of.scope):
            ids = await find_calls(self._connection, of.scope)
        return _unknown(of, book, ids)


def _unknown(of: ScopeRow, book: Stored | None, ids: tuple[str, ...] = ()) -> Difference:
    figures = {
        "ledger_nusd": of.charges.amount,
        "entries_nusd": of.entries,
        "stored_used_nusd": book.used if book else 0,
    }
    account_id = account_of(of.scope)
    return Difference(Kind.UNKNOWN_SCOPE, of.scope, account_id, figures, ids, of.charges.calls)


@asynccontextmanager
async def open_auditor(
    dsn: str, url: str, *, sweep_s: float, strict: bool, statement_timeout_s: float = 0
) -> AsyncIterator[Auditor]:
    """An auditor with connections of its own.

    Raises `StoreUnavailable`, and `SchemaError` for a database that is none of ours.
    """
    # It reads the whole ledger, for minutes where that is long, and nobody waits for it.
    connection = await connect(dsn, statement_timeout_s=statement_timeout_s, gives_way=THIRTIETH)
    try:
        with store_errors():
            await check_tables(connection)
        # A shard's whole contents come as one reply, however much they are.
        async with Pipeline(url, operation_timeout_s=_QUOTA_TIMEOUT_S) as pipeline:
            yield Auditor(connection, pipeline, sweep_s=sweep_s, strict=strict)
    finally:
        connection.terminate()
