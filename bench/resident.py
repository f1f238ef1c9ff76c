"""Memory of processes. Linux, by /proc; knows no server."""

from pathlib import Path

from bench.cpu import tree


def resident_kib(pid: int) -> int:
    """What a process has in memory now."""
    return _status(pid, "VmRSS")


def own_kib(root: int) -> int:
    """What a process and its descendants have in memory that is no file's and not shared: what a leak is."""
    return sum(_status(pid, "RssAnon") for pid in tree(root))


def peak_kib(pid: int) -> int:
    """The most that a process ever had in memory."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:  # it ended meanwhile
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
