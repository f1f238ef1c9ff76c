"""What each minute of a long run saw: latencies, memory, what a call cost, and what the machine was worth."""

import statistics
import threading
from collections.abc import Iterable
from typing import Any

from bench.cpu import cpu_s, machine_s, own_cpu_s, tree
from bench.pace import Pace
from bench.resident import own_kib
from bench.tollhouse import Tollhouse

KINDS = ("plain", "streamed")


class Course:
    """Hears what each second saw, and makes a row of every `row_s` seconds.

    A row has medians of its seconds, and the worst p99 of one: a stall of the machine is a second, not a minute.
    The worker's own process counts alone: the audit that it starts reads a ledger which grows.
    """

    def __init__(self, gateway: Tollhouse, pace: Pace, row_s: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._pace = pace
        self._row_s = row_s
        self._worker = gateway.pids["gateway"][0]
        self._trees = {name: gateway.pids[name] for name in ("admin", "valkey", "postgres")}
        self._seconds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        self._lock = threading.Lock()
        self._used_s = self._cpu_s()
        self._machine_s = machine_s()

    def hear(self, kind: str, second: dict[str, Any]) -> None:
        """Take what one second of calls of this kind saw, from any thread."""
        with self._lock:
            self._seconds[kind].append(second)
            if all(len(self._seconds[each]) >= self._row_s for each in KINDS):
                self._end_row()

    def _end_row(self) -> None:
        heard = {kind: self._seconds[kind][: self._row_s] for kind in KINDS}
        for kind in KINDS:
            del self._seconds[kind][: self._row_s]
        calls = sum(second["requests"] for each in heard.values() for second in each)
        used_s, before_s = self._cpu_s(), self._used_s
        self._used_s = used_s
        self.rows.append(
            {
                "minute": (len(self.rows) + 1) * self._row_s / 60,
                "calls": calls,
                **{kind: _summary(heard[kind]) for kind in KINDS},
                "us": {name: (used_s[name] - before_s[name]) / calls * 1e6 for name in used_s},
                "kib": {name: own_kib(pids) for name, pids in self._pids().items()},
                "pace_ns": self._pace.take(),
                "stolen": self._stolen(),
            }
        )

    def _stolen(self) -> float:
        """How much of the machine's processor time its host gave to others since it was asked last, in per cent."""
        before, self._machine_s = self._machine_s, machine_s()
        had_s, stolen_s = (now - then for now, then in zip(self._machine_s, before, strict=True))
        return 100 * stolen_s / had_s

    def _pids(self) -> dict[str, Iterable[int]]:
        return {name: tree(root) for name, root in self._trees.items()} | {"worker": {self._worker}}

    def _cpu_s(self) -> dict[str, float]:
        trees = {name: cpu_s([root]) for name, root in self._trees.items()}
        return trees | {"worker": own_cpu_s(self._worker)}


def _summary(seconds: list[dict[str, Any]]) -> dict[str, float]:
    """Of the seconds of a row."""
    p99 = [second["p99_ms"] for second in seconds]
    return {
        "p50_ms": statistics.median(second["p50_ms"] for second in seconds),
        "p99_ms": statistics.median(p99),
        "worst_ms": max(p99),
    }
