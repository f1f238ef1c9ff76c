"""How long `tollhouse run` takes until `/readyz` answers 200: the first time, when it makes its stores, and later."""

from bench.figures import Figure, Found
from bench.stage import Stage


def measure_start(stage: Stage) -> Found:
    """Two starts on one state directory."""
    with stage.new_gateway("start") as gateway:
        first_s = gateway.start_s
    with stage.new_gateway("start") as gateway:
        later_s = gateway.start_s
    print(f"ready {first_s:.1f} s after the first start, {later_s:.1f} s after a later one")
    figures = [
        Figure("from the first start until it is ready", first_s, "s"),
        Figure("from a later start until it is ready", later_s, "s"),
    ]
    return Found(figures, {})
