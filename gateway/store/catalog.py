"""What Postgres knows of the catalog: its generation and the ids of groups."""

import asyncpg

from gateway.store.postgres import store_errors


async def read_generation(pool: asyncpg.Pool) -> int:
    """The catalog's generation. Raises `StoreUnavailable`."""
    with store_errors():
        return int(await pool.fetchval("SELECT generation FROM catalog"))


async def read_group_ids(pool: asyncpg.Pool) -> dict[str, int]:
    """The id of every group by its name. Raises `StoreUnavailable`."""
    with store_errors():
        rows = await pool.fetch('SELECT name, id FROM "group"')
    return {row["name"]: row["id"] for row in rows}
