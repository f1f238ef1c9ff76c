"""`make chaos`: whether the cap holds while processes are killed and stores are lost.

docs/proof/README.md tells what is run, what is checked and how to read the report.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import redis

from bench.cpu import cpu_s
from gateway import __version__
from gateway.embedded.errors import EmbeddedError
from tests.chaos.checker import Findings, Violation, check_scope, check_token
from tests.chaos.cluster import REPLICAS, STORES, Cluster, Times, cluster
from tests.chaos.ledger import fetch, rows_of, scopes, wait_until_quiet
from tests.chaos.load import Load
from tests.chaos.nemesis import Nemesis, kinds_of, schedule
from tests.chaos.plan import Plan, make_plan
from tests.chaos.processes import ROOT, Process, Trouble, module, plain_environment
from tests.chaos.records import now_us, read_answers, read_arrivals
from tests.chaos.report import Report

_LONG = Times(lease_s=9, pause_s=1.5, sweep_s=1)
_SHORT = Times(lease_s=4.5, pause_s=1.2, sweep_s=0.4)
_SLOWEST_CALLS_PER_S = 200
_LEAST_MINUTES = 15
_LATE = re.compile(r"double fault: the quota store was lost, and heard of (\d+) nano-dollars")


def main() -> int:
    """Run; the exit status is 1 for any violation, 2 where the run itself failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--calls", type=int, default=30_000, help="at least so many (default 30000)"
    )
    parser.add_argument("--seed", type=int, help="of load and schedule (default: by the clock)")
    parser.add_argument("--minutes", type=float, help="at most so long (default: by the calls)")
    parser.add_argument("--callers", type=int, default=96, help="at once (default 96)")
    parser.add_argument(
        "--rate", type=float, default=0, help="calls a second at most (default 0: any)"
    )
    parser.add_argument("--store", default="single", choices=STORES, help="what Valkey is")
    parser.add_argument("--faults", default="all", help=f"all, none, or some of {_told(STORES)}")
    parser.add_argument("--haste", action="store_true", help="short faults, short leases")
    parser.add_argument("--report", metavar="FILE", help="write the report there, too")
    parser.add_argument("--keep", metavar="DIRECTORY", help="keep logs and data there")
    options = parser.parse_args()
    ours = kinds_of(options.store)
    kinds = {"all": ours, "none": ()}.get(options.faults, tuple(options.faults.split(",")))
    if unknown := set(kinds) - set(ours):
        parser.error(f"there is no fault {', '.join(sorted(unknown))}")
    if options.seed is None:
        options.seed = int(time.time()) % 1_000_000
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"seed {options.seed}", flush=True)
    try:
        with _directory(options.keep) as directory:
            report = _run(directory, options, kinds)
    except (Trouble, EmbeddedError) as error:
        print(f"chaos: seed {options.seed}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    text = report.text()
    print(text)
    if options.report:
        Path(options.report).write_text(text)
    return 1 if report.violations else 0


def _told(stores: Iterable[str]) -> str:
    return ",".join(dict.fromkeys(kind for store in stores for kind in kinds_of(store)))


@contextlib.contextmanager
def _directory(kept: str | None) -> Iterator[Path]:
    """Where everything is; started by root, the embedded servers run as a user who walks here."""
    with contextlib.ExitStack() as stack:
        if kept is None:
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="tollhouse-chaos-"))
            directory = Path(made)
        else:
            directory = Path(kept).absolute()
            directory.mkdir(parents=True)
        directory.chmod(0o711)
        yield directory


def _run(directory: Path, options: argparse.Namespace, kinds: tuple[str, ...]) -> Report:
    plan = make_plan(options.calls)
    times = _SHORT if options.haste else _LONG
    with cluster(directory, plan, times, options.store) as made:
        began_us = now_us()
        nemesis = Nemesis(made, plan, options.seed, haste=options.haste)
        used_s = _under_load(made, nemesis, options, kinds)
        took_s = (now_us() - began_us) / 1e6
        _require_sound(made)
        times = made.times
        for number in range(REPLICAS):
            made.revive(number)
        done = {strike.kind for strike in nemesis.strikes.all}
        missing = [kind for kind in kinds if kind not in done]
        extra = wait_until_quiet(made, 2 * times.lease_s + 4 * times.sweep_s + 60)
        extra += [Violation("wrong", text) for text in (*made.fallen, *nemesis.troubles)]
        report = Report(
            _facts(made, options, missing, took_s, used_s),
            nemesis.strikes.all,
            began_us,
            violations=extra,
        )
        _check(made, plan, nemesis, report)
        report.violations += _audit(made)
    return report


def _under_load(
    made: Cluster, nemesis: Nemesis, options: argparse.Namespace, kinds: tuple[str, ...]
) -> dict[str, float]:
    """The load, with one fault after the other, until there were calls enough and each kind of fault.

    Answers the processor time that each part has used.
    """
    settings = Load(
        str(made.directory),
        options.calls,
        options.seed,
        options.callers,
        made.ports,
        made.made.keys,
        options.rate,
    )
    file = made.directory / "load.json"
    file.write_text(json.dumps(asdict(settings)))
    load = Process(
        "load", module("tests.chaos.load", file), plain_environment(), made.directory / "load.log"
    )
    minutes = options.minutes or max(_LEAST_MINUTES, options.calls / _SLOWEST_CALLS_PER_S / 60)
    deadline = time.monotonic() + minutes * 60
    load.start()
    try:
        coming = schedule(options.seed, kinds)
        round_left = len(kinds)
        while time.monotonic() < deadline:
            if not load.runs:
                raise Trouble(f"the load has ended; its log is {made.directory}/load.log")
            calls = _progress(made, nemesis)
            if calls >= options.calls and round_left <= 0:
                break
            kind = next(coming, None)
            if kind is None:
                time.sleep(0.5)
                continue
            nemesis.rest()
            nemesis.strike(kind)
            round_left -= 1
        used_s = {**made.cpu_s(), "load": cpu_s([load.pid])}
        load.stop(within_s=60)
        if sys.stdout.isatty():
            print()
    finally:
        load.kill()
    return used_s


def _require_sound(made: Cluster) -> None:
    """Nothing of ours failed: a history with holes proves nothing."""
    for name in ("load", "upstream", "ways"):
        log = made.directory / f"{name}.log"
        if "Traceback" in (told := log.read_text(errors="replace")):
            raise Trouble(f"the run's own {name} failed:\n{told[:4000]}")


def _progress(made: Cluster, nemesis: Nemesis) -> int:
    file = made.directory / "progress.json"
    counts = json.loads(file.read_text()) if file.exists() else {}
    calls = counts.get("calls", 0)
    if sys.stdout.isatty():
        last = nemesis.strikes.all[-1].kind if nemesis.strikes.all else "no fault yet"
        told = " ".join(f"{n} {name}" for name, n in sorted(counts.items()) if ":" not in name)
        print(f"\r\033[K{len(nemesis.strikes.all)} faults ({last}); {told}", end="", flush=True)
    return int(calls)


def _check(made: Cluster, plan: Plan, nemesis: Nemesis, report: Report) -> None:
    all_scopes = scopes(made)
    instants = {scope.name: [at_us for at_us, _ in scope.entries] for scope in all_scopes}
    spent: dict[str, dict[int, int]] = {scope.name: {} for scope in all_scopes}
    for token in plan.tokens:
        names = made.made.scopes[token.number]
        arrivals = read_arrivals(made.directory / f"truth-{token.number}.log")
        answers = read_answers(made.directory / f"client-{token.number}.log")
        rows = rows_of(made, made.made.token_ids[token.number])
        findings: Findings = check_token(
            token,
            arrivals,
            answers,
            rows,
            nemesis.strikes,
            sorted({instant for name in names for instant in instants[name]}),
            capped=plan.capped(token),
        )
        report.add(findings, len(arrivals), len(rows))
        for name in names:
            for instant in set(instants[name]):  # entries of one transaction share theirs
                before = spent[name].get(instant, 0)
                spent[name][instant] = before + findings.spent_before[instant]
    for scope in all_scopes:
        report.violations += check_scope(scope, spent[scope.name])


def _audit(made: Cluster) -> list[Violation]:
    """`tollhouse audit` says the same, where there is such a command."""
    command = module("gateway.cli")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=made.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    if run("audit", "--help").returncode:
        return []
    said = run("audit")
    if said.returncode:
        return [Violation("unconserved", f"tollhouse audit: {said.stdout}{said.stderr}".strip())]
    return []


def _facts(
    made: Cluster,
    options: argparse.Namespace,
    missing: list[str],
    took_s: float,
    used_s: dict[str, float],
) -> dict[str, object]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    with made.store() as store:
        server = store.info("server")
    valkey = server.get("valkey_version") or server["redis_version"]
    times = made.times
    return {
        "seed": str(options.seed),
        "command": f"python -m tests.chaos {' '.join(sys.argv[1:])}",
        "commit": commit,
        "versions": f"Tollhouse {__version__}, Python {platform.python_version()}, "
        f"PostgreSQL {fetch(made, 'SHOW server_version')[0][0]}, Valkey {valkey}, redis-py {redis.__version__}",
        "cores": os.cpu_count() or 0,
        "replicas, callers": f"{len(made.replicas)}, {options.callers}",
        "settings": f"lease_s {times.lease_s}, pause_s {times.pause_s}, sweep_s {times.sweep_s}",
        "faults of the first round that were not reached": ", ".join(missing) or "none",
        "under load": f"{took_s:.0f} s",
        "double faults of living replicas": _told_late(made),
        "processor time": ", ".join(f"{name} {some_s:.1f} s" for name, some_s in used_s.items()),
    }


def _told_late(made: Cluster) -> str:
    """What replicas had to tell Valkey after a pause was over: a busy machine may keep them from it for so long."""
    told = [
        int(found)
        for number in range(REPLICAS)
        for found in _LATE.findall((made.directory / f"replica-{number}.log").read_text())
    ]
    return f"{len(told)}, with {sum(told):,} nano-dollars at stake"


if __name__ == "__main__":
    sys.exit(main())
