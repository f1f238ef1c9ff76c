"""`make bench`: what Tollhouse costs, most of it as a multiple of nginx's plain proxy_pass in the same run.

Starts everything, loads nginx and Tollhouse in turns, prints the figures with what they must be, writes everything as
JSON. bench/README.md says what the figures mean and what they do not.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import figures, report
from bench.added import measure_added
from bench.checkout import HERE, add_choice, measured
from bench.chunks import measure_chunks
from bench.figures import Figure, Found
from bench.large import measure_large
from bench.load import CONNECTIONS, LoadError, generator
from bench.memory import measure_memory
from bench.nginx import nginx_binary
from bench.plain import measure_plain
from bench.resident import peak_kib
from bench.servers import ANSWER_BYTES, REQUEST_BYTES, StartError
from bench.stage import BenchError, Stage, new_stage
from bench.start import measure_start
from bench.workers import measure_workers

PARTS: dict[str, Callable[[Stage], Found]] = {
    "requests": measure_plain,
    "chunks": measure_chunks,
    "added": measure_added,
    "workers": measure_workers,
    "memory": measure_memory,
    "start": measure_start,
    "large": measure_large,
}
# What the generator and the mock of those without a C compiler cannot do.
_NEED_COMPILER = {"chunks", "memory", "large"}


def main() -> int:
    """Run the bench; the exit status is 2 where something is missing, 1 where the run failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--reps", type=int, default=3, help="repetitions of each (default 3)")
    parser.add_argument("--seconds", type=float, default=4, help="of each one (default 4)")
    parser.add_argument("--only", default=",".join(PARTS), help="some parts: " + ",".join(PARTS))
    add_choice(parser)
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"--only: {unknown[0]} is none of {', '.join(PARTS)}")
    if not can_run():
        return 2
    measured_files = measured(interpreted=options.interpreted)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory,
            new_stage(Path(directory), options.reps, options.seconds, measured_files) as stage,
        ):
            _bench(stage, _possible(chosen))
    except (BenchError, StartError, LoadError, ProcessLookupError) as error:
        print(f"bench failed: {error}", file=sys.stderr)
        return 1
    return 0


def can_run() -> bool:
    """Whether this machine can run the bench; says what is missing."""
    if sys.platform != "linux":
        print("The bench reads /proc and runs on Linux only.", file=sys.stderr)
        return False
    if not nginx_binary():
        print(
            "nginx, the unit of every ratio, is not installed. On Debian and Ubuntu:\n"
            "  apt-get install --no-install-recommends nginx-light gcc libc6-dev",
            file=sys.stderr,
        )
        return False
    return True


def _possible(chosen: list[str]) -> list[str]:
    if generator() == "native":
        return chosen
    print(
        "There is no C compiler: streams and large bodies are left out, answers are not compared,"
    )
    print("and the ledger is held against a lower bound. On Debian and Ubuntu:")
    print("  apt-get install --no-install-recommends gcc libc6-dev")
    if generator() == "python":
        print(
            "Nor is there wrk: the load comes from a Python generator, which is itself the limit."
        )
        print("Processor time of a call still compares; calls/s and latencies do not.")
    return [name for name in chosen if name not in _NEED_COMPILER]


def _bench(stage: Stage, chosen: list[str]) -> None:
    found: dict[str, Found] = {}
    for name in chosen:
        print(f"\n== {name}")
        found[name] = PARTS[name](stage)
    rows: list[Figure] = [figure for each in found.values() for figure in each.figures]
    if "gateway" in vars(stage):
        rows += _peaks(stage)
    figures.show([*rows, *_against_peers()])
    document: dict[str, Any] = {
        "setting": {
            "generator": generator(),
            "compiled": stage.measured is not HERE,
            "connections": CONNECTIONS,
            "request_bytes": REQUEST_BYTES,
            "answer_bytes": ANSWER_BYTES,
            "pinned": stage.pinned,
            "reps": stage.reps,
            "seconds": stage.seconds,
        },
        "parts": {name: each.document for name, each in found.items()},
        "peaks": {figure.name: figure.value for figure in rows if figure.unit == "MiB"},
    }
    print(f"\nwritten: {report.save(document)}")


def _against_peers() -> list[Figure]:
    """What `make bench-peers` found last: a run of its own, as others take long."""
    peers = report.newest("peers-")
    if peers is None:
        return []
    rows = [Figure(**figure) for figure in peers["figures"]]
    return [replace(row, name=f"{row.name}, at {peers['commit']}") for row in rows]


def _peaks(stage: Stage) -> list[Figure]:
    worker = peak_kib(stage.gateway.pids["gateway"][0]) / 1024
    return [Figure("the most memory that the worker ever had", worker, "MiB")]


if __name__ == "__main__":
    sys.exit(main())
