"""`python -m bench.usage`: how long the console's questions about usage take beside a ledger of many million rows.

Starts an embedded Postgres, fills a ledger with calls of two thousand tokens, rolls it up as a worker does, and asks
what the console and the API ask: from the parameters of the question to the bytes of the answer. What is kept in a
`--directory` is rolled up and asked again within a few hours; the ledger goes on beyond the present for as long.
"""

import argparse
import asyncio
import functools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as dt_time
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
from multidict import MultiDict

from admin_api.envelope import accept
from admin_api.logs.usage_queries import series_object, series_query_of
from bench.cpu import cpu_s
from gateway.domain.units import Units
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.settings import Config
from gateway.store.ledger_calls import CallFilter, uuid7_floor
from gateway.store.postgres import Pool, apply_schema, open_pool
from gateway.store.rollups import roll
from gateway.store.usage import read_series, read_sums

_LONGEST_S = 3600
_BEYOND = timedelta(hours=4)
"""So long the ledger goes on behind the present: what is not rolled up yet is there whenever it is asked."""

_FILTERS = {
    "everybody's": CallFilter(user_id=None),
    "one user's": CallFilter(user_id=7),
    "one key's": CallFilter(user_id=None, token_id=9),
}
_ZONES = {
    "day": ("UTC", "Europe/Berlin", "Asia/Shanghai", "Asia/Kolkata", "Asia/Kathmandu"),
    "hour": ("UTC", "Asia/Kolkata", "Asia/Kathmandu"),
    "all": ("UTC", "Asia/Kolkata"),
}
# By what, how long a point is, how many days (0: all that there are), and how many series (0: unsaid).
_QUESTIONS: tuple[tuple[str, str, int, int], ...] = (
    ("", "day", 30, 0),
    ("model", "day", 30, 6),
    ("token_id", "day", 30, 6),
    ("token_id", "day", 30, 0),
    ("token_id", "day", 30, 333),
    ("user_id", "day", 30, 6),
    ("user_id", "day", 30, 0),
    ("", "hour", 7, 0),
    ("model", "hour", 7, 6),
    ("token_id", "hour", 7, 6),
    ("token_id", "hour", 30, 6),
    ("model", "all", 30, 10_000),
    ("token_id", "all", 30, 10_000),
    ("user_id", "all", 30, 10_000),
    ("model", "day", 0, 6),
    ("token_id", "day", 0, 6),
    ("token_id", "all", 0, 10_000),
    ("user_id", "all", 0, 10_000),
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
# Apart, and attached once it is full and has its indexes. A table that is made in a transaction writes no log in it.
_MONTH = """
DROP TABLE IF EXISTS {name};
CREATE TABLE {name} (LIKE ledger INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
                     CONSTRAINT of_the_month CHECK (request_id >= '{lower}' AND request_id < '{upper}'));
"""
_ATTACH = """
ALTER TABLE {name} ADD PRIMARY KEY (request_id, kind);
CREATE INDEX ON {name} (token_id, request_id DESC);
CREATE INDEX ON {name} (account_id, request_id DESC);
ALTER TABLE ledger ATTACH PARTITION {name} FOR VALUES FROM ('{lower}') TO ('{upper}');
ALTER TABLE {name} DROP CONSTRAINT of_the_month;
ANALYZE {name};
"""
# Evenly over the time; a tenth of the tokens makes half of the calls, and it is others each hour.
_CALLS = """
INSERT INTO {name} (request_id, kind, account_id, token_id, user_id, group_id, model, upstream, dialect, route, status,
                    started_at, ttfb_ms, duration_ms, input_tokens, output_tokens, amount)
SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8'
        || substr(hash, 4, 15))::uuid,
       'c', t.account_id, t.id, t.user_id, 1, 'model-' || (t.id + (n % 10 = 0)::int) % 5,
       'upstream-' || t.id % 2 + (n % 20 = 0)::int, 'openai', 'chat_completions',
       CASE WHEN n % 50 = 0 THEN 429 ELSE 200 END, at, 100 + n % 900, 1000 + n % 9000, n % 4000, n % 700, n % 100000
  FROM (SELECT n, md5(n::text) AS hash, $1::timestamptz + n * ($2::interval / $3::int) AS at,
               1 + ((random() ^ 2.5 * $4::int)::int + extract(hour FROM $1::timestamptz)::int) % $4::int AS token
          FROM generate_series(0, $3::int - 1) n) each
  JOIN token t ON t.id = each.token
"""


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.usage", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="default 10,000,000")
    parser.add_argument("--days", type=int, default=36, help="of the ledger, default 36")
    parser.add_argument("--users", type=int, default=500, help="with four tokens each, default 500")
    parser.add_argument("--reps", type=int, default=20, help="of each question, default 20")
    parser.add_argument("--directory", type=Path, help="of what is kept; without it nothing is")
    options = parser.parse_args()
    if options.directory is not None:
        options.directory.mkdir(exist_ok=True)
        _run_in(options.directory, options)
        return 0
    with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory:
        _run_in(Path(directory), options)
    return 0


def _run_in(directory: Path, options: argparse.Namespace) -> None:
    directory.chmod(0o711)  # started by root, Postgres runs as a user who walks here
    with StateDirectory.open(directory / "state") as state:
        server = EmbeddedPostgres(state, durable=False)
        try:
            asyncio.run(_run(server.start(), options))
        finally:
            server.stop()


async def _run(dsn: str, options: argparse.Namespace) -> None:
    await apply_schema(dsn)
    async with await open_pool(dsn, size=2, statement_timeout_s=_LONGEST_S) as pool:
        if not await pool.fetchval("SELECT EXISTS (SELECT FROM ledger)"):
            await _fill(dsn, options)
        begun = time.perf_counter()
        while await roll(pool):
            pass
        print(f"rolled up in {time.perf_counter() - begun:.0f} s", flush=True)
        await pool.execute("VACUUM ANALYZE rollup", timeout=_LONGEST_S)
        print(await pool.fetchval(_SIZES))
        await _ask_all(pool, options)


_SIZES = """
SELECT string_agg(format('%s: %s rows, %s MB', parent, rows, mb), '; ') FROM (
  SELECT parent, (sum(reltuples) / 1e6)::numeric(9, 1) || ' million' AS rows,
         round(sum(pg_total_relation_size(relid)) / 1e6) AS mb
    FROM unnest(ARRAY['ledger', 'rollup']) parent CROSS JOIN LATERAL pg_partition_tree(parent::regclass)
    JOIN pg_class ON oid = relid AND isleaf GROUP BY parent) each
"""


async def _fill(dsn: str, options: argparse.Namespace) -> None:
    connection = await asyncpg.connect(dsn)
    begun = time.perf_counter()
    await connection.execute("SET maintenance_work_mem = '512MB'")
    await connection.execute("SET max_parallel_maintenance_workers = 0")
    await connection.execute(_PEOPLE.strip().rstrip(";"), options.users)
    await connection.execute(_MEMBERS, 4)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + _BEYOND
    hours = [end - timedelta(hours=n) for n in range(options.days * 24, 0, -1)]
    for month in dict.fromkeys(hour.replace(day=1, hour=0) for hour in hours):
        after = (month + timedelta(days=32)).replace(day=1)
        names = {
            "name": f"ledger_{month:%Y%m}",
            "lower": uuid7_floor(month),
            "upper": uuid7_floor(after),
        }
        async with connection.transaction():
            await connection.execute(_MONTH.format(**names))
            # An hour at a time, so that tokens have hours.
            for hour in (each for each in hours if month <= each < after):
                await connection.execute(
                    _CALLS.format(**names), hour, timedelta(hours=1), options.rows // len(hours),
                    options.users * 4, timeout=_LONGEST_S,
                )  # fmt: skip
            filled = time.perf_counter() - begun
            await connection.execute(_ATTACH.format(**names), timeout=_LONGEST_S)
        print(
            f"{names['name']}: filled after {filled:.0f} s, with indexes after {time.perf_counter() - begun:.0f} s",
            flush=True,
        )
    await connection.execute('ANALYZE token, "user", account, member')
    await connection.close()


async def _ask_all(pool: Pool, options: argparse.Namespace) -> None:
    slowest = 0.0
    for whose, chosen in _FILTERS.items():
        while await roll(pool):  # as a worker does each minute
            pass
        for by, interval, days, top in _QUESTIONS:
            if whose != "everybody's" and (by == "user_id" or (by == "token_id" and top != 6)):
                continue
            for zone in _ZONES[interval]:
                asked = _parameters(by, interval, days or options.days, zone, top)
                stretch = f"{days or options.days} days by {interval}, {zone}"
                name = f"{whose}, {by or 'all'}, {f'top {top}, ' if top else ''}{stretch}"
                ask = functools.partial(_answer, pool, chosen, asked)
                slowest = max(slowest, await _show(name, ask, options.reps))
        sums = functools.partial(read_sums, pool, replace(chosen, end=datetime.now(UTC)))
        slowest = max(slowest, await _show(f"{whose}, sums of all time", sums, options.reps))
    print(f"the slowest p50: {slowest:.0f} ms; load average {os.getloadavg()[0]:.1f}")


def _parameters(by: str, interval: str, days: int, zone: str, top: int) -> MultiDict[str]:
    today = datetime.now(ZoneInfo(zone)).date()
    start = datetime.combine(today - timedelta(days=days - 1), dt_time(), ZoneInfo(zone))
    asked = {
        "by": by,
        "interval": interval,
        "time_zone": zone,
        "start": str(int(start.timestamp())),
    }
    return MultiDict(asked | ({"top": str(top)} if top else {}))


async def _answer(pool: Pool, chosen: CallFilter, asked: MultiDict[str]) -> bytes:
    """The body of the answer, as `GET /api/usage` makes it."""
    query = series_query_of(asked, datetime.now(UTC))
    series = await read_series(pool, chosen, query.edges, query.by, query.most, query.weight)
    body = accept(series_object(query, series, Units(Config().quota.units_per_usd))).body
    assert isinstance(body, bytes)
    return body


async def _show(name: str, ask: Callable[[], Awaitable[object]], reps: int) -> float:
    """p50, the slowest, and what it takes of processors: that is what a machine with nothing else to do would need."""
    await ask()
    begun = cpu_s([os.getpid()])
    took = sorted([await _ms(ask) for _ in range(reps)])
    used_ms = (cpu_s([os.getpid()]) - begun) / reps * 1000
    median = statistics.median(took)
    print(f"{name:66} {median:6.0f} / {took[-1]:6.0f} ms, CPU {used_ms:5.0f} ms", flush=True)
    return median


async def _ms(ask: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await ask()
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    sys.exit(main())
