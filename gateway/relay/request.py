"""A caller's request as the relay reads it, whoever has parsed it.

`PlainRequest` came whole and was read by `caller`; `StreamedRequest` is aiohttp's, whose body may be on its way.
"""

import asyncio
from typing import Protocol

from aiohttp.web import BaseRequest

from gateway.domain.network import Address
from gateway.relay.plain import Head

_VERSIONS = frozenset({(1, 0), (1, 1)})


class Connection(Protocol):
    """What a plain request needs of its connection."""

    transport: asyncio.Transport
    peer: Address
    is_ending: bool

    async def drain(self) -> None:
        """Wait until the caller has taken most of what was written. Raises `ConnectionError` where it has left."""


class Ending(Protocol):
    """What a streamed request needs of its server."""

    is_ending: bool


class PlainRequest:
    """A request that is here as a whole."""

    __slots__ = (
        *("_connection", "_stays_open"),
        *("body", "headers", "path", "raw_query", "transport"),
    )

    method = "POST"
    version = (1, 1)
    is_understood = True

    def __init__(self, connection: Connection, head: Head, body: bytes) -> None:
        self._connection = connection
        self._stays_open: bool | None = None  # nobody was told yet
        self.transport: asyncio.Transport | None = connection.transport
        self.path = head.path
        self.raw_query = head.query
        self.headers = head.fields
        self.body: bytes | None = body

    @property
    def peer(self) -> Address:
        """The socket's other end, or whom the proxy there speaks for."""
        return self._connection.peer

    @property
    def content_length(self) -> int | None:
        """The body's size."""
        return len(self.body or b"")

    @property
    def stays_open(self) -> bool:
        """Whether the connection is used again after the answer. What the answer's head has told, stays so."""
        if self._stays_open is None:
            self._stays_open = not self._connection.is_ending
        return self._stays_open

    async def drain(self) -> None:
        """Wait until the caller has taken most of what was written. Raises `ConnectionError` where it has left."""
        await self._connection.drain()


class StreamedRequest(BaseRequest):
    """A request of which aiohttp has read the head."""

    server: Ending
    peer: Address
    """The socket's other end, or whom the proxy there speaks for."""
    body: bytes | None = None
    """It is read by whoever wants it."""
    _stays_open: bool | None = None

    @property
    def raw_query(self) -> str:
        """What follows the question mark, as it was sent."""
        return self.raw_path.partition("#")[0].partition("?")[2]

    @property
    def is_understood(self) -> bool:
        """Whether it is of a version that we speak, and a body in chunks is coded in no further way.

        aiohttp's parser takes more than RFC 9112 (sections 2.3 and 6.1) lets a server act on.
        """
        coding = self.headers.get("transfer-encoding", "chunked")
        return self.version in _VERSIONS and coding.strip().lower() == "chunked"

    @property
    def stays_open(self) -> bool:
        """Whether the connection is used again after the answer: not behind a body that nobody has read.

        What the answer's head has told, stays so.
        """
        if self._stays_open is None:
            self._stays_open = (
                bool(self.keep_alive)
                and not self.server.is_ending
                and self.content.is_eof()
                and self.is_understood
            )
        return self._stays_open

    async def drain(self) -> None:
        """Wait until the caller has taken most of what was written. Raises `ConnectionError` where it has left."""
        await self.writer.drain()


Request = PlainRequest | StreamedRequest
