"""The server of the data plane: aiohttp's low-level one, behind connections that read plain requests themselves."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, cast

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web import StreamResponse
from aiohttp.web_protocol import RequestHandler

from gateway.bounded_server import BoundedConnection, BoundedServer, Bounds
from gateway.domain.network import Address, Blocks
from gateway.proxied import ProxiedConnection, ProxyHeaders
from gateway.relay.caller import ON_ITS_WAY_S, CallerConnection, Callers
from gateway.relay.load import LoadWatch
from gateway.relay.request import Request, StreamedRequest


class Server(BoundedServer):
    """Makes the protocols of new connections. No router, no middleware, no response objects.

    `proxied_by` are the proxies that tell in a header of the connection's whom they speak for; None: there is no such
    header. It ends in steps, which the worker takes one by one: `close_after_answers`, `close_idle`, `interrupt`.
    """

    def __init__(
        self,
        handle: Callable[[Request], Coroutine[Any, Any, StreamResponse]],
        *,
        bounds: Bounds,
        load: LoadWatch,
        max_body_bytes: int,
        keepalive_timeout_s: float,
        proxied_by: Blocks | None = None,
    ) -> None:
        super().__init__(
            handle,  # its requests are what `_streamed` makes
            bounds,
            request_factory=self._streamed,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=keepalive_timeout_s,
            auto_decompress=False,
            lingering_time=2.0,
        )
        self.is_ending = False
        self._max_body_bytes = max_body_bytes
        self._streams: set[StreamedConnection] = set()
        self._gone = asyncio.Event()
        self._callers = Callers(
            handle,
            self._hand_over,
            self._note_gone,
            bounds=bounds,
            load=load,
            max_body_bytes=max_body_bytes,
            keepalive_timeout_s=keepalive_timeout_s,
        )
        self._headers = None if proxied_by is None else ProxyHeaders(proxied_by, self._begin)

    def __call__(self) -> CallerConnection | ProxiedConnection:  # type: ignore[override]
        """The protocol of a new connection."""
        return self._callers() if self._headers is None else self._headers()

    def adopt(self, *, max_body_bytes: int, keepalive_timeout_s: float, proxied_by: Blocks) -> None:
        """Go by other settings: of requests from now on, of aiohttp's connections those that are made from now on."""
        self._max_body_bytes = max_body_bytes
        self._kwargs["keepalive_timeout"] = keepalive_timeout_s
        self._callers.adopt(max_body_bytes, keepalive_timeout_s)
        if self._headers is not None:
            self._headers.trusted = proxied_by

    def _begin(self, transport: asyncio.Transport, peer: Address, data: bytes) -> None:
        """Serve a connection whose proxy has told who is at its other end."""
        connection = self._callers()
        transport.set_protocol(connection)
        connection.begin(transport, peer)
        protocol = cast("asyncio.Protocol", transport.get_protocol())  # another's, of one too many
        if data:
            protocol.data_received(data)

    # The end

    def close_after_answers(self) -> None:
        """From now on each connection is closed after its next answer, which says so. Idle ones stay."""
        self.is_ending = True
        self._callers.close_after_answers()

    def close_idle(self) -> None:
        """Close connections on which nothing comes; what may be on its way has a moment."""
        self.close_after_answers()
        self._callers.close_idle()
        for stream in tuple(self._streams):
            stream.close_idle()

    def interrupt(self) -> None:
        """Have every call that is running end: what it waits for is cancelled."""
        self._callers.interrupt()
        for stream in tuple(self._streams):
            stream.interrupt()

    async def gone(self, within_s: float) -> None:
        """Wait until no connection is left, what was written to it taken or given up, or the time is up."""
        self._gone.clear()
        self._note_gone()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._gone.wait()

    def pre_shutdown(self) -> None:
        """Let no connection have another answer."""
        self.close_idle()
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- aiohttp's
        """Close all; calls have a while to end."""
        await asyncio.gather(self._callers.shutdown(timeout or 0), super().shutdown(timeout))

    def _note_gone(self) -> None:
        if not self._streams and not self._callers.count:
            self._gone.set()

    # aiohttp's connections

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """One more is read by aiohttp."""
        super().connection_made(handler, transport)
        self._streams.add(cast("StreamedConnection", handler))

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """One less is."""
        super().connection_lost(handler, exc)
        self._streams.discard(cast("StreamedConnection", handler))
        self._note_gone()

    def bounded(self) -> "StreamedConnection":
        """One of aiohttp's."""
        return StreamedConnection(self, loop=self._loop, **self._kwargs)

    def _hand_over(
        self, transport: asyncio.Transport, peer: Address, data: bytes, begun_at: float
    ) -> None:
        """Let aiohttp have a connection, with what came on it."""
        self.bounded().take_over(transport, peer, data, begun_at)

    def _streamed(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> StreamedRequest:
        request = StreamedRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            self._loop,
            client_max_size=self._max_body_bytes,
        )
        request.server = self
        request.peer = cast("StreamedConnection", protocol).peer
        return request


class StreamedConnection(BoundedConnection):
    """A connection of aiohttp's. Its own way to end leaves idle ones open until all else has ended, and deaf."""

    __slots__ = ()

    def close_idle(self) -> None:
        """Close it unless something comes in a moment. After an answer it is closed anyhow."""
        self._keepalive_timeout = ON_ITS_WAY_S
        timer = self._keepalive_handle
        if timer is not None:  # else a call is running
            timer.cancel()
            due = min(self._next_keepalive_close_time, self._loop.time() + ON_ITS_WAY_S)
            self._next_keepalive_close_time = due
            self._keepalive_handle = self._loop.call_at(due, self._process_keepalive)

    def interrupt(self) -> None:
        """Cancel the call that is running."""
        request = self._current_request
        if request is not None:
            request.task.cancel()
            request.task.uncancel()  # the call alone is meant, not what reads its connection
