"""How a connection to an upstream is opened: by its address, a socket of this machine or a proxy; plain or with TLS."""

import asyncio
import base64
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from gateway.domain.catalog import Upstream
from gateway.outbound import addresses_of, tls_of

_MOST_HEAD_BYTES = 16_384
_Protocol = Callable[[], asyncio.Protocol]


class Dialer:
    """Opens connections to one upstream. Each raises `OSError`, also for TLS and names."""

    def __init__(self, upstream: Upstream) -> None:
        url = upstream.base_url
        assert url.hostname is not None
        self._upstream = upstream
        self._host = url.hostname
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._tls = tls_of(upstream)
        self._server_name = self._host if self._tls else None
        self._proxy = urlsplit(upstream.proxy) if upstream.proxy else None

    async def open(self, protocol: _Protocol) -> None:
        """A connection for `protocol`."""
        if self._upstream.unix_socket:
            await asyncio.get_running_loop().create_unix_connection(
                protocol,
                self._upstream.unix_socket,
                ssl=self._tls,
                server_hostname=self._server_name,
            )
        elif self._proxy is not None:
            await self._through(self._proxy, protocol)
        else:
            await self._directly(protocol)

    async def _directly(self, protocol: _Protocol) -> None:
        problem: OSError | None = None
        for address in await addresses_of(self._host, self._port, self._upstream.allow_cidrs):
            try:
                await asyncio.get_running_loop().create_connection(
                    protocol,
                    address,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._server_name,
                )
            except OSError as error:
                problem = error
            else:
                return
        assert problem is not None
        raise problem

    async def _through(self, proxy: SplitResult, protocol: _Protocol) -> None:
        """Through a proxy's CONNECT (RFC 9110 section 9.3.6), which looks up the name itself."""
        loop = asyncio.get_running_loop()
        transport, asking = await loop.create_connection(
            _Asking, proxy.hostname or "", proxy.port or 80
        )
        try:
            transport.write(self._connect_head(proxy))
            _require_way(await asking.answer)
            made = protocol()
            if self._tls is None:
                transport.set_protocol(made)
                made.connection_made(transport)
            else:
                transport.pause_reading()  # until there is somebody who can read what is sealed
                sealed = await loop.start_tls(
                    transport, made, self._tls, server_hostname=self._server_name
                )
                assert sealed is not None
                made.connection_made(sealed)
        except BaseException:
            transport.abort()
            raise

    def _connect_head(self, proxy: SplitResult) -> bytes:
        host = f"[{self._host}]" if ":" in self._host else self._host
        lines = [f"CONNECT {host}:{self._port} HTTP/1.1", f"host: {host}:{self._port}"]
        if proxy.username is not None:
            secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
            lines.append(f"proxy-authorization: Basic {base64.b64encode(secret.encode()).decode()}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class _Asking(asyncio.Protocol):
    """Reads a proxy's answer."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Collect the head: nothing comes behind it before we have sent more."""
        self._held += data
        is_whole = self._held.endswith(b"\r\n\r\n")
        if (is_whole or len(self._held) > _MOST_HEAD_BYTES) and not self.answer.done():
            self.answer.set_result(bytes(self._held))

    def connection_lost(self, _error: Exception | None) -> None:
        """There is no answer."""
        if not self.answer.done():
            self.answer.set_result(b"")


def _require_way(head: bytes) -> None:
    """Let nothing but a 200 pass."""
    first = head.partition(b"\r\n")[0]
    if first.split(b" ", 2)[1:2] != [b"200"]:
        raise OSError(f"the proxy refused: {first!r}")
