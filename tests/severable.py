"""A relay before a real server: it holds bytes back until a test releases them, and cuts connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from gateway.store.address import parse_address

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Wire:
    """Listens at `path`, a unix socket; `connect` opens a connection to the server behind."""

    def __init__(
        self, path: str, url: str, connect: Callable[[], Coroutine[Any, Any, Opened]]
    ) -> None:
        self.path = path
        self.url = url
        self._connect = connect
        self._questions = asyncio.Event()
        self._replies = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.segments: list[bytes] = []
        self.accepts = True
        self.accepted = 0
        self.held = 0
        """Pieces of replies that arrived while they were held back."""
        self.cut_reply_to: bytes | None = None
        """What, once sent, lets the server's next answer be lost with its connection."""
        self.resume()

    def stall(self) -> None:
        """Hold everything back."""
        self._questions.clear()
        self._replies.clear()

    def hold_replies(self) -> None:
        """Hold back what the server says; it hears everything."""
        self._replies.clear()

    def resume(self) -> None:
        """Let everything through, what was held first."""
        self._questions.set()
        self._replies.set()

    def cut(self) -> None:
        """Cut every connection; what was held is lost."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["Wire"]:
        """Listen for as long as the block runs."""
        server = await asyncio.start_unix_server(self._accept, self.path)
        try:
            yield self
        finally:
            server.close()
            self.resume()
            self.cut()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if not self.accepts:
            writer.transport.abort()
            return
        try:
            there, back = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        for pump in (self._ask(reader, back), self._answer(there, writer)):
            self._tasks.add(asyncio.create_task(pump))

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 20):
                await self._questions.wait()
                self.segments.append(data)
                if self.cut_reply_to is not None and self.cut_reply_to in data:
                    self.hold_replies()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 20):
                if not self._replies.is_set():
                    self.held += 1
                    if self.cut_reply_to is not None:
                        self.cut_reply_to = None
                        self.cut()
                        self.resume()
                        return
                await self._replies.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def before_valkey(path: Path, url: str) -> AsyncIterator[Wire]:
    """Before the Valkey at `url`; `Wire.url` leads through it."""
    query, address = urlsplit(url), parse_address(url)

    async def connect() -> Opened:
        if address.path:
            return await asyncio.open_unix_connection(address.path)
        return await asyncio.open_connection(address.host, address.port)

    through = f"unix://{query.netloc}{path}?{query.query}"
    async with Wire(str(path), through, connect).serve() as wire:
        yield wire


@contextlib.asynccontextmanager
async def before_postgres(directory: Path, dsn: str) -> AsyncIterator[Wire]:
    """Before the Postgres at `dsn`, whose socket is a file; `Wire.url` leads through it."""
    parts = urlsplit(dsn)
    (host,) = parse_qs(parts.query)["host"]
    name = ".s.PGSQL.5432"
    through = urlunsplit(parts._replace(query=f"host={directory}"))

    async def connect() -> Opened:
        return await asyncio.open_unix_connection(f"{host}/{name}")

    async with Wire(str(directory / name), through, connect).serve() as wire:
        yield wire
