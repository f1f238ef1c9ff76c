"""One connection of a scripted upstream: calls are read off it, scripts are played onto it.

Knows HTTP/1.1 framing of requests and asyncio's transports; not which script belongs to which call.
"""

import asyncio
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol, cast

import httptools

from tests.upstream_script import RESET, Answer, Gate, Piece

_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Received:
    """One call as it arrived. `path` has the query; header names are as they were sent.

    `gone` is set when the peer closed before the answer was complete, never by the script itself.
    `sent_bytes` counts what was handed to the transport: it stands still under backpressure.
    """

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    keep_alive: bool
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    sent_bytes: int = 0

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case; None where there is none."""
        values = (value for key, value in self.headers if key.lower() == name.lower())
        return next(values, None)


class Provider(Protocol):
    """What a connection needs of the upstream that it belongs to."""

    def opened(self, connection: "Connection") -> None:
        """Count a connection in."""

    def closed(self, connection: "Connection") -> None:
        """Count a connection out."""

    def failed(self, error: Exception) -> None:
        """Keep a fault of a script, or of the peer's HTTP, for the end of the test."""

    def take(self, received: Received) -> None:
        """Record a call that has arrived."""

    def answer_to(self, received: Received) -> Answer:
        """Choose the answer to it."""
        ...


class Connection(asyncio.Protocol):
    """One accepted connection: reads calls with httptools, answers them one after the other."""

    def __init__(self, upstream: Provider) -> None:
        self._upstream = upstream
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Received] = deque()
        self._current: Received | None = None
        self._playing: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._transport: asyncio.Transport
        self.on_message_begin()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # asyncio sets it on its own TCP sockets, uvloop too; scripts depend on it.
        if self._socket.family != socket.AF_UNIX:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._upstream.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._upstream.failed(error)
            self._transport.close()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        for received in (self._current, *self._queue):
            if received is not None:
                received.gone.set()
        if self._playing is not None:
            self._playing.cancel()
        self._queue.clear()
        self._upstream.closed(self)
        self._lost.set()

    # httptools' side

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        received = Received(
            self._parser.get_method().decode(),
            self._url.decode(),
            self._headers,
            b"".join(self._body),
            self._parser.should_keep_alive(),
        )
        self._queue.append(received)
        self._upstream.take(received)
        if self._current is None:
            self._answer_next()

    # answering

    def close_if_idle(self) -> None:
        """End the connection where no call is on it."""
        if self._current is None:
            self._transport.close()

    async def abort(self) -> None:
        """End the connection at once; returns when it and its answer are over."""
        self._transport.abort()
        await self._lost.wait()
        if self._playing is not None:
            await asyncio.wait([self._playing])

    @property
    def _socket(self) -> socket.socket:
        return cast("socket.socket", self._transport.get_extra_info("socket"))

    def _answer_next(self) -> None:
        while self._queue and not self._transport.is_closing():
            self._current = self._queue.popleft()
            try:
                answer = self._upstream.answer_to(self._current)
                wire = answer.wire()
            except Exception as error:  # noqa: BLE001 - any fault of a script, told at the end
                self._upstream.failed(error)
                self._transport.abort()
                return
            if len(wire) > 1 or answer.bytewise or not isinstance(wire[0], bytes):
                self._playing = asyncio.create_task(self._play(wire, bytewise=answer.bytewise))
                self._playing.add_done_callback(self._played)
                return
            self._write(wire[0])  # one write needs no task: most calls of most tests
            self._finish()

    async def _play(self, wire: list[Piece], *, bytewise: bool) -> None:
        for piece in wire:
            match piece:
                case Gate():
                    await piece.passed()
                case bytes() if bytewise:
                    await self._send_bytewise(piece)
                case bytes():
                    self._write(piece)
                    await self._writable.wait()
                case _:
                    self._break_off(reset=piece is RESET)
                    return

    async def _send_bytewise(self, data: bytes) -> None:
        for start in range(len(data)):
            self._write(data[start : start + 1])
            # Two turns of the loop, so that a reader in the same loop reads every byte alone: in
            # the first its socket becomes readable only after this task has run.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await self._writable.wait()

    def _write(self, data: bytes) -> None:
        assert self._current is not None
        self._current.sent_bytes += len(data)
        self._transport.write(data)

    def _break_off(self, *, reset: bool) -> None:
        """End the connection as the script says; the peer is not the one who is gone."""
        self._current = None
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            self._transport.abort()
        else:
            self._transport.close()

    def _played(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        self._playing = None
        if (error := task.exception()) is not None:
            self._upstream.failed(cast("Exception", error))
            self._transport.abort()
        elif self._current is not None:
            self._finish()
            self._answer_next()

    def _finish(self) -> None:
        assert self._current is not None
        keep_alive = self._current.keep_alive
        self._current = None
        if not keep_alive:
            self._transport.close()
