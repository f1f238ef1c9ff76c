"""What all parts of the bench share: the servers, started when the first part asks for them, and one way to measure.

A server's repetition is one load with the processor time that it cost; targets are measured in turns, so that a noisy
minute touches all of them.
"""

import contextlib
import os
import resource
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from bench.checkout import HERE, Checkout
from bench.cpu import cpu_s, pin
from bench.load import CONNECTIONS, Load, generator, native_load, run_load
from bench.mock import mock_upstream
from bench.nginx import nginx_proxy
from bench.servers import Server, answer_body, request_body
from bench.tollhouse import UNITS_PER_CALL, Tollhouse, tollhouse

_BOOKED_TIMEOUT_S = 30
T = TypeVar("T")


class BenchError(Exception):
    """The run gives no figure that counts."""


# Parts of a system, each the roots of its process trees. "whole" is all of them together.
Parts = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Target:
    """A server to load, its key, and whose processor time counts."""

    name: str
    server: Server
    key: str
    parts: Parts


@dataclass(frozen=True, slots=True)
class Rep:
    """One repetition: what the generator saw, and processor time per request, or per event, of each part."""

    load: Load
    cpu_us: dict[str, float]


@dataclass
class Stage:
    """The servers of a run, and where its files are. `cores` are those that it may use, `measured` runs Tollhouse."""

    directory: Path
    stack: contextlib.ExitStack
    reps: int
    seconds: float
    cores: list[int]
    measured: Checkout

    @property
    def pinned(self) -> bool:
        """Whether the server measured has a core of its own."""
        return len(self.cores) > 1

    def pin(self, pid: int, number: int = 0) -> None:
        """Keep a server that is measured on one core, where there are several: the first, or the next."""
        if self.pinned:
            pin(pid, {self.cores[number % len(self.cores)]})

    @cached_property
    def answer(self) -> Path:
        """A file with the mock's answer."""
        path = self.directory / "answer.json"
        path.write_bytes(answer_body())
        return path

    def body(self, model: str) -> Path:
        """A file with the request for this model."""
        path = self.directory / f"{model}.json"
        path.write_bytes(request_body(model))
        return path

    @cached_property
    def mock(self) -> Server:
        """The upstream of all of them."""
        return self.stack.enter_context(mock_upstream(self.directory / "mock"))

    @cached_property
    def nginx(self) -> Target:
        """The unit of ratios of requests."""
        return self._nginx("nginx", streams=False)

    @cached_property
    def streaming_nginx(self) -> Target:
        """The unit of ratios of streams."""
        return self._nginx("nginx-streams", streams=True)

    @cached_property
    def gateway(self) -> Tollhouse:
        """Tollhouse with one worker, which most parts share."""
        return self.stack.enter_context(self.new_gateway("gateway"))

    @contextlib.contextmanager
    def new_gateway(
        self,
        name: str,
        workers: int = 1,
        checkout: Checkout | None = None,
        settings: str = "",
    ) -> Iterator[Tollhouse]:
        """Tollhouse on the state directory of this name, each worker on a core; `settings` are more TOML."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        measured = checkout or self.measured
        with tollhouse(directory, self.mock, workers, measured, settings) as gateway:
            for number, pid in enumerate(gateway.pids["gateway"]):
                self.pin(pid, number)
            yield gateway

    @cached_property
    def tollhouse(self) -> Target:
        """The shared Tollhouse."""
        return tollhouse_target(self.gateway)

    def _nginx(self, name: str, *, streams: bool) -> Target:
        proxy = nginx_proxy(self.directory / name, self.mock, streams=streams)
        server = self.stack.enter_context(proxy)
        self.pin(server.pid)
        return Target("nginx", server, "unused", {"worker": [server.pid], "whole": [server.pid]})


@contextlib.contextmanager
def new_stage(
    directory: Path, reps: int, seconds: float, measured: Checkout = HERE
) -> Iterator[Stage]:
    """A stage in this directory. The bench, and so what it starts, leaves the first core to the server measured."""
    directory.chmod(0o711)  # started by root, the embedded Postgres runs as a user who walks here
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
    try:
        with contextlib.ExitStack() as stack:
            yield Stage(directory, stack, reps, seconds, cores, measured)
    finally:
        os.sched_setaffinity(0, cores)


def tollhouse_target(gateway: Tollhouse, name: str = "tollhouse") -> Target:
    """Tollhouse by its parts."""
    workers, pids = gateway.pids["gateway"], gateway.pids
    stores = {name: [pids[name]] for name in ("valkey", "postgres")}
    whole = [pids["supervisor"], pids["admin"], *workers, *stores["valkey"], *stores["postgres"]]
    return Target(name, gateway.server, gateway.key, {"worker": workers, **stores, "whole": whole})


def measure(
    target: Target, body: Path, seconds: float, *, keys: Path | None = None, **options: Any
) -> Rep:
    """One repetition, with the target's key or those of a file.

    Raises `BenchError` where any answer was wrong: then no figure counts.
    """

    def used_s() -> dict[str, float]:
        return {name: cpu_s(roots) for name, roots in target.parts.items()}

    if generator() == "native":
        load, before, after = native_load(
            target.server.url, keys or target.key, body, used_s, seconds=seconds, **options
        )
    else:
        before = used_s()
        connections = options.get("connections", CONNECTIONS)
        load = run_load(target.server.url, target.key, body, seconds, connections)
        after = used_s()
    count = load.events if options.get("events") else load.requests
    if load.errors or not count:
        what = f"{load.errors} failed of {load.requests} calls"
        raise BenchError(f"{target.name}: {what}\n{load.complaint}".rstrip())
    return Rep(load, {name: 1e6 * (after[name] - before[name]) / count for name in before})


def in_turns(
    targets: Sequence[Target], reps: int, once: Callable[[Target], T], what: str = ""
) -> dict[str, list[T]]:
    """So many results of each target, one of each after the other."""
    results: dict[str, list[T]] = {target.name: [] for target in targets}
    for number in range(reps):
        for target in targets:
            progress(f"{what} {target.name}, {number + 1} of {reps}".strip())
            results[target.name].append(once(target))
    progress("")
    return results


def progress(text: str) -> None:
    """What is being done, on a line that the next one overwrites; nowhere but on a terminal."""
    if sys.stdout.isatty():
        print(f"\r{text:60}" if text else f"\r{'':60}\r", end="", flush=True)


def median(reps: Sequence[Rep], figure: Callable[[Rep], float]) -> float:
    """The median of a figure over repetitions."""
    return statistics.median(figure(rep) for rep in reps)


def detail(results: dict[str, list[Rep]]) -> dict[str, Any]:
    """Every repetition, for the file."""
    return {name: [asdict(rep) for rep in reps] for name, reps in results.items()}


def require_booked(gateway: Tollhouse, since_units: int, loads: Sequence[Load]) -> None:
    """No speed counts unless the ledger has every call that was answered since it had `since_units`.

    The generator in C counts exactly. Others break off what is under way at the end of a repetition; those calls may be
    booked too, so there it is a lower bound.
    """
    exact = generator() == "native"
    calls = sum(load.answered if exact else load.requests for load in loads)

    def booked() -> float:
        return (gateway.used_units() - since_units) / UNITS_PER_CALL

    becomes(lambda: booked() >= calls)
    found = booked()
    if found < calls or (exact and found != calls):
        raise BenchError(f"{calls} calls were answered, the ledger has booked {found}")
    print(f"ledger: {calls:,} calls answered, {found:,.0f} booked")


def becomes(condition: Callable[[], bool], timeout_s: float = _BOOKED_TIMEOUT_S) -> bool:
    """Whether the condition holds before the time is over."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
