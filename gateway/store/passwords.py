"""Passwords: argon2id hashes, made and checked off the event loop.

Parameters are OWASP's minimum
(https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html): 19 MiB, 2
passes, 1 lane. At most two hashes run at once, so that log-ins cannot take the machine.
"""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import argon2

from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule

_MIN_CHARACTERS = 12
_MAX_CHARACTERS = 256
_ONE_TIME_BYTES = 15
_PARALLEL = 2
_NO_SALT, _NO_HASH = "A" * 22, "A" * 43  # 16 and 32 bytes in base 64


class Passwords:
    """The two threads that hash. Owned by the application; `close` ends them."""

    hasher: ClassVar = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="argon2")

    async def hash(self, password: str) -> str:
        """The hash to store, about 30 ms."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self.hasher.hash, password
        )

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one; None (nobody) never is, and takes as long."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, _verify, self.hasher, stored, password
        )

    def close(self) -> None:
        """End the threads; hashes that wait are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def one_time_password() -> str:
    """A password to be changed at once: 20 characters, 120 bits."""
    return secrets.token_urlsafe(_ONE_TIME_BYTES)


def check_new_password(password: str, *, username: str, old: str) -> None:
    """Raises `Rejected` for a password that may not be chosen."""
    if not _MIN_CHARACTERS <= len(password) <= _MAX_CHARACTERS:
        raise invalid("password", Rule.PASSWORD_LENGTH, least=_MIN_CHARACTERS, most=_MAX_CHARACTERS)
    if password == old:
        raise invalid("password", Rule.PASSWORD_UNCHANGED)
    if password.strip().lower() == username.lower():
        raise invalid("password", Rule.PASSWORD_IS_USERNAME)


def _verify(hasher: argon2.PasswordHasher, stored: str | None, password: str) -> bool:
    try:
        hasher.verify(stored or _nobodys(hasher), password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
    return stored is not None


def _nobodys(hasher: argon2.PasswordHasher) -> str:
    """What an unknown user's password is compared with: the answer takes as long as for a known one."""
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${_NO_SALT}${_NO_HASH}"
