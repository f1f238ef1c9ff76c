"""The ledger: each forwarded call is one row, posted in batches; `used` rises in the same transaction.

A row is written once, as a line of COPY's text format: the same bytes stand in Valkey until Postgres has them.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

import asyncpg
import orjson

from gateway.store.books import Book, Settlement
from gateway.store.late_figures import FIND_LATE, LATE_TABLE, NOTED, correct_sql
from gateway.store.postgres import connect, is_pooled, store_errors

_log = logging.getLogger(__name__)
_SILENCE_S = 5
# What is wrong with a line, and not with Postgres.
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r"}
_UNFIT = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

LOST_WORKER = "lost_worker"
"""The anomaly of a call that nobody ended: charged in full, and an upstream may have had it."""

COUNTS: Final = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_output_tokens",
    "image_output_tokens",
    "rejected_prediction_tokens",
)
"""The counts of tokens."""

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
    *COUNTS,
    "amount",
    "unbilled",
    "estimated",
    "anomaly",
    "price_version",
    "end_user",
    "tags",
    "from_console",
)

POSTING_LOCK: Final = 0x746F6C62
"""Posting has it shared, each transaction for its time: see `gateway/store/rollups.py`."""

_BEGIN = f"BEGIN; SELECT pg_advisory_xact_lock_shared({POSTING_LOCK})"
_SCOPE_FIELDS = [COLUMNS.index(name) for name in ("account_id", "token_id", "user_id", "group_id")]
_AMOUNT_FIELD = COLUMNS.index("amount")

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
UNION ALL SELECT 0, 'new', count(*), 0, 0, 0 FROM new
"""  # noqa: S608 -- our own names

# How many rows a batch touches, no plan can know; of large tables it is a small part, found by their keys.
_PLANS = "SET {0} enable_hashjoin = off; SET {0} enable_mergejoin = off"

_SESSION = f"{_STAGING}; {LATE_TABLE}; {_PLANS.format('SESSION')}"
# Where each transaction may get another session, which may have had one of ours before.
_ANY_SESSION = f"{_STAGING}; {LATE_TABLE}; {_PLANS.format('LOCAL')}"

_CORRECT = correct_sql(COLUMNS)


class Charge(NamedTuple):
    """One line of the ledger. `request_id` is 32 hexadecimal digits."""

    request_id: bytes
    account_id: int
    line: bytes


class Posted(NamedTuple):
    """The books by account and scope as they now are, and the ids that no row could be made of."""

    books: dict[int, dict[str, Book]]
    refused: frozenset[bytes]


class LedgerStore:
    """Posts charges over one connection of its own, one batch at a time."""

    def __init__(self, dsn: str, *, statement_timeout_s: float) -> None:
        self._dsn = dsn
        self._statement_timeout_s = statement_timeout_s
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        self._pooled = is_pooled(dsn)
        self._begin = f"{_BEGIN}; {_ANY_SESSION}" if self._pooled else _BEGIN

    async def post(self, charges: Sequence[Charge]) -> Posted:
        """Write charges, each once whatever happens.

        A charge whose call a reaper had already charged in full corrects that. Raises
        `StoreUnavailable`; the caller posts the same charges again, ids make that harmless.
        """
        return await self._post(charges, new_rows=True)

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
                    rows = await self._write(batch, new_rows=new_rows)
                except _UNFIT as error:
                    # Find the line that Postgres cannot take, so that it holds nobody else's up.
                    middle = len(batch) // 2
                    if middle:
                        batches += (batch[middle:], batch[:middle])
                    else:
                        _log.error("the ledger cannot take %r: %s", batch[0].line, error)
                        posted = Posted(posted.books, posted.refused | {batch[0].request_id})
                    continue
                for account_id, *book in rows:
                    posted.books.setdefault(account_id, {})[book[0]] = Book(*book)
        return posted

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _write(self, charges: Sequence[Charge], *, new_rows: bool) -> list[asyncpg.Record]:
        """One transaction. Whatever goes wrong, the next one begins on a new connection."""
        with store_errors():
            connection = await self._open()
            try:
                # The server cancels a slow statement; this is for a server that does not answer at all.
                async with asyncio.timeout(self._statement_timeout_s + _SILENCE_S):
                    await connection.execute(self._begin)
                    await connection.copy_to_table("staging", source=_lines(charges))
                    await connection.execute(_LOCK)
                    rows = []
                    new = 0
                    if new_rows:
                        *rows, counted = await connection.fetch(_POST)
                        new = counted["granted"]
                    if new < len(charges) and await connection.execute(FIND_LATE) != "INSERT 0 0":
                        rows += await connection.fetch(_CORRECT)
                    await connection.execute("COMMIT")
            except BaseException:
                self._connection = None
                connection.terminate()
                raise
        return rows

    async def _open(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            connection = await connect(
                self._dsn, statement_timeout_s=self._statement_timeout_s, gives_way=True
            )
            if not self._pooled:
                await connection.execute(_SESSION)
            self._connection = connection
        return self._connection


async def _lines(charges: Sequence[Charge]) -> AsyncIterator[bytes]:
    """What COPY reads. Given a file, asyncpg would read it in a thread."""
    yield b"".join([charge.line for charge in charges])


def settlement(charge: Charge) -> Settlement:
    """A charge as the quota store keeps it."""
    fields = charge.line.split(b"\t", _AMOUNT_FIELD + 1)
    scope_ids = _scope_ids(*[fields[at] for at in _SCOPE_FIELDS])
    return Settlement(
        charge.request_id.decode(), scope_ids, int(fields[_AMOUNT_FIELD]), charge.line
    )


@lru_cache(maxsize=4096)
def _scope_ids(account: bytes, token: bytes, user: bytes, group: bytes) -> tuple[str, ...]:
    """The names of the four scopes; charges come by the thousand, and of few tokens."""
    of_account = account.decode()
    return (
        f"t{token.decode()}",
        f"m{of_account}.{user.decode()}",
        f"g{of_account}.{group.decode()}",
        f"a{of_account}",
    )


def model_of(constant: bytes) -> str:
    """The model in what is constant of a token's and model's lines (`COLUMNS` from account_id on); more may follow."""
    text = constant.split(b"\t")[COLUMNS.index("model") - COLUMNS.index("account_id")]
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text.decode())


def ended_at(line: bytes) -> float:
    """When the call of a line ended, Unix seconds."""
    fields = line.split(b"\t")
    started = datetime.fromisoformat(fields[COLUMNS.index("started_at")].decode())
    return started.timestamp() + int(fields[COLUMNS.index("duration_ms")]) / 1000


def copy_text(value: str) -> bytes:
    """A text value as COPY's text format writes it; NUL cannot be stored and becomes U+FFFD."""
    escaped = value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return escaped.replace("\r", "\\r").replace("\0", "\ufffd").encode(errors="replace")


NOTHING_TOLD = b"\\N\t\\N\tf"
"""The fields `end_user`, `tags` and `from_console` of an application's call that told nothing."""


def told_text(
    end_user: str, tags: Mapping[str, str] | None, *, from_console: bool = False
) -> bytes:
    """The fields `end_user`, `tags` and `from_console`."""
    return b"%b\t%b\t%b" % (
        copy_text(end_user) if end_user else b"\\N",
        copy_text(orjson.dumps(tags).decode()) if tags else b"\\N",
        b"t" if from_console else b"f",
    )
