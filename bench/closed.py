"""Load without a C compiler and without wrk: `python -m bench.closed URL SECONDS CONNECTIONS`, a process of its own.

Key and body come in the environment (BENCH_KEY, BENCH_BODY), so that no key stands in a command line.
"""

import asyncio
import math
import os
import sys
import time
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import httptools

from bench.load import Load, told


def load_of(latencies_s: list[float], seconds: float, errors: int) -> Load:
    """What a generator saw, of the times that its answers took."""
    ordered = sorted(latencies_s) or [math.inf]
    p50_ms, p99_ms = (1e3 * ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    return Load(len(latencies_s), seconds, p50_ms, p99_ms, errors)


def given_request(url: str) -> bytes:
    """The request to `url`, with key and body as the environment names them."""
    body, parts = Path(os.environ["BENCH_BODY"]).read_bytes(), urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {os.environ['BENCH_KEY']}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Caller(asyncio.Protocol):
    """One keep-alive connection, with one call on it at a time."""

    def __init__(self, request: bytes, latencies_s: list[float]) -> None:
        self._request = request
        self._latencies_s = latencies_s
        self._parser = httptools.HttpResponseParser(self)
        self._started_at = 0.0
        self.errors = 0
        self.stopped = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._call()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if not 200 <= self._parser.get_status_code() < 300:
            self.errors += 1
        self._latencies_s.append(time.perf_counter() - self._started_at)
        if not self.stopped:
            # A new parser, and the call from the loop: this callback runs inside the old parser.
            asyncio.get_running_loop().call_soon(self._call)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        if not self.stopped:
            self.errors += 1

    def _call(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._started_at = time.perf_counter()
        self.transport.write(self._request)


async def _generate(url: str, seconds: float, connections: int) -> Load:
    parts, request = urlsplit(url), given_request(url)
    latencies_s: list[float] = []
    loop = asyncio.get_running_loop()
    callers: list[_Caller] = []
    started_at = time.perf_counter()
    for _ in range(connections):
        _, caller = await loop.create_connection(
            lambda: _Caller(request, latencies_s), parts.hostname or "127.0.0.1", parts.port or 80
        )
        callers.append(caller)
    await asyncio.sleep(seconds - (time.perf_counter() - started_at))
    elapsed_s = time.perf_counter() - started_at
    for caller in callers:
        caller.stopped = True
        caller.transport.abort()
    return load_of(latencies_s, elapsed_s, sum(caller.errors for caller in callers))


if __name__ == "__main__":
    print(told(asyncio.run(_generate(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))))
