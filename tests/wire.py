"""A caller at the level of bytes: requests as they are written, answers with every header and their framing.

Knows HTTP/1.1 and nothing of the gateway.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, cast
from urllib.parse import urlsplit

import httptools
import orjson


class Answer:
    """One answer. `whole` only where its framing was completed."""

    __slots__ = ("body", "headers", "status", "version", "whole")

    def __init__(self) -> None:
        self.status = 0
        self.version = ""
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.whole = False

    def header(self, name: str) -> str | None:
        """The only header of that name (lower case); None where there is none."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, f"{name} more than once: {values}"
        return values[0] if values else None

    def json(self) -> Any:
        return orjson.loads(self.body)

    def events(self) -> list[Any]:
        """The data of a stream's events; `[DONE]` as text."""
        data = [event.partition(b"data: ")[2] for event in self.body.split(b"\n\n")[:-1]]
        return [item.decode() if item == b"[DONE]" else orjson.loads(item) for item in data]


class Wire(asyncio.Protocol):
    """One connection. Answers come in the order of requests."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.raw = bytearray()
        self.closed = False
        self._parser = httptools.HttpResponseParser(self)
        self._current: Answer | None = None
        self._changed = asyncio.Event()
        self.transport: asyncio.Transport

    @classmethod
    async def connect(cls, url: str, *, receive_buffer: int = 0, source: str = "") -> Self:
        """Connect to an origin; a small `receive_buffer` (bytes) makes a reader that is soon full.

        `source` is the address of ours that it comes from, such as 127.0.0.2.
        """
        parts = urlsplit(url)
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            made.bind((source, 0))
        made.setblocking(False)  # noqa: FBT003 -- socket's own signature
        loop = asyncio.get_running_loop()
        await loop.sock_connect(made, (parts.hostname, parts.port))
        _, wire = await loop.create_connection(cls, sock=made)
        return wire

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def leave(self) -> None:
        """Go away at once."""
        self.transport.abort()

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for its whole answer, or for what came of it."""
        self.write(request)
        return await self.answer()

    async def answer(self) -> Answer:
        """The next answer: whole, or as far as it came before the connection was closed."""
        await self.until(lambda: bool(self.answers) or self.closed)
        if self.answers:
            return self.answers.popleft()
        assert self._current is not None, f"closed without an answer: {self.raw!r}"
        return self._current

    async def sees(self, text: bytes) -> None:
        """Wait until `text` has arrived somewhere on this connection."""
        await self.until(lambda: text in self.raw or self.closed)
        assert text in self.raw, self.raw

    async def is_closed(self) -> None:
        """Wait until the other side has closed."""
        await self.until(lambda: self.closed)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.raw += data
        self._parser.feed_data(data)
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        # Without a length, the end of the connection is the end of the body.
        if exc is None and self._current is not None and not self._is_framed(self._current):
            self._current.whole = True
        self._changed.set()

    @staticmethod
    def _is_framed(answer: Answer) -> bool:
        return any(name in {"content-length", "transfer-encoding"} for name, _ in answer.headers)

    # httptools' side

    def on_message_begin(self) -> None:
        self._current = Answer()

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._current is not None
        self._current.headers.append((name.decode().lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        assert self._current is not None
        self._current.status = self._parser.get_status_code()
        self._current.version = self._parser.get_http_version()

    def on_body(self, body: bytes) -> None:
        assert self._current is not None
        self._current.body += body

    def on_message_complete(self) -> None:
        assert self._current is not None
        self._current.whole = True
        self.answers.append(self._current)
        self._current = None


class QuickWire(Wire):
    """The same for tens of thousands of answers: the raw bytes are not kept."""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        self._changed.set()


@asynccontextmanager
async def wire(url: str, *, receive_buffer: int = 0, source: str = "") -> AsyncIterator[Wire]:
    """A connection for the length of a block."""
    connection = await Wire.connect(url, receive_buffer=receive_buffer, source=source)
    try:
        yield connection
    finally:
        connection.leave()


def request(
    key: str | None,
    body: Any = None,
    *,
    method: str = "POST",
    path: str = "/v1/chat/completions",
    version: str = "1.1",
    headers: tuple[tuple[str, str], ...] = (),
    send_body: bool = True,
) -> bytes:
    """A request's bytes; a body that is no bytes is JSON."""
    data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
    lines = [f"{method} {path} HTTP/{version}", "host: gateway"]
    if key is not None:
        lines.append(f"authorization: Bearer {key}")
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join([*lines, "", ""]).encode()
    return head + data if send_body else head
