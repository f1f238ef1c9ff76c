"""Whether a call costs two workers more processor time than one."""

import statistics

from bench.figures import Figure, Found
from bench.load import CONNECTIONS
from bench.servers import MODEL, require_answer
from bench.stage import (
    Rep,
    Stage,
    Target,
    detail,
    in_turns,
    measure,
    median,
    require_booked,
    tollhouse_target,
)

_PAIRS = 5


def measure_workers(stage: Stage) -> Found:
    """One and two workers, each with stores of its own, in turns; the median of their ratios.

    The n-th worker has the n-th core. Each has as many connections: half as many would let it batch less.
    """
    body, one = stage.body(MODEL), stage.gateway
    with stage.new_gateway("two", workers=2) as two:
        targets = [tollhouse_target(one, "one worker"), tollhouse_target(two, "two workers")]
        require_answer(targets[1].server, targets[1].key)

        def once(target: Target) -> Rep:
            connections = CONNECTIONS * len(target.parts["worker"])
            return measure(
                target, body, stage.seconds, expect=stage.answer, ramp=1, connections=connections
            )

        since = [one.settled_units(), two.settled_units()]
        results = in_turns(targets, _PAIRS, once)
        for gateway, units, reps in zip((one, two), since, results.values(), strict=True):
            require_booked(gateway, units, [rep.load for rep in reps])
    used, rates = (
        [median(reps, of) for reps in results.values()]
        for of in (
            lambda rep: rep.cpu_us["worker"],
            lambda rep: rep.load.requests / rep.load.seconds,
        )
    )
    print(f"one worker {used[0]:.1f} µs/call, {rates[0]:,.0f} calls/s; ", end="")
    print(f"two {used[1]:.1f} µs/call, {rates[1]:,.0f} calls/s")
    ratio = statistics.median(
        more.cpu_us["worker"] / less.cpu_us["worker"]
        for less, more in zip(*results.values(), strict=True)
    )
    name = "processor time of a call, two workers"
    return Found([Figure(name, ratio, "x one", 1.10, 1.05)], {"repetitions": detail(results)})
