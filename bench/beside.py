"""What callers notice of administrators: the relay's p99 with admin load beside it, as a multiple of that without.

All at one rate, about half of what the worker can do, in turns within one run: alone, beside administrators who take
their time, and beside some who never pause.
"""

import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.load import Load, run_load
from bench.paced import run_paced
from bench.tollhouse import Tollhouse

_SATURATED_S = 3.0
_SHARE = 0.5
_SETTLE_S = 1.0
# What administrators ask for in a second; 0: without a pause, which is more than two cores have beside all else.
_PACES = {"paced": 20.0, "unpaced": 0.0}


def measure_beside(gateway: Tollhouse, body: Path, *, pairs: int, seconds: float) -> dict[str, Any]:
    """For each pace the ratio of the medians of p99, and everything that it was made of."""
    url, key = gateway.server.url, gateway.key
    run_load(url, key, body, _SATURATED_S)  # warms up
    full = run_load(url, key, body, _SATURATED_S)
    rate = _SHARE * full.requests / full.seconds
    alone: list[Load] = []
    beside: dict[str, list[tuple[Load, float]]] = {name: [] for name in _PACES}
    for _ in range(pairs):
        alone.append(run_paced(url, key, body, rate, seconds))
        for name, pace in _PACES.items():
            beside[name].append(_beside(gateway, body, rate, seconds, pace))
    loads = [*alone, *(load for found in beside.values() for load, _ in found)]
    if errors := sum(load.errors for load in loads):
        raise RuntimeError(f"{errors} calls failed")
    p99_ms = statistics.median(load.p99_ms for load in alone)
    return {
        "calls_per_s": round(rate),
        "p99_ms": p99_ms,
        "alone": [asdict(load) for load in alone],
        **{name: _compared(found, p99_ms) for name, found in beside.items()},
    }


def _compared(found: list[tuple[Load, float]], p99_ms: float) -> dict[str, Any]:
    beside_p99_ms = statistics.median(load.p99_ms for load, _ in found)
    return {
        "admin_calls_per_s": round(statistics.median(per_s for _, per_s in found), 1),
        "p99_ms": beside_p99_ms,
        "ratio": round(beside_p99_ms / p99_ms, 3),
        "beside": [asdict(load) for load, _ in found],
    }


def _beside(
    gateway: Tollhouse, body: Path, rate: float, seconds: float, pace: float
) -> tuple[Load, float]:
    """One run with the administrators at work, and how many calls of theirs were answered a second."""
    given = [gateway.admin_url, gateway.access_token, str(pace)]
    command = [sys.executable, "-m", "bench.admin_load", *given]
    begun = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as admins:
        try:
            time.sleep(_SETTLE_S)
            load = run_paced(gateway.server.url, gateway.key, body, rate, seconds)
        finally:
            admins.terminate()
        said, _ = admins.communicate()
    if admins.returncode:
        raise RuntimeError("an administrator's call failed")
    return load, int(said) / (time.perf_counter() - begun)


def show_beside(found: dict[str, Any]) -> None:
    """Print it, a line for each pace."""
    print(f"relay alone at {found['calls_per_s']:,} calls/s: p99 {found['p99_ms']:.2f} ms")
    for each in (found[name] for name in _PACES):
        print(f"beside {each['admin_calls_per_s']:,.0f} admin calls/s: ", end="")
        print(f"p99 {each['p99_ms']:.2f} ms (x {each['ratio']:.2f})")
