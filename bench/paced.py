"""Calls at a fixed rate, whatever their answers take: `python -m bench.paced URL RATE SECONDS`.

A call goes out when it is due, on a kept-alive connection that is free; where none is it waits, and its wait counts.
Key and body come in the environment, as with `bench.closed`. Where there is a C compiler, `run_paced` uses
the generator in C.
"""

import asyncio
import sys
import time
from collections import deque
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

from bench.closed import given_request, load_of
from bench.load import CONNECTIONS, Load, generator, native_load, run_generator, told

_LAST_ANSWERS_S = 1.0
_WARM_UP_S = 0.5


def run_paced(url: str, key: str, body: Path, rate: float, seconds: float) -> Load:
    """Call `url` `rate` times a second for `seconds`, in a process of its own."""
    if generator() == "native":
        return native_load(url, key, body, rate=rate, seconds=seconds, ramp=_WARM_UP_S)[0]
    command = [sys.executable, "-m", "bench.paced", url, str(rate), str(seconds)]
    return run_generator(command, key, body)


class _Pace:
    """Which connections are free, which calls wait for one, and how long answers took."""

    def __init__(self) -> None:
        self.free: list[_Connection] = []
        self.waiting: deque[float] = deque()
        self.latencies_s: list[float] = []
        self.errors = 0

    def call(self, due: float) -> None:
        """Make the call that was due then."""
        if self.free:
            self.free.pop().call(time.perf_counter())
        else:
            self.waiting.append(due)

    def answered(self, connection: "_Connection", status: int) -> None:
        """Note an answer; the call that waits longest is next."""
        self.errors += not 200 <= status < 300
        if self.waiting:
            connection.call(self.waiting.popleft())
        else:
            self.free.append(connection)


class _Connection(asyncio.Protocol):
    """One call at a time."""

    def __init__(self, pace: _Pace, request: bytes) -> None:
        self._pace = pace
        self._request = request
        self._begun = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._pace.free.append(self)

    def call(self, begun: float) -> None:
        self._begun = begun
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._pace.latencies_s.append(time.perf_counter() - self._begun)
        status = self._parser.get_status_code()
        # From the loop: this callback runs inside the parser, which the next call replaces.
        asyncio.get_running_loop().call_soon(self._pace.answered, self, status)


async def _generate(url: str, rate: float, seconds: float) -> Load:
    pace, parts, request = _Pace(), urlsplit(url), given_request(url)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(
            lambda: _Connection(pace, request), parts.hostname, parts.port or 80
        )
    begun = due = time.perf_counter()
    while due < begun + seconds:
        while due <= time.perf_counter():
            pace.call(due)
            due += 1 / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.sleep(_LAST_ANSWERS_S)
    unanswered = CONNECTIONS - len(pace.free)
    return load_of(pace.latencies_s, seconds, pace.errors + unanswered)


if __name__ == "__main__":
    print(told(uvloop.run(_generate(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))))
