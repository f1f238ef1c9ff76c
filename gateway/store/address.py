"""Where a Valkey or Redis is, from the URL forms of redis-py, and how to open a transport to it."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio.connection import SSLConnection, parse_url


@dataclass(frozen=True, slots=True)
class Address:
    """A server, who logs in, and the database. `path` is a unix socket; else `host` and `port`."""

    path: str | None
    host: str
    port: int
    tls: ssl.SSLContext | None
    username: str | None
    password: str | None = field(repr=False)
    db: int

    async def connect(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Open the transport. Raises OSError."""
        loop = asyncio.get_running_loop()
        if self.path is not None:
            await loop.create_unix_connection(protocol, self.path)
        else:
            await loop.create_connection(protocol, self.host, self.port, ssl=self.tls)


def parse_address(url: str) -> Address:
    """Of `redis://`, `rediss://` or `unix://`. Raises ValueError."""
    parts: dict[str, Any] = dict(parse_url(url))
    return Address(
        path=parts.get("path"),
        host=parts.get("host", "localhost"),
        port=parts.get("port", 6379),
        tls=_tls(parts) if parts.get("connection_class") is SSLConnection else None,
        username=parts.get("username"),
        password=parts.get("password"),
        db=int(parts.get("db", 0)),
    )


def _tls(parts: dict[str, Any]) -> ssl.SSLContext:
    """By redis-py's query parameters.

    These are ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_check_hostname and ssl_cert_reqs.
    """
    context = ssl.create_default_context(cafile=parts.get("ssl_ca_certs"))
    if "ssl_certfile" in parts:
        context.load_cert_chain(parts["ssl_certfile"], parts.get("ssl_keyfile"))
    if str(parts.get("ssl_check_hostname", "true")).lower() in {"false", "0", "no"}:
        context.check_hostname = False
    if parts.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
