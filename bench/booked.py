"""What the ledger of a Tollhouse has, of all keys."""

import asyncpg


async def booked_calls(dsn: str) -> int:
    """How many calls it has a row of."""
    connection = await asyncpg.connect(dsn)
    try:
        calls: int = await connection.fetchval("SELECT count(*) FROM ledger WHERE kind = 'c'")
        return calls
    finally:
        await connection.close()
