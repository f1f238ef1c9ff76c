"""The process of one gateway worker: `python -m gateway [--config FILE]`, or `tollhouse gateway`.

It reads the configuration, serves until a signal, and drains. It must not know who started it.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys

import uvloop
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from gateway import log
from gateway.app import build_server, open_gateway
from gateway.child import (
    allow_descriptors,
    map_large_blocks,
    spare_the_collector,
    tell_ready,
)
from gateway.config import ConfigError, Loaded, load, read_seal_keys, read_secret
from gateway.domain.errors import Reason, Refusal, StoreUnavailable
from gateway.listen import PortTaken, listening_socket, probe_port
from gateway.metrics import serve_metrics
from gateway.store.seal import Seal

_log = logging.getLogger("gateway")
_BACKLOG = 4096
_ENDED = Refusal(Reason.SHUTTING_DOWN, "The gateway is shutting down; repeat the call.")


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
        pepper = read_secret(os.environ, "PEPPER")
        seal = _read_seal()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(loaded, pepper, seal))
    except ConfigError as error:
        for problem in error.problems:
            print(f"tollhouse: {problem}", file=sys.stderr)
        return 2
    except (PortTaken, StoreUnavailable) as error:
        print(f"tollhouse: {error}", file=sys.stderr)
        return 2


async def _serve(loaded: Loaded, pepper: bytes, seal: Seal | None) -> int:
    config = loaded.config.gateway
    shared = os.environ.get("TOLLHOUSE_SHARED_PORT") == "1"
    if not shared:
        probe_port(config.listen, "gateway.listen")
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    # Bound first: whoever cannot have the port is told so before anything is opened.
    listener = listening_socket(config.listen, "gateway.listen", shared=shared, backlog=_BACKLOG)
    async with (
        open_gateway(loaded, pepper=pepper, seal=seal) as gateway,
        serve_metrics(loaded.config.metrics.listen, gateway.figures),
    ):
        server = build_server(gateway)
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        site = web.SockSite(runner, listener, backlog=_BACKLOG)
        await site.start()
        spare_the_collector()
        tell_ready()
        await stopping.wait()
        gateway.accepting = False
        if config.lame_duck_s:
            await asyncio.sleep(config.lame_duck_s)
        await site.stop()
        server.pre_shutdown()
        await gateway.handler.drain(config.drain_s)
        gateway.forwarder.cut(_ENDED)
        await runner.cleanup()
    return 0


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
