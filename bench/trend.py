"""Whether something grew over a long run: by the median of all slopes, which single bad minutes do not bend."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_WARM_UP = 0.2  # of the run: caches fill, allocators find their size
_FASTER, _AS_FAST = 1 / 3, 1.1
_STOLEN = 1.0  # per cent of the processor time: so much more than in others
_MEMORY_SHARE = 0.03
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Judgement:
    """How much something rose after the warm-up, over the rest of the run, and how much is none."""

    of: str
    unit: str
    rose: float
    bound: float

    @property
    def steady(self) -> bool:
        """Whether it did not grow."""
        return self.rose <= self.bound

    @property
    def document(self) -> dict[str, Any]:
        """For the file."""
        return asdict(self) | {"steady": self.steady}

    def __str__(self) -> str:
        verdict = "in order" if self.steady else "NOT IN ORDER"
        rose = f"{self.rose:+.2f} {self.unit}".rstrip()
        return f"{self.of}: {rose}, at most {self.bound:.2f}: {verdict}"


def memory_bound_mib(mib: float) -> float:
    """How much a process may seem to have grown: three parts in a hundred, or a MiB."""
    return max(_MEMORY_SHARE * mib, 1)


def warm(minutes: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Those after the warm-up."""
    return minutes[int(len(minutes) * _WARM_UP) :]


def even(minutes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those in which the machine was about what it was in its better ones: as fast, and its own."""
    usual_ns, usual_stolen = (
        sorted(each[name] for each in minutes)[int(len(minutes) * _FASTER)]
        for name in ("pace_ns", "stolen")
    )
    return [
        each
        for each in minutes
        if each["pace_ns"] <= usual_ns * _AS_FAST and each["stolen"] <= usual_stolen + _STOLEN
    ]


def growth(
    of: str, unit: str, minutes: Sequence[dict[str, Any]], values: Sequence[float], bound: float
) -> Judgement:
    """By how much the values of these minutes rose."""
    return Judgement(of, unit, rise([each["minute"] for each in minutes], values), bound)


def rise(times: Sequence[float], values: Sequence[float]) -> float:
    """By how much the values rose from the first to the last (Theil and Sen's slope)."""
    points = list(zip(times, values, strict=True))
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in itertools.combinations(points, 2)]
    return statistics.median(slopes or [0.0]) * (times[-1] - times[0])


def show(minutes: Sequence[dict[str, Any]], judgements: Sequence[Judgement]) -> None:
    """Print the course of each figure as a line of bars, and what came of it."""
    print()
    for name, values in _columns(minutes).items():
        print(f"{name:24}{_bars(values)}  {values[0]:,.1f} to {values[-1]:,.1f}")
    print()
    for judgement in judgements:
        print(judgement)


def table(
    setting: dict[str, Any], minutes: Sequence[dict[str, Any]], judgements: Sequence[Judgement]
) -> str:
    """The same as Markdown."""
    rates = " and ".join(f"{rate:,.0f} {kind}" for kind, rate in setting["calls_per_s"].items())
    columns = _columns(minutes)
    lines = [
        f"# {setting['minutes']:g} minutes at {setting['share']:.0%} of saturation",
        "",
        f"{rates} calls a second, {setting['keys']:,} keys. Made by `make soak`.",
        "",
        *(f"* {judgement}" for judgement in judgements),
        "",
        f"| minute | {' | '.join(columns)} |",
        f"|---|{'---:|' * len(columns)}",
    ]
    for number, minute in enumerate(minutes):
        cells = " | ".join(f"{values[number]:,.1f}" for values in columns.values())
        lines.append(f"| {minute['minute']:g} | {cells} |")
    lines.append(f"| | {' | '.join(_bars(values) for values in columns.values())} |")
    return "\n".join(lines) + "\n"


def _columns(minutes: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    columns = {
        f"{kind} {share} ms": [each[kind][f"{share}_ms"] for each in minutes]
        for kind in ("plain", "streamed")
        for share in ("p50", "p99", "worst")
    }
    of_each = {"us": ("us a call", 1), "kib": ("MiB", 1024)}
    for member, (unit, divisor) in of_each.items():
        columns |= {
            f"{name} {unit}": [each[member][name] / divisor for each in minutes]
            for name in minutes[0][member]
        }
    return columns | {
        "machine ns": [each["pace_ns"] for each in minutes],
        "stolen %": [each["stolen"] for each in minutes],
    }


def _bars(values: Sequence[float]) -> str:
    """From 0, so that what is steady looks steady."""
    most = max(values) or 1
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] for value in values)
