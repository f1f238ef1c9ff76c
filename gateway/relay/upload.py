"""Bodies that pass through unread: from the caller's connection to the upstream's, at the pace of the slower one.

At most a few hundred kilobytes of one are in memory. Nothing of it is kept, so it is sent once, to one upstream.
"""

import asyncio
from collections.abc import Awaitable

from aiohttp.web import RequestPayloadError

from gateway.relay.attempt import Attempt
from gateway.relay.request import Request, StreamedRequest
from gateway.relay.upstream import UpstreamConnection

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Upload:
    """A caller's body. `size_bytes` is as declared; None: it comes in chunks, at most `max_bytes`."""

    def __init__(self, request: Request, max_bytes: int) -> None:
        assert isinstance(request, StreamedRequest)  # the others are of calls that are read
        self.size_bytes = request.content_length
        self._request = request
        self._max_bytes = max_bytes

    @property
    def framing(self) -> bytes:
        """The line of a request's head that says how its body ends."""
        if self.size_bytes is None:
            return b"transfer-encoding: chunked\r\n"
        return b"content-length: %d\r\n" % self.size_bytes

    async def pump_during(
        self, verdict: Awaitable[None], connection: UpstreamConnection, attempt: Attempt
    ) -> None:
        """Send it until the attempt has a verdict."""
        pump = asyncio.create_task(self.pump(connection, attempt), name="upload")
        try:
            await verdict
        finally:
            pump.cancel()
            await asyncio.wait({pump})
            if not pump.cancelled():
                pump.result()

    async def pump(self, connection: UpstreamConnection, attempt: Attempt) -> None:
        """Send all of it. A caller who breaks off, or sends too much, ends the attempt."""
        request, content = self._request, self._request.content
        if "expect" in request.headers and request.transport is not None:
            request.transport.write(_CONTINUE)
        sent_bytes = 0
        try:
            while data := await content.readany():
                sent_bytes += len(data)
                if sent_bytes > self._max_bytes:
                    attempt.give_up(f"The body is larger than {self._max_bytes} bytes.")
                    return
                connection.write(self._framed(data))
                await connection.writable()
                attempt.sent_some()
        except RequestPayloadError:
            attempt.give_up("The body broke off before its end.")
            return
        if self.size_bytes is None:
            connection.write(b"0\r\n\r\n")
        connection.sent()
        attempt.sent_all()

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self.size_bytes is None else data
