"""What Tollhouse adds to p99 at half of the rate that it can do, over what nginx adds at the same rate."""

import statistics
from dataclasses import asdict

from bench.figures import Figure, Found
from bench.load import Load
from bench.paced import run_paced
from bench.servers import MODEL
from bench.stage import BenchError, Stage, Target, in_turns, measure, require_booked

_SHARE = 0.5
_PAIRS = 5


def measure_added(stage: Stage) -> Found:
    """The median of five differences, each of two runs one after the other."""
    body, since = stage.body(MODEL), stage.gateway.settled_units()
    full = measure(stage.tollhouse, body, stage.seconds, expect=stage.answer, ramp=1).load
    rate = _SHARE * full.requests / full.seconds

    def once(target: Target) -> Load:
        load = run_paced(target.server.url, target.key, body, rate, stage.seconds)
        if load.errors:
            raise BenchError(f"{target.name}: {load.errors} failed of {load.requests} calls")
        return load

    loads = in_turns([stage.nginx, stage.tollhouse], _PAIRS, once, "at half,")
    require_booked(stage.gateway, since, [full, *loads["tollhouse"]])
    added = {
        share: statistics.median(
            getattr(ours, share) - getattr(unit, share)
            for ours, unit in zip(loads["tollhouse"], loads["nginx"], strict=True)
        )
        for share in ("p50_ms", "p99_ms")
    }
    print(f"at {rate:,.0f} calls/s, half of what it can: ", end="")
    print(f"p50 + {added['p50_ms']:.2f} ms, p99 + {added['p99_ms']:.2f} ms over nginx")
    figures = [
        Figure("added at half of saturation, p50", added["p50_ms"], "ms"),
        Figure("added at half of saturation, p99", added["p99_ms"], "ms", 3, 1),
    ]
    detail = {name: [asdict(load) for load in each] for name, each in loads.items()}
    return Found(figures, {"calls_per_s": rate, **detail})
