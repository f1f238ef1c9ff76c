"""`python -m bench.compare A B`: what a call costs at commit B against commit A, beside what A costs against itself.

Each commit stands in a worktree of its own, A a second time; all three run at once and are loaded in turns. What A
costs against A is the noise: a smaller difference of B means nothing.
"""

import argparse
import contextlib
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import report
from bench.checkout import Checkout
from bench.load import LoadError, generator
from bench.run import can_run
from bench.servers import BURST, EVENTS, MODEL, StartError, require_answer
from bench.stage import (
    BenchError,
    Rep,
    Stage,
    Target,
    in_turns,
    measure,
    new_stage,
    require_booked,
    tollhouse_target,
)
from bench.tollhouse import Tollhouse

_ROOT = Path(__file__).parents[1]
_RAMP_S = 0.5
# Of each kind of load: its model, the generator's options, and whose processor time is compared.
_KINDS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "requests": (MODEL, {}, ("worker", "valkey", "postgres", "whole")),
    "chunks": (BURST, {"events": EVENTS, "connections": 16}, ("worker", "whole")),
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """Processor time at B over that at A: `noise` is how far A was from A, and how sure that is."""

    of: str
    before_us: float
    after_us: float
    ratio: float
    noise: float

    @property
    def verdict(self) -> str:
        """In a word."""
        if abs(math.log(self.ratio)) <= self.noise:
            return "no difference"
        return "cheaper" if self.ratio < 1 else "DEARER"


def main() -> int:
    """Run it; the exit status is 2 where something is missing, 1 where the run failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("before", metavar="A", help="a commit")
    parser.add_argument("after", metavar="B", help="another")
    parser.add_argument("--only", default=",".join(_KINDS), help="some of " + ",".join(_KINDS))
    parser.add_argument("--reps", type=int, default=7, help="of each (default 7)")
    parser.add_argument("--seconds", type=float, default=4, help="of each one (default 4)")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := [name for name in chosen if name not in _KINDS]:
        parser.error(f"--only: {unknown[0]} is none of {', '.join(_KINDS)}")
    if not can_run():
        return 2
    if generator() != "native":
        print("The comparison needs a C compiler.", file=sys.stderr)
        return 2
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory,
            new_stage(Path(directory), options.reps, options.seconds) as stage,
        ):
            _compare(stage, options.before, options.after, chosen)
    except (BenchError, StartError, LoadError, subprocess.CalledProcessError) as error:
        print(f"the comparison failed: {error}", file=sys.stderr)
        return 1
    return 0


def _compare(stage: Stage, before: str, after: str, chosen: list[str]) -> None:
    commits = {"A": _commit(before), "B": _commit(after)}
    checkouts = {
        name: stage.stack.enter_context(_worktree(stage.directory / f"tree-{name}", commit))
        for name, commit in commits.items()
    }
    gateways = {
        name: stage.stack.enter_context(
            stage.new_gateway(f"tollhouse-{number}", checkout=checkouts[name[0]])
        )
        for number, name in enumerate(("A", "B", "A'"))
    }
    print(
        f"A is {commits['A'][:10]}, B is {commits['B'][:10]}, {stage.reps} times {stage.seconds:g} s"
    )
    found = {kind: _measure(stage, gateways, kind) for kind in chosen}
    _show([ratio for ratios, _ in found.values() for ratio in ratios])
    document = {
        "compared": {name: commit[:10] for name, commit in commits.items()},
        "setting": {"reps": stage.reps, "seconds": stage.seconds, "pinned": stage.pinned},
        "load_average": os.getloadavg()[0],
        "kinds": {
            kind: {"ratios": [asdict(ratio) for ratio in ratios], "cpu_us": reps}
            for kind, (ratios, reps) in found.items()
        },
    }
    print(f"\nwritten: {report.save(document, 'compare-')}")


def _measure(
    stage: Stage, gateways: dict[str, Tollhouse], kind: str
) -> tuple[list[Ratio], dict[str, Any]]:
    model, options, parts = _KINDS[kind]
    body = stage.body(model)
    answers = {} if options else {"expect": stage.answer}
    targets = [tollhouse_target(gateway, name) for name, gateway in gateways.items()]
    for target in targets:
        require_answer(target.server, target.key)
        measure(target, body, 1, **answers, **options)
    since = [gateway.settled_units() for gateway in gateways.values()]

    def once(target: Target) -> Rep:
        return measure(target, body, stage.seconds, ramp=_RAMP_S, **answers, **options)

    results = in_turns(targets, stage.reps, once, kind)
    for gateway, units, reps in zip(gateways.values(), since, results.values(), strict=True):
        require_booked(gateway, units, [rep.load for rep in reps])
    used = {name: [rep.cpu_us for rep in reps] for name, reps in results.items()}
    unit = "event" if options else "call"
    return [_ratio(used, part, f"{unit}, {part}") for part in parts], used


def _ratio(used: dict[str, list[dict[str, float]]], part: str, label: str) -> Ratio:
    def differences(name: str) -> list[float]:
        pairs = zip(used[name], used["A"], strict=True)
        return [math.log(each[part] / unit[part]) for each, unit in pairs]

    itself = differences("A'")
    spread = statistics.stdev(itself) if len(itself) > 1 else math.inf
    noise = max(abs(statistics.median(itself)), 2 * spread / math.sqrt(len(itself)))
    before_us, after_us = (statistics.median(rep[part] for rep in used[name]) for name in "AB")
    ratio = math.exp(statistics.median(differences("B")))
    return Ratio(label, before_us, after_us, ratio, noise)


def _show(ratios: list[Ratio]) -> None:
    print(f"\n{'CPU µs of a':24}{'A':>10}{'B':>10}{'B / A':>9}{'± noise':>9}")
    for each in ratios:
        noise = f"{100 * each.noise:.1f} %"
        figures = f"{each.before_us:10.1f}{each.after_us:10.1f}{each.ratio:9.3f}{noise:>9}"
        print(f"{each.of:24}{figures}  {each.verdict}")


@contextlib.contextmanager
def _worktree(directory: Path, commit: str) -> Iterator[Checkout]:
    """The commit's files, with this environment where it locks the same packages, else with one of its own."""
    _git("worktree", "add", "--detach", "--quiet", str(directory), commit)
    try:
        lock = "requirements.lock"
        if (directory / lock).read_bytes() == (_ROOT / lock).read_bytes():
            yield Checkout(directory, sys.executable)
        else:
            print(f"{commit[:10]} locks other packages: making an environment for it …")
            subprocess.run(["make", "--quiet", ".venv/ok"], cwd=directory, check=True)
            yield Checkout(directory, str(directory / ".venv/bin/python"))
    finally:
        _git("worktree", "remove", "--force", str(directory))


def _commit(name: str) -> str:
    try:
        return _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
    except subprocess.CalledProcessError:
        raise BenchError(f"{name} is no commit") from None


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=_ROOT, check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
