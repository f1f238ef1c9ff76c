"""The catalog of the moment: the configuration's entries and those in Postgres, of one generation."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

import asyncpg

from gateway.catalog_entries import Entries, Kind, OpenKeys, Row, entries_of, no_keys
from gateway.catalog_settings import GroupSettings
from gateway.catalog_source import catalog_of
from gateway.config import Loaded
from gateway.domain.catalog import Catalog, nusd
from gateway.store.postgres import Connection, Pool, store_errors

_log = logging.getLogger(__name__)

_GROUPS = """
SELECT id, name, source, spec, version, created_at FROM "group" WHERE deleted_at IS NULL ORDER BY id
"""
_MODELS = "SELECT name, spec, version, created_at, price_version FROM model ORDER BY name"
_UPSTREAMS = (
    "SELECT name, spec, version, created_at, sealed_keys, key_hints FROM upstream ORDER BY name"
)


async def read_generation(pool: Pool) -> int:
    """The catalog's generation. Raises `StoreUnavailable`."""
    with store_errors():
        return int(await pool.fetchval("SELECT generation FROM catalog"))


async def raise_generation(connection: Pool | Connection, at_least: int = 0) -> int:
    """Make the generation another, and not below `at_least`; what it is now. Raises `StoreUnavailable`."""
    with store_errors():
        raised = await connection.fetchval(
            "UPDATE catalog SET generation = greatest(generation + 1, $1) RETURNING generation",
            at_least,
        )
    return int(raised)


def group_columns(settings: GroupSettings) -> tuple[bool, int | None]:
    """What of a group stands in columns of its own, since other queries ask for it."""
    quota = settings.subscription.quota_usd
    return settings.users == "all", None if quota is None else nusd(quota)


async def read_group_ids(pool: Pool) -> dict[str, int]:
    """The id of every group by its name. Raises `StoreUnavailable`."""
    with store_errors():
        return {row["name"]: row["id"] for row in await pool.fetch(_GROUPS)}


async def read_rows(connection: Connection) -> tuple[list[Row], dict[str, int]]:
    """What the API made, and the id of every group by its name."""
    groups = await connection.fetch(_GROUPS)
    ids = {row["name"]: row["id"] for row in groups}
    made = [row for row in groups if row["source"] == "api"]
    models, upstreams = await connection.fetch(_MODELS), await connection.fetch(_UPSTREAMS)
    kinds: Sequence[tuple[Kind, Sequence[asyncpg.Record]]] = (
        ("group", made),
        ("model", models),
        ("upstream", upstreams),
    )
    return [_row(kind, each) for kind, found in kinds for each in found], ids


def _row(kind: Kind, record: asyncpg.Record) -> Row:
    """A row of one of the three tables. What is no object is none of ours, and will be told so."""
    fields = {name: value for name, value in record.items() if name in Row._fields}
    if not isinstance(fields["spec"], dict):
        fields["spec"] = {"spec": fields["spec"]}
    return Row(kind, **fields)


class CatalogReader:
    """The catalog of the moment: built again only where its generation is another.

    `open_keys` opens the keys of upstreams that the API made.
    """

    latest: Catalog  # unset until it was read, as are the others
    entries: Entries
    rows: Sequence[Row]

    def __init__(self, pool: Pool, loaded: Loaded, open_keys: OpenKeys = no_keys) -> None:
        self.loaded = loaded
        self._pool = pool
        self._open_keys = open_keys
        self._reading = asyncio.Lock()
        self._broken: Mapping[tuple[Kind, str], str] = {}

    @property
    def is_read(self) -> bool:
        """Whether it was read yet."""
        return hasattr(self, "latest")

    async def read(self, generation: int | None = None) -> Catalog:
        """Make `latest` that of the present generation. Raises `StoreUnavailable`.

        With a `generation`, which the caller has read with something else, a later one will do, and none is asked for.
        """
        async with self._reading:
            if not self.is_read:
                await self._build()
            elif generation is not None:
                if self.latest.generation < generation:
                    await self._build()
            elif self.latest.generation != await read_generation(self._pool):
                await self._build()
        return self.latest

    async def reach(self, generation: int) -> Catalog:
        """Likewise, where `latest` is older than a generation that others know.

        If Postgres does not know it (it came back without its last commits), it is told of it. Many may ask at once:
        one reads.
        """
        async with self._reading:
            if self.latest.generation < generation:
                await self._build()
            if self.latest.generation < generation:
                await raise_generation(self._pool, generation)
                await self._build()
        return self.latest

    async def adopt(self, loaded: Loaded) -> Catalog:
        """Make `latest` that of another configuration. Raises `StoreUnavailable`; then nothing is changed."""
        async with self._reading:
            await self._build(loaded)
        return self.latest

    async def _build(self, loaded: Loaded | None = None) -> None:
        loaded = loaded or self.loaded
        with store_errors():
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                generation = await connection.fetchval("SELECT generation FROM catalog")
                rows, ids = await read_rows(connection)
        entries = entries_of(loaded, rows, self._open_keys)
        # The price book may be asked about every model: too long for whoever else waits for this loop.
        self.latest = await asyncio.to_thread(catalog_of, entries, ids, int(generation))
        self.loaded, self.entries, self.rows = loaded, entries, rows
        for place, reason in entries.broken.items():
            if self._broken.get(place) != reason:
                _log.error("%s %r is left out of the catalog: %s", *place, reason)
        self._broken = entries.broken
