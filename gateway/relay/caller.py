"""A caller's connection: plain requests are read here, whatever else comes is aiohttp's to read.

Why: to read a request with aiohttp costs about as much as all that is done with it afterwards. The first request that
is not plain takes its connection along, for good.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from aiohttp.web import StreamResponse

from gateway.bounded_server import LOOK_S, Bounds, Unfit
from gateway.crowd import peer_of
from gateway.domain.network import Address
from gateway.domain.routes import is_forwarded
from gateway.relay.load import LoadWatch
from gateway.relay.plain import MOST_HEAD_BYTES, Head, may_be_head, read_head
from gateway.relay.request import PlainRequest
from gateway.slowness import WHOLE_WITHIN_S, Backlog

_log = logging.getLogger(__name__)

MOST_BODY_BYTES: Final = 262_144
"""Of a plain request; larger bodies are read by aiohttp, which copies them less often."""
_AHEAD_BYTES = 65_536
ON_ITS_WAY_S: Final = 0.5
"""In which a request comes that was sent before its sender could know that the connection will be closed."""
_IDLE_WHILE_SHORT_S = 1.0  # of descriptors: whoever asks nothing makes room

Handle = Callable[[PlainRequest], Coroutine[Any, Any, StreamResponse]]


class Callers:
    """The connections of this kind.

    `hand_over` is told of one that is aiohttp's now, what came on it, and since when; `gone` when there is none left.
    """

    def __init__(
        self,
        handle: Handle,
        hand_over: Callable[[asyncio.Transport, Address, bytes, float], None],
        gone: Callable[[], None] = lambda: None,
        *,
        bounds: Bounds,
        load: LoadWatch,
        max_body_bytes: int,
        keepalive_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.handle = handle
        self.hand_over = hand_over
        self.adopt(max_body_bytes, keepalive_timeout_s)
        self.bounds = bounds
        self._load = load
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self.is_ending = False
        self._gone = gone
        self._all: set[CallerConnection] = set()
        self._timer = self.loop.call_later(LOOK_S, self._look)

    def __call__(self) -> "CallerConnection":
        """A protocol for a new connection."""
        return CallerConnection(self)

    def adopt(self, max_body_bytes: int, keepalive_timeout_s: float) -> None:
        """Go by these settings from now on."""
        self.most_body_bytes = min(max_body_bytes, MOST_BODY_BYTES)
        self._keepalive_timeout_s = keepalive_timeout_s

    def add(self, connection: "CallerConnection") -> None:
        """One was made."""
        self._all.add(connection)

    def remove(self, connection: "CallerConnection") -> None:
        """One is lost, or aiohttp's."""
        self._all.discard(connection)
        if not self._all:
            self._gone()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._all)

    def _look(self) -> None:
        """Close those that have been idle for too long, or do not send or take what they should."""
        now = self.clock()
        idle_s = _IDLE_WHILE_SHORT_S if self._load.is_short else self._keepalive_timeout_s
        for connection in tuple(self._all):
            connection.look(now, idle_s)
        self._timer = self.loop.call_later(min(LOOK_S, self._keepalive_timeout_s), self._look)

    def close_after_answers(self) -> None:
        """Close each after its next answer, those that are still to be made, too."""
        self.is_ending = True
        for connection in self._all:
            connection.is_ending = True

    def close_idle(self) -> None:
        """Close those on which nothing comes; what may be on its way has a moment."""
        self._keepalive_timeout_s = min(self._keepalive_timeout_s, ON_ITS_WAY_S)
        self._timer.cancel()
        self._look()

    def interrupt(self) -> None:
        """Cancel the calls that are running."""
        for connection in tuple(self._all):
            if connection.task is not None:
                connection.task.cancel()

    async def shutdown(self, timeout_s: float) -> None:
        """Close all, those whose call does not end in time without its end."""
        self._timer.cancel()
        self.close_after_answers()
        tasks = [c.task for c in self._all if c.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
        for connection in tuple(self._all):
            connection.abort()


class CallerConnection(asyncio.Protocol):
    """One of them: reads a request, has it answered, reads the next."""

    __slots__ = (
        "_ahead",
        "_backlog",
        "_callers",
        "_drained",
        "_head",
        "_missing_bytes",
        "_pieces",
        "_since",
        "is_ending",
        "peer",
        "task",
        "transport",
    )

    transport: asyncio.Transport
    peer: Address

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        # What came of the next request before its head was whole, or the last was answered.
        self._ahead = b""
        self._head: Head | None = None
        self._pieces: list[bytes] = []
        self._missing_bytes = 0
        self._since = callers.clock()  # of being idle, or of a request's first byte
        self._drained: asyncio.Future[None] | None = None
        self.is_ending = callers.is_ending
        self._backlog: Backlog | None = None
        self.task: asyncio.Task[StreamResponse] | None = None

    # What the relay does with a connection.

    async def drain(self) -> None:
        """Wait until the caller has taken most of what was written. Raises `ConnectionError` where it has left."""
        if self.transport.is_closing():
            raise ConnectionResetError("the caller has left")
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def abort(self) -> None:
        """Close it now."""
        self.transport.abort()

    def look(self, now: float, idle_s: float) -> None:
        """Close it where nothing has come for too long, or not enough, or too little is taken."""
        if self._backlog is not None:
            if self._backlog.is_stuck(now, self._callers.bounds.slow_reader_s):
                self.transport.abort()
                return
        elif self.transport.is_closing():  # which it is until all is taken
            self._backlog = Backlog(self.transport)
        if self.task is not None:
            return
        if self._head is None and not self._ahead:
            if now - self._since > idle_s:
                self.transport.close()
        elif now - self._since > WHOLE_WITHIN_S:
            self.transport.write(self._callers.bounds.tell(Unfit.TOO_SLOW))
            self.transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with whoever is at the socket's other end."""
        self.begin(transport, peer_of(transport))

    def begin(self, transport: asyncio.BaseTransport, peer: Address) -> None:
        """Keep the transport. One too many of its address goes no further."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self.peer = peer
        if self._callers.bounds.crowd.enter(self.peer):
            self._callers.add(self)
        else:
            self._callers.bounds.crowd.refuse(transport, self._callers.clock())

    def connection_lost(self, error: Exception | None) -> None:
        """Nobody waits for the answer any more."""
        self._callers.remove(self)
        self._callers.bounds.crowd.leave(self.peer)
        if self._drained is not None and not self._drained.done():
            self._drained.set_exception(error or ConnectionResetError("the caller has left"))
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        """The caller is slow to take what is written."""
        self._drained = self._callers.loop.create_future()
        self._drained.add_done_callback(_is_told)
        self._backlog = Backlog(self.transport)

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        self._backlog = None
        if self.task is None and self._ahead and not self.transport.is_closing():
            self._go_on()

    def eof_received(self) -> None:
        """Let the transport close: who sends no more is not there for the answer."""

    def data_received(self, data: bytes) -> None:
        """Some of a request, or of several."""
        if self.task is not None or self._drained is not None:
            self._ahead += data
            if len(self._ahead) > _AHEAD_BYTES:
                self.transport.pause_reading()
        elif self._head is None:
            self._read_head(self._ahead + data if self._ahead else data)
        else:
            self._read_body(data)

    # A request

    def _read_head(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n", 0, MOST_HEAD_BYTES)
        if end < 0:
            if len(data) >= MOST_HEAD_BYTES or not may_be_head(data):
                self._hand_over(data)
                return
            if not self._ahead:
                self._since = self._callers.clock()
            self._ahead = data
            return
        head = read_head(data[:end])
        if (
            head is None
            or head.body_bytes > self._callers.most_body_bytes
            or not is_forwarded(head.path)
        ):
            self._hand_over(data)
            return
        body = data[end + 4 :]
        self._ahead = b""
        if len(body) == head.body_bytes:
            self._begin(head, body)
        else:
            self._since = self._callers.clock()
            self._head, self._missing_bytes = head, head.body_bytes
            self._read_body(body)

    def _read_body(self, data: bytes) -> None:
        assert self._head is not None
        if len(data) < self._missing_bytes:
            self._missing_bytes -= len(data)
            self._pieces.append(data)
            return
        self._pieces.append(data[: self._missing_bytes])
        self._ahead = data[self._missing_bytes :]
        head, body = self._head, b"".join(self._pieces)
        self._head = None
        self._pieces.clear()
        self._begin(head, body)

    def _hand_over(self, data: bytes) -> None:
        callers = self._callers
        callers.remove(self)
        self.transport.resume_reading()  # what came ahead may have been too much
        since = self._since if self._ahead else callers.clock()
        callers.hand_over(self.transport, self.peer, data, since)

    def _begin(self, head: Head, body: bytes) -> None:
        request = PlainRequest(self, head, body)
        self.task = task = _start(self._callers.handle(request), self._callers.loop)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[StreamResponse]) -> None:
        self.task = None
        if task.cancelled():
            self.transport.abort()
            return
        error = task.exception()
        if error is not None or not task.result().keep_alive:
            if error is not None and not isinstance(error, ConnectionError):
                _log.error("a call failed", exc_info=error)
            self.transport.close()
            return
        self._since = self._callers.clock()
        # Nor is more answered while answers lie untaken: they would be kept in memory without end.
        if self._ahead and self._drained is None and not self.transport.is_closing():
            self._go_on()

    def _go_on(self) -> None:
        """Read what came ahead, and more only where that is not enough or nearly used up."""
        data, self._ahead = self._ahead, b""
        self.data_received(data)
        is_ours = self.transport.get_protocol() is self
        if is_ours and (self.task is None or len(self._ahead) <= _AHEAD_BYTES):
            self.transport.resume_reading()


def _is_told(drained: asyncio.Future[None]) -> None:
    """Who waits for it may have left."""
    if not drained.cancelled():
        drained.exception()


# From 3.12 on a task's first steps are taken at once.
_EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


def _start(
    answer: Coroutine[Any, Any, StreamResponse], loop: asyncio.AbstractEventLoop
) -> asyncio.Task[StreamResponse]:
    return asyncio.Task(answer, loop=loop, **_EAGER)
