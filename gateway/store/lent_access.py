"""An access token for as long as a command on this machine runs: the first owner's, and gone after it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.domain import key as keys
from gateway.domain.edit import Actor
from gateway.domain.pepper import Pepper
from gateway.store import audit
from gateway.store.people import write_access_token
from gateway.store.postgres import Pool, transaction

_COMMAND_LINE: Final = Actor("cli", any_group=True)
_LONGEST: Final = timedelta(minutes=15)


class NoOwner(Exception):
    """Nobody is there on whose behalf the command could work."""


@contextlib.asynccontextmanager
async def lent_access(pool: Pool, pepper: Pepper, name: str) -> AsyncIterator[str]:
    """The access token; it is deleted after the block, and ends by itself where that cannot be done.

    Raises `NoOwner` and `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        owner = await connection.fetchval(
            """SELECT id FROM "user" WHERE role = 'owner' AND status = 1 ORDER BY id LIMIT 1"""
        )
        if owner is None:
            raise NoOwner(
                "The database has no enabled owner to work for; `tollhouse run` makes the first one."
            )
        expires_at = datetime.now(UTC) + _LONGEST
        token = await write_access_token(
            connection, _COMMAND_LINE, owner, name, pepper, expires_at=expires_at
        )
    try:
        yield token
    finally:
        await _take_back(pool, keys.digests(token, pepper), name)


async def _take_back(pool: Pool, digests: Sequence[bytes], name: str) -> None:
    async with transaction(pool) as connection:
        found = await connection.fetchval(
            "DELETE FROM access_token WHERE digest = ANY ($1) RETURNING id", digests
        )
        if found is not None:
            before = {"name": name}
            await audit.record(
                connection, _COMMAND_LINE, "access_token.delete", found, before=before
            )
