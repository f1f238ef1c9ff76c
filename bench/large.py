"""How long small calls take while large ones go through, two a second: bodies of 1, 10 and 30 MB with images."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from random import Random

from bench.figures import Figure, Found
from bench.load import Load, native_load
from bench.servers import MODEL
from bench.stage import BenchError, Stage, Target, in_turns, require_booked

_MEGABYTES = (0, 1, 10, 30)
_IMAGE_BYTES = 600_000
_RATE = 200  # small calls a second
_LARGE_RATE = 2
_PAIRS = 1
_MOST_MS = 20


def measure_large(stage: Stage) -> Found:
    """Small calls at a fixed, low rate, and beside them now and then a large one."""
    since = stage.gateway.settled_units()
    found: dict[str, dict[int, list[Load]]] = {}
    for megabytes in _MEGABYTES:
        large = _body(stage.directory, megabytes) if megabytes else None

        def once(target: Target, large: Path | None = large) -> list[Load]:
            return _beside(stage, target, large)

        results = in_turns([stage.nginx, stage.tollhouse], _PAIRS, once, f"{megabytes} MB,")
        for name, (loads,) in results.items():
            found.setdefault(name, {})[megabytes] = loads
    require_booked(
        stage.gateway, since, [load for loads in found["tollhouse"].values() for load in loads]
    )
    _show(found)
    stall_ms = max(
        loads[0].p99_ms - found["nginx"][size][0].p99_ms
        for size, loads in found["tollhouse"].items()
    )
    detail = {
        name: {size: [asdict(load) for load in loads] for size, loads in sizes.items()}
        for name, sizes in found.items()
    }
    name = "added to small calls beside large bodies, p99"
    return Found([Figure(name, stall_ms, "ms", _MOST_MS)], detail)


def _beside(stage: Stage, target: Target, large: Path | None) -> list[Load]:
    """What the small calls saw, and the large ones."""
    options = {"seconds": stage.seconds, "ramp": 0.5, "expect": stage.answer}
    sent = [(stage.body(MODEL), _RATE)] + ([(large, _LARGE_RATE)] if large else [])

    def send(body: Path, rate: int) -> Load:
        return native_load(target.server.url, target.key, body, rate=rate, **options)[0]

    with ThreadPoolExecutor() as together:
        loads = [*together.map(send, *zip(*sent, strict=True))]
    if any(load.errors for load in loads):
        raise BenchError(f"{target.name}: calls failed beside large ones")
    return loads


def _body(directory: Path, megabytes: int) -> Path:
    """A request with as many images as make it so large."""
    draw, parts = Random(megabytes), []
    for _ in range(megabytes * 1_000_000 // (_IMAGE_BYTES * 4 // 3)):
        image = base64.b64encode(draw.randbytes(_IMAGE_BYTES)).decode()
        parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}})
    parts.append({"type": "text", "text": "What is the difference?"})
    body = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": parts}]}
    path = directory / f"large-{megabytes}.json"
    path.write_text(json.dumps(body))
    return path


def _show(found: dict[str, dict[int, list[Load]]]) -> None:
    print(f"{_RATE} small calls a second{'p50 ms':>12}{'p99 ms':>9}{'max ms':>9}{'large ms':>10}")
    for name, sizes in found.items():
        for megabytes, (small, *large) in sizes.items():
            label = f"{name}, beside {megabytes} MB" if megabytes else f"{name}, alone"
            took_ms = large[0].p50_ms if large else 0
            seen = f"{small.p50_ms:9.2f}{small.p99_ms:9.2f}{small.max_ms:9.2f}{took_ms:10.1f}"
            print(f"  {label:25}{seen}")
