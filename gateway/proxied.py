"""New connections of a listener behind proxies that tell whom they speak for in a header of their own (PROXY protocol).

It is never guessed whether there is one: a trusted proxy must send it, and from anybody else it is no header.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from gateway.crowd import peer_of
from gateway.domain.network import Address, Blocks
from gateway.domain.proxy_header import BadProxyHeader, read_proxy_header

_log = logging.getLogger(__name__)
_WITHIN_S = 5.0

Begin = Callable[[asyncio.Transport, Address, bytes], None]
"""Takes a connection from here on: its transport, who is at its other end, and what came behind the header."""


class ProxyHeaders:
    """Makes the protocols of new connections: each is `begin`'s once its header was read."""

    def __init__(self, trusted: Blocks, begin: Begin) -> None:
        self.trusted = trusted
        self.begin = begin
        self._is_told = False

    def __call__(self) -> "ProxiedConnection":
        """A protocol for a new connection."""
        return ProxiedConnection(self)

    def note(self, peer: Address, problem: str) -> None:
        """Tell the log of the first of a row of connections that were closed."""
        if not self._is_told:
            _log.warning(
                "a connection of the proxy %s was closed: no PROXY header (%s)", peer.text, problem
            )
        self._is_told = True

    def note_read(self) -> None:
        """A header was read: the next that is none is news."""
        self._is_told = False


class ProxiedConnection(asyncio.Protocol):
    """One that waits for its header."""

    transport: asyncio.Transport
    peer: Address

    def __init__(self, headers: ProxyHeaders) -> None:
        self._headers = headers
        self._data = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait, unless this is nobody who sends one."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self.peer = peer_of(transport)
        if self.peer in self._headers.trusted:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_WITHIN_S, self._close, f"none in {_WITHIN_S:g} s")
        else:
            self._headers.begin(self.transport, self.peer, b"")

    def data_received(self, data: bytes) -> None:
        """Some of the header, and perhaps what follows it."""
        self._data += data
        try:
            header = read_proxy_header(self._data)
        except BadProxyHeader as bad:
            self._close(str(bad))
            return
        if header is None:
            return
        self._stop_timer()
        self._headers.note_read()
        source = self.peer if header.source is None else header.source
        self._headers.begin(self.transport, source, self._data[header.size_bytes :])

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 -- asyncio's
        """Nobody waits any more."""
        self._stop_timer()

    def _close(self, problem: str) -> None:
        self._stop_timer()
        self._headers.note(self.peer, problem)
        self.transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
