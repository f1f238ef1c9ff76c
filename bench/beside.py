"""What callers notice of administrators: the relay's p99 with admin load beside it, as a multiple of that without.

Both at one rate, about half of what the worker can do, in turns within one run.
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


def measure_beside(gateway: Tollhouse, body: Path, *, pairs: int, seconds: float) -> dict[str, Any]:
    """The ratio of the medians of p99, and everything that it was made of."""
    url, key = gateway.server.url, gateway.key
    run_load(url, key, body, _SATURATED_S)  # warms up
    full = run_load(url, key, body, _SATURATED_S)
    rate = _SHARE * full.requests / full.seconds
    alone: list[Load] = []
    beside: list[Load] = []
    admin_calls_per_s: list[float] = []
    for _ in range(pairs):
        alone.append(run_paced(url, key, body, rate, seconds))
        load, per_s = _beside(gateway, body, rate, seconds)
        beside.append(load)
        admin_calls_per_s.append(per_s)
    if errors := sum(load.errors for load in (*alone, *beside)):
        raise RuntimeError(f"{errors} calls failed")
    p99_ms, beside_p99_ms = (
        statistics.median(load.p99_ms for load in loads) for loads in (alone, beside)
    )
    return {
        "calls_per_s": round(rate),
        "admin_calls_per_s": round(statistics.median(admin_calls_per_s), 1),
        "p99_ms": p99_ms,
        "p99_ms_beside_admin_load": beside_p99_ms,
        "ratio": round(beside_p99_ms / p99_ms, 3),
        "alone": [asdict(load) for load in alone],
        "beside": [asdict(load) for load in beside],
    }


def _beside(gateway: Tollhouse, body: Path, rate: float, seconds: float) -> tuple[Load, float]:
    """One run with the administrators at work, and how many calls of theirs were answered a second."""
    command = [sys.executable, "-m", "bench.admin_load", gateway.admin_url, gateway.access_token]
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
    """Print it in a line."""
    print(
        f"relay beside {found['admin_calls_per_s']:,.0f} admin calls/s: p99 "
        f"{found['p99_ms_beside_admin_load']:.2f} ms, alone {found['p99_ms']:.2f} ms "
        f"(x {found['ratio']:.2f}), at {found['calls_per_s']:,} calls/s"
    )
