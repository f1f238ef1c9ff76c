"""Heads of requests that are plain: which can be read without a grammar, and what they say. Pure.

Plain is what every SDK sends: a POST of HTTP/1.1 with a `content-length`, each field once and in printable ASCII, and
nothing that asks the connection for more than an answer. Whatever else there is (RFC 9112 has a lot) is not refused
here but left to aiohttp's parser, and so are all requests that are wrong: nothing that this module lets pass may mean
anything else to it, which a test holds them to.
"""

import re
from typing import Final, NamedTuple

MOST_HEAD_BYTES: Final = 8000
"""Below aiohttp's limit for one line."""
_MOST_LINES: Final = 100
_MOST_DIGITS: Final = 10

_BEGIN, _END = b"POST /", " HTTP/1.1"
_TEXT = bytes(range(0x20, 0x7F)) + b"\t"
# Escapes would have to be read; a fragment no client may send (RFC 9110 section 7.1).
_NOT_IN_TARGET = frozenset(" \t%#")
_METHOD = re.compile(rb"[A-Z]{1,20}(?: |$)")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_ASKS_FOR_MORE = frozenset(
    {"expect", "transfer-encoding", "upgrade", "te", "trailer", "keep-alive", "http2-settings"}
)

# Names as clients write them, to those in lower case: most clients send the same few.
_names: dict[str, str] = {}
_MOST_NAMES: Final = 1000
_LONGEST_NAME: Final = 64


class Fields(dict[str, str]):
    """Fields of a head by their name in lower case, each of which stands there once."""

    __slots__ = ()

    def getall(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """All values of a field: one, or the default."""
        value = self.get(name)
        return default if value is None else (value,)


class Head(NamedTuple):
    """What a plain head says; path and query as they were sent."""

    path: str
    query: str
    fields: Fields
    body_bytes: int


def may_be_head(data: bytes) -> bool:
    """Whether these first bytes could be those of a head that is not whole yet, plain or not: it is waited for."""
    return _METHOD.match(data) is not None and b"\n\n" not in data


def read_head(head: bytes) -> Head | None:
    """What a head says (without the empty line after it), or None where it is not plain."""
    if not head.startswith(_BEGIN):
        return None
    ends = head.translate(None, _TEXT)
    first, *lines = head.decode("latin-1").split("\r\n")
    if ends != b"\r\n" * len(lines) or len(lines) > _MOST_LINES or not first.endswith(_END):
        return None
    target = first[5 : -len(_END)]
    if not _NOT_IN_TARGET.isdisjoint(target):
        return None
    fields = Fields()
    for line in lines:
        written, colon, value = line.partition(":")
        name = _names.get(written) or _name(written)
        if name is None or not colon or name in fields:
            return None
        fields[name] = value.strip(" \t")
    length = fields.get("content-length", "")
    if (
        not length.isdigit()
        or len(length) > _MOST_DIGITS
        or "host" not in fields
        or fields.get("connection", "keep-alive").lower() != "keep-alive"
        or not _ASKS_FOR_MORE.isdisjoint(fields)
    ):
        return None
    path, _, query = target.partition("?")
    return Head(path, query, fields, int(length))


def _name(written: str) -> str | None:
    """A field's name in lower case, or None where it is none."""
    if not _TOKEN.fullmatch(written):
        return None
    name = written.lower()
    if len(_names) < _MOST_NAMES and len(written) <= _LONGEST_NAME:
        _names[written] = name
    return name
