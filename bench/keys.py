"""`make bench-keys`: a million tokens in Postgres, a hundred thousand of which make calls.

What a call costs whose key was seen a moment ago, with many keys against one; what the first call of a key takes; how
much memory a key takes; and what happens when ten thousand come at once to a worker that has just started.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import figures, report
from bench.booked import booked_calls
from bench.checkout import add_choice, measured
from bench.figures import Figure, Found
from bench.load import LoadError, generator
from bench.look_ups import counted
from bench.million import activate, fill
from bench.resident import own_kib
from bench.run import can_run
from bench.servers import MODEL, StartError
from bench.stage import (
    BenchError,
    Rep,
    Stage,
    Target,
    becomes,
    detail,
    measure,
    median,
    new_stage,
    progress,
)
from bench.tollhouse import Tollhouse
from gateway.domain.key import create_key, digest

_WARM_KEYS = 1000
_SHARE = 0.5  # of what it can with one key
_RAMP_S = 0.5
_FIRST_KEYS = 500
_AT_ONCE, _COLD_CONNECTIONS = 4, 2000
_CACHE_BYTES = 268_435_456  # keys.cache_bytes as shipped
# It reads all tokens for many seconds, and counts as its worker's: in some repetitions, not in others. See bench.audit.
_NO_AUDIT = "[quota]\naudit_interval_s = 0\n"
_LONG_S = 3600  # more than any part takes that ends by itself


def main() -> int:
    """Run it; the exit status is 2 where something is missing, 1 where the run failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.keys", description=__doc__)
    parser.add_argument("--tokens", type=int, default=1_000_000, help="default 1,000,000")
    parser.add_argument("--active", type=int, default=100_000, help="default 100,000")
    parser.add_argument("--known", type=int, default=20_000, help="for memory (default 20,000)")
    parser.add_argument("--cold", type=int, default=10_000, help="at once (default 10,000)")
    parser.add_argument("--reps", type=int, default=3, help="of each (default 3)")
    parser.add_argument("--seconds", type=float, default=4, help="of each one (default 4)")
    add_choice(parser)
    options = parser.parse_args()
    if options.active < (least := _FIRST_KEYS + _WARM_KEYS + max(options.known, options.cold)):
        parser.error(f"--active has to be at least {least:,}")
    if not can_run():
        return 2
    if generator() != "native":
        print("Many keys need a C compiler.", file=sys.stderr)
        return 2
    measured_files = measured(interpreted=options.interpreted)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory,
            new_stage(Path(directory), options.reps, options.seconds, measured_files) as stage,
        ):
            _measure(stage, options)
    except (BenchError, StartError, LoadError, ProcessLookupError) as error:
        print(f"bench failed: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(stage: Stage, options: argparse.Namespace) -> None:
    keys, found = [create_key() for _ in range(options.active)], dict[str, Found]()
    with stage.new_gateway("many", settings=_NO_AUDIT) as gateway:
        _make_tokens(gateway, keys, options.tokens)
        caller = _Caller(stage, gateway)
        found["first"] = _first_calls(caller, keys[-_FIRST_KEYS:])
        found["warm"] = _warm_calls(caller, keys)
        found["known"] = _known_keys(caller, keys[_WARM_KEYS:][: options.known])
        found["spread"] = _spread_calls(caller, keys)
        caller.require_booked()
    # Another worker, which knows no key.
    with stage.new_gateway("many", settings=_NO_AUDIT) as gateway:
        caller = _Caller(stage, gateway)
        found["cold"] = _cold_start(caller, keys[: options.cold])
        caller.require_booked()
    figures.show([figure for part in found.values() for figure in part.figures])
    document = {
        "setting": vars(options) | {"pinned": stage.pinned},
        "parts": {name: part.document for name, part in found.items()},
    }
    print(f"\nwritten: {report.save(document, 'keys-')}")


def _make_tokens(gateway: Tollhouse, keys: list[str], tokens: int) -> None:
    begun = time.perf_counter()
    asyncio.run(fill(gateway.database_url, tokens))
    asyncio.run(activate(gateway.database_url, [digest(key, gateway.pepper) for key in keys]))
    took_s = time.perf_counter() - begun
    print(f"{tokens:,} tokens, {len(keys):,} of them callable, made in {took_s:.0f} s")


class _Caller:
    """Calls with many keys, and counts what was answered."""

    def __init__(self, stage: Stage, gateway: Tollhouse) -> None:
        self.stage = stage
        self.gateway = gateway
        self.worker = gateway.pids["gateway"][0]
        self.state = stage.directory / "many" / "state"
        self._booked = asyncio.run(booked_calls(gateway.database_url))

    def call(self, keys: list[str], **options: Any) -> Rep:
        """One load; processor time is that of the worker and of Postgres, for a call."""
        path = self.stage.directory / "keys"
        path.touch(0o600)
        path.write_text("\n".join(keys) + "\n")
        roots = {"worker": [self.worker], "postgres": [self.gateway.pids["postgres"]]}
        target = Target("tollhouse", self.gateway.server, self.gateway.key, roots)
        seconds = options.pop("seconds", self.stage.seconds)
        options |= {"keys": path, "expect": self.stage.answer}
        rep = measure(target, self.stage.body(MODEL), seconds, **options)
        self._booked += rep.load.answered
        return rep

    def require_booked(self) -> None:
        """Make sure that the ledger has all of them, and no other."""

        def booked() -> int:
            return asyncio.run(booked_calls(self.gateway.database_url))

        becomes(lambda: booked() >= self._booked)
        if (found := booked()) != self._booked:
            raise BenchError(f"the ledger has {found} calls, it should have {self._booked}")
        print(f"ledger: {found:,} calls, as were answered")


def _first_calls(caller: _Caller, keys: list[str]) -> Found:
    """Each key once, then again, one call at a time: the first call looks the key up and loads its book."""
    caller.call([caller.gateway.key])  # warms up
    options = {"connections": 1, "once": 1, "seconds": _LONG_S}
    first = caller.call(keys, **options)
    again = caller.call(keys[: len(keys) // 4], **options)  # few, so that all are still fresh
    later_ms = first.load.p50_ms - again.load.p50_ms
    later_us = {part: us - again.cpu_us[part] for part, us in first.cpu_us.items()}
    told = ", ".join(f"{part} {us:.0f} µs" for part, us in later_us.items())
    print(f"first call of a key: {later_ms:.2f} ms later than another; processor time {told}")
    figure = Figure("first call of a key, later than another, p50", later_ms, "ms", 1)
    return Found([figure], {"first": asdict(first), "again": asdict(again)})


def _warm_calls(caller: _Caller, keys: list[str]) -> Found:
    """One key against a thousand, in turns and at one rate. Each is called once before, so that none is looked up.

    At full load the rates would differ, and with them what the worker does in one turn and so what a call costs it.
    """
    full = caller.call(keys[:1]).load
    rate = _SHARE * full.requests / full.seconds
    reps = dict[str, list[Rep]]()
    for _ in range(caller.stage.reps):
        for name, given in (("one", keys[:1]), ("many", keys[:_WARM_KEYS])):
            progress(f"{name}, seen a moment ago")
            caller.call(given, once=1, seconds=_LONG_S)
            reps.setdefault(name, []).append(caller.call(given, rate=rate, ramp=_RAMP_S))
    progress("")
    print(f"at {rate:,.0f} calls/s, half of what it can with one key:")
    for name, some in reps.items():
        used = ", ".join(
            f"{part} {median(some, lambda rep, part=part: rep.cpu_us[part]):.1f} µs/call"
            for part in ("worker", "postgres")
        )
        print(f"  {name:5} {used}; p99 {median(some, lambda rep: rep.load.p99_ms):.1f} ms")
    one, many = (median(some, lambda rep: rep.cpu_us["worker"]) for some in reps.values())
    name = f"processor time of a call, {_WARM_KEYS:,} keys seen a moment ago"
    figure = Figure(name, many / one, "x one", 1.1, 1.05)
    return Found([figure], {"calls_per_s": rate, **detail(reps)})


def _known_keys(caller: _Caller, keys: list[str]) -> Found:
    """Each key once, so that the worker knows all of them: the memory that this takes, and could take."""
    before_kib = own_kib([caller.worker])
    load = caller.call(keys, once=1, seconds=_LONG_S).load
    of_key_kib = (own_kib([caller.worker]) - before_kib) / len(keys)
    print(f"{len(keys):,} keys, each once, in {load.seconds:.1f} s: {of_key_kib:.1f} KiB a key")
    most_keys = _CACHE_BYTES / 1024 / of_key_kib
    rows = [
        Figure("memory of a key that a worker knows", of_key_kib, "KiB"),
        Figure(f"keys that it keeps in {_CACHE_BYTES // 2**20} MiB, by that", most_keys, ""),
    ]
    return Found(rows, {"load": asdict(load)})


def _spread_calls(caller: _Caller, keys: list[str]) -> Found:
    """All keys, the n-th used as 1/n."""
    with counted(caller.gateway.database_url, caller.state) as looks:
        rep = caller.call(keys, zipf=1, seconds=5 * caller.stage.seconds)
    used = ", ".join(f"{part} {us:.1f}" for part, us in rep.cpu_us.items())
    print(f"{len(keys):,} keys by Zipf: CPU µs/call {used}; ", end="")
    print(f"p50 {rep.load.p50_ms:.1f} ms, p99 {rep.load.p99_ms:.1f} ms")
    share = looks.count / rep.load.answered
    row = Figure(f"look-ups of a call, {len(keys):,} keys by Zipf", share, "")
    return Found([row], {"look_ups": looks.count, "rep": asdict(rep)})


def _cold_start(caller: _Caller, keys: list[str]) -> Found:
    """Ten thousand keys, four calls of each at once, on a worker that has just started."""
    calls = [key for key in keys for _ in range(_AT_ONCE)]
    options = {"once": 1, "connections": _COLD_CONNECTIONS, "seconds": _LONG_S}
    with counted(caller.gateway.database_url, caller.state) as looks:
        load = caller.call(calls, **options).load
    print(
        f"{len(keys):,} keys, {_AT_ONCE} calls of each at once on {_COLD_CONNECTIONS:,} connections, to a new "
        f"worker: all answered in {load.seconds:.1f} s, p99 {load.p99_ms:.0f} ms, {looks.count:,} look-ups"
    )
    rows = [
        Figure("cold start: look-ups of each key", looks.count / len(keys), "", 1),
        Figure(f"cold start: until {len(calls):,} calls are answered", load.seconds, "s"),
    ]
    return Found(rows, {"look_ups": looks.count, "load": asdict(load)})


if __name__ == "__main__":
    sys.exit(main())
