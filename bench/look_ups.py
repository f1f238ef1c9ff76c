"""How often a Tollhouse asks Postgres which token a key opens, by Postgres's own log of statements."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg

_LOOK_UP = b"x.digest = $1"  # of gateway/store/keys.py
_HEARD_S = 1.0  # until each backend has heard of a new setting, or has written its last line


class LookUps:
    """What was counted, once the `with` block of `counted` is over."""

    count = 0


@contextlib.contextmanager
def counted(dsn: str, state: Path) -> Iterator[LookUps]:
    """Count the look-ups within the block. `state` is the state directory, with the embedded Postgres's log."""
    log = state / "pg.log"
    found = LookUps()
    asyncio.run(_execute(dsn, "ALTER SYSTEM SET log_statement = 'all'"))
    start = log.stat().st_size
    try:
        yield found
        time.sleep(_HEARD_S)
        with log.open("rb") as file:
            file.seek(start)
            found.count = file.read().count(_LOOK_UP)
    finally:
        asyncio.run(_execute(dsn, "ALTER SYSTEM RESET log_statement"))


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
    await asyncio.sleep(_HEARD_S)
