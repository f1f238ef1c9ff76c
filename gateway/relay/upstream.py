"""Connections to upstreams: HTTP/1.1, kept alive, made for relaying.

Bytes in, callbacks out, no task per request. A connection serves one exchange at a time and goes back to its pool only
when the answer is whole; nothing of an answer is read from it afterwards.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from gateway.domain.catalog import Upstream
from gateway.domain.splice import Pieces
from gateway.relay.dial import Dialer
from gateway.relay.headers import constant_request_head

_MAX_HEAD_BYTES = 65_536
_HEAD_TOO_LARGE = "head too large"
_MOST_HEADS = 256
_IDLE_S = 60.0
# Up to here a copy is cheaper than a second write.
_JOINED_BYTES = 65_536
# Of a body. Where one read brings more, they are so small that reading on would keep others waiting.
_MANY_PIECES = 4096
# Of a large body so much is written in one turn of the loop: the kernel would take megabytes.
_PIECE_BYTES = 262_144
_FINAL = 200  # statuses below are interim: https://www.rfc-editor.org/rfc/rfc9110#section-15.2
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})

Fields = list[tuple[bytes, bytes]]


class Exchange(Protocol):
    """What an upstream connection tells of one request. Calls come in this order, each of the last two at most once."""

    def on_head(self, status: int, headers: Fields) -> None:
        """The final answer's head; names are lower case."""

    def on_body(self, data: bytes) -> None:
        """Some of the body, without its framing."""

    def on_end(self) -> None:
        """The answer is whole. The connection is already free again."""

    def on_failure(self, problem: str, *, answered: bool) -> None:
        """The answer will not be whole. `answered` is whether any byte of it came."""

    def on_crash(self, error: Exception) -> None:
        """One of these has raised what it should not: nothing more is told, and whoever waits must not wait on."""


class UpstreamConnection(asyncio.Protocol):
    """One connection. `reused` is whether it has served an exchange before."""

    __slots__ = (
        "_answered",
        "_body",
        "_ends_with_connection",
        "_exchange",
        "_head",
        "_headers",
        "_in_head",
        "_is_paused",
        "_keep_alive",
        "_parser",
        "_pool",
        "_sending",
        "_transport",
        "_unfinished_bytes",
        "_unsent",
        "_whole",
        "_writable",
        "idle_since",
        "reused",
    )

    def __init__(self, pool: "UpstreamPool") -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._parser = httptools.HttpResponseParser(self)
        self.reused = False
        self.idle_since = 0.0
        self._sending = False
        self._unsent: list[memoryview] = []  # of a large body, the next piece last
        self._writable: asyncio.Future[None] | None = None
        self._await_answer()

    def _await_answer(self) -> None:
        self._headers: Fields = []
        # The parser tells a field when it is whole: what an endless one has grown to is counted here.
        self._in_head = True
        self._unfinished_bytes = 0
        # Read and not yet told: the final head, pieces of the body.
        self._head: tuple[int, Fields] | None = None
        self._body: list[bytes] = []
        self._answered = False
        self._whole = False
        self._is_paused = False
        self._keep_alive = False
        self._ends_with_connection = False

    @property
    def answered(self) -> bool:
        """Whether any byte of an answer to what was sent has come."""
        return self._answered

    # What the relay does with a connection.

    def send(self, head: bytes, body: bytes | Pieces, exchange: Exchange) -> None:
        """Send a request; its answer goes to `exchange`."""
        assert self._exchange is None
        transport = self._transport
        if transport is None or transport.is_closing():
            exchange.on_failure("closed the connection before it was used", answered=False)
            return
        self._exchange = exchange
        if len(body) < _JOINED_BYTES:
            transport.write(head + bytes(body))
        else:
            transport.write(head)
            self._sending = True
            pieces = body if isinstance(body, Pieces) else (body,)
            self._unsent = [memoryview(piece) for piece in pieces][::-1]
            self._send_on()

    def _send_on(self) -> None:
        """Write some more of a large body, unless the upstream has not taken yet what was written."""
        unsent, transport = self._unsent, self._transport
        if not unsent or self._writable is not None:
            return
        if transport is None or transport.is_closing():
            unsent.clear()
            return
        first = unsent.pop()
        if len(first) > _PIECE_BYTES:
            unsent.append(first[_PIECE_BYTES:])
        transport.write(first[:_PIECE_BYTES])
        if not unsent:
            self._sending = False
        elif self._writable is None:
            asyncio.get_running_loop().call_soon(self._send_on)

    def send_head(self, head: bytes, exchange: Exchange) -> None:
        """Begin a request whose body follows by `write`, until `sent`."""
        self.send(head, b"", exchange)
        self._sending = self._exchange is exchange

    def write(self, data: bytes) -> None:
        """Some of a request's body, framed."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    async def writable(self) -> None:
        """Wait until the upstream has taken most of what was written; at once, where it is gone."""
        if self._writable is not None:
            await self._writable

    def sent(self) -> None:
        """The request is whole."""
        self._sending = False

    def pause_writing(self) -> None:
        """The upstream is slow to take what is sent."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
            self._send_on()

    def abort(self) -> None:
        """Give the exchange up and close at once; nothing more is told of it."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Read no more until `resume`: the caller is slow."""
        self._is_paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        if self._transport is not None:
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
        problem = None
        if self._in_head:
            self._unfinished_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            problem = f"malformed answer: {error.__context__ or error}"
        if self._in_head and self._unfinished_bytes > _MAX_HEAD_BYTES:
            problem = problem or f"malformed answer: {_HEAD_TOO_LARGE}"
        try:
            self._tell(exchange)
            if problem is not None and self._exchange is exchange:
                self._fail(problem)
        except Exception as crash:  # noqa: BLE001 -- the caller's handler tells and logs it
            self.abort()
            exchange.on_crash(crash)

    def _tell(self, exchange: Exchange) -> None:
        """Tell what was read; any telling may be the one after which the exchange is given up."""
        if self._head is not None:
            head, self._head = self._head, None
            exchange.on_head(*head)
        if self._body and self._exchange is exchange:
            if len(self._body) > _MANY_PIECES:
                self._give_way()
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._body.clear()
            exchange.on_body(body)
        if self._whole and self._exchange is exchange:
            self._exchange = None
            self._release()
            exchange.on_end()

    def _give_way(self) -> None:
        """Read on after everything else that is ready."""
        if self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._transport is not None and not self._is_paused:
            self._transport.resume_reading()

    def _release(self) -> None:
        transport, keep_alive = self._transport, self._keep_alive
        self._await_answer()
        self.reused = True
        keep_alive = (
            keep_alive and not self._sending
        )  # an answer that came before the request was whole
        if keep_alive and transport is not None and not transport.is_closing():
            transport.resume_reading()  # the last bytes may have gone to a slow caller
            self._pool.put(self)
        else:
            self.close()

    def eof_received(self) -> None:
        """Let the transport close; `connection_lost` tells the rest."""

    def connection_lost(self, error: Exception | None) -> None:
        """End or fail the exchange, or leave the pool."""
        self._transport = None
        self.resume_writing()
        exchange = self._exchange
        if exchange is None:
            self._pool.remove(self)
        elif error is None and self._ends_with_connection:
            self._exchange = None
            exchange.on_end()
        else:
            self._fail(
                "closed the connection" if error is None else f"broke the connection: {error}"
            )

    def _fail(self, problem: str) -> None:
        exchange, self._exchange = self._exchange, None
        if self._transport is not None:
            self._transport.abort()
        if exchange is not None:
            exchange.on_failure(problem, answered=self._answered)

    # httptools callbacks. What they raise becomes an `HttpParserError`.

    def on_message_begin(self) -> None:
        """Let no second answer be taken for a part of the first, or for somebody else's."""
        if self._whole:
            self._keep_alive = False
            raise ValueError("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole; interim answers (1xx) are dropped."""
        status, headers = self._parser.get_status_code(), self._headers
        # It may have come in one piece, which may hold much of the body, too.
        if self._unfinished_bytes > _MAX_HEAD_BYTES and _size_bytes(headers) > _MAX_HEAD_BYTES:
            raise ValueError(_HEAD_TOO_LARGE)
        self._headers = []
        if status >= _FINAL:
            self._in_head = False
            self._head = (status, headers)
            # RFC 9112 section 6.3. A body that is none (204, 304) is whole before it matters.
            self._ends_with_connection = _FRAMING.isdisjoint([name for name, _ in headers])

    def on_body(self, data: bytes) -> None:
        """Collect a piece of the body."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """The message is whole."""
        if self._parser.get_status_code() >= _FINAL:
            self._whole = True
            # Only here: the parser has forgotten the head when `feed_data` returns.
            self._keep_alive = self._parser.should_keep_alive()


def _size_bytes(headers: Fields) -> int:
    return sum(len(name) + len(value) for name, value in headers)


class UpstreamPool:
    """The idle connections of one upstream, the most recently used first. `clock` is monotonic, in seconds."""

    def __init__(self, upstream: Upstream, clock: Callable[[], float]) -> None:
        self.upstream = upstream
        self._clock = clock
        self._idle: list[UpstreamConnection] = []
        self._heads: dict[tuple[str, str, str], bytes] = {}
        self._dialer = Dialer(upstream)
        self._is_retired = False

    def constant_head(self, method: str, path: str, api_key: str) -> bytes:
        """The part of a request's head that is the same for every call of a path with a key."""
        head = self._heads.get((method, path, api_key))
        if head is None:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()  # paths may name models, ids and pages: they could be endless
            head = constant_request_head(self.upstream, method, path, api_key)
            self._heads[method, path, api_key] = head
        return head

    def take(self) -> UpstreamConnection | None:
        """An idle connection, if there is one."""
        return self._idle.pop() if self._idle else None

    async def connect(self) -> UpstreamConnection:
        """A new connection. Raises `OSError` (also for TLS and DNS) or `TimeoutError`."""
        connection = UpstreamConnection(self)
        try:
            async with asyncio.timeout(self.upstream.connect_timeout_s):
                await self._dialer.open(lambda: connection)
        except BaseException:
            connection.abort()
            raise
        return connection

    def put(self, connection: UpstreamConnection) -> None:
        """Take a connection back; those that were idle for a minute are closed."""
        if self._is_retired:
            connection.close()
            return
        now = self._clock()
        connection.idle_since = now
        self._idle.append(connection)
        while now - self._idle[0].idle_since > _IDLE_S:
            self._idle.pop(0).close()

    def remove(self, connection: UpstreamConnection) -> None:
        """Forget a connection that closed."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def retire(self) -> None:
        """Close what is idle, and from now on whatever becomes idle: no new calls come."""
        self._is_retired = True
        self.close()
