"""`python -m bench.audit`: what an audit of many tokens costs the worker that has the turn, and costs by itself.

Starts `tollhouse run` with its embedded servers, fills its database so that everything adds up, gives Valkey the
books of some of the tokens, and watches the first audit of a new worker: processor time and memory of the worker, of
what it started for it, and of Postgres; and how long a small request to the worker waits meanwhile.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from bench import report
from bench.cpu import cpu_s, tree
from bench.million import balance, fill
from bench.servers import Server
from bench.tollhouse import Tollhouse, tollhouse
from gateway.store.books import Book
from gateway.store.pipeline import Pipeline
from gateway.store.quota import QuotaStore

_NOWHERE = Server("http://127.0.0.1:9", 0)
_AUDIT_OFTEN = "[quota]\naudit_interval_s = 1\n"
_LONGEST_S = 900
_LOOK_EVERY_S = 0.5
_LOADED_AT_ONCE = 500
_OWN_CPU = slice(11, 13)  # utime and stime, without waited-for children: proc(5)
_TICKS_PER_S = 100


def main() -> int:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description=__doc__)
    parser.add_argument("--tokens", type=int, default=200_000, help="default 200,000")
    parser.add_argument("--active", type=int, default=100_000, help="of them in Valkey")
    parser.add_argument("--wrong", action="store_true", help="no grant has an entry")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # started by root, the servers run as a user who walks here
        with tollhouse(directory, _NOWHERE, settings=_AUDIT_OFTEN) as gateway:
            ready = directory / "state" / "ready.json"
            url = json.loads(ready.read_text())["redis_url"]
            asyncio.run(_prepare(gateway.database_url, url, options))
            found = _watch(gateway, ready)
    for what, value in found.items():
        print(f"{what:24} {value:>12,}")
    print(f"written: {report.save({'setting': vars(options), **found}, 'audit-')}")
    return 0


async def _prepare(dsn: str, url: str, options: argparse.Namespace) -> None:
    await fill(dsn, options.tokens)
    await balance(dsn, entries=not options.wrong)
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT account_id, id, granted, gver, used, version FROM token ORDER BY id LIMIT $1",
        options.active,
    )
    await connection.close()
    accounts: dict[int, list[Book]] = {}
    for account_id, token_id, *rest in rows:
        accounts.setdefault(account_id, []).append(Book(f"t{token_id}", *rest))
    async with Pipeline(url, operation_timeout_s=30) as pipeline:
        quota = QuotaStore(pipeline)
        for account_id, books in accounts.items():
            for start in range(0, len(books), _LOADED_AT_ONCE):
                await quota.load(account_id, books[start : start + _LOADED_AT_ONCE])


@dataclass
class _Seen:
    """The most that was seen during an audit."""

    worker_kb: int = 0
    child_kb: dict[int, int] = field(default_factory=dict)
    longest_wait_s: float = 0.0


def _watch(gateway: Tollhouse, ready: Path) -> dict[str, Any]:
    """The first audit of a new worker, which has met the filled database only."""
    (old,) = gateway.pids["gateway"]
    os.kill(old, signal.SIGTERM)
    while (worker := json.loads(ready.read_text())["pids"]["gateway"][0]) == old:
        time.sleep(_LOOK_EVERY_S)
    postgres = gateway.pids["postgres"]
    before_s, started_s = cpu_s([postgres]), _own_s(worker)
    seen = _Seen()
    figures = _until_audited(gateway, worker, seen)
    own, whole = _own_s(worker), cpu_s([worker])
    return {
        "worker_cpu_s": round(own - started_s, 2),
        "child_cpu_s": round(whole - own, 2),
        "postgres_cpu_s": round(cpu_s([postgres]) - before_s, 2),
        "worker_peak_mb": seen.worker_kb // 1024,
        "child_peak_mb": max(seen.child_kb.values(), default=0) // 1024,
        "longest_wait_ms": round(seen.longest_wait_s * 1000),
        "audit_s": figures["audit_duration_seconds"],
        "differences": int(figures["audit_differences"]),
    }


def _until_audited(gateway: Tollhouse, worker: int, seen: _Seen) -> dict[str, float]:
    """The figures once an audit has ended; meanwhile it looks at the processes, and asks the worker small things."""
    address = urlsplit(gateway.server.origin)
    deadline = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline:
        began = time.monotonic()
        connection = http.client.HTTPConnection(address.netloc, timeout=60)
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        connection.close()
        seen.longest_wait_s = max(seen.longest_wait_s, time.monotonic() - began)
        seen.worker_kb = max(seen.worker_kb, _peak_kb(worker))
        for pid in tree(worker) - {worker}:
            seen.child_kb[pid] = max(seen.child_kb.get(pid, 0), _peak_kb(pid))
        figures = _figures(gateway.metrics_url)
        if figures["audit_duration_seconds"]:
            return figures
        time.sleep(_LOOK_EVERY_S)
    raise TimeoutError("no audit has ended")


def _figures(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        text = answer.read().decode()
    found = dict.fromkeys(("audit_duration_seconds", "audit_differences"), 0.0)
    for name, value in re.findall(r"^tollhouse_(audit_\w+)(?:{.*})? (\S+)$", text, re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def _own_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[_OWN_CPU])) / _TICKS_PER_S


def _peak_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
