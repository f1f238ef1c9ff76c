"""The ledger: each forwarded call is one row, posted in batches; `used` rises in the same transaction."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import asyncpg

from gateway.giving_way import THIRD
from gateway.store.books import Book
from gateway.store.charges import COLUMNS, Charge, lines
from gateway.store.late_figures import FIND_LATE, LATE_TABLE, NOTED, correct_sql
from gateway.store.new_charges import Rows, copy_new
from gateway.store.postgres import connect, is_pooled, store_errors
from gateway.store.raised import BOOKS, RAISED

_log = logging.getLogger(__name__)
_SILENCE_S = 5
# What is wrong with a line, and not with Postgres.
_UNFIT = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

POSTING_LOCK: Final = 0x746F6C62
"""Posting has it shared, each transaction for its time: see `gateway/store/rollups.py`."""

_BEGIN = f"BEGIN; SELECT pg_advisory_xact_lock_shared({POSTING_LOCK})"
_STAGING = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS staging ON COMMIT DELETE ROWS AS
SELECT {", ".join(COLUMNS)} FROM ledger LIMIT 0
"""  # noqa: S608 -- our own names

# Accounts are locked first and in order, as every other writer of these rows does: no two batches deadlock.
_LOCK = """
SELECT id FROM account WHERE id IN (SELECT DISTINCT account_id FROM staging) ORDER BY id FOR UPDATE
"""

# Ids that are already posted raise nothing, but their scopes are answered too: the caller confirms them as well.
# Rows of before the rollup's end are noted for it.
_POST = f"""
WITH new AS (
  INSERT INTO ledger ({", ".join(COLUMNS)}) SELECT * FROM staging ON CONFLICT DO NOTHING
  RETURNING request_id, kind, account_id, token_id, user_id, group_id, amount
), noted AS ({NOTED}), touched AS MATERIALIZED (
  SELECT account_id, token_id, user_id, group_id, sum(amount)::bigint AS amount
    FROM (SELECT account_id, token_id, user_id, group_id, 0 AS amount FROM staging
          UNION ALL SELECT account_id, token_id, user_id, group_id, amount FROM new) each
   GROUP BY 1, 2, 3, 4
), {RAISED}
{BOOKS}
UNION ALL SELECT 0, 'new', count(*), 0, 0, 0 FROM new
"""  # noqa: S608 -- our own names

# How many rows a batch touches, no plan can know; of large tables it is a small part, found by their keys.
_PLANS = "SET {0} enable_hashjoin = off; SET {0} enable_mergejoin = off"
_TABLES = f"{_STAGING}; {LATE_TABLE}"

_CORRECT = correct_sql(COLUMNS)

_Work = Callable[[asyncpg.Connection], Awaitable[Rows | None]]


class Posted(NamedTuple):
    """The books by account and scope as they now are, and the ids that no row could be made of."""

    books: dict[int, dict[str, Book]]
    refused: frozenset[bytes]

    def take(self, rows: Rows) -> None:
        """Note the books of some of the charges."""
        for account_id, *book in rows:
            self.books.setdefault(account_id, {})[book[0]] = Book(*book)


class LedgerStore:
    """Posts charges over one connection of its own, one batch at a time."""

    def __init__(self, dsn: str, *, statement_timeout_s: float) -> None:
        self._dsn = dsn
        self._statement_timeout_s = statement_timeout_s
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        self._pooled = is_pooled(dsn)
        self._begin = f"{_BEGIN}; {_PLANS.format('LOCAL')}" if self._pooled else _BEGIN

    async def post(self, charges: Sequence[Charge]) -> Posted:
        """Write charges, each once whatever happens.

        A charge whose call a reaper had already charged in full corrects that. Raises
        `StoreUnavailable`; the caller posts the same charges again, ids make that harmless.
        """
        return await self._post(charges, new_rows=True)

    async def post_new(self, charges: Sequence[Charge]) -> Posted:
        """As `post`, in three quarters of the time where nobody posted any of them before, and each is fit to be."""
        async with self._turn:
            try:
                rows = await self._write(partial(copy_new, charges))
            except (*_UNFIT, ValueError, LookupError):  # the latter two: of a line that is none
                rows = None
        if rows is None:
            return await self.post(charges)
        posted = Posted({}, frozenset())
        posted.take(rows)
        return posted

    async def correct(self, charges: Sequence[Charge]) -> Posted:
        """As `post`, but for calls that may never have been reserved: only corrects, makes no row of its own."""
        return await self._post(charges, new_rows=False)

    async def _post(self, charges: Sequence[Charge], *, new_rows: bool) -> Posted:
        posted = Posted({}, frozenset())
        async with self._turn:
            batches = [charges]
            while batches:
                batch = batches.pop()
                try:
                    work = partial(self._sort_out, batch, new_rows=new_rows)
                    posted.take(await self._write(work) or [])
                except _UNFIT as error:
                    # Find the line that Postgres cannot take, so that it holds nobody else's up.
                    middle = len(batch) // 2
                    if middle:
                        batches += (batch[middle:], batch[:middle])
                    else:
                        _log.error("the ledger cannot take %r: %s", batch[0].line, error)
                        posted = Posted(posted.books, posted.refused | {batch[0].request_id})
        return posted

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _write(self, work: _Work) -> Rows | None:
        """One transaction, undone where the work answers None.

        Whatever goes wrong, the next one begins on a new connection.
        """
        with store_errors():
            connection = await self._open()
            try:
                # The server cancels a slow statement; this is for a server that does not answer at all.
                async with asyncio.timeout(self._statement_timeout_s + _SILENCE_S):
                    await connection.execute(self._begin)
                    rows = await work(connection)
                    await connection.execute("ROLLBACK" if rows is None else "COMMIT")
            except BaseException:
                self._connection = None
                connection.terminate()
                raise
        return rows

    async def _sort_out(
        self, charges: Sequence[Charge], connection: asyncpg.Connection, *, new_rows: bool
    ) -> Rows:
        """Post what was not posted, correct what was charged in full."""
        if self._pooled:
            await connection.execute(_TABLES)
        await connection.copy_to_table("staging", source=lines(charges))
        await connection.execute(_LOCK)
        rows: Rows = []
        new = 0
        if new_rows:
            *rows, counted = await connection.fetch(_POST)
            new = counted["granted"]
        if new < len(charges) and await connection.execute(FIND_LATE) != "INSERT 0 0":
            rows += await connection.fetch(_CORRECT)
        return rows

    async def _open(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            # No more than that: what is not posted yet is read by each first call of a key.
            connection = await connect(
                self._dsn, statement_timeout_s=self._statement_timeout_s, gives_way=THIRD
            )
            if not self._pooled:
                await connection.execute(f"{_TABLES}; {_PLANS.format('SESSION')}")
            self._connection = connection
        return self._connection
