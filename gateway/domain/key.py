"""Keys: how a secret is made, recognised without any store, digested and shown.

A key is `sk-` + 43 random base-62 characters (256 bits) + 6 characters of CRC-32 over those 43, after the
pattern of GitHub's tokens (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/). The
checksum is no security: it lets garbage be refused without a look-up.
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass

from gateway.domain.pepper import Pepper

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARACTERS = 43
_CHECKSUM_CHARACTERS = 6
_SHAPE = re.compile(r"sk-[0-9A-Za-z]{49}")
# Also what secret scanners may search for.
KEY_PATTERN = r"\bsk-[0-9A-Za-z]{49}\b"

_STARS = "*" * 10
_SHOWN_FIRST = 7
_SHOWN_LAST = 4
_SHOWN_FROM = 16
_HIDDEN = 8


@dataclass(frozen=True, slots=True)
class Foreign:
    """What is kept of another gateway's key: never the key. `last4` is empty where it would tell too much."""

    sha256: bytes
    display: str
    last4: str


def create_key() -> str:
    """A new secret, 52 characters."""
    body = _digits(secrets.randbelow(62**_RANDOM_CHARACTERS), _RANDOM_CHARACTERS)
    return f"sk-{body}{_checksum(body)}"


def is_own(key: str) -> bool:
    """Whether the text has the shape of our keys, whatever its checksum."""
    return _SHAPE.fullmatch(key) is not None


def is_sound(key: str) -> bool:
    """Whether the text can be a key that we made: shape and checksum."""
    return is_own(key) and _checksum(key[3:46]) == key[46:]


def digest(key: str, pepper: Pepper) -> bytes:
    """What we store of a key: HMAC-SHA-256(pepper, SHA-256(key)), 32 bytes."""
    return pepper.digest(sha256_of(key))


def digests(key: str, pepper: Pepper) -> tuple[bytes, ...]:
    """What a key may be stored as: while the pepper is changed there are two, and `digest` is the first."""
    return pepper.digests(sha256_of(key))


def sha256_of(key: str) -> bytes:
    """Of any text that a caller sends: bytes of a header that are no UTF-8 are lone surrogates here."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def display(key: str) -> str:
    """The masked form that lists show: `sk-` and four characters, ten stars, the last four."""
    return f"{key[:_SHOWN_FIRST]}{_STARS}{key[-_SHOWN_LAST:]}"


def foreign(key: str) -> Foreign:
    """Another gateway's key. Of a short one nothing is shown, of a longer one eight characters are hidden at least."""
    sha256 = hashlib.sha256(key.encode()).digest()
    if len(key) < _SHOWN_FROM:
        return Foreign(sha256, _STARS, "")
    first = min(_SHOWN_FIRST, len(key) - _SHOWN_LAST - _HIDDEN)
    last4 = key[-_SHOWN_LAST:]
    return Foreign(sha256, f"{key[:first]}{_STARS}{last4}", last4)


def foreign_by_sha256(sha256: bytes, prefix: str = "", last4: str = "") -> Foreign:
    """Another gateway's key of which only the SHA-256, and perhaps its beginning and end, is known."""
    return Foreign(sha256, f"{prefix}{_STARS}{last4}", last4)


def _checksum(body: str) -> str:
    return _digits(zlib.crc32(body.encode()), _CHECKSUM_CHARACTERS)


def _digits(value: int, count: int) -> str:
    """A number in base 62."""
    digits = []
    for _ in range(count):
        value, remainder = divmod(value, 62)
        digits.append(_ALPHABET[remainder])
    return "".join(reversed(digits))
