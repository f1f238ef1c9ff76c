"""What one forwarded event of a stream costs, as a multiple of nginx's with `proxy_buffering off`, and how late it is.

*Burst*: 16 streams at once, each of 64 events back to back. *Paced*: 1,000 streams, an event each 50 ms. The share of
the call itself in an event is part of both.
"""

from bench.figures import Figure, Found
from bench.servers import BURST, EVENTS, PACED
from bench.stage import (
    Rep,
    Stage,
    Target,
    detail,
    in_turns,
    measure,
    median,
    require_booked,
)

_PACED_STREAMS = 1000
_STREAM_S = 3.2  # of a paced stream: 64 events, 50 ms apart
_WIDTH = 34


def measure_chunks(stage: Stage) -> Found:
    """Both, in turns with nginx."""
    targets = [stage.streaming_nginx, stage.tollhouse]
    since = stage.gateway.settled_units()
    burst, paced = stage.body(BURST), stage.body(PACED)

    def one_burst(target: Target) -> Rep:
        return measure(target, burst, stage.seconds, events=EVENTS, connections=16, ramp=0.5)

    def one_paced(target: Target) -> Rep:
        streams = {"connections": _PACED_STREAMS, "ramp": _STREAM_S}
        return measure(target, paced, stage.seconds, events=EVENTS, **streams)

    bursts = in_turns(targets, stage.reps, one_burst, "burst,")
    paces = in_turns(targets, stage.reps, one_paced, "paced,")
    loads = [rep.load for rep in (*bursts["tollhouse"], *paces["tollhouse"])]
    require_booked(stage.gateway, since, loads)
    _show("burst, 16 streams", bursts)
    _show(f"paced, {_PACED_STREAMS:,} streams", paces)
    later_ms = {
        share: _event_ms(paces["tollhouse"], share) - _event_ms(paces["nginx"], share)
        for share in ("p50", "p99")
    }
    figures = [
        Figure("processor time of an event, burst", _ratio(bursts), "x nginx", 3, 1.5),
        Figure("processor time of an event, 20 a second", _ratio(paces), "x nginx", 3, 1.5),
        Figure("added to an event's way, 1,000 streams, p50", later_ms["p50"], "ms"),
        Figure("added to an event's way, 1,000 streams, p99", later_ms["p99"], "ms", 20),
    ]
    return Found(figures, {"burst": detail(bursts), "paced": detail(paces)})


def _ratio(results: dict[str, list[Rep]]) -> float:
    ours, unit = (
        median(results[name], lambda rep: rep.cpu_us["worker"]) for name in ("tollhouse", "nginx")
    )
    return ours / unit


def _event_ms(reps: list[Rep], share: str) -> float:
    return median(reps, lambda rep: float(getattr(rep.load, f"event_{share}_ms")))


def _show(what: str, results: dict[str, list[Rep]]) -> None:
    columns = f"{'events/s':>10}{'first ms':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs/event':>14}"
    print(f"{what:{_WIDTH}}{columns}")
    for name, reps in results.items():
        rate = median(reps, lambda rep: rep.load.events / rep.load.seconds)
        first = median(reps, lambda rep: rep.load.first_p50_ms)
        cpu = median(reps, lambda rep: rep.cpu_us["worker"])
        late = f"{_event_ms(reps, 'p50'):9.2f}{_event_ms(reps, 'p99'):9.2f}"
        print(f"  {name:{_WIDTH - 2}}{rate:10,.0f}{first:10.2f}{late}{cpu:14.2f}")
