"""Where connections to an upstream go: its addresses, as far as they may be called (`gateway/domain/outbound.py`).

A name is looked up each time, so that it cannot lead elsewhere later.
"""

import asyncio
import socket

from gateway.domain.network import Blocks
from gateway.domain.outbound import is_literal, may_be_called


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


class NotCallable(OSError):
    """A host whose addresses are neither public nor allowed, or are never called."""

    def __init__(self, host: str, addresses: list[str]) -> None:
        leads = "" if addresses == [host] else f" resolves to {', '.join(addresses)}, which"
        super().__init__(f"{host}{leads} is not public: allow it with allow_cidrs of the upstream")
