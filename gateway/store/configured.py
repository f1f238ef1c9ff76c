"""What the configuration names, in the database: every configured group has a row."""

from collections.abc import Iterable

import asyncpg

from gateway.catalog_entries import DEFAULT_GROUP
from gateway.catalog_settings import GroupSettings, UpstreamSettings
from gateway.config import ConfigError, Loaded
from gateway.settings import Config
from gateway.store.catalog import group_columns
from gateway.store.postgres import Connection, transaction

_REGISTER = 'INSERT INTO "group" (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING'
_CLOSE = """UPDATE "group" SET open = false WHERE source = 'file' AND open AND name <> ALL ($1::text[])"""
_DESCRIBE = """
UPDATE "group" SET open = $2, subscription_granted = $3
 WHERE name = $1 AND source = 'file' AND (open, subscription_granted) IS DISTINCT FROM ($2, $3::bigint)
"""
_TAKEN = """
SELECT 'groups', name FROM "group" WHERE source = 'api' AND name = ANY ($1::text[])
UNION ALL SELECT 'models', name FROM model WHERE name = ANY ($2::text[])
UNION ALL SELECT 'upstreams', name FROM upstream WHERE name = ANY ($3::text[])
"""


async def register_entries(pool: asyncpg.Pool, loaded: Loaded) -> None:
    """Give every configured group a row, and so an id.

    Raises `ConfigError` for a name in the configuration that the admin API has taken.
    """
    async with transaction(pool) as connection:
        await register(connection, loaded.config, loaded.left_out)


async def register(
    connection: Connection, config: Config, left_out: Iterable[UpstreamSettings] = ()
) -> None:
    """The same within a transaction."""
    groups = {DEFAULT_GROUP: GroupSettings(), **config.groups}
    await connection.execute(_REGISTER, sorted(groups))
    await connection.execute(_CLOSE, [*groups])
    await connection.executemany(
        _DESCRIBE, [(name, *group_columns(settings)) for name, settings in groups.items()]
    )
    taken = await connection.fetch(
        _TAKEN,
        [*groups],
        [model.name for model in config.models],
        [upstream.name for upstream in (*config.upstreams, *left_out)],
    )
    if taken:
        raise ConfigError(
            [
                f"{table}.{name}: the admin API made one of this name; rename this one, or delete that one over the "
                "API before it stands here"
                for table, name in taken
            ]
        )
