"""`make bench-peers`: what a call costs through other gateways, beside Tollhouse and nginx in the same run.

The LiteLLM proxy and Portkey's gateway, each installed and started as its own documents say, without a database. The
one checks a single key, the other none; neither keeps a ledger or holds a quota. Where one fails as published, its
words are printed.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import figures, report
from bench.checkout import add_choice, measured
from bench.figures import Figure
from bench.load import LoadError, generator
from bench.other_gateways import KEY, PEERS, Peer
from bench.run import can_run
from bench.servers import BURST, EVENTS, MODEL, StartError, require_answer
from bench.stage import BenchError, Rep, Stage, Target, measure, median, new_stage, progress

_RAMP_S = 1.0
_WARM_UP_S = 5.0
# Of each kind of load: its model and how many connections; a server's best is what counts.
_KINDS = {"call": (MODEL, (64, 4)), "event": (BURST, (16, 4))}
NEWLINE = "\n"
Reps = dict[
    str, dict[str, list[Rep] | str]
]  # of each server and kind; a text says why there are none


def main() -> int:
    """Run it; the exit status is 2 where something is missing, 1 where the run failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--only", default=",".join(PEERS), help="some of " + ",".join(PEERS))
    parser.add_argument("--reps", type=int, default=3, help="of each (default 3)")
    parser.add_argument("--seconds", type=float, default=4, help="of each one (default 4)")
    add_choice(parser)
    options = parser.parse_args()
    if not can_run():
        return 2
    if generator() != "native":
        print("The comparison needs a C compiler.", file=sys.stderr)
        return 2
    measured_files = measured(interpreted=options.interpreted)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory,
            new_stage(Path(directory), options.reps, options.seconds, measured_files) as stage,
        ):
            _compare(stage, [PEERS[name] for name in options.only.split(",")])
    except (BenchError, StartError, LoadError, subprocess.CalledProcessError) as error:
        print(f"the comparison failed: {error}", file=sys.stderr)
        return 1
    return 0


def _compare(stage: Stage, peers: list[Peer]) -> None:
    versions, found = {}, Reps()
    for peer in peers:
        print(f"{peer.name}: setting it up, where it is not yet …")
        versions[peer.name] = peer.set_up()
    require_answer(stage.tollhouse.server, stage.tollhouse.key)
    for kind in _KINDS:
        ours = [stage.nginx if kind == "call" else stage.streaming_nginx, stage.tollhouse]
        for target in ours:
            found.setdefault(target.name, {})[kind] = _reps(stage, target, kind)
    for peer in peers:  # one at a time: an idle one takes processor time, too
        found[peer.name] = _of_peer(stage, peer)
    # Once more, so that what the machine did meanwhile shows.
    again = {
        target.name: median(_reps_or_fail(stage, target), lambda rep: rep.cpu_us["whole"])
        for target in (stage.nginx, stage.tollhouse)
    }
    rows = _figures(found)
    _show(found, versions, again)
    figures.show(rows)
    document = {
        "setting": {"reps": stage.reps, "seconds": stage.seconds, "pinned": stage.pinned},
        "peers": versions,
        "figures": [asdict(figure) for figure in rows],
        "whole_us_at_the_end": again,
        "repetitions": {
            name: {
                kind: reps if isinstance(reps, str) else [asdict(rep) for rep in reps]
                for kind, reps in kinds.items()
            }
            for name, kinds in found.items()
        },
    }
    print(f"\nwritten: {report.save(document, 'peers-')}")


def _of_peer(stage: Stage, peer: Peer) -> dict[str, list[Rep] | str]:
    directory = stage.directory / peer.name
    directory.mkdir()
    try:
        with peer.running(directory, stage.mock) as server:
            stage.pin(server.pid)
            roots = {"worker": [server.pid], "whole": [server.pid]}
            target = Target(peer.name, server, KEY, roots)
            return {
                kind: _reps(stage, target, kind, header=peer.header(stage.mock)) for kind in _KINDS
            }
    except StartError as error:
        return dict.fromkeys(_KINDS, f"did not start: {error}")


def _reps(stage: Stage, target: Target, kind: str, **options: Any) -> list[Rep] | str:
    """The repetitions with the number of connections that suits the server best; a text where it fails."""
    model, connections = _KINDS[kind]
    own = target.name in {"nginx", "tollhouse"}
    checked: dict[str, Any] = {"events": EVENTS, "loose": int(not own)} if kind == "event" else {}
    if kind == "call" and own:
        checked["expect"] = stage.answer  # others make their own JSON of an answer

    def some(count: int, seconds: float) -> Rep:
        progress(f"{target.name}, {kind}s, {count} connections")
        return measure(
            target,
            stage.body(model),
            seconds,
            connections=count,
            ramp=_RAMP_S,
            **checked,
            **options,
        )

    try:
        some(connections[-1], stage.seconds if own else _WARM_UP_S)
        tried = [[some(count, stage.seconds) for _ in range(stage.reps)] for count in connections]
    except (BenchError, LoadError) as error:
        return str(error)
    finally:
        progress("")
    return min(tried, key=lambda reps: median(reps, _worker_us))


def _reps_or_fail(stage: Stage, target: Target) -> list[Rep]:
    reps = _reps(stage, target, "call")
    if isinstance(reps, str):
        raise BenchError(reps)
    return reps


def _worker_us(rep: Rep) -> float:
    return rep.cpu_us["worker"]


def _whole_us(rep: Rep) -> float:
    return rep.cpu_us["whole"]


def _figures(found: Reps) -> list[Figure]:
    rows = []
    for name in found.keys() - {"nginx", "tollhouse"}:
        for kind in _KINDS:
            theirs, ours = found[name][kind], found["tollhouse"][kind]
            if isinstance(theirs, str) or isinstance(ours, str):
                continue
            times = median(theirs, _worker_us) / median(ours, _worker_us)
            bounds = (80, 150) if (name, kind) == ("litellm", "call") else (None, None)
            label = f"processor time, {kind} through {name}"
            rows.append(Figure(label, times, "x ours", *bounds, at_least=True))
    return sorted(rows, key=lambda figure: figure.name)


def _show(found: Reps, versions: dict[str, str], again: dict[str, float]) -> None:
    for kind, unit in (("call", "calls"), ("event", "events")):
        print(f"\n{unit + ', CPU µs each':34}{'server':>10}{'x nginx':>9}{'with stores':>13}")
        nginx = found["nginx"][kind]
        for name, kinds in found.items():
            reps, label = kinds[kind], f"{name} {versions.get(name, '')}"
            if isinstance(reps, str) or isinstance(nginx, str):
                print(f"  {label:32}{str(reps).replace(NEWLINE, NEWLINE + ' ' * 34)}")
                continue
            cpu, whole = median(reps, _worker_us), median(reps, _whole_us)
            times = cpu / median(nginx, _worker_us)
            rate = median(reps, _rate(kind))
            print(f"  {label:32}{cpu:10.1f}{times:9.1f}{whole:13.1f}   {rate:,.0f} {unit}/s")
    told = ", ".join(f"{name} {us:.1f}" for name, us in again.items())
    print(f"\nat the end once more, CPU µs of a call with stores: {told}")


def _rate(kind: str) -> Callable[[Rep], float]:
    def rate(rep: Rep) -> float:
        count = rep.load.requests if kind == "call" else rep.load.events
        return count / rep.load.seconds

    return rate


if __name__ == "__main__":
    sys.exit(main())
