"""`/metrics`: a worker's figures in Prometheus' text format, on a listener apart from the callers'.

The format is few lines, so no library writes it:
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

from gateway.listen import as_bound, listening_socket, url_of

_log = logging.getLogger(__name__)
_BACKLOG = 16
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Figure(NamedTuple):
    """A gauge, or a counter where its name ends in `_total`.

    `values` are by label, written as `kind="x"`; empty where there is one value only.

    With a `total` it is a histogram: `values` are its buckets, by `le`, the last of them all that was observed.
    """

    name: str
    means: str
    values: Mapping[str, int | float]
    total: float | None = None


def render(figures: Iterable[Figure]) -> bytes:
    """The text that a monitoring system reads."""
    lines = []
    for figure in figures:
        is_histogram = figure.total is not None
        plain = "counter" if figure.name.endswith("_total") else "gauge"
        kind, suffix = ("histogram", "_bucket") if is_histogram else (plain, "")
        lines += [f"# HELP {figure.name} {figure.means}", f"# TYPE {figure.name} {kind}"]
        for label, value in figure.values.items():
            name = figure.name + suffix
            lines.append(f"{name}{{{label}}} {value}" if label else f"{name} {value}")
        if is_histogram:
            observed = [*figure.values.values()][-1]
            lines += [f"{figure.name}_sum {figure.total}", f"{figure.name}_count {observed}"]
    return "\n".join([*lines, ""]).encode()


@asynccontextmanager
async def serve_metrics(listen: str, figures: Callable[[], Iterable[Figure]]) -> AsyncIterator[str]:
    """Serve `/metrics` at `listen`, nothing where it is empty; yields the URL. Raises `PortTaken`."""
    if not listen:
        yield ""
        return

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=render(figures()), headers={"Content-Type": _CONTENT_TYPE})

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
