"""`make soak`: does memory grow, does latency, while 70 % of the load that it can do goes through for half an hour?

Plain and streamed calls of many keys, at a fixed rate. Writes what each minute saw, and a verdict, as JSON and as
Markdown. bench/README.md says how it is judged.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from bench import report
from bench.booked import booked_calls
from bench.checkout import add_choice, measured
from bench.course import KINDS, Course
from bench.load import Load, LoadError, generator, native_load
from bench.pace import pace
from bench.run import can_run
from bench.servers import BURST, EVENTS, MODEL, StartError
from bench.stage import BenchError, Stage, becomes, new_stage
from bench.tollhouse import Tollhouse
from bench.trend import Judgement, even, growth, memory_bound_mib, show, table, warm

_SATURATED_S = 30.0  # so that slow and quick moments of the machine are in it
_COST_SHARE, _LATENCY_SHARE = 0.05, 0.25  # of the median: so much is no growth
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
    keys = _keys(stage, options.keys)
    full = _load(stage, keys, {kind: {"connections": n} for kind, n in _SATURATING.items()})
    rates = {kind: options.share * load.requests / load.seconds for kind, load in full.items()}
    told = ", ".join(f"{rate:,.0f} {kind}" for kind, rate in rates.items())
    print(f"{options.minutes:g} minutes at {told} calls/s, {options.keys:,} keys")
    seconds = options.minutes * 60
    row_s = max(1, round(min(60.0, seconds / 10)))
    given = {kind: {"rate": rate, "seconds": seconds, "every": 1} for kind, rate in rates.items()}
    with pace() as machine:
        course = Course(stage.gateway, machine, row_s)
        found = _load(stage, keys, given, course.hear)
    loads = [*full.values(), *found.values()]
    setting = vars(options) | {"calls_per_s": rates, "every_s": row_s}
    judgements = [*_judge_answers(stage.gateway, loads), *_judge(course.rows)]
    return _conclude(setting, course.rows, judgements)


def _conclude(
    setting: dict[str, Any], minutes: list[dict[str, Any]], judgements: list[Judgement]
) -> int:
    show(minutes, judgements)
    verdict = [judgement.document for judgement in judgements]
    path = report.save({"setting": setting, "verdict": verdict, "minutes": minutes}, "soak-")
    report.beside(path, table(setting, minutes, judgements))
    print(f"\nwritten: {path}, and as Markdown beside it")
    return 0 if all(judgement.steady for judgement in judgements) else 1


def _load(
    stage: Stage,
    keys: Path,
    options: dict[str, dict[str, Any]],
    hear: Callable[[str, dict[str, Any]], None] = lambda _kind, _second: None,
) -> dict[str, Load]:
    """Both kinds of calls at once: what each saw in all. `hear` is told what intervals saw."""

    def one(kind: str) -> Load:
        plain = kind == "plain"
        body = stage.body(MODEL if plain else BURST)
        checked = {"expect": stage.answer} if plain else {"events": EVENTS}
        given = {"seconds": _SATURATED_S, "ramp": 1} | checked | options[kind]
        url = stage.gateway.server.url
        load, _, _ = native_load(url, keys, body, hear=partial(hear, kind), zipf=1, **given)
        if not load.answered:
            raise BenchError(f"none of {load.requests} {kind} calls was answered")
        return load

    with ThreadPoolExecutor() as together:
        return dict(zip(KINDS, together.map(one, KINDS), strict=True))


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
    """Memory in all minutes after the warm-up; cost and latency in those in which the machine was one."""
    after = warm(minutes)
    same = even(after)
    worse = len(after) - len(same)
    judged = [Judgement("minutes of a worse machine", f"of {len(after)}", worse, len(after) / 2)]
    for name in after[0]["kib"]:
        mib = [each["kib"][name] / 1024 for each in after]
        judged.append(growth(f"memory of {name}", "MiB", after, mib, memory_bound_mib(mib[-1])))
    for name in ("worker", "valkey"):
        us = [each["us"][name] for each in same]
        bound = _COST_SHARE * statistics.median(us)
        judged.append(growth(f"processor time of {name}", "us a call", same, us, bound))
    for kind in KINDS:
        p99 = [each[kind]["p99_ms"] for each in same]
        bound = _LATENCY_SHARE * statistics.median(p99)
        judged.append(growth(f"p99 of {kind} calls", "ms", same, p99, bound))
    return judged


if __name__ == "__main__":
    sys.exit(main())
