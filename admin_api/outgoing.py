"""HTTP calls to addresses that others chose: what may be called is decided at each connection, by its address."""

import errno
import socket
from collections.abc import Callable
from typing import Any

import aiohttp

from gateway.domain.network import Blocks
from gateway.domain.outbound import may_be_called


def open_session(allowed: Blocks, timeout_s: float, setting: str) -> aiohttp.ClientSession:
    """A session that connects to public addresses and `allowed` ones, which `setting` names.

    A name cannot lead elsewhere between a check and the connection: there is one look-up, and what it found is checked
    when the socket is made. It keeps neither cookies nor connections, and knows nothing of the environment's proxies.
    """
    connector = aiohttp.TCPConnector(
        socket_factory=_guarded(allowed, setting), use_dns_cache=False, force_close=True
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
    )


def _guarded(allowed: Blocks, setting: str) -> Callable[[Any], socket.socket]:
    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, place = info
        address = str(place[0])
        if not may_be_called(address, allowed):
            raise PermissionError(errno.EACCES, f"{address} is not public: allow it with {setting}")
        return socket.socket(family, kind, protocol)

    return make
