"""`make bench`: what one request costs, as a multiple of nginx's plain proxy_pass in the same run.

Starts everything, loads nginx and Tollhouse in turns, prints a table, writes the whole result as
JSON. bench/README.md says what the figures mean and what they do not.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import report
from bench.cpu import cpu_s, pin
from bench.load import generator, run_load
from bench.nginx import nginx_binary, nginx_mock, nginx_proxy
from bench.report import Rep, Results
from bench.servers import Server, StartError, request_body, require_answer
from bench.tollhouse import UNITS_PER_CALL, Tollhouse, tollhouse

_WARM_UP_S = 2.0
_BOOKED_TIMEOUT_S = 30
# Parts of a system, each the roots of its process trees. "whole" is all of them together.
Parts = dict[str, list[int]]


class BenchError(Exception):
    """The run gives no figure that counts."""


def main() -> int:
    """Run the bench; the exit status is 2 where something is missing, 1 where the run failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--reps", type=int, default=3, help="repetitions of each (default 3)")
    parser.add_argument("--seconds", type=float, default=4, help="of each one (default 4)")
    parser.add_argument("--only-nginx", action="store_true", help="check the bench itself")
    options = parser.parse_args()
    if sys.platform != "linux":
        print("The bench reads /proc and runs on Linux only.", file=sys.stderr)
        return 2
    if not nginx_binary():
        print(
            "nginx, the unit of every ratio, is not installed. On Debian and Ubuntu:\n"
            "  apt-get install --no-install-recommends nginx-light wrk",
            file=sys.stderr,
        )
        return 2
    if generator() != "wrk":
        print("wrk is not installed: the load comes from a Python generator, which is itself the")
        print("limit. CPU per request still compares; requests/s and latencies do not.")
    try:
        with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory:
            _bench(Path(directory), options)
    except (BenchError, StartError, ProcessLookupError) as error:
        print(f"bench failed: {error}", file=sys.stderr)
        return 1
    return 0


def _bench(directory: Path, options: argparse.Namespace) -> None:
    directory.chmod(0o711)  # started by root, the embedded Postgres runs as a user who walks here
    body = directory / "body.json"
    body.write_bytes(request_body())
    # The bench, and so everything that it starts, leaves the first core to the server measured.
    first, *others = sorted(os.sched_getaffinity(0))
    if others:
        os.sched_setaffinity(0, others)
    core = {first} if others else None
    with (
        nginx_mock(directory / "mock") as mock,
        nginx_proxy(directory / "nginx", mock) as nginx,
    ):
        targets = [_nginx_target(nginx, core)]
        if options.only_nginx:
            report.show(_measure(targets, body, options), pinned=core is not None)
            return
        with tollhouse(directory, mock) as gateway:
            targets.append(_tollhouse_target(gateway, core))
            results = _measure(targets, body, options)
            _require_booked(gateway, results["tollhouse"])
            report.show(results, pinned=core is not None)
            print(f"\nledger lag: p50 <= {gateway.lag_s(0.5)} s, p99 <= {gateway.lag_s(0.99)} s")
            print(f"\nwritten: {report.write(results, pinned=core is not None)}")


@dataclass(frozen=True, slots=True)
class Target:
    """A server to load, its key, and whose processor time counts."""

    name: str
    server: Server
    key: str
    parts: Parts


def _nginx_target(nginx: Server, core: set[int] | None) -> Target:
    if core:
        pin(nginx.pid, core)
    return Target("nginx", nginx, "unused", {"worker": [nginx.pid], "whole": [nginx.pid]})


def _tollhouse_target(gateway: Tollhouse, core: set[int] | None) -> Target:
    workers, pids = gateway.pids["gateway"], gateway.pids
    if core:
        for pid in workers:
            pin(pid, core)
    stores = {name: [pids[name]] for name in ("valkey", "postgres")}
    whole = [pids["supervisor"], pids["admin"], *workers, *stores["valkey"], *stores["postgres"]]
    return Target(
        "tollhouse", gateway.server, gateway.key, {"worker": workers, **stores, "whole": whole}
    )


def _measure(targets: list[Target], body: Path, options: argparse.Namespace) -> Results:
    """Repetitions of each target in turns, so that a noisy minute touches all of them."""
    results: Results = {}
    for target in targets:
        require_answer(target.server, target.key)
        results[target.name] = [_repetition(target, body, _WARM_UP_S)]
    for number in range(options.reps):
        for target in targets:
            print(f"\r{target.name}, {number + 1} of {options.reps}   ", end="", flush=True)
            results[target.name].append(_repetition(target, body, options.seconds))
    print("\r" + " " * 40 + "\r", end="")
    return results


def _repetition(target: Target, body: Path, seconds: float) -> Rep:
    before = {name: cpu_s(roots) for name, roots in target.parts.items()}
    load = run_load(target.server.url, target.key, body, seconds)
    after = {name: cpu_s(roots) for name, roots in target.parts.items()}
    if load.errors or not load.requests:
        raise BenchError(f"{target.name}: {load.errors} failed of {load.requests} calls")
    used = {name: 1e6 * (after[name] - before[name]) / load.requests for name in before}
    return Rep(load, used)


def _require_booked(gateway: Tollhouse, reps: list[Rep]) -> None:
    """No speed counts unless the ledger has every call: all that were answered, at least.

    The generator breaks off what is under way when a repetition ends; those calls may be booked
    too, so this is a lower bound. The first call is the one that compared the answer.
    """
    calls = 1 + sum(rep.load.requests for rep in reps)
    if not _becomes(lambda: gateway.used_units() >= calls * UNITS_PER_CALL):
        booked = gateway.used_units() // UNITS_PER_CALL
        raise BenchError(f"{calls} calls were answered, the ledger has booked {booked}")
    print(f"ledger: {calls} calls answered, {gateway.used_units() / UNITS_PER_CALL:.0f} booked")


def _becomes(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _BOOKED_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


if __name__ == "__main__":
    sys.exit(main())
