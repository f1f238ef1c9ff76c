"""The demo upstream's process: listen, say where, serve until told to stop.

`python -m gateway.demo --listen 127.0.0.1:0`. Knows nothing of what it serves.
"""

import argparse
import asyncio
import os
import signal
import sys

import orjson
from aiohttp import web

from gateway.demo.app import build_app

_READY_FD = "TOLLHOUSE_READY_FD"
_MAX_PORT = 65_535


async def _serve(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; open answers are dropped, none is worth waiting for."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(build_app(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound_host, bound_port = runner.addresses[0][:2]
        shown_host = f"[{bound_host}]" if ":" in bound_host else bound_host
        _tell_ready(f"http://{shown_host}:{bound_port}/v1")
        await stop.wait()
    finally:
        await runner.cleanup()


def _tell_ready(url: str) -> None:
    """Write the base URL to the starter's file descriptor and close it, or to the terminal."""
    line = orjson.dumps({"url": url}) + b"\n"
    ready_fd = os.environ.get(_READY_FD)
    if ready_fd is None:
        sys.stdout.write(line.decode())
        sys.stdout.flush()
        return
    with os.fdopen(int(ready_fd), "wb") as ready:
        ready.write(line)


def _listen_address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not host:port")
    return host.strip("[]"), int(port)


def main() -> None:
    """Run the demo upstream as `python -m gateway.demo`."""
    parser = argparse.ArgumentParser(prog="python -m gateway.demo", description=main.__doc__)
    parser.add_argument(
        "--listen",
        type=_listen_address,
        default="127.0.0.1:0",
        metavar="HOST:PORT",
        help="default 127.0.0.1:0, any free port",
    )
    host, port = parser.parse_args().listen
    try:
        asyncio.run(_serve(host, port))
    except OSError as error:
        parser.error(f"cannot listen on {host}:{port}: {error.strerror}")


if __name__ == "__main__":
    main()
