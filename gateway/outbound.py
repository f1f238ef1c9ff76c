"""How both applications connect to upstreams: where they may (`gateway/domain/outbound.py`), and by which certificates.

A name is looked up each time, so that it cannot lead elsewhere later.
"""

import asyncio
import socket
import ssl

from gateway.domain.catalog import Upstream
from gateway.domain.network import Blocks
from gateway.domain.outbound import is_literal, may_be_called


class NotCallable(OSError):
    """A host whose addresses are neither public nor allowed, or are never called."""

    def __init__(self, host: str, addresses: list[str]) -> None:
        leads = "" if addresses == [host] else f" resolves to {', '.join(addresses)}, which"
        super().__init__(f"{host}{leads} is not public: allow it with allow_cidrs of the upstream")


async def addresses_of(host: str, port: int, allowed: Blocks, *, guarded: bool) -> list[str]:
    """The addresses to connect to. Raises `OSError`, also where there are none that may be called.

    An address that stands there literally is the operator's own word, but where it is `guarded`.
    """
    if is_literal(host) and not guarded:
        return [host]
    found = await asyncio.to_thread(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    callable_ = [each for each in addresses if may_be_called(each, allowed)]
    if not callable_:
        raise NotCallable(host, addresses)
    return callable_


def tls_of(upstream: Upstream) -> ssl.SSLContext | None:
    """The upstream's own authorities and certificate; None where it speaks plain HTTP. Raises `OSError`."""
    if upstream.base_url.scheme != "https":
        return None
    context = ssl.create_default_context(cafile=upstream.ca_file or None)
    if upstream.cert_file:
        context.load_cert_chain(upstream.cert_file, upstream.key_file or None)
    return context
