"""Processor time of processes, and which cores they may use. Linux, by /proc; knows no server."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_Stat = tuple[int, int]  # parent pid, ticks


def tree(root: int) -> set[int]:
    """`root` and all its living descendants."""
    return _tree(root, _stats())


def cpu_s(roots: Iterable[int]) -> float:
    """Seconds of processor time that the trees under `roots` have used so far.

    User and system time of the living, and of the dead that were waited for, so that a process
    which ends between two readings is not lost. A process in several trees counts once. Raises
    ProcessLookupError where a root is gone: a difference of readings would be wrong.
    """
    stats = _stats()
    pids = set[int]().union(*(_tree(root, stats) for root in roots))
    return sum(stats[pid][1] for pid in pids) / _TICKS_PER_S


def own_cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used so far, without its children's. Raises as `cpu_s`."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError(f"process {pid} is gone") from None
    return sum(map(int, fields[11:13])) / _TICKS_PER_S


def machine_s() -> tuple[float, float]:
    """Seconds of processor time that this machine has had so far, used or not, and those of them that its host gave to
    others (proc(5): "steal")."""
    ticks = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) / _TICKS_PER_S, ticks[7] / _TICKS_PER_S


def pin(root: int, cores: set[int]) -> None:
    """Keep the tree under `root`, with all threads, on `cores`."""
    for pid in tree(root):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


def _tree(root: int, stats: dict[int, _Stat]) -> set[int]:
    if root not in stats:
        raise ProcessLookupError(f"process {root} is gone")
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in stats.items():
        children.setdefault(parent, []).append(pid)
    found, rest = set[int](), [root]
    while rest:
        pid = rest.pop()
        found.add(pid)
        rest += children.get(pid, [])
    return found


def _stats() -> dict[int, _Stat]:
    """Of every process; the fields are those of proc(5), after the command's name."""
    stats: dict[int, _Stat] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        stats[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    return stats
