"""The admin app's listener behind proxies that tell whom they speak for in a PROXY header."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from socket import socket
from typing import cast

from gateway.bounded_server import BoundedServer
from gateway.domain.network import Address, Blocks
from gateway.proxied import ProxyHeaders


@contextlib.asynccontextmanager
async def serve_proxied(
    server: BoundedServer, listener: socket, trusted: Blocks, *, backlog: int
) -> AsyncIterator[None]:
    """Have `server` serve `listener`; `request.remote` is whom a trusted proxy speaks for."""

    def begin(transport: asyncio.Transport, peer: Address, data: bytes) -> None:
        protocol = server.bounded()
        protocol._cache["peername"] = (peer.text, 0)  # noqa: SLF001 -- aiohttp asks the socket, once
        transport.set_protocol(protocol)
        protocol.begin(transport, peer)
        if data:
            cast("asyncio.Protocol", transport.get_protocol()).data_received(data)

    made = await asyncio.get_running_loop().create_server(
        ProxyHeaders(trusted, begin), sock=listener, backlog=backlog
    )
    try:
        yield
    finally:
        made.close()
