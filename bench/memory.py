"""How much memory an open stream takes on which nothing comes, and a worker that has done nothing."""

import resource
from collections.abc import Iterable

from bench.cpu import tree
from bench.figures import Figure, Found
from bench.load import held, native, wait_for
from bench.resident import resident_kib
from bench.servers import BURST, EVENTS, IDLE
from bench.stage import BenchError, Stage, Target, measure, tollhouse_target

_STREAMS = (2000, 9000)
_OTHER_FILES = 256
_STREAMS_PER_S = 1000
_WARM_UP_S = 1.0


def measure_memory(stage: Stage) -> Found:
    """Each on a new Tollhouse, as memory that was taken once is seldom given back."""
    found: dict[str, dict[int, float]] = {"tollhouse": {}, "nginx": {}}
    idle_kib = 0
    for count in _possible():
        with stage.new_gateway(f"memory-{count}") as gateway:
            worker = gateway.pids["gateway"][0]
            idle_kib = resident_kib(worker)
            found["tollhouse"][count] = _per_stream(
                stage, tollhouse_target(gateway), count, [worker]
            )
        nginx = stage.streaming_nginx
        found["nginx"][count] = _per_stream(stage, nginx, count, tree(nginx.server.pid))
        of_tollhouse, of_nginx = (kib[count] for kib in found.values())
        print(f"{count:,} open streams: {of_tollhouse:.1f} KiB each, nginx {of_nginx:.1f} KiB")
    figures = [
        Figure(f"memory of an open idle stream, of {count:,}", kib, "KiB", 50, 20)
        for count, kib in found["tollhouse"].items()
    ]
    figures.append(Figure("memory of an idle worker", idle_kib / 1024, "MiB", 80, 50))
    return Found(figures, {"idle_kib": idle_kib, **found})


def _possible() -> list[int]:
    """How many streams there may be: each has a descriptor on either side."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = [count for count in _STREAMS if 2 * count + _OTHER_FILES <= files]
    if possible != list(_STREAMS):
        print(f"more streams than {possible} need more than the {files:,} descriptors allowed here")
    return possible


def _per_stream(stage: Stage, target: Target, count: int, pids: Iterable[int]) -> float:
    """KiB for each of so many open streams, over what the processes had when they were warm and without any."""
    measure(target, stage.body(BURST), _WARM_UP_S, events=EVENTS, connections=16)
    before = sum(resident_kib(pid) for pid in pids)
    options = {"events": EVENTS, "connections": count, "ramp": count / _STREAMS_PER_S}
    with native(target.server.url, target.key, stage.body(IDLE), hold=1, **options) as generator:
        wait_for(generator, "BEGIN")
        after = sum(resident_kib(pid) for pid in pids)
        load = held(generator)
    if load.errors or load.requests != count:
        opened = f"{target.name} opened {load.requests} of {count} streams"
        raise BenchError(f"{opened}\n{load.complaint}".rstrip())
    return (after - before) / count
