"""The one way out of both applications: where they connect to, and by which certificates.

`gateway/domain/outbound.py` decides. A name is looked up at each connection, and the connection is made to an address
that this look-up found: it cannot lead elsewhere between the check and the connection, or later.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp

from gateway.domain.catalog import Upstream
from gateway.domain.network import Blocks
from gateway.domain.outbound import is_literal, is_never_called, may_be_called


class NotCallable(OSError):
    """A host whose addresses are neither public nor allowed, or are never called."""

    def __init__(
        self, host: str, addresses: list[str], remedy: str = "allow_cidrs of the upstream"
    ) -> None:
        leads = "" if addresses == [host] else f" resolves to {', '.join(addresses)}, which"
        why = f"is not public: allow it with {remedy}"
        if all(is_never_called(each) for each in addresses):
            why = (
                "is link-local, of a metadata service, multicast or unspecified: it is never called"
            )
        super().__init__(errno.EACCES, f"{host}{leads} {why}")

    def __str__(self) -> str:
        return str(self.strerror)


async def addresses_of(host: str, port: int, allowed: Blocks) -> list[str]:
    """The addresses to connect to. Raises `OSError`, also where there are none that may be called."""
    if is_literal(host) and host.lower() != "localhost":
        found = [host]
    else:
        known = await asyncio.to_thread(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys(str(each[4][0]) for each in known))
    callable_ = [each for each in found if may_be_called(each, allowed)]
    if not callable_:
        raise NotCallable(host, found)
    return callable_


def connector(
    allowed: Blocks, remedy: str, tls: ssl.SSLContext | None = None
) -> aiohttp.TCPConnector:
    """Connects aiohttp's sessions likewise, keeping neither names nor connections; `remedy` allows more.

    What is checked is the address of the very socket, so that no name and no redirect leads past it.
    """
    return aiohttp.TCPConnector(
        ssl=tls or True,
        socket_factory=_guarded(allowed, remedy),
        use_dns_cache=False,
        force_close=True,
    )


def open_session(allowed: Blocks, timeout_s: float, remedy: str) -> aiohttp.ClientSession:
    """A session for addresses that others chose, without cookies and without the environment's proxies."""
    return aiohttp.ClientSession(
        connector=connector(allowed, remedy),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
    )


def tls_of(upstream: Upstream) -> ssl.SSLContext | None:
    """The upstream's own authorities and certificate; None where it speaks plain HTTP. Raises `OSError`."""
    if upstream.base_url.scheme != "https":
        return None
    context = ssl.create_default_context(cafile=upstream.ca_file or None)
    if upstream.cert_file:
        context.load_cert_chain(upstream.cert_file, upstream.key_file or None)
    return context


def _guarded(allowed: Blocks, remedy: str) -> Callable[[Any], socket.socket]:
    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, place = info
        address = str(place[0])
        if not may_be_called(address, allowed):
            raise NotCallable(address, [address], remedy)
        return socket.socket(family, kind, protocol)

    return make
