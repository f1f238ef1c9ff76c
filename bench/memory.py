"""How much memory an open stream takes on which nothing comes, and a worker that has done nothing."""

import resource
from collections.abc import Callable

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
    """On a new Tollhouse, as memory that was taken once is seldom given back."""
    with stage.new_gateway("memory") as gateway:
        worker = gateway.pids["gateway"][0]
        idle_kib = resident_kib(worker)
        of_tollhouse = _per_stream(stage, tollhouse_target(gateway), lambda: resident_kib(worker))
    nginx = stage.streaming_nginx
    of_nginx = _per_stream(
        stage, nginx, lambda: sum(resident_kib(pid) for pid in tree(nginx.server.pid))
    )
    for count, kib in of_tollhouse.items():
        print(f"{count:,} open streams: {kib:.1f} KiB each, nginx {of_nginx[count]:.1f} KiB")
    figures = [
        Figure(f"memory of an open idle stream, of {count:,}", kib, "KiB", 50, 20)
        for count, kib in of_tollhouse.items()
    ]
    figures.append(Figure("memory of an idle worker", idle_kib / 1024, "MiB", 80, 50))
    return Found(figures, {"idle_kib": idle_kib, "tollhouse": of_tollhouse, "nginx": of_nginx})


def _per_stream(stage: Stage, target: Target, resident: Callable[[], int]) -> dict[int, float]:
    """KiB for each of so many open streams, over what it took when it was warm and had none."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    measure(target, stage.body(BURST), _WARM_UP_S, events=EVENTS, connections=16)
    before = resident()
    found = {}
    for count in _STREAMS:
        if 2 * count + _OTHER_FILES > files:  # a stream has a descriptor on each side
            print(f"{count:,} streams need more than the {files:,} descriptors allowed here")
            continue
        options = {"events": EVENTS, "connections": count, "ramp": count / _STREAMS_PER_S}
        with native(
            target.server.url, target.key, stage.body(IDLE), hold=1, **options
        ) as generator:
            wait_for(generator, "BEGIN")
            after = resident()
            load = held(generator)
        if load.errors or load.requests != count:
            raise BenchError(f"{target.name} opened {load.requests} of {count} streams")
        found[count] = (after - before) / count
    return found
