"""The process of one gateway worker: `python -m gateway [--config FILE]`, or `tollhouse gateway`.

It reads the configuration, serves until a signal, and drains. It must not know who started it.
"""

import argparse
import asyncio
import functools
import logging
import os
import sys
from collections.abc import Callable, Mapping

import uvloop
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from gateway import log
from gateway.app import Gateway, open_gateway
from gateway.child import (
    allow_descriptors,
    heed_signals,
    map_large_blocks,
    spare_the_collector,
    tell_ready,
)
from gateway.config import (
    ConfigError,
    Loaded,
    load,
    read_pepper,
    read_seal_keys,
    read_trace_headers,
)
from gateway.domain.errors import StoreUnavailable
from gateway.domain.figures import Figure, merged
from gateway.domain.pepper import Pepper
from gateway.drain import drain
from gateway.listen import PortTaken, is_held, listening_socket, probe_ports, turn_away
from gateway.metrics import serve_metrics
from gateway.reload import ADMIN_ONLY, follow, take_over
from gateway.siblings import SOCKET, tell_figures
from gateway.store.seal import Seal

_log = logging.getLogger("gateway")
_BACKLOG = 4096
_BEGUN_S = 0.1
"""In which a connection that was begun comes to be accepted."""


def main(arguments: list[str] | None = None) -> int:
    """Run a worker until SIGTERM or SIGINT. Exit status 2: it cannot start as configured."""
    parser = argparse.ArgumentParser(
        prog="tollhouse gateway", description="One gateway worker, as replicas run it."
    )
    parser.add_argument(
        "--config", metavar="FILE", help="instead of TOLLHOUSE_CONFIG or ./config.toml"
    )
    given = parser.parse_args(arguments)
    log.configure()
    map_large_blocks()
    allow_descriptors()
    if HttpRequestParser is HttpRequestParserPy:
        print("tollhouse: aiohttp has no C parser here; install it with its wheel", file=sys.stderr)
        return 2
    try:
        loaded = load(os.environ, given.config)
        _require_stores(loaded)
        pepper = read_pepper(os.environ)
        seal = _read_seal()
        trace_headers = read_trace_headers(os.environ, loaded.config)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            read = functools.partial(load, os.environ, given.config)
            return runner.run(_serve(loaded, read, pepper, seal, trace_headers))
    except ConfigError as error:
        for problem in error.problems:
            print(f"tollhouse: {problem}", file=sys.stderr)
        return 2
    except (PortTaken, StoreUnavailable) as error:
        print(f"tollhouse: {error}", file=sys.stderr)
        return 2


async def _serve(
    loaded: Loaded,
    read: Callable[[], Loaded],
    pepper: Pepper,
    seal: Seal | None,
    trace_headers: Mapping[str, str],
) -> int:
    config = loaded.config.gateway
    shared = is_held()
    if not shared:
        probe_ports({"gateway.listen": config.listen})
    stopping, hangups = heed_signals()
    # Bound first: whoever cannot have the port is told so before anything is opened.
    listener = listening_socket(config.listen, "gateway.listen", shared=shared, backlog=_BACKLOG)
    async with (
        open_gateway(loaded, pepper=pepper, seal=seal, trace_headers=trace_headers) as gateway,
        tell_figures(os.environ.get(SOCKET, ""), gateway.figures),
        serve_metrics(loaded.config.metrics.listen, functools.partial(_own_figures, gateway)),
    ):
        runner = web.ServerRunner(gateway.server, shutdown_timeout=1.0)
        await runner.setup()
        site = web.SockSite(runner, listener, backlog=_BACKLOG)
        await site.start()
        take = functools.partial(take_over, read=read, adopt=gateway.adopt, unread=ADMIN_ONLY)
        following = asyncio.create_task(follow(hangups, take, loaded))
        spare_the_collector()
        tell_ready()
        await stopping.wait()
        following.cancel()

        async def close_port() -> None:
            turn_away(listener)
            await asyncio.sleep(_BEGUN_S)
            await site.stop()

        await drain(gateway, close_port)
        await runner.cleanup()
    return 0


async def _own_figures(gateway: Gateway) -> list[Figure]:
    """What a worker tells that is alone."""
    return merged([gateway.figures()])


def _read_seal() -> Seal | None:
    """What the keys of upstreams are sealed with that the admin API made; a worker without it leaves those out."""
    if not any(os.environ.get(f"TOLLHOUSE_KEK{form}") for form in ("", "_FILE")):
        return None
    return Seal(*read_seal_keys(os.environ))


def _require_stores(loaded: Loaded) -> None:
    problems = [
        f"{setting} must be given: a worker of its own has no embedded server (`tollhouse run` starts them)"
        for setting, value in (
            ("postgres.dsn", loaded.config.postgres.dsn),
            ("redis.url", loaded.config.redis.url),
        )
        if not value.get_secret_value()
    ]
    if problems:
        raise ConfigError(problems)
