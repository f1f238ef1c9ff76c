"""The pepper: the secret that digests are made with. It is not in the database.

While it is changed there are two: new digests are made with one, those of the other are recognised, too. Each digest
is stored with the *version* of its pepper, a number that is worked out of the pepper, so that nobody has to count them.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

_LABEL: Final = b"tollhouse pepper\0"


class Pepper:
    """`secret` makes digests; those that `other` has made are recognised. Nothing of them is printed."""

    __slots__ = ("_secrets", "versions")

    def __init__(self, secret: bytes, other: bytes | None = None) -> None:
        self._secrets = (secret,) if other is None else (secret, other)
        self.versions: Sequence[int] = tuple(_version_of(each) for each in self._secrets)

    @property
    def version(self) -> int:
        """Of the pepper that makes digests."""
        return self.versions[0]

    def digest(self, sha256: bytes) -> bytes:
        """What is stored of a secret from now on: HMAC-SHA-256(pepper, SHA-256(secret)), 32 bytes."""
        return hmac.digest(self._secrets[0], sha256, "sha256")

    def digests(self, sha256: bytes) -> tuple[bytes, ...]:
        """All that may be stored of it, that of `digest` first."""
        return tuple(hmac.digest(each, sha256, "sha256") for each in self._secrets)


def _version_of(secret: bytes) -> int:
    """31 bits of a digest: they fit a column, and tell nothing of 32 random bytes."""
    return int.from_bytes(hashlib.sha256(_LABEL + secret).digest()[:4], "big") >> 1
