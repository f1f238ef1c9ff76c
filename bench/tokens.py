"""`python -m bench.tokens`: tokens made a second, the relay beside administrators, pages out of a million tokens.

Starts `tollhouse run` with its embedded servers. Prints what it measures, and writes everything to bench/results.
bench/README.md says how, and what the figures do not mean.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import report
from bench.beside import measure_beside, show_beside
from bench.cpu import cpu_s
from bench.creates import measure_creates, new_user, show_creates
from bench.million import fill
from bench.mock import mock_upstream
from bench.nginx import nginx_binary
from bench.pages import measure_pages, worst
from bench.servers import request_body
from bench.tollhouse import Tollhouse, tollhouse


def main() -> int:
    """Run it; the exit status is 2 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.tokens", description=__doc__)
    parser.add_argument("--tokens", type=int, default=1_000_000, help="default 1,000,000; 0: none")
    parser.add_argument("--reps", type=int, default=10, help="of each page (default 10)")
    parser.add_argument("--seconds", type=float, default=4, help="of each load (default 4)")
    parser.add_argument("--pairs", type=int, default=5, help="with and without administrators")
    options = parser.parse_args()
    if sys.platform != "linux" or not nginx_binary():
        print("The bench runs on Linux, and needs nginx for its upstream.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # started by root, the servers run as a user who walks here
        with (
            mock_upstream(directory / "mock") as mock,
            tollhouse(directory, mock) as gateway,
        ):
            found = _measure(gateway, directory, options)
    setting = vars(options) | {"load_average": os.getloadavg()[0]}
    print(f"\nwritten: {report.save({'setting': setting, **found}, 'tokens-')}")
    return 0


def _measure(gateway: Tollhouse, directory: Path, options: argparse.Namespace) -> dict[str, Any]:
    body = directory / "body.json"
    body.write_bytes(request_body())
    found: dict[str, Any] = {"creates": {}}
    found["creates"]["empty"] = _creates(gateway, directory, "on an empty table", options)
    found["beside"] = measure_beside(gateway, body, pairs=options.pairs, seconds=options.seconds)
    show_beside(found["beside"])
    if options.tokens:
        begun = time.perf_counter()
        asyncio.run(fill(gateway.database_url, options.tokens))
        print(f"{options.tokens:,} tokens made in {time.perf_counter() - begun:.0f} s")
        roots = [gateway.pids["admin"], gateway.pids["postgres"]]
        pages = measure_pages(
            gateway.admin_url, gateway.access_token, options.reps, lambda: cpu_s(roots)
        )
        found["pages"] = asyncio.run(pages)
        print(f"\nthe worst p99 of a kind of page: {worst(found['pages']):.0f} ms")
        beside = f"beside {options.tokens:,}"
        found["creates"]["full"] = _creates(gateway, directory, beside, options)
    return found


def _creates(
    gateway: Tollhouse, directory: Path, where: str, options: argparse.Namespace
) -> dict[str, Any]:
    access_token = asyncio.run(new_user(gateway))
    made = measure_creates(gateway, access_token, directory, options.seconds)
    show_creates(where, made)
    return made


if __name__ == "__main__":
    sys.exit(main())
