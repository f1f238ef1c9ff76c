"""How a webhook is signed, so that its receiver knows who calls: https://www.standardwebhooks.com. Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

_PREFIX: Final = "whsec_"


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The headers of a call with `body` at `timestamp` (Unix seconds)."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.digest(_key_of(secret), signed, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def secret_of(random: bytes) -> str:
    """A secret as it is shown to the receiver's owner; at least 24 bytes of randomness."""
    return _PREFIX + base64.b64encode(random).decode()


def _key_of(secret: str) -> bytes:
    """What stands behind the prefix in Base64; a secret of another form counts as it is."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
