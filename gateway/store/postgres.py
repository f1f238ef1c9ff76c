"""Connections to Postgres and the schema they need.

Knows no table but `schema_version`. A DSN is any that asyncpg takes, unix sockets included
(`postgresql://user@/name?host=/directory`).
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from gateway.domain.errors import StoreUnavailable
from gateway.resources import schema_sql

SCHEMA_VERSION = 1
_SCHEMA_LOCK = 0x746F6C6C  # "toll": one process at a time reads or makes the schema
_CONNECT_TIMEOUT_S = 10
APPLICATION = "tollhouse"

# Faults of the server or of the way to it. Everything else that asyncpg raises is a fault of ours.
_UNAVAILABLE = (
    OSError,  # TimeoutError is one
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement cancelled
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,  # a replica, or a primary that was demoted
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)

Connection = asyncpg.Connection | PoolConnectionProxy
Pool = asyncpg.Pool


class SchemaError(Exception):
    """The database is not one that this version can use. The message says why and what to do."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what asyncpg raises when Postgres cannot answer into `StoreUnavailable`."""
    try:
        yield
    except _UNAVAILABLE as error:
        raise StoreUnavailable(_reason(error)) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # What asyncpg says of a connection that broke in the middle of something, and of wrong use. Only a value that
        # does not fit its column is told apart.
        if isinstance(error, ValueError):
            raise
        raise StoreUnavailable(_reason(error)) from error


async def connect(dsn: str, *, statement_timeout_s: float = 0) -> asyncpg.Connection:
    """One connection with our codecs; 0 = statements take as long as they need.

    Raises `StoreUnavailable`.
    """
    with store_errors():
        connection = await asyncpg.connect(
            dsn,
            timeout=_CONNECT_TIMEOUT_S,
            server_settings=_server_settings(statement_timeout_s),
        )
        await _set_codecs(connection)
        return connection


async def open_pool(dsn: str, *, size: int, statement_timeout_s: float) -> asyncpg.Pool:
    """A pool of at most `size` connections. Raises `StoreUnavailable` if not one can be made."""
    with store_errors():
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            timeout=_CONNECT_TIMEOUT_S,
            # The server cancels a slow statement; this is for a server that does not answer at all.
            command_timeout=statement_timeout_s + 5,
            init=_set_codecs,
            reset=_keep,
            server_settings=_server_settings(statement_timeout_s),
        )


@asynccontextmanager
async def transaction(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection within a transaction: committed at the end, rolled back on any exception.

    Raises `StoreUnavailable`, also when it is unknown whether the commit was done.
    """
    with store_errors():
        async with pool.acquire(timeout=_CONNECT_TIMEOUT_S) as connection, connection.transaction():
            yield connection


@asynccontextmanager
async def reading(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection for reads, or for single statements. Raises `StoreUnavailable`."""
    with store_errors():
        async with pool.acquire(timeout=_CONNECT_TIMEOUT_S) as connection:
            yield connection


async def apply_schema(dsn: str) -> None:
    """Make the tables on an empty database, check the version of another.

    Makes the ledger's partitions for this month and the next two in either case, and grants the roles
    their rights. Safe to run from several processes at once. Raises `SchemaError` and `StoreUnavailable`.
    """
    connection = await connect(dsn)
    try:
        with store_errors():
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
                if await _schema_exists(connection):
                    await _check_version(connection)
                else:
                    await _create_schema(connection)
                await connection.execute("SELECT ensure_ledger_partitions(now(), 3)")
                await connection.execute("SELECT grant_rights()")
    except _UNDEFINED as error:
        raise SchemaError(
            "The database was made by a Tollhouse before its first release, and lacks what this one has "
            f"({error.args[0]}): give Tollhouse a new database, or `tollhouse run` a new state directory."
        ) from None
    finally:
        await connection.close()


_UNDEFINED = (
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
)


async def check_schema(pool: asyncpg.Pool) -> None:
    """Raises `SchemaError` unless the tables are of this version, and `StoreUnavailable`."""
    async with reading(pool) as connection:
        await check_tables(connection)


async def check_tables(connection: Connection) -> None:
    """As `check_schema`, over the caller's connection."""
    if not await _schema_exists(connection):
        raise SchemaError("The database has no tables of Tollhouse: run `tollhouse migrate`.")
    await _check_version(connection)


async def _schema_exists(connection: Connection) -> bool:
    return await connection.fetchval("SELECT to_regclass('schema_version') IS NOT NULL") is True


async def _check_version(connection: Connection) -> None:
    version = await connection.fetchval("SELECT max(version) FROM schema_version")
    if version == SCHEMA_VERSION:
        return
    if version is None:
        raise SchemaError(
            "The table schema_version is empty: the database is not whole, restore it."
        )
    if version > SCHEMA_VERSION:
        raise SchemaError(
            f"The database has schema version {version}, this Tollhouse knows {SCHEMA_VERSION}: "
            "upgrade Tollhouse, or use another database."
        )
    raise SchemaError(f"The database has schema version {version}, which no release has made.")


async def _create_schema(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute(schema_sql())
    except (asyncpg.DuplicateTableError, asyncpg.DuplicateFunctionError) as error:
        raise SchemaError(
            f"The database is not empty ({error}): give Tollhouse a database of its own."
        ) from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise SchemaError(f"The database user may not create tables: {error}") from None


def _server_settings(statement_timeout_s: float) -> dict[str, str]:
    return {
        "application_name": APPLICATION,
        "timezone": "UTC",
        "statement_timeout": str(int(statement_timeout_s * 1000)),
    }


async def _set_codecs(connection: asyncpg.Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            encoder=lambda value: orjson.dumps(value).decode(),
            decoder=orjson.loads,
        )


async def _keep(_: asyncpg.Connection) -> None:
    """What asyncpg does when a connection comes back, besides rolling back: a statement less for each use of one.

    That one would undo a session's own state, and nobody here leaves any (`SET LOCAL`, `pg_advisory_xact_lock`).
    """


def _reason(error: Exception) -> str:
    return f"Postgres: {type(error).__name__}: {error}"
