"""The ledger: each forwarded call is one row, posted in batches; `used` rises in the same transaction.

A row is written once, as a line of COPY's text format: the same bytes stand in Valkey until Postgres has them.
"""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from gateway.store.books import Book
from gateway.store.postgres import connect, store_errors

_log = logging.getLogger(__name__)

COLUMNS = (
    "request_id",
    "kind",
    "account_id",
    "token_id",
    "user_id",
    "group_id",
    "model",
    "upstream",
    "dialect",
    "route",
    "status",
    "started_at",
    "ttfb_ms",
    "duration_ms",
    "address",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "amount",
    "unbilled",
    "estimated",
    "anomaly",
    "price_version",
)

_STAGING = f"""
CREATE TEMPORARY TABLE staging ON COMMIT DELETE ROWS AS
SELECT {", ".join(COLUMNS)} FROM ledger LIMIT 0
"""

# Accounts are locked first and in order, as every other writer of these rows does: no two batches deadlock.
_LOCK = """
SELECT id FROM account WHERE id IN (SELECT DISTINCT account_id FROM staging) ORDER BY id FOR UPDATE
"""

# Ids that are already posted raise nothing, but their scopes are answered too: the caller confirms them as well.
_POST = f"""
WITH new AS (
  INSERT INTO ledger ({", ".join(COLUMNS)}) SELECT * FROM staging ON CONFLICT DO NOTHING
  RETURNING account_id, token_id, user_id, group_id, amount
), touched AS MATERIALIZED (
  SELECT s.account_id, s.token_id, s.user_id, s.group_id, coalesce(n.amount, 0)::bigint AS amount
    FROM (SELECT DISTINCT account_id, token_id, user_id, group_id FROM staging) s
    LEFT JOIN (SELECT account_id, token_id, user_id, group_id, sum(amount) AS amount
                 FROM new GROUP BY 1, 2, 3, 4) n USING (account_id, token_id, user_id, group_id)
), t AS (
  UPDATE token x SET used = used + d.amount, accessed_at = now()
    FROM (SELECT token_id, sum(amount)::bigint AS amount FROM touched GROUP BY 1) d WHERE x.id = d.token_id
  RETURNING x.account_id, 't' || x.id AS scope, granted, gver, used, version
), m AS (
  UPDATE member x SET used = used + d.amount
    FROM (SELECT account_id, user_id, sum(amount)::bigint AS amount FROM touched GROUP BY 1, 2) d
   WHERE x.account_id = d.account_id AND x.user_id = d.user_id
  RETURNING x.account_id, 'm' || x.account_id || '.' || x.user_id, granted, gver, used, version
), g AS (
  UPDATE subscription x SET used = used + d.amount
    FROM (SELECT account_id, group_id, sum(amount)::bigint AS amount FROM touched GROUP BY 1, 2) d
   WHERE x.account_id = d.account_id AND x.group_id = d.group_id
  RETURNING x.account_id, 'g' || x.account_id || '.' || x.group_id, granted, gver, used, version
), a AS (
  UPDATE account x SET used = used + d.amount
    FROM (SELECT account_id, sum(amount)::bigint AS amount FROM touched GROUP BY 1) d WHERE x.id = d.account_id
  RETURNING x.id, 'a' || x.id, granted, gver, used, version
)
SELECT * FROM t UNION ALL SELECT * FROM m UNION ALL SELECT * FROM g UNION ALL SELECT * FROM a
"""


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of the ledger. `request_id` is 32 hexadecimal digits."""

    request_id: bytes
    account_id: int
    line: bytes


class LedgerStore:
    """Posts charges over one connection of its own."""

    def __init__(self, dsn: str, *, statement_timeout_s: float) -> None:
        self._dsn = dsn
        self._statement_timeout_s = statement_timeout_s
        self._connection: asyncpg.Connection | None = None

    async def post(self, charges: Sequence[Charge]) -> dict[int, list[Book]]:
        """Write charges, each once whatever happens, and answer the books by account as they now are.

        Raises `StoreUnavailable`; the caller posts the same charges again, ids make that harmless.
        """
        with store_errors():
            connection = await self._open()
            try:
                rows = await self._write(connection, charges)
            except asyncpg.DataError:
                if len(charges) > 1:
                    return await self._post_halves(charges)
                _log.exception("the ledger cannot take this line: %r", charges[0].line)
                return {}
        books: dict[int, list[Book]] = {}
        for account_id, *book in rows:
            books.setdefault(account_id, []).append(Book(*book))
        return books

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _open(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._dsn, statement_timeout_s=self._statement_timeout_s
            )
            await self._connection.execute(_STAGING)
        return self._connection

    async def _write(
        self, connection: asyncpg.Connection, charges: Sequence[Charge]
    ) -> list[asyncpg.Record]:
        text = io.BytesIO(b"".join([charge.line for charge in charges]))
        async with connection.transaction():
            await connection.copy_to_table("staging", source=text)
            await connection.execute(_LOCK)
            return await connection.fetch(_POST)

    async def _post_halves(self, charges: Sequence[Charge]) -> dict[int, list[Book]]:
        """Find the line that Postgres cannot take, so that it holds nobody else's up."""
        middle = len(charges) // 2
        books: dict[int, list[Book]] = {}
        for half in (charges[:middle], charges[middle:]):
            for account_id, some in (await self.post(half)).items():
                books.setdefault(account_id, []).extend(some)
        return books


def copy_text(value: str) -> bytes:
    """A text value as COPY's text format writes it; NUL cannot be stored and becomes U+FFFD."""
    escaped = value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return escaped.replace("\r", "\\r").replace("\0", "\ufffd").encode(errors="replace")
