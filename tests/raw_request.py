"""Requests as bytes, that are odd or none: files of `raw_requests/`, and what aiohttp's two parsers make of them.

Those of `refused` are refused with a status of 4xx, those of `one` are one request, however odd. What stands in a body,
or behind a request whose end is in doubt, is the prompt "hidden", which never comes to an upstream.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage, ContentLengthError, TransferEncodingError
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

_FILES = Path(__file__).parent / "raw_requests"
_KEY = b"sk-" + b"K" * 49
REFUSED = "refused"


class Raw(NamedTuple):
    """One of the files: its name, whether it is to be refused, and its bytes with somebody's key."""

    name: str
    is_refused: bool
    template: bytes

    def by(self, key: str) -> bytes:
        """The bytes, with a key in the place of nobody's; all are of one length."""
        assert len(key) == len(_KEY)
        return self.template.replace(_KEY, key.encode())


def raw_requests() -> list[Raw]:
    """All of them."""
    return [
        Raw(path.stem, path.parent.name == "refused", path.read_bytes())
        for path in sorted(_FILES.glob("*/*.http"))
    ]


every_raw_request = pytest.mark.parametrize("raw", raw_requests(), ids=lambda raw: raw.name)


class Read(NamedTuple):
    """A request as a parser reads it; names of fields are in lower case."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    is_whole: bool


def read_by_c(data: bytes) -> list[Read] | str:
    """The requests in these bytes as the gateway's own parser finds them, or `REFUSED`."""
    return _read(HttpRequestParser, data)


def read_by_python(data: bytes) -> list[Read] | str:
    """The same by the other of the two."""
    return _read(HttpRequestParserPy, data)


def _read(parser_class: Callable[..., Any], data: bytes) -> list[Read] | str:
    loop = asyncio.new_event_loop()
    try:
        parser = parser_class(BaseProtocol(loop), loop, 2**16, auto_decompress=False)
        messages, _, _ = parser.feed_data(data)
        return [
            Read(
                message.method,
                message.path,
                tuple((name.lower(), value) for name, value in message.headers.items()),
                payload.read_nowait(),
                payload.is_eof(),
            )
            for message, payload in messages
        ]
    except (BadHttpMessage, TransferEncodingError, ContentLengthError):
        return REFUSED
    finally:
        loop.close()
