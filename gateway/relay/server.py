"""The server of the data plane: aiohttp's low-level one, behind connections that read plain requests themselves."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web import StreamResponse
from aiohttp.web_protocol import RequestHandler

from gateway.bounded_server import BoundedServer, Bounds
from gateway.relay.caller import CallerConnection, Callers
from gateway.relay.load import LoadWatch
from gateway.relay.request import Request, StreamedRequest


class Server(BoundedServer):
    """Makes the protocols of new connections. No router, no middleware, no response objects."""

    def __init__(
        self,
        handle: Callable[[Request], Coroutine[Any, Any, StreamResponse]],
        *,
        bounds: Bounds,
        load: LoadWatch,
        max_body_bytes: int,
        keepalive_timeout_s: float,
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
        self._max_body_bytes = max_body_bytes
        self._callers = Callers(
            handle,
            self._hand_over,
            bounds=bounds,
            load=load,
            max_body_bytes=max_body_bytes,
            keepalive_timeout_s=keepalive_timeout_s,
        )

    def __call__(self) -> CallerConnection:  # type: ignore[override]
        """The protocol of a new connection."""
        return self._callers()

    def pre_shutdown(self) -> None:
        """Close what is idle; the others after the answer that is on its way."""
        self._callers.end()
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- aiohttp's
        """Close all; calls have a while to end."""
        await asyncio.gather(self._callers.shutdown(timeout or 0), super().shutdown(timeout))

    def _hand_over(self, transport: asyncio.Transport, data: bytes, begun_at: float) -> None:
        """Let aiohttp have a connection, with what came on it."""
        self.bounded().take_over(transport, data, begun_at)

    def _streamed(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> StreamedRequest:
        return StreamedRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            self._loop,
            client_max_size=self._max_body_bytes,
        )
