"""Whatever stands where a key should: our own are known by shape and checksum, of others little is shown."""

import re
import zlib

from gateway.domain import key as keys
from gateway.domain.pepper import Pepper
from gateway.domain.redaction import redact
from gateway.relay.query import key_in, passed_on
from tests.fuzz.target import Target

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHOWN_MOST = 11


def keeps(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")  # as headers are read
    assert keys.is_sound(text) == _is_sound(text)
    assert keys.is_own(text) or not keys.is_sound(text)
    assert len(keys.digest(text, Pepper(b"p" * 32))) == 32
    if keys.is_own(text):
        assert re.fullmatch(keys.KEY_PATTERN, text)
        assert text not in redact(f"said {text}.")
    assert len(keys.display(text).replace("*", "")) <= _SHOWN_MOST
    _shows_little(data.decode("utf-8", "replace"))
    _is_not_passed_on(data.decode("latin-1"))


def _is_sound(text: str) -> bool:
    """The same by reckoning back."""
    if len(text) != 52 or text[:3] != "sk-" or any(each not in _DIGITS for each in text[3:]):
        return False
    value = 0
    for digit in text[46:]:
        value = value * 62 + _DIGITS.index(digit)
    return value == zlib.crc32(text[3:46].encode())


def _shows_little(text: str) -> None:
    found = keys.foreign(text)
    shown = found.display.replace("*" * 10, "", 1)
    assert len(shown) <= _SHOWN_MOST
    assert not shown or len(text) - len(shown) >= 8


def _is_not_passed_on(query: str) -> None:
    """A key in a query is found, and goes no further."""
    passed = passed_on(query)
    assert key_in(passed.removeprefix("?")) is None
    assert len(passed) <= len(query) + 1


TARGET = Target(
    "key",
    keeps,
    (
        *(b"sk-", b"SK-", b"tht_", b"0" * 43, b"2CZclj", b"a" * 49, b"\n", b"\0", b" ", b"\xff"),
        *(b"key=", b"&key=", b"%6bey=", b"k%65y=", b"&", b"=", b"%", b"%00", b"+", b"\xef\xbc\xa1"),
        *(b"?", b"#", b";key=", b"Key=", b"\xed\xa0\x80", b"%25", b"*" * 10, b"-", b"_"),
    ),
)
