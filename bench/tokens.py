"""`python -m bench.tokens`: pages out of a million tokens, and how many tokens a second are made.

Fills an embedded Postgres with one owner's tokens and some of others', then reads the first page of
100 with each filter in each order, as the handler does: query, rows, JSON. Then parallel clients make
tokens over the real admin app. Prints milliseconds, and writes everything to bench/results.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from admin_api.envelope import json_bytes
from admin_api.token_object import token_object
from bench import report
from bench.creates import Creates, measure_creates
from bench.million import fill
from gateway.domain.units import Units
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.embedded.valkey import EmbeddedValkey
from gateway.store.postgres import Pool, apply_schema, open_pool
from gateway.store.token_lists import SORTS, TokenQuery, list_tokens

_FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "status=1": {"status": 1},
    "status=2": {"status": 2},
    "status=3": {"status": 3},
    "status=4": {"status": 4},
    "group=vip (20 %)": {"group": "vip"},
    "group=trial (0.05 %)": {"group": "trial"},
    "group=default": {"group": "default"},
    "keyword=abcd": {"keyword": "abcd"},
    "keyword=a7f (0.1 %)": {"keyword": "a7f"},
    "keyword=prod (20 %)": {"keyword": "prod"},
    "keyword=pr (by prefix)": {"keyword": "pr"},
    "keyword=nothing": {"keyword": "nothing"},
    "token=abcd": {"mask": ("abcd",)},
    "status=4&group=vip": {"status": 4, "group": "vip"},
    "status=3&keyword=prod": {"status": 3, "keyword": "prod"},
    "page 20": {"offset": 1_900},
    "page 100": {"offset": 9_900},
}
_OWNER = 1


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.tokens", description=__doc__)
    parser.add_argument("--tokens", type=int, default=1_000_000, help="default 1,000,000")
    parser.add_argument("--reps", type=int, default=10, help="of each page (default 10)")
    parser.add_argument("--creates", type=int, default=2_000, help="tokens to make (default 2,000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory:
        Path(directory).chmod(0o711)  # started by root, the servers run as a user who walks here
        with StateDirectory.open(Path(directory) / "state") as state:
            postgres, valkey = EmbeddedPostgres(state), EmbeddedValkey(state)
            try:
                found = asyncio.run(_measure(postgres.start(), valkey.start(), options))
            finally:
                valkey.stop()
                postgres.stop()
    print(f"\nwritten: {report.save(found, 'tokens-')}")
    return 0


async def _measure(dsn: str, url: str, options: argparse.Namespace) -> dict[str, Any]:
    await apply_schema(dsn)
    empty = await measure_creates(dsn, url, options.creates)
    _say("on an empty table", empty)
    begun = time.perf_counter()
    await fill(dsn, options.tokens)
    print(f"{options.tokens:,} tokens made in {time.perf_counter() - begun:.0f} s")
    load = os.getloadavg()[0]
    async with await open_pool(dsn, size=1, statement_timeout_s=60) as pool:
        pages = {
            whose: await _pages(pool, whose, user_id, options.reps)
            for whose, user_id in (("one owner", _OWNER), ("user_id=all", None))
        }
    full = await measure_creates(dsn, url, options.creates)
    print()
    _say(f"beside {options.tokens:,}", full)
    return {
        "setting": vars(options) | {"load_average": load},
        "creates": {"empty": empty._asdict(), "full": full._asdict()},
        "page_ms": pages,
    }


def _say(where: str, made: Creates) -> None:
    print(
        f"created {where}: {made.per_s:,.0f} tokens/s, {made.app_ms:.2f} ms of the app's processor"
    )


async def _pages(pool: Pool, whose: str, user_id: int | None, reps: int) -> dict[str, Any]:
    print(f"\n{whose}, page of 100: p50 / p99 in ms (processor time of the app and Postgres)")
    print(f"{'':24}" + "".join(f"{sort:>17}" for sort in SORTS))
    backend = await pool.fetchval("SELECT pg_backend_pid()")
    found: dict[str, Any] = {}
    for name, fields in _FILTERS.items():
        cells = {}
        for sort in SORTS:
            pages = [
                TokenQuery(user_id=user_id, sort=sort, descending=down, limit=100, **fields)
                for down in (True, False)
            ]
            for page in pages:
                await _page_ms(pool, page)  # warms up
            cpu_ms = _cpu_ms(backend)
            took = sorted([await _page_ms(pool, page) for page in pages for _ in range(reps)])
            cells[sort] = {
                "p50": round(statistics.median(took), 2),
                "p99": round(took[-1 - len(took) // 100], 2),
                "cpu": round((_cpu_ms(backend) - cpu_ms) / len(took), 2),
            }
        found[name] = cells
        line = "".join(f"{c['p50']:6.1f}/{c['p99']:4.0f} ({c['cpu']:3.0f})" for c in cells.values())
        print(f"{name:24}{line}", flush=True)
    return found


async def _page_ms(pool: Pool, query: TokenQuery) -> float:
    now, units = datetime.now(UTC), Units(500_000)
    begun = time.perf_counter()
    page = await list_tokens(pool, query, now)
    json_bytes([token_object(row, units, {}, now.timestamp(), 0) for row in page.rows])
    return (time.perf_counter() - begun) * 1000


def _cpu_ms(backend: int) -> float:
    """Processor time of this process and of a server process (nanoseconds, by Linux)."""
    of_backend = int(Path(f"/proc/{backend}/schedstat").read_text().split()[0])
    return time.process_time() * 1000 + of_backend / 1e6


if __name__ == "__main__":
    sys.exit(main())
