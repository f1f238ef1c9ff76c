"""Whose turn it is to audit unasked: one process's of all, by an advisory lock of Postgres.

The lock is that of a transaction which does nothing, over a connection of its own: it is free again when the process
ends, however it ends, and a pooler that gives each transaction another session leaves it alone.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from gateway.store.postgres import check_tables, connect, store_errors

_LOCK: Final = 0x746F6C61  # "tola"
_BEGIN: Final = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0"
_TAKE: Final = "SELECT pg_try_advisory_xact_lock($1)"
_CHECK_TIMEOUT_S: Final = 10


class Turn:
    """The turn, for as long as its connection lives."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def check(self) -> None:
        """Raises `StoreUnavailable` when it may be another's by now."""
        with store_errors():
            await self._connection.execute("SELECT", timeout=_CHECK_TIMEOUT_S)


@asynccontextmanager
async def take_turn(dsn: str) -> AsyncIterator[Turn | None]:
    """The turn; None where another process, anywhere, has it.

    Raises `StoreUnavailable`, and `SchemaError` for a database that is none of ours.
    """
    connection = await connect(dsn)
    try:
        with store_errors():
            await check_tables(connection)
            await connection.execute(_BEGIN)
            taken = await connection.fetchval(_TAKE, _LOCK)
        yield Turn(connection) if taken else None
    finally:
        connection.terminate()
