"""`make soak`: does memory grow, does latency, while 70 % of the load that it can do goes through for half an hour?

Plain and streamed calls of many keys, at a fixed rate. Writes what each minute saw, and a verdict, as JSON and as
Markdown. bench/README.md says how it is judged.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import report
from bench.booked import booked_calls
from bench.checkout import add_choice, measured
from bench.load import Load, LoadError, generator, native_load
from bench.resident import own_kib
from bench.run import can_run
from bench.servers import BURST, EVENTS, MODEL, StartError
from bench.stage import BenchError, Stage, becomes, new_stage
from bench.tollhouse import Tollhouse
from bench.trend import Judgement, memory_bound_kib, rise, show, table

_SATURATED_S = 5.0
_KINDS = ("plain", "streamed")
_SATURATING = {"plain": 64, "streamed": 8}  # connections: most calls are plain


def main() -> int:
    """Run it; the exit status is 1 where something grew or the run failed, 2 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="default 30")
    parser.add_argument("--share", type=float, default=0.7, help="of saturation (default 0.7)")
    parser.add_argument("--keys", type=int, default=1000, help="default 1,000")
    add_choice(parser)
    options = parser.parse_args()
    if not can_run():
        return 2
    if generator() != "native":
        print("The long run needs a C compiler.", file=sys.stderr)
        return 2
    measured_files = measured(interpreted=options.interpreted)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory,
            new_stage(
                Path(directory), reps=1, seconds=_SATURATED_S, measured=measured_files
            ) as stage,
        ):
            return _soak(stage, options)
    except (BenchError, StartError, LoadError, ProcessLookupError) as error:
        print(f"the long run failed: {error}", file=sys.stderr)
        return 1


def _soak(stage: Stage, options: argparse.Namespace) -> int:
    keys, memory = _keys(stage, options.keys), _Memory(stage.gateway)
    full = _load(stage, keys, {kind: {"connections": n} for kind, n in _SATURATING.items()})
    rates = {kind: options.share * load.requests / load.seconds for kind, (load, _) in full.items()}
    told = ", ".join(f"{rate:,.0f} {kind}" for kind, rate in rates.items())
    print(f"{options.minutes:g} minutes at {told} calls/s, {options.keys:,} keys")
    seconds = options.minutes * 60
    every_s = min(60.0, seconds / 10)
    lasting = {"seconds": seconds, "every": every_s}
    given = {kind: {"rate": rate, **lasting} for kind, rate in rates.items()}
    found = _load(stage, keys, given, memory.note)
    minutes = [
        {"minute": (number + 1) * every_s / 60, "plain": plain, "streamed": streamed, "kib": kib}
        for number, (plain, streamed, kib) in enumerate(
            zip(found["plain"][1], found["streamed"][1], memory.readings, strict=True)
        )
    ]
    loads = [load for each in (full, found) for load, _ in each.values()]
    setting = vars(options) | {"calls_per_s": rates, "every_s": every_s}
    return _conclude(setting, minutes, [*_judge_answers(stage.gateway, loads), *_judge(minutes)])


def _conclude(
    setting: dict[str, Any], minutes: list[dict[str, Any]], judgements: list[Judgement]
) -> int:
    show(minutes, judgements)
    verdict = [judgement.document for judgement in judgements]
    path = report.save({"setting": setting, "verdict": verdict, "minutes": minutes}, "soak-")
    report.beside(path, table(setting, minutes, judgements))
    print(f"\nwritten: {path}, and as Markdown beside it")
    return 0 if all(judgement.steady for judgement in judgements) else 1


class _Memory:
    """Memory of each process, noted when an interval is over."""

    def __init__(self, gateway: Tollhouse) -> None:
        self._roots = {name: gateway.pids[name] for name in ("admin", "valkey", "postgres")}
        self._roots |= {"worker": gateway.pids["gateway"][0]}
        self.readings: list[dict[str, int]] = []

    def note(self) -> None:
        """Take a reading."""
        self.readings.append({name: own_kib(pid) for name, pid in self._roots.items()})


def _load(
    stage: Stage,
    keys: Path,
    options: dict[str, dict[str, Any]],
    note: Callable[[], None] = lambda: None,
) -> dict[str, tuple[Load, list[dict[str, Any]]]]:
    """Both kinds of calls at once: what each saw, in all and by interval."""

    def one(kind: str) -> tuple[Load, list[dict[str, Any]]]:
        intervals: list[dict[str, Any]] = []

        plain = kind == "plain"

        def hear(interval: dict[str, Any]) -> None:
            intervals.append(interval)
            if plain:
                note()

        body = stage.body(MODEL if plain else BURST)
        checked = {"expect": stage.answer} if plain else {"events": EVENTS}
        given = {"seconds": _SATURATED_S, "ramp": 1} | checked | options[kind]
        url = stage.gateway.server.url
        load, _, _ = native_load(url, keys, body, hear=hear, zipf=1, **given)
        if not load.answered:
            raise BenchError(f"none of {load.requests} {kind} calls was answered")
        return load, intervals

    with ThreadPoolExecutor() as together:
        return dict(zip(_KINDS, together.map(one, _KINDS), strict=True))


def _keys(stage: Stage, count: int) -> Path:
    """A file of so many new keys, each with a grant."""
    path = stage.directory / "keys"
    path.touch(0o600)
    with path.open("w") as file:
        for start in range(0, count, 100):
            file.writelines(f"{key}\n" for key in stage.gateway.new_keys(min(100, count - start)))
    return path


def _judge_answers(gateway: Tollhouse, loads: list[Load]) -> list[Judgement]:
    """That each call was answered, and is in the ledger once."""
    calls = sum(load.answered for load in loads)

    def booked() -> int:
        return asyncio.run(booked_calls(gateway.database_url))

    becomes(lambda: booked() >= calls)
    time.sleep(1)  # so that one too many would be there, too
    failed = sum(load.errors for load in loads)
    for complaint in {load.complaint for load in loads if load.complaint}:
        print(complaint)
    return [
        Judgement("failed calls", f"of {calls + failed:,}", failed, 0),
        Judgement("calls answered and not booked, or the reverse", "", abs(booked() - calls), 0),
    ]


def _judge(minutes: list[dict[str, Any]]) -> list[Judgement]:
    times = [each["minute"] for each in minutes]
    memory = [
        Judgement(
            f"memory of {name}",
            "MiB",
            rise(times, [each["kib"][name] / 1024 for each in minutes]),
            memory_bound_kib(minutes[-1]["kib"][name]) / 1024,
        )
        for name in minutes[0]["kib"]
    ]
    p99 = []
    for kind in _KINDS:
        values = sorted(each[kind]["p99_ms"] for each in minutes)
        growth = rise(times, [each[kind]["p99_ms"] for each in minutes])
        p99.append(Judgement(f"p99 of {kind} calls", "ms", growth, values[len(values) // 2] / 4))
    return memory + p99


if __name__ == "__main__":
    sys.exit(main())
