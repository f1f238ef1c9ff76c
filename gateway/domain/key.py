"""Keys: how a secret is made, recognised without any store, digested and shown.

A key is `sk-` + 43 random base-62 characters (256 bits) + 6 characters of CRC-32 over those 43, after the
pattern of GitHub's tokens (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/). The
checksum is no security: it lets garbage be refused without a look-up.
"""

import hashlib
import hmac
import re
import secrets
import zlib

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARACTERS = 43
_CHECKSUM_CHARACTERS = 6
_SHAPE = re.compile(r"sk-[0-9A-Za-z]{49}")
# Also what secret scanners may search for.
KEY_PATTERN = r"\bsk-[0-9A-Za-z]{49}\b"


def create_key() -> str:
    """A new secret, 52 characters."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return f"sk-{body}{_checksum(body)}"


def is_own(key: str) -> bool:
    """Whether the text has the shape of our keys, whatever its checksum."""
    return _SHAPE.fullmatch(key) is not None


def is_sound(key: str) -> bool:
    """Whether the text can be a key that we made: shape and checksum."""
    return is_own(key) and _checksum(key[3:46]) == key[46:]


def digest(key: str, pepper: bytes) -> bytes:
    """What we store of a key: HMAC-SHA-256(pepper, SHA-256(key)), 32 bytes."""
    return hmac.digest(pepper, hashlib.sha256(key.encode()).digest(), "sha256")


def display(key: str) -> str:
    """The masked form that lists show: `sk-` and four characters, ten stars, the last four."""
    return f"{key[:7]}{'*' * 10}{key[-4:]}"


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode())
    digits = []
    for _ in range(_CHECKSUM_CHARACTERS):
        value, remainder = divmod(value, 62)
        digits.append(_ALPHABET[remainder])
    return "".join(reversed(digits))
