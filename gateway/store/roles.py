"""Roles of the database: who connects as which. What each may do is `grant_rights` of schema.sql."""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Final

from gateway.store.postgres import connect, store_errors

GATEWAY: Final = "tollhouse_gateway"
ADMIN: Final = "tollhouse_admin"
READER: Final = "tollhouse_reader"

_ITERATIONS: Final = 4096  # Postgres' own number
_SALT_BYTES: Final = 16


async def let_in(dsn: str, passwords: Mapping[str, str]) -> None:
    """Let roles log in with these passwords, by a connection of whoever made them. Raises `StoreUnavailable`."""
    connection = await connect(dsn)
    try:
        with store_errors():
            for role, password in passwords.items():
                # The name is ours. No parameter can stand there, and no log gets to see the password.
                verifier = _verifier(password.encode("ascii"))
                await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{verifier}'")
    finally:
        await connection.close()


def _verifier(password: bytes) -> str:
    """What Postgres keeps of a password of ASCII: https://www.rfc-editor.org/rfc/rfc5803, RFC 7677."""
    salt = os.urandom(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    shown = [base64.b64encode(each).decode() for each in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{shown[0]}${shown[1]}:{shown[2]}"
