"""What one call costs that is no stream, as a multiple of nginx's plain proxy_pass."""

from bench.figures import Figure, Found
from bench.load import CONNECTIONS, generator
from bench.servers import MODEL, REQUEST_BYTES, require_answer
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

_WARM_UP_S = 2.0
_RAMP_S = 0.2
_WIDTH = 28


def measure_plain(stage: Stage) -> Found:
    """64 connections, each with one call at a time."""
    gateway, body = stage.gateway, stage.body(MODEL)

    def once(target: Target, seconds: float) -> Rep:
        return measure(target, body, seconds, expect=stage.answer, ramp=_RAMP_S)

    for target in (stage.nginx, stage.tollhouse):
        require_answer(target.server, target.key)
        once(target, _WARM_UP_S)
    since = gateway.settled_units()
    results = in_turns(
        [stage.nginx, stage.tollhouse], stage.reps, lambda each: once(each, stage.seconds), "calls,"
    )
    require_booked(gateway, since, [rep.load for rep in results["tollhouse"]])
    _show(results, pinned=stage.pinned)
    print(f"\nledger lag: p50 <= {gateway.lag_s(0.5)} s, p99 <= {gateway.lag_s(0.99)} s")
    unit = _cpu_us(results["nginx"], "worker")
    worker, whole = (_cpu_us(results["tollhouse"], part) / unit for part in ("worker", "whole"))
    figures = [
        Figure("processor time of a call, worker", worker, "x nginx", 8, 5),
        Figure("processor time of a call, worker, Valkey and Postgres", whole, "x nginx", 13, 8),
    ]
    return Found(figures, {"repetitions": detail(results)})


def _cpu_us(reps: list[Rep], part: str) -> float:
    return median(reps, lambda rep: rep.cpu_us[part])


def _show(results: dict[str, list[Rep]], *, pinned: bool) -> None:
    """Medians over the repetitions, ratios to nginx's worker in the same run."""
    unit = _cpu_us(results["nginx"], "worker")
    place = "one core for the server" if pinned else "NOT pinned: one core for everything"
    print(f"{generator()}, {CONNECTIONS} connections, {REQUEST_BYTES} byte body, {place}\n")
    columns = f"{'calls/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'p99.9 ms':>10}{'CPU µs/call':>14}{'x nginx':>9}"
    print(f"{'':{_WIDTH}}{columns}")
    for name, reps in results.items():
        rate = median(reps, lambda rep: rep.load.requests / rep.load.seconds)
        p50 = median(reps, lambda rep: rep.load.p50_ms)
        p99 = median(reps, lambda rep: rep.load.p99_ms)
        p999 = median(reps, lambda rep: rep.load.p999_ms)
        seen = f"{rate:10,.0f}{p50:9.2f}{p99:9.2f}{p999:10.2f}"
        for part in reps[0].cpu_us:
            if name == "nginx" and part != "worker":
                continue
            cpu = _cpu_us(reps, part)
            label = "nginx proxy_pass" if name == "nginx" else f"{name}, {part}"
            print(f"{label:{_WIDTH}}{seen:38}{cpu:14.1f}{cpu / unit:9.2f}")
            seen = ""
