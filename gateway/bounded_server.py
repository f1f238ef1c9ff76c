"""aiohttp's server, with what it lacks towards strangers: bounds on connections, time to come and time to be read.

What is no request is answered by us, in one form that quotes nothing and tells no versions: aiohttp's own answer
repeats the line that it could not read, and logs it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from gateway.crowd import Crowd, peer_of
from gateway.domain.network import Address
from gateway.slowness import WHOLE_WITHIN_S, Backlog

_log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
_PIECES: Final = 1024
_FRAMING_BYTES: Final = 1_048_576
"""So much may be received of a body and not be content, before it has to be half of it."""


class Unfit(Enum):
    """Why a connection is answered before, or instead of, a handler."""

    NO_REQUEST = auto()  # what came cannot be read
    NO_HOST = auto()  # https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    TOO_SLOW = auto()
    TOO_MANY = auto()  # connections of one address
    FAULT = auto()  # of ours


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a server. `tell` makes the whole answer; `slow_reader_s` is how long an answer may lie untaken."""

    crowd: Crowd
    tell: Callable[[Unfit], bytes]
    slow_reader_s: float


class Written(web.StreamResponse):
    """The answer is written already: aiohttp has nothing left to do but to keep the connection, or not."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002 -- aiohttp's
        """Do nothing."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing."""


class TooSmallPieces(web.RequestPayloadError):
    """A body whose pieces are so small that reading them costs far more than sending them."""


class BoundedConnection(RequestHandler):
    """A connection that aiohttp reads."""

    __slots__ = (
        *("_backlog", "_body", "_bounds", "_head_since", "_received_bytes"),
        *("_socket", "peer"),
    )

    def __init__(self, server: "BoundedServer", **options: Any) -> None:
        super().__init__(server, **options)
        self.peer: Address
        self._bounds = server.bounds
        self._backlog: Backlog | None = None
        self._head_since: float | None = None  # of one that is not whole
        self._body: StreamReader | None = None  # the one that is on its way
        self._received_bytes = 0  # with its framing
        self._socket: asyncio.Transport  # aiohttp forgets its own when it closes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with whoever is at the socket's other end."""
        self.begin(transport, peer_of(transport))

    def begin(self, transport: asyncio.BaseTransport, peer: Address) -> None:
        """Count it; one too many goes no further."""
        if self._bounds.crowd.enter(peer):
            self._keep(transport, peer)
        else:
            self._bounds.crowd.refuse(transport, time.monotonic())

    def take_over(
        self, transport: asyncio.Transport, peer: Address, data: bytes, begun_at: float
    ) -> None:
        """Go on with a connection that counts already, with what came on it of a request that began then."""
        transport.set_protocol(self)
        self._keep(transport, peer)
        self._head_since = begun_at
        self.data_received(data)

    def _keep(self, transport: asyncio.BaseTransport, peer: Address) -> None:
        self._socket = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self.peer = peer
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It counts no more."""
        self._bounds.crowd.leave(self.peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note when a head began, and refuse a body that is mostly framing."""
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._break_off()
        request = self._current_request
        if request is not None and not request.content.is_eof():
            self._weigh(request.content, len(data))
        if self._messages or self._request_in_progress:
            self._head_since = None
        elif data and self._head_since is None:
            self._head_since = time.monotonic()

    def _break_off(self) -> None:
        """What came is no HTTP. Where that was in the middle of a body, aiohttp tells nobody who waits for its end."""
        bodies = [body for _, body in self._messages]
        if self._current_request is not None:
            bodies.append(self._current_request.content)
        for body in bodies:
            if not body.is_eof() and body.exception() is None:
                body.set_exception(web.RequestPayloadError("what follows is no HTTP"))

    def _weigh(self, body: StreamReader, received_bytes: int) -> None:
        """Break off a body of which too much is framing."""
        if body is not self._body:
            self._body, self._received_bytes = body, 0
        self._received_bytes += received_bytes
        if self._received_bytes > _FRAMING_BYTES + 2 * body.total_bytes:
            body.set_exception(TooSmallPieces("too small pieces"))
            self._lingering_time = 0.0
            self.close()

    def pause_writing(self) -> None:
        """Much lies untaken."""
        super().pause_writing()
        self._backlog = Backlog(self._socket)

    def resume_writing(self) -> None:
        """It was taken."""
        super().resume_writing()
        self._backlog = None

    def look(self, now: float) -> None:
        """End it where a head does not come to its end, or an answer is not taken."""
        if self._backlog is None:
            if self._socket.is_closing():
                self._backlog = Backlog(self._socket)
        elif self._backlog.is_stuck(now, self._bounds.slow_reader_s):
            self._socket.abort()
            return
        if self._head_since is None:
            return
        if self._request_in_progress:
            self._head_since = None
        elif now - self._head_since > WHOLE_WITHIN_S:
            self._head_since = None
            self._socket.write(self._bounds.tell(Unfit.TOO_SLOW))
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- it quotes what came
    ) -> web.StreamResponse:
        """Answer what is no request, or what a handler did not answer."""
        unfit = Unfit.NO_REQUEST if status == HTTPStatus.BAD_REQUEST else Unfit.FAULT
        if unfit is Unfit.FAULT:
            _log.error("a request failed", exc_info=exc)
        if request.writer.output_size:
            raise ConnectionError("an answer has begun")
        return self.refuse(unfit)

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Leave out that a body which nobody reads any more has broken off."""
        if not isinstance(options.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **options)

    def refuse(self, unfit: Unfit) -> web.StreamResponse:
        """Tell, and close."""
        if self.transport is not None:
            self.transport.write(self._bounds.tell(unfit))
        return Written(keep_alive=False)


class BoundedServer(web.Server):
    """Makes such connections, and looks at them every second."""

    def __init__(
        self,
        handle: Callable[[Any], Awaitable[web.StreamResponse]],
        bounds: Bounds,
        **options: Any,
    ) -> None:
        super().__init__(self._take, **options)
        self._handle = handle
        self.bounds = bounds
        self._timer = self._loop.call_later(LOOK_S, self._look)

    def __call__(self) -> RequestHandler:
        """The protocol of a new connection."""
        return self.bounded()

    def bounded(self) -> BoundedConnection:
        """One of aiohttp's."""
        return BoundedConnection(self, loop=self._loop, **self._kwargs)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- aiohttp's
        """Close all."""
        self._timer.cancel()
        await super().shutdown(timeout)

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.version >= HttpVersion11 and "host" not in request.headers:
            return cast("BoundedConnection", request.protocol).refuse(Unfit.NO_HOST)
        if (
            request.protocol.writing_paused
        ):  # answers lie untaken: more would be kept in memory without end
            await request.writer.drain()
        body = request.content
        if not body.is_eof():
            # aiohttp reads sixteen times as many pieces at once, while everybody else waits.
            body._high_water_chunks, body._low_water_chunks = _PIECES, _PIECES // 2  # noqa: SLF001
        return await self._handle(request)

    def _look(self) -> None:
        now = time.monotonic()
        for connection in self.connections:
            cast("BoundedConnection", connection).look(now)
        self.bounds.crowd.look(now)
        self._timer = self._loop.call_later(LOOK_S, self._look)
