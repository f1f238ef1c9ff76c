"""The admin app as a caller of the gateway: for the playground, and with no other key than it is given."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Final, TypeVar

import aiohttp
from aiohttp import web

from admin_api.envelope import Code, Declined
from gateway.listen import url_of
from gateway.settings import Config

_CHAT: Final = "/v1/chat/completions"
_CONNECT_S: Final = 5.0
_LOOK_S: Final = 0.25
_TYPES: Final = frozenset({"application/json", "text/event-stream"})
_KEPT: Final = ("x-ratelimit-", "x-tollhouse-", "retry-after", "x-should-retry")

T = TypeVar("T")


class _Left(Exception):
    """The reader has gone away."""


class GatewayClient:
    """Calls the gateway of `config`; open it for as long as it is used."""

    def __init__(self, config: Config) -> None:
        self.url = config.admin.gateway_url.rstrip("/") or url_of(config.gateway.listen)
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connections for its length. How long an answer may take is the gateway's to say."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        async with aiohttp.ClientSession(
            timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as self._session:
            yield

    async def relay_chat(self, request: web.Request, key: str, body: bytes) -> web.StreamResponse:
        """Answer a request with the gateway's answer to a chat, as it comes. Whoever goes away ends the call.

        Raises `Declined` where the gateway cannot be reached.
        """
        try:
            answer = await _while_there(request, self._call(key, body))
        except aiohttp.ClientError as error:
            raise Declined(
                Code.GATEWAY_UNAVAILABLE,
                f"The gateway does not answer at {self.url} ({type(error).__name__}): start it, or set "
                "admin.gateway_url to where the admin app reaches it.",
                {"Retry-After": "5"},
            ) from error
        except _Left:
            return web.Response(status=499)
        try:
            return await _pass_on(request, answer)
        finally:
            answer.close()

    async def _call(self, key: str, body: bytes) -> aiohttp.ClientResponse:
        assert self._session is not None
        headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "tollhouse-console",
        }
        return await self._session.post(
            self.url + _CHAT, data=body, headers=headers, allow_redirects=False
        )


async def _pass_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=_headers_of(answer))
    try:
        await response.prepare(request)
        while piece := await _while_there(request, answer.content.readany()):
            await response.write(piece)
        await response.write_eof()
    except (_Left, ConnectionError):
        pass  # and with this handler ends the call
    except BaseException:
        if request.transport is not None:
            request.transport.abort()  # without the last chunk: nobody takes it for whole
        raise
    return response


def _headers_of(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """What a reader needs. The gateway's `x-request-id` has another name here, since the admin app has its own."""
    kept = {name: value for name, value in answer.headers.items() if name.lower().startswith(_KEPT)}
    kind = answer.content_type if answer.content_type in _TYPES else "text/plain"
    return kept | {
        "Content-Type": f"{kind}; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
        "X-Gateway-Request-Id": answer.headers.get("x-request-id", ""),
    }


async def _while_there(request: web.Request, work: Awaitable[T]) -> T:
    """What comes of the work. Raises `_Left` when the reader goes away before it is done."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_S)
            if request.transport is None:
                raise _Left
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
