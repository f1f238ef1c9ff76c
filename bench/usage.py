"""`python -m bench.usage`: how long the console's questions about usage take beside a ledger of many million rows.

Starts an embedded Postgres, fills a ledger with calls of two thousand tokens, rolls it up as a worker does, and asks
what the console asks, of the rollup and, once each, of the ledger alone.
"""

import argparse
import asyncio
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg

from gateway.domain.intervals import Interval, edges
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.store import rolled_usage
from gateway.store.ledger_calls import CallFilter
from gateway.store.postgres import Pool, apply_schema, open_pool
from gateway.store.rollups import roll
from gateway.store.usage import read_series, read_sums

_LONGEST_S = 300
_FILTERS = {
    "everybody's": CallFilter(user_id=None),
    "one user's": CallFilter(user_id=7),
    "one key's": CallFilter(user_id=None, token_id=9),
}
_QUESTIONS: tuple[tuple[int, Interval, str, str], ...] = (
    (30, "day", "UTC", ""),
    (30, "day", "UTC", "model"),
    (30, "day", "UTC", "token_id"),
    (30, "day", "Europe/Berlin", "model"),
    (30, "day", "Europe/Berlin", "token_id"),
    (30, "day", "Asia/Kolkata", "model"),
    (30, "hour", "Europe/Berlin", "model"),
    (0, "day", "UTC", "model"),  # all days that there are
    (0, "day", "Europe/Berlin", "model"),
)

_PEOPLE = """
INSERT INTO account (name, granted) SELECT 'bench', NULL FROM generate_series(1, $1::int);
"""
_MEMBERS = """
WITH u AS (
  INSERT INTO "user" (username, account_id, group_id) SELECT 'bench' || id, id, 1 FROM account RETURNING id, account_id
), m AS (
  INSERT INTO member (account_id, user_id) SELECT account_id, id FROM u
)
INSERT INTO token (account_id, user_id, name) SELECT account_id, id, 'bench' FROM u, generate_series(1, $1::int)
"""
# Evenly over the time; a tenth of the tokens makes half of the calls.
_CALLS = """
INSERT INTO ledger (request_id, kind, account_id, token_id, user_id, group_id, model, upstream, dialect, route, status,
                    started_at, ttfb_ms, duration_ms, input_tokens, output_tokens, amount)
SELECT (left(uuid7_floor(at)::text, 13) || '-7' || substr(md5(n::text), 1, 3) || '-8' || substr(md5(n::text), 4, 3)
        || '-' || substr(md5(n::text), 7, 12))::uuid,
       'c', t.account_id, t.id, t.user_id, 1, 'model-' || (t.id + (n % 10 = 0)::int) % 5,
       'upstream-' || t.id % 2 + (n % 20 = 0)::int, 'openai', 'chat_completions',
       CASE WHEN n % 50 = 0 THEN 429 ELSE 200 END, at, 100 + n % 900, 1000 + n % 9000, n % 4000, n % 700, n % 100000
  FROM (SELECT n, $1::timestamptz + n * ($2::interval / $3::int) AS at,
               1 + ((random() ^ 2.5 * $4::int)::int + extract(hour FROM $1::timestamptz)::int) % $4::int AS token
          FROM generate_series(1, $3::int) n) each
  JOIN token t ON t.id = each.token
"""


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.usage", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="default 10,000,000")
    parser.add_argument("--days", type=int, default=36, help="of the ledger, default 36")
    parser.add_argument("--users", type=int, default=500, help="with four tokens each, default 500")
    parser.add_argument("--reps", type=int, default=10, help="of each question, default 10")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory:
        Path(directory).chmod(0o711)  # started by root, Postgres runs as a user who walks here
        with StateDirectory.open(Path(directory) / "state") as state:
            server = EmbeddedPostgres(state, durable=False)
            try:
                asyncio.run(_run(server.start(), options))
            finally:
                server.stop()
    return 0


async def _run(dsn: str, options: argparse.Namespace) -> None:
    await apply_schema(dsn)
    end = datetime.now(UTC)
    start = end - timedelta(days=options.days)
    await _fill(dsn, start, options)
    async with await open_pool(dsn, size=2, statement_timeout_s=_LONGEST_S) as pool:
        begun = time.perf_counter()
        while await roll(pool):
            pass
        print(f"rolled up in {time.perf_counter() - begun:.0f} s")
        await pool.execute("VACUUM ANALYZE rollup", timeout=_LONGEST_S)
        sizes = await pool.fetchrow(
            "SELECT (SELECT count(*) FROM rollup),"
            " (SELECT sum(pg_total_relation_size(relid)) / 1e6 FROM pg_partition_tree('rollup')),"
            " (SELECT sum(pg_total_relation_size(relid)) / 1e6 FROM pg_partition_tree('ledger'))"
        )
        print("rollup: {:,} rows, {:,.0f} MB beside {:,.0f} MB of the ledger".format(*sizes))
        await _ask_all(pool, end, options)


async def _fill(dsn: str, start: datetime, options: argparse.Namespace) -> None:
    connection = await asyncpg.connect(dsn)
    begun = time.perf_counter()
    months = options.days // 28 + 3
    await connection.execute("SELECT ensure_ledger_partitions($1, $2)", start, months)
    await connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '256MB'")
    await connection.execute(_PEOPLE.strip().rstrip(";"), options.users)
    await connection.execute(_MEMBERS, 4)
    # An hour at a time, so that tokens have hours.
    hours = options.days * 24
    for hour in range(0, hours, 24):
        for part in range(24):
            await connection.execute(
                _CALLS, start + timedelta(hours=hour + part), timedelta(hours=1),
                options.rows // hours, options.users * 4, timeout=_LONGEST_S,
            )  # fmt: skip
    await connection.execute("ANALYZE", timeout=_LONGEST_S)
    count = await connection.fetchval("SELECT count(*) FROM ledger", timeout=_LONGEST_S)
    print(f"{count:,} rows over {options.days} days in {time.perf_counter() - begun:.0f} s")
    await connection.close()


async def _ask_all(pool: Pool, end: datetime, options: argparse.Namespace) -> None:
    reps = options.reps
    for whose, chosen in _FILTERS.items():
        for number, interval, zone, by in _QUESTIONS:
            days = number or options.days
            points = edges(end - timedelta(days=days), end, interval, ZoneInfo(zone), 1000)
            ask = functools.partial(read_series, pool, chosen, points, by, 100)
            name = f"{whose}, {days} days by {interval} ({zone}), {by or 'all'}"
            await _show(name, ask, reps, beside=(days, by, zone) == (30, "model", "UTC"))
        await _show(f"{whose}, sums of all time", functools.partial(read_sums, pool, chosen), reps)


async def _show(
    name: str, ask: Callable[[], Awaitable[object]], reps: int, *, beside: bool = False
) -> None:
    """p50 and the slowest; `beside`: once of the ledger alone, too."""
    took = sorted([await _ms(ask) for _ in range(reps + 1)][1:])
    line = f"{name:62} {statistics.median(took):6.0f} / {took[-1]:6.0f} ms"
    if beside:
        rolled_usage.is_rolled, whole = (lambda *_: False), rolled_usage.is_rolled
        try:
            line += f"; of the ledger {await _ms(ask):,.0f} ms"
        finally:
            rolled_usage.is_rolled = whole
    print(line, flush=True)


async def _ms(ask: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await ask()
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    sys.exit(main())
