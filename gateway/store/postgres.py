"""Connections to Postgres and the schema they need.

Knows no table but `schema_version` and `ledger_keeping`. A DSN is any that asyncpg takes, unix sockets included
(`postgresql://user@/name?host=/directory`). Of several hosts the one that can be written is meant. `pgbouncer=true` in
it says that a pooler is between, which gives each transaction another session: then nothing is left in a session.
`embedded=true` says that the server was started by who started us, so that its processes are to be seen.
"""

import functools
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from gateway.domain.errors import StoreUnavailable
from gateway.giving_way import lower
from gateway.resources import migrations, schema_sql

SCHEMA_VERSION = 5
"""The number of the last file of migrations/."""
_SCHEMA_LOCK = 0x746F6C6C  # "toll": one process at a time reads or makes the schema
_LOCKS_S = (
    5  # a migration that has to wait longer for others' statements stops there, and holds nobody up
)
_CONNECT_TIMEOUT_S = 10
_IDLE_S, _RARELY_IDLE_S = 300, 10
APPLICATION = "tollhouse"
_POOLED: Final = ("pgbouncer", "true")
_EMBEDDED: Final = ("embedded", "true")
_OURS: Final = (_POOLED[0], _EMBEDDED[0])
_ATTRIBUTES: Final = "target_session_attrs"
_log = logging.getLogger(__name__)

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


async def connect(
    dsn: str, *, statement_timeout_s: float = 0, gives_way: int = 0
) -> asyncpg.Connection:
    """One connection with our codecs; 0 = statements take as long as they need.

    `gives_way`: no call waits for what is done over it, so an embedded server's process behind it is lowered by that
    much (gateway/giving_way.py). Raises `StoreUnavailable`.
    """
    with store_errors():
        connection: asyncpg.Connection = await asyncpg.connect(
            timeout=_CONNECT_TIMEOUT_S, **_address(dsn, statement_timeout_s)
        )
        try:
            await _prepare(dsn, gives_way, connection)
        except BaseException:
            connection.terminate()
            raise
        return connection


async def open_pool(
    dsn: str, *, size: int, statement_timeout_s: float, gives_way: int = 0
) -> asyncpg.Pool:
    """A pool of at most `size` connections like those of `connect`.

    One that `gives_way` is for rare work: it keeps none that is idle, and what a connection took goes with it. Raises
    `StoreUnavailable` if not one can be made.
    """
    with store_errors():
        pool = await asyncpg.create_pool(
            min_size=0 if gives_way else 1,
            max_size=size,
            max_inactive_connection_lifetime=_RARELY_IDLE_S if gives_way else _IDLE_S,
            timeout=_CONNECT_TIMEOUT_S,
            # The server cancels a slow statement; this is for a server that does not answer at all.
            command_timeout=statement_timeout_s + 5,
            init=functools.partial(_prepare, dsn, gives_way),
            reset=_keep,
            **_address(dsn, statement_timeout_s),
        )
        if is_pooled(dsn) and await pool.fetchval("SHOW statement_timeout") == "0":
            _log.warning(
                "Postgres bounds no statement of %s: a pooler cannot be told by each connection, so say it to the role "
                "(ALTER ROLE … SET statement_timeout; docs/operations.md)",
                urlsplit(dsn).username,
            )
        return pool


@asynccontextmanager
async def transaction(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection within a transaction: committed at the end, rolled back on any exception.

    Raises `StoreUnavailable`, also when it is unknown whether the commit was done.
    """
    with store_errors():
        async with (
            _writable(pool),
            pool.acquire(timeout=_CONNECT_TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            yield connection


@asynccontextmanager
async def reading(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection for reads, or for single statements. Raises `StoreUnavailable`."""
    with store_errors():
        async with (
            _writable(pool),
            pool.acquire(timeout=_CONNECT_TIMEOUT_S) as connection,
        ):
            yield connection


@asynccontextmanager
async def _writable(pool: asyncpg.Pool) -> AsyncIterator[None]:
    """Give up all connections of a pool once one of them cannot write: the next ones look for whoever can by then."""
    try:
        yield
    except asyncpg.ReadOnlySQLTransactionError:
        await pool.expire_connections()
        raise


@asynccontextmanager
async def reading_at_once(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """A connection for reads that all see the same instant. Raises `StoreUnavailable`."""
    with store_errors():
        async with (
            pool.acquire(timeout=_CONNECT_TIMEOUT_S) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection


async def apply_schema(dsn: str, *, retention_months: int | None = None) -> None:
    """Make the tables on an empty database, bring an earlier one to this version, check the version of another.

    Makes the ledger's partitions for this month and the next two in any case, grants the roles their rights, and has
    the ledger keep `retention_months` from now on (None: as before). Safe to run from several processes at once, and
    while others use the database. Raises `SchemaError` and `StoreUnavailable`.
    """
    connection = await connect(dsn)
    try:
        with store_errors():
            while not await _come_nearer(connection):
                pass
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
                await connection.execute("SELECT ensure_ledger_partitions(now(), 3)")
                await connection.execute("SELECT grant_rights()")
                if retention_months is not None:
                    await connection.execute(_RETAIN, retention_months)
    except _UNDEFINED as error:
        raise SchemaError(
            "The database was made by a Tollhouse before its first release, and lacks what this one has "
            f"({error.args[0]}): give Tollhouse a new database, or `tollhouse run` a new state directory."
        ) from None
    finally:
        await connection.close()


_RETAIN = """
UPDATE ledger_keeping SET retention_months = $1 WHERE retention_months <> $1
"""


async def _come_nearer(connection: asyncpg.Connection) -> bool:
    """Make the schema, or run the next migration, whole or not at all; whether nothing is left to do."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _SCHEMA_LOCK)
        if not await _schema_exists(connection):
            await _create_schema(connection)
            return True
        version = await _version(connection)
        if version < SCHEMA_VERSION:
            name, statements = migrations()[version + 1]
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCKS_S}s'")
            try:
                await connection.execute(statements)
            except asyncpg.LockNotAvailableError:
                raise StoreUnavailable(
                    f"{name} waited {_LOCKS_S} s for what somebody else holds, and changed nothing: run it again"
                ) from None
            await connection.execute(
                "INSERT INTO schema_version (version) VALUES ($1)", version + 1
            )
        return version >= SCHEMA_VERSION - 1


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
    version = await _version(connection)
    if version < SCHEMA_VERSION:
        raise SchemaError(
            f"The database has schema version {version}, this Tollhouse needs {SCHEMA_VERSION}: "
            "run `tollhouse migrate`."
        )


async def _version(connection: Connection) -> int:
    """The version that the database has. Raises `SchemaError` for one that nobody knows."""
    version: int | None = await connection.fetchval("SELECT max(version) FROM schema_version")
    if version is None:
        raise SchemaError(
            "The table schema_version is empty: the database is not whole, restore it."
        )
    if version > SCHEMA_VERSION:
        raise SchemaError(
            f"The database has schema version {version}, this Tollhouse knows {SCHEMA_VERSION}: "
            "upgrade Tollhouse, or use another database."
        )
    if version < 1:
        raise SchemaError(f"The database has schema version {version}, which no release has made.")
    return version


async def _create_schema(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute(schema_sql())
    except (asyncpg.DuplicateTableError, asyncpg.DuplicateFunctionError) as error:
        raise SchemaError(
            f"The database is not empty ({error}): give Tollhouse a database of its own."
        ) from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise SchemaError(f"The database user may not create tables: {error}") from None


def is_pooled(dsn: str) -> bool:
    """Whether each transaction may get another session of the server."""
    return _has(dsn, _POOLED)


def embedded_dsn(dsn: str) -> str:
    """The DSN of a server with a query, for those whom the starter of the server starts."""
    return f"{dsn}&{urlencode([_EMBEDDED])}"


def _has(dsn: str, word: tuple[str, str]) -> bool:
    return word in parse_qsl(urlsplit(dsn).query)


def _address(dsn: str, statement_timeout_s: float) -> dict[str, Any]:
    """What asyncpg is told of where to connect to, and how."""
    settings = {"application_name": APPLICATION, "timezone": "UTC"}
    given = parse_qsl(urlsplit(dsn).query, keep_blank_values=True)
    query = [each for each in given if each[0] not in _OURS]
    hosts = urlsplit(dsn).netloc.rpartition("@")[2] + dict(query).get("host", "")
    if "," in hosts and _ATTRIBUTES not in dict(query):
        query.append((_ATTRIBUTES, "read-write"))
    address: dict[str, Any] = {
        "dsn": f"{dsn.partition('?')[0]}?{urlencode(query)}" if query else dsn.partition("?")[0]
    }
    if _POOLED in given:
        # It takes no other settings, and knows no statement by a name that another session was told.
        return address | {"server_settings": settings, "statement_cache_size": 0}
    settings["statement_timeout"] = str(int(statement_timeout_s * 1000))
    return address | {"server_settings": settings}


async def _prepare(dsn: str, gives_way: int, connection: asyncpg.Connection) -> None:
    """Set codecs, and lower the process behind it where that is to be and can be seen."""
    if gives_way and _has(dsn, _EMBEDDED):
        await lower(connection.get_server_pid(), gives_way)
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
