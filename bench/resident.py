"""Memory of processes. Linux, by /proc; knows no server."""

from pathlib import Path


def resident_kib(pid: int) -> int:
    """What a process has in memory now."""
    return _status(pid, "VmRSS")


def peak_kib(pid: int) -> int:
    """The most that a process ever had in memory."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
