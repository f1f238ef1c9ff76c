"""Connections to upstreams: HTTP/1.1, kept alive, made for relaying.

Bytes in, callbacks out, no task per request. A connection serves one exchange at a time and goes back to its pool only
when the answer is whole; nothing of an answer is read from it afterwards.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from gateway.domain.catalog import Upstream

_MAX_HEAD_BYTES = 65_536
_IDLE_S = 60.0


class Exchange(Protocol):
    """What an upstream connection tells of one request. Calls come in this order, each of the last two at most once."""

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The final answer's head; names are lower case."""

    def on_body(self, data: bytes) -> None:
        """Some of the body, without its framing."""

    def on_end(self) -> None:
        """The answer is whole. The connection is already free again."""

    def on_failure(self, problem: str, *, answered: bool) -> None:
        """The answer will not be whole. `answered` is whether any byte of it came."""


class UpstreamConnection(asyncio.Protocol):
    """One connection. `reused` is whether it has served an exchange before."""

    __slots__ = (
        "_answered",
        "_complete",
        "_eof_ends_body",
        "_exchange",
        "_head_bytes",
        "_headed",
        "_headers",
        "_keep_alive",
        "_parser",
        "_parts",
        "_pool",
        "_transport",
        "idle_since",
        "reused",
    )

    def __init__(self, pool: "UpstreamPool") -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self.reused = False
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._headed = False
        self._head_bytes = 0
        self._complete = False
        self._answered = False
        self._keep_alive = False
        self._eof_ends_body = True

    # What the relay does with a connection.

    def send(self, head: bytes, body: bytes, exchange: Exchange) -> None:
        """Send a request; its answer goes to `exchange`."""
        assert self._transport is not None and self._exchange is None
        self._exchange = exchange
        self._transport.write(head + body if len(body) < 65536 else head)  # noqa: PLR2004 -- a copy is cheaper than a second write only for small bodies
        if len(body) >= 65536:  # noqa: PLR2004
            self._transport.write(body)

    def abort(self) -> None:
        """Give the exchange up and close at once; nothing more is told of it."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Read no more until `resume`: the caller is slow."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close an idle connection."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        """Parse, then tell the exchange once per segment."""
        exchange = self._exchange
        if exchange is None:
            self.abort()  # bytes that nobody asked for: whose would they be?
            return
        self._answered = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"malformed answer: {error}")
            return
        self._tell(exchange)

    def _tell(self, exchange: Exchange) -> None:
        if self._headed and self._headers is not None:
            headers, self._headers = self._headers, None  # type: ignore[assignment]
            exchange.on_head(self._parser.get_status_code(), headers)
        if self._parts:
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.clear()
            if self._exchange is exchange:
                exchange.on_body(body)
        if self._complete and self._exchange is exchange:
            self._exchange = None
            self._release()
            exchange.on_end()

    def _release(self) -> None:
        keep = self._keep_alive
        self._reset()
        self.reused = True
        if keep and self._transport is not None and not self._transport.is_closing():
            self._pool.put(self)
        else:
            self.close()

    def eof_received(self) -> None:
        """Let the transport close; `connection_lost` tells the rest."""

    def connection_lost(self, error: Exception | None) -> None:
        """End or fail the exchange, or leave the pool."""
        self._transport = None
        exchange = self._exchange
        if exchange is None:
            self._pool.remove(self)
            return
        if error is None and self._headed and self._eof_ends_body:
            self._exchange = None
            exchange.on_end()  # without a length, the end of the connection is the end of the body (RFC 9112 6.3)
            return
        self._fail("closed the connection" if error is None else f"broke the connection: {error}")

    def _fail(self, problem: str) -> None:
        exchange, self._exchange = self._exchange, None
        answered = self._answered
        if self._transport is not None:
            self._transport.abort()
        if exchange is not None:
            exchange.on_failure(problem, answered=answered)

    # httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; refuse an endless head."""
        lower = name.lower()
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise httptools.HttpParserError("head too large")
        if lower in {b"content-length", b"transfer-encoding"}:
            self._eof_ends_body = False
        self._headers.append((lower, value))

    def on_headers_complete(self) -> None:
        """The head is whole; interim answers (1xx) are dropped."""
        status = self._parser.get_status_code()
        self._headed = status >= 200  # noqa: PLR2004
        if not self._headed:
            self._headers = []
        elif status in {204, 304}:
            self._eof_ends_body = False

    def on_body(self, data: bytes) -> None:
        """Collect a piece of the body."""
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """The message is whole."""
        if self._headed:
            self._complete = True
            # Only here: the parser has forgotten the head when `feed_data` returns.
            self._keep_alive = self._parser.should_keep_alive()


class UpstreamPool:
    """The idle connections of one upstream, the most recently used first."""

    def __init__(self, upstream: Upstream, clock: Callable[[], float]) -> None:
        self.upstream = upstream
        self._clock = clock
        self._idle: list[UpstreamConnection] = []
        self._tls = _tls(upstream)
        url = upstream.base_url
        assert url.hostname is not None
        self._host = url.hostname
        self._port = url.port or (443 if url.scheme == "https" else 80)

    def take(self) -> UpstreamConnection | None:
        """An idle connection, if there is one."""
        return self._idle.pop() if self._idle else None

    async def connect(self) -> UpstreamConnection:
        """A new connection. Raises `OSError` (also for TLS and DNS) or `TimeoutError`."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.upstream.connect_timeout_s):
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(self),
                self._host,
                self._port,
                ssl=self._tls,
            )
        return connection

    def put(self, connection: UpstreamConnection) -> None:
        """Take a connection back."""
        connection.idle_since = self._clock()
        self._idle.append(connection)

    def remove(self, connection: UpstreamConnection) -> None:
        """Forget a connection that closed."""
        if connection in self._idle:
            self._idle.remove(connection)

    def sweep(self) -> None:
        """Close what was idle for a minute."""
        while self._idle and self._clock() - self._idle[0].idle_since > _IDLE_S:
            self._idle.pop(0).close()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()


def _tls(upstream: Upstream) -> ssl.SSLContext | None:
    if upstream.base_url.scheme != "https":
        return None
    return ssl.create_default_context(cafile=upstream.ca_file or None)
