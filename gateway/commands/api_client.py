"""Calls of the admin API: what it answers, or an error that says what to do.

The access token goes to the address that was named and nowhere else: redirects are not followed. No message holds it.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import aiohttp
import msgspec

from gateway import __version__
from gateway.commands.errors import CommandFailed, Declined, printable
from gateway.commands.reach import Reach

_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=10)
_STREAM_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
_ENVELOPE_TYPE: Final = "application/json"
_MULTIPLE_CHOICES, _BAD_REQUEST, _UNAUTHORIZED = 300, 400, 401
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")  # dollars stay exact


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to. `raw` is `data` as the API wrote it; `message` is empty, or worth telling."""

    raw: bytes
    message: str

    @property
    def data(self) -> Any:
        """`data`, its fractions exact."""
        return json.loads(self.raw, parse_float=Decimal)


class _Mistake(msgspec.Struct):
    message: str


class _Envelope(msgspec.Struct):
    success: bool
    message: str = ""
    code: str = ""
    errors: list[_Mistake] = []
    data: msgspec.Raw = msgspec.Raw(b"null")


class Api:
    """The admin API at one address, over one pool of connections."""

    def __init__(self, session: aiohttp.ClientSession, reach: Reach) -> None:
        self._session = session
        self._reach = reach

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a call. Raises `Declined`, and `CommandFailed` when it cannot be made."""
        with self._answering():
            async with await self._request(
                method, path, query, body, headers, _TIMEOUT
            ) as response:
                text = await response.read()
        return self._accepted(response, text)

    async def stream(
        self, path: str, query: Mapping[str, str | int]
    ) -> AsyncGenerator[bytes, None]:
        """The body of a GET that is no envelope, as it comes. Raises as `call`, also when it is cut."""
        with self._answering():
            response = await self._request("GET", path, query, None, None, _STREAM_TIMEOUT)
        async with response:
            if response.status >= _MULTIPLE_CHOICES or response.content_type == _ENVELOPE_TYPE:
                with self._answering():
                    text = await response.read()
                self._accepted(response, text)
                raise CommandFailed(f"{self._reach.told} answers {path} without a stream of rows.")
            while True:
                with self._answering():
                    piece = await response.content.readany()
                if not piece:
                    return
                yield piece

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        patience: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        sent = {"Authorization": f"Bearer {self._reach.access_token}", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = _ENVELOPE_TYPE
        return await self._session.request(
            method,
            self._reach.url + path,
            params=query or None,
            data=None if body is None else _ENCODER.encode(body),
            headers=sent,
            timeout=patience,
            allow_redirects=False,
        )

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = printable(str(error)) or type(error).__name__
            raise CommandFailed(f"{self._reach.told} does not answer as it should: {why}") from None

    def _accepted(self, response: aiohttp.ClientResponse, text: bytes) -> Answer:
        if _MULTIPLE_CHOICES <= response.status < _BAD_REQUEST:
            to = printable(response.headers.get("Location", "nowhere"))
            raise CommandFailed(
                f"{self._reach.told} sends us on to {to}; the access token is not sent there. "
                "Set TOLLHOUSE_ADMIN_URL to the address that answers."
            )
        try:
            envelope = msgspec.json.decode(text, type=_Envelope)
        except msgspec.MsgspecError:
            raise CommandFailed(
                f"{self._reach.told} answers with status {response.status} and not as the admin API does. "
                "Is it the address of the admin app, and not of the gateway or of a proxy?"
            ) from None
        if not envelope.success:
            if envelope.code == "unknown_url":
                raise Declined(
                    f"{self._reach.told} has no such call; it may be older than this command "
                    f"({__version__}), or be no admin API.",
                    envelope.code,
                )
            remedy = f" ({self._reach.remedy})" if response.status == _UNAUTHORIZED else ""
            told = "\n".join(each.message for each in envelope.errors) or envelope.message
            raise Declined(printable(told or envelope.code) + remedy, envelope.code)
        return Answer(bytes(envelope.data), envelope.message)


@contextlib.asynccontextmanager
async def calling(reach: Reach) -> AsyncIterator[Api]:
    """A client of the admin API for the length of a block."""
    agent = {"User-Agent": f"tollhouse/{__version__}", "Accept": "*/*"}
    async with aiohttp.ClientSession(headers=agent) as session:
        yield Api(session, reach)
