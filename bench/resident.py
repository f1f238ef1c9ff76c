"""Memory of processes. Linux, by /proc; knows no server."""

from collections.abc import Iterable
from pathlib import Path


def resident_kib(pid: int) -> int:
    """What a process has in memory now."""
    return _status(pid, "VmRSS")


def own_kib(pids: Iterable[int]) -> int:
    """What processes have in memory that is no file's and not shared: what a leak is."""
    return sum(_status(pid, "RssAnon") for pid in pids)


def peak_kib(pid: int) -> int:
    """The most that a process ever had in memory."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:  # it ended meanwhile
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
