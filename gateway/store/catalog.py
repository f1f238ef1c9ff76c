"""The catalog of the moment: the configuration's, and of Postgres its generation and the ids of groups."""

import asyncpg

from gateway.catalog_source import build_catalog
from gateway.config import Loaded
from gateway.domain.catalog import Catalog
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


async def read_catalog(pool: asyncpg.Pool, loaded: Loaded) -> Catalog:
    """The catalog as configuration and database have it now. Raises `StoreUnavailable`."""
    generation = await read_generation(pool)
    return build_catalog(loaded, await read_group_ids(pool), generation)


class CatalogReader:
    """The catalog for who asks now and then: built again only where something has changed."""

    latest: Catalog  # unset until it was read

    def __init__(self, pool: asyncpg.Pool, loaded: Loaded) -> None:
        self._pool = pool
        self._loaded = loaded
        self._built_of: tuple[int, dict[str, int]] | None = None

    async def read(self) -> None:
        """Make `latest` what `read_catalog` would give. Raises `StoreUnavailable`."""
        now = (await read_generation(self._pool), await read_group_ids(self._pool))
        if now != self._built_of:
            self.latest = build_catalog(self._loaded, now[1], now[0])
            self._built_of = now
