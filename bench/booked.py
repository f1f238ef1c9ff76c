"""What the ledger of a Tollhouse has, of all keys."""

import asyncpg

_CALLS = "SELECT count(*) FROM ledger WHERE kind = 'c' AND anomaly IS DISTINCT FROM 'void'"


async def booked_calls(dsn: str) -> int:
    """How many calls it has a row of; those that were given up unheard (void) were answered with a 503."""
    connection = await asyncpg.connect(dsn)
    try:
        calls: int = await connection.fetchval(_CALLS)
        return calls
    finally:
        await connection.close()
