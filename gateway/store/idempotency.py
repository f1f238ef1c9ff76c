"""Answers to repeated creations with the same `Idempotency-Key`, for 24 hours.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ has the header. An answer holds a key, so it
is sealed. It is written in the transaction of what it tells of: there is one if and only
if that was done.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import asyncpg

from gateway.domain.rejection import Problem, Rejected, rejected
from gateway.domain.rules import Rule
from gateway.store.postgres import Connection, Pool, reading, transaction
from gateway.store.seal import Seal, Unsealable

_FIND = """
SELECT body_digest, answer FROM idempotency
 WHERE user_id = $1 AND idem_key = $2 AND at > now() - interval '24 hours'
"""
_DROP_OLD = "DELETE FROM idempotency WHERE user_id = $1 AND at <= now() - interval '24 hours'"
_INSERT = "INSERT INTO idempotency (user_id, idem_key, body_digest, answer) VALUES ($1, $2, $3, $4)"

T = TypeVar("T")


class Repeated(Exception):
    """Somebody else did the same at the same time, and was first."""


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is carried out once: whose it is, its key, and what all that it asks for may be stored as."""

    user_id: int
    key: str
    digests: Sequence[bytes]
    seal: Seal

    async def answer(self, pool: Pool) -> bytes | None:
        """What it was answered before; None where it is new.

        Raises `Rejected` for the key of another request, and `StoreUnavailable`.
        """
        async with reading(pool) as connection:
            row = await connection.fetchrow(_FIND, self.user_id, self.key)
        if row is None:
            return None
        if row["body_digest"] not in self.digests:
            raise _reused(Rule.IDEMPOTENCY_KEY_REUSED)
        try:
            return self.seal.open(row["answer"], self._owner)
        except Unsealable:
            raise _reused(Rule.ANSWER_LOST) from None

    async def remember(self, connection: Connection, answer: bytes) -> None:
        """Keep the answer, within the transaction of what it tells of. Raises `Repeated`."""
        await connection.execute(_DROP_OLD, self.user_id)
        sealed = self.seal.close(answer, self._owner)
        try:
            await connection.execute(_INSERT, self.user_id, self.key, self.digests[0], sealed)
        except asyncpg.UniqueViolationError:
            raise Repeated from None

    @property
    def _owner(self) -> bytes:
        return f"{self.user_id} {self.key}".encode()


async def carry_out(
    pool: Pool,
    once: Once | None,
    write: Callable[[Connection], Awaitable[T]],
    answer_of: Callable[[T], bytes],
    *,
    one_statement: bool = False,
) -> T | bytes:
    """Write in one transaction; what was written, or the answer of the first time where this is a repetition.

    `one_statement`: what `write` does is one, so that it is a transaction by itself if nothing is to be remembered.

    Raises whatever `write` does, `Rejected` as `Once.answer` does, and `StoreUnavailable`.
    """
    begin = reading if one_statement and once is None else transaction
    while True:
        if once is not None and (earlier := await once.answer(pool)) is not None:
            return earlier
        try:
            async with begin(pool) as connection:
                written = await write(connection)
                if once is not None:
                    await once.remember(connection, answer_of(written))
        except Repeated:
            continue  # the first has committed: its answer is there
        return written


def _reused(rule: Rule) -> Rejected:
    return rejected(Problem.IDEMPOTENCY_KEY_REUSED, "Idempotency-Key", rule)
