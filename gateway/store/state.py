"""How Postgres is, and what in it waits: for people who look."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.store.outages import read_outages
from gateway.store.postgres import APPLICATION, Pool, reading

_STATE = """
SELECT current_setting('server_version') AS version, pg_database_size(current_database()) AS database_bytes,
       count(*) AS connections, count(*) FILTER (WHERE application_name = $1) AS own_connections,
       current_setting('max_connections')::integer AS max_connections,
       (SELECT max(version) FROM schema_version) AS schema_version
  FROM pg_stat_activity WHERE datname = current_database()
"""
_OUTBOX = """
SELECT count(*) FILTER (WHERE sent_at IS NULL AND failed_at IS NULL) AS waiting,
       count(*) FILTER (WHERE sent_at IS NULL AND failed_at IS NULL AND attempts > 0) AS retried,
       count(*) FILTER (WHERE failed_at > now() - interval '7 days') AS failed
  FROM outbox
"""
_LAST_CALL = "SELECT started_at FROM ledger ORDER BY request_id DESC LIMIT 1"
_CALLED = """
SELECT t.id, t.name, t.user_id, u.username FROM token t JOIN "user" u ON u.id = t.user_id WHERE t.id = ANY ($1)
"""


@dataclass(frozen=True, slots=True)
class PostgresState:
    """What the server says of itself, of the outbox and the ledger, and which upstreams are out since when."""

    latency_ms: float
    server: dict[str, Any]
    outbox: dict[str, int]
    last_call_at: datetime | None
    outages: dict[str, int]


async def read_postgres_state(pool: Pool) -> PostgresState:
    """How it is. Raises `StoreUnavailable`."""
    async with reading(pool) as connection:
        begun = time.perf_counter()
        await connection.fetchval("SELECT 1")
        latency_ms = round((time.perf_counter() - begun) * 1000, 2)
        server = await connection.fetchrow(_STATE, APPLICATION)
        outbox = await connection.fetchrow(_OUTBOX)
        assert server is not None  # both are sums
        assert outbox is not None
        return PostgresState(
            latency_ms,
            dict(server),
            dict(outbox),
            await connection.fetchval(_LAST_CALL),
            {row["upstream"]: row["since"] for row in await read_outages(connection)},
        )


async def read_callers(pool: Pool, token_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """What tokens are called and whose they are, by their ids. Raises `StoreUnavailable`."""
    async with reading(pool) as connection:
        rows = await connection.fetch(_CALLED, list(token_ids))
    return {row["id"]: dict(row) for row in rows}
