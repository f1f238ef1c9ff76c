"""`/metrics`: figures in Prometheus' text format or in OpenMetrics, on a listener apart from the callers'.

https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/. Both are few lines, and are written a family at a time, so that
calls go on in between where a worker tells its own figures; a library would write all of them at once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import accumulate
from typing import Final

from aiohttp import web

from gateway.domain.families import FAMILIES, Family, Kind
from gateway.domain.figures import Exemplar, Figure, Labels, Spread
from gateway.listen import as_bound, listening_socket, url_of

_log = logging.getLogger(__name__)
_BACKLOG: Final = 16
_LINES_AT_ONCE: Final = 500
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
_OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Ask = Callable[[], Awaitable[list[Figure]]]
"""Finds out the figures of now."""


def render(figures: Iterable[Figure], *, open_metrics: bool = False) -> bytes:
    """The text that a monitoring system reads."""
    lines = [line for figure in figures for line in _lines(figure, open_metrics=open_metrics)]
    return _joined(lines) + (b"# EOF\n" if open_metrics else b"")


async def _rendered(figures: Iterable[Figure], *, open_metrics: bool) -> bytes:
    """The same, with a pause after some hundred lines."""
    pieces, lines = [], []
    for figure in figures:
        for line in _lines(figure, open_metrics=open_metrics):
            lines.append(line)
            if len(lines) >= _LINES_AT_ONCE:
                pieces.append(_joined(lines))
                lines = []
                await asyncio.sleep(0)
    return b"".join([*pieces, _joined(lines), b"# EOF\n" if open_metrics else b""])


def _joined(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def _lines(figure: Figure, *, open_metrics: bool) -> Iterator[str]:
    family = FAMILIES[figure.name]
    # OpenMetrics has the name of a counter without the suffix that its samples have.
    name = figure.name.removesuffix("_total") if open_metrics else figure.name
    yield f"# HELP {name} {family.means}"
    yield f"# TYPE {name} {family.kind}"
    for labels, value in figure.values.items():
        pairs = _pairs(family, labels)
        if isinstance(value, Spread):
            yield from _buckets(family, pairs, value, open_metrics=open_metrics)
        else:
            yield f"{figure.name}{_braces(pairs)} {value}"


def _buckets(
    family: Family, pairs: list[str], spread: Spread, *, open_metrics: bool
) -> Iterator[str]:
    assert family.kind is Kind.HISTOGRAM
    bounds = [*(repr(float(bound)) for bound in family.bounds), "+Inf"]
    seen = 0
    for place, seen in enumerate(accumulate(spread.counts)):
        example = spread.slow.get(place) if open_metrics else None
        told = "" if example is None else _example(example)
        bucket = _braces([*pairs, f'le="{bounds[place]}"'])
        yield f"{family.name}_bucket{bucket} {seen}{told}"
    yield f"{family.name}_count{_braces(pairs)} {seen}"
    yield f"{family.name}_sum{_braces(pairs)} {spread.total}"


def _example(example: Exemplar) -> str:
    ids = [f'request_id="{example.request_id}"']
    if example.trace_id:
        ids.append(f'trace_id="{example.trace_id}"')
    return f" # {_braces(ids)} {example.value:.6f} {example.at:.3f}"


def _pairs(family: Family, labels: Labels) -> list[str]:
    return [
        f'{name}="{_escaped(value)}"' for name, value in zip(family.labels, labels, strict=True)
    ]


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _braces(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


@asynccontextmanager
async def serve_metrics(listen: str, ask: Ask) -> AsyncIterator[str]:
    """Serve `/metrics` at `listen`, nothing where it is empty; yields the URL. Raises `PortTaken`.

    Who accepts `application/openmetrics-text` gets that, with examples of slow calls; anybody else Prometheus' own.
    """
    if not listen:
        yield ""
        return

    async def answer(request: web.Request) -> web.Response:
        open_metrics = "application/openmetrics-text" in request.headers.get("Accept", "")
        return web.Response(
            body=await _rendered(await ask(), open_metrics=open_metrics),
            headers={"Content-Type": _OPEN_METRICS if open_metrics else _TEXT},
        )

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    listener = listening_socket(listen, "metrics.listen", shared=False, backlog=_BACKLOG)
    await runner.setup()
    try:
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        url = f"{url_of(as_bound(listen, listener))}/metrics"
        _log.info("figures at %s", url)
        yield url
    finally:
        await runner.cleanup()
