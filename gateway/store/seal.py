"""What is kept sealed: AES-256-GCM (NIST SP 800-38D) with the operator's key, and whose it is as associated data.

A sealed value is a version byte, four bytes that tell the key, a nonce of 12 random bytes, the ciphertext and its tag.
After a change of keys the previous one still opens what it sealed, until `tollhouse reseal` has sealed it anew.

The cipher's package takes 7 MB: it is imported where something is sealed or opened, which few workers do.
"""

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE_BYTES = 12
_NAME_BYTES = 4
_HEAD_BYTES = len(_VERSION) + _NAME_BYTES + _NONCE_BYTES


class Unsealable(Exception):
    """A value that no key at hand opens: sealed with another one, or not by us, or for somebody else."""


class Seal:
    """Seals with `key` (32 bytes); opens what `key` or `previous` sealed."""

    def __init__(self, key: bytes, previous: bytes | None = None) -> None:
        self._name = _name_of(key)
        keys = [key] if previous is None else [previous, key]
        self._keys = {_name_of(each): each for each in keys}

    def close(self, content: bytes, owner: bytes) -> bytes:
        """`content`, which opens for the same `owner` only."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _cipher(self._keys[self._name]).encrypt(nonce, content, owner)
        return _VERSION + self._name + nonce + sealed

    def open(self, sealed: bytes, owner: bytes) -> bytes:
        """What was sealed. Raises `Unsealable`."""
        version, name = sealed[:1], sealed[1 : 1 + _NAME_BYTES]
        key = self._keys.get(name)
        if version != _VERSION or key is None:
            raise Unsealable("it was sealed with a key that is not at hand")
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  (see above what it costs)

        nonce = sealed[1 + _NAME_BYTES : _HEAD_BYTES]
        try:
            return _cipher(key).decrypt(nonce, sealed[_HEAD_BYTES:], owner)
        except (InvalidTag, ValueError):
            raise Unsealable("it is not whole, or was sealed for something else") from None

    def is_old(self, sealed: bytes) -> bool:
        """Whether another key than the present one sealed it."""
        return sealed[1 : 1 + _NAME_BYTES] != self._name


def _cipher(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  (see above what it costs)

    return AESGCM(key)


def _name_of(key: bytes) -> bytes:
    return hashlib.sha256(b"tollhouse seal\0" + key).digest()[:_NAME_BYTES]
