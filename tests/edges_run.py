"""Strangers at the gateway's port, measured: `python -m tests.edges_run [--slow 5000] [--seconds 8]` prints JSON.

Thousands of connections that send next to nothing are held while good clients call, and requests that are made to fill
memory are thrown. The exit status is 1 where good clients wait twice as long, something is not refused, or the worker
grows by 64 MB.
"""

import argparse
import asyncio
import contextlib
import json
import resource
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from gateway.settings import GatewaySettings
from tests.e2e.product import Product, calling, running_beside, scripted
from tests.edges_bombs import IN_PIECES, bombs, forget_peak, thrown
from tests.upstream import ScriptedUpstream

SLOW = 5000
MOST_RATIO = 2.0
MOST_GROWN_BYTES = 64 << 20
_OF_ONE_ADDRESS = 500  # of the default of gateway.max_connections_per_address
_CALLS_PER_S = 50
_DRIBBLE_S = 5.0  # from one byte of a slow connection to the next
_OTHER_FILES = 500

_BEGUN = (
    b"",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx: ",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nx: " + b"y" * 8050,  # aiohttp's
    b"GET /v1/models HTTP/1.1\r\nhost: g\r\nx: ",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: 5000\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n1",
)
"""What slow connections begin with."""


class Slow:
    """Connections that send a byte now and then."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._to = (address.hostname, address.port)
        self._all: list[socket.socket] = []

    async def connect(self, count: int) -> None:
        """Open them, from as many addresses as it takes."""
        loop = asyncio.get_running_loop()
        for number in range(count):
            made = socket.socket()
            made.setblocking(False)  # noqa: FBT003 -- socket's own signature
            made.bind((f"127.0.1.{1 + number // _OF_ONE_ADDRESS}", 0))
            await loop.sock_connect(made, self._to)
            self._all.append(made)
            with contextlib.suppress(OSError):
                made.send(_BEGUN[number % len(_BEGUN)])

    async def dribble(self) -> None:
        """A byte on each every few seconds, for ever."""
        while True:
            for number, each in enumerate(self._all):
                if number % len(_BEGUN):
                    with contextlib.suppress(OSError):
                        each.send(b"1")
                if not number % 50:
                    await asyncio.sleep(_DRIBBLE_S * 50 / len(self._all))

    @property
    def held(self) -> int:
        """How many the gateway has not closed."""
        return sum(_is_open(each) for each in self._all)

    def close(self) -> None:
        """Close them."""
        for each in self._all:
            each.close()


def _is_open(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextlib.asynccontextmanager
async def holding(url: str, count: int) -> AsyncIterator[Slow]:
    """So many slow connections."""
    slow = Slow(url)
    try:
        await slow.connect(count)
        task = asyncio.create_task(slow.dribble())
        try:
            yield slow
        finally:
            task.cancel()
            await asyncio.wait({task})
    finally:
        slow.close()


async def p99_ms(product: Product, key: str, seconds: float) -> float:
    """Of calls at an even pace, which all have to succeed."""
    took: list[float] = []
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}

    async with calling(product) as caller:

        async def call() -> None:
            begun = time.perf_counter()
            assert await caller.chat(key, body) == (200, "")
            took.append(time.perf_counter() - begun)

        async with asyncio.TaskGroup() as group:
            begun = time.perf_counter()
            for number in range(int(seconds * _CALLS_PER_S)):
                await asyncio.sleep(begun + number / _CALLS_PER_S - time.perf_counter())
                group.create_task(call())
    return statistics.quantiles(took, n=100)[98] * 1000


async def with_slow_ones(
    product: Product, key: str, count: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """How good clients fare beside `count` slow connections, and without, in turns: a machine is never alone."""
    url = product.ready["gateway_url"]
    await p99_ms(product, key, 2)
    alone, beside, held = [], [], []
    for _ in range(rounds):
        alone.append(await p99_ms(product, key, seconds))
        async with holding(url, count) as slow:
            beside.append(await p99_ms(product, key, seconds))
            held.append(slow.held)
    return {
        "slow_connections": count,
        "slow_connections_held": min(held),
        "p99_ms_without": round(statistics.median(alone), 2),
        "p99_ms_with": round(statistics.median(beside), 2),
        "p99_ratio": round(statistics.median(beside) / statistics.median(alone), 2),
    }


async def with_bombs(product: Product, key: str) -> dict[str, Any]:
    """What becomes of bombs, one after the other."""
    (worker,) = product.workers
    url = product.ready["gateway_url"]
    before_bytes = forget_peak(worker)
    outcomes = {
        name: await thrown(url, bomb, worker, before_bytes) for name, bomb in bombs(key).items()
    }
    return {
        "bombs": len(outcomes),
        "bombs_refused": sum(each.is_refused for each in outcomes.values()),
        "bombs_that_passed": {n: o.status for n, o in outcomes.items() if not o.is_refused},
        "bombs_grown_mb": round(max(each.grown_bytes for each in outcomes.values()) / 1e6, 1),
        "each_bomb": {
            name: {"status": each.status, "grown_mb": round(each.grown_bytes / 1e6, 1)}
            for name, each in outcomes.items()
        },
    }


async def with_pieces(product: Product, key: str, seconds: float) -> dict[str, Any]:
    """How good clients fare while somebody with a key sends bodies in pieces of one byte, one after the other."""
    (worker,) = product.workers

    async def send() -> None:
        while True:
            await thrown(product.ready["gateway_url"], bombs(key)[IN_PIECES], worker, 0)

    task = asyncio.create_task(send())
    try:
        return {"p99_ms_with_pieces": round(await p99_ms(product, key, seconds), 2)}
    finally:
        task.cancel()
        await asyncio.wait({task})


async def edges(
    slow: int = SLOW,
    seconds: float = 8,
    rounds: int = 3,
    shed_delay_s: float = GatewaySettings().shed_delay_s,
) -> dict[str, Any]:
    """All figures; `ok` says whether they are within the bounds."""
    settings = {"GATEWAY__WORKERS": "1", "GATEWAY__SHED_DELAY_S": f"{shed_delay_s}"}
    settings = {f"TOLLHOUSE_{name}": value for name, value in settings.items()}
    async with (
        ScriptedUpstream(remember=False) as upstream,
        running_beside(scripted(upstream.base_url), **settings) as product,
    ):
        async with calling(product) as caller:
            key = (await caller.token(unlimited_quota=True))["key"]
        figures = await with_slow_ones(product, key, slow, seconds, rounds)
        figures |= await with_bombs(product, key)
        figures |= await with_pieces(product, key, seconds)
        figures["p99_ms_after"] = round(await p99_ms(product, key, 2), 2)
    figures["ok"] = (
        figures["slow_connections_held"] == slow
        and figures["p99_ratio"] < MOST_RATIO
        and figures["bombs_refused"] == figures["bombs"]
        and figures["bombs_grown_mb"] * 1e6 < MOST_GROWN_BYTES
    )
    return figures


def raise_descriptors(slow: int) -> None:
    """Let this process have so many connections. Ends it where its limit is below."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if slow + _OTHER_FILES > hard:
        sys.exit(f"{slow} connections need more descriptors than the {hard} allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, slow + _OTHER_FILES), hard))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.edges_run", description=__doc__)
    parser.add_argument("--slow", type=int, default=SLOW, help=f"slow connections (default {SLOW})")
    parser.add_argument("--seconds", type=float, default=8, help="of each round (default 8)")
    given = parser.parse_args()
    raise_descriptors(given.slow)
    figures = asyncio.run(edges(given.slow, given.seconds))
    print(json.dumps(figures, indent=2))
    return 0 if figures["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
