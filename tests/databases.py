"""Databases for tests: cleaned after a test and taken again by the next one, since to make one costs 0.2 s of CPU.

A database is thrown away, and the next test gets a new one, where anything but rows was changed (tables, indexes,
statistics, settings, …), and where a table has grown so that plans could be others than in a new one.
"""

import asyncio
import contextlib
import threading
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

TEMPLATE = "tollhouse_template"
_LEAVING_S = 20
_MOST_ROWS = 2000  # to delete more takes longer than to make a database
_MOST_PAGES = 10  # the planner takes smaller tables that were never analysed for as large

_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
# Of our own schema: what posting makes in passing (temporary tables) is in another, and gone with its session.
_SHAPE = """
WITH ours AS MATERIALIZED (
  SELECT oid, relname, relkind, relpages, reltuples FROM pg_class WHERE relnamespace = 'public'::regnamespace
)
SELECT 'settings' AS of, count(*)::text AS is
  FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()
UNION ALL
SELECT 'relations', md5(string_agg(concat_ws(' ', oid, relname, relkind, relpages, reltuples), ',' ORDER BY oid))
  FROM ours
UNION ALL
SELECT 'columns',
       md5(string_agg(concat_ws(' ', attrelid, attname, atttypid, attnotnull, atthasdef), ','
                      ORDER BY attrelid, attnum))
  FROM pg_attribute JOIN ours ON ours.oid = attrelid WHERE ours.relkind IN ('r', 'p')
UNION ALL SELECT 'rules', md5(string_agg(concat_ws(' ', oid, conname, convalidated), ',' ORDER BY oid))
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'functions', md5(string_agg(concat_ws(' ', oid, xmin), ',' ORDER BY oid))
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'triggers', count(*)::text FROM pg_trigger
"""
# Counters of this database alone. Who has left has reported all of his.
_INSERTED = """
SELECT oid::regclass::text AS name, pg_stat_get_tuples_inserted(oid) AS rows
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
_SEQUENCES = """
SELECT seqrelid::regclass::text AS name, pg_sequence_last_value(seqrelid) AS value, seqstart AS start
  FROM pg_sequence
"""


async def execute(dsn: str, *statements: str) -> None:
    """Statements on a connection of their own."""
    connection = await asyncpg.connect(dsn)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def database(dsn: str, name: str) -> str:
    """The DSN of another database on the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def as_role(dsn: str, role: str) -> str:
    """The same database, as a process of ours has it: with the rights of a role and no others."""
    return f"{dsn}{'&' if urlsplit(dsn).query else '?'}role={role}"


@contextlib.asynccontextmanager
async def fresh_database(server_addresses: tuple[str, str]) -> AsyncIterator[str]:
    """A database that was never used, with the schema, for as long as the block runs."""
    name = await _make(server_addresses[0])
    yield database(server_addresses[0], name)
    await _drop(server_addresses[0], [name])


async def _make(server: str) -> str:
    name = f"t_{uuid.uuid4().hex[:16]}"
    async with _connected(server) as connection:
        await connection.execute(
            f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" STRATEGY file_copy'
        )
    return name


async def _drop(server: str, names: Iterable[str]) -> None:
    async with _connected(server) as connection:
        for name in names:
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextlib.asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@dataclass
class _Used:
    """A database of the pool, and what was in it when it was made."""

    name: str
    connection: asyncpg.Connection
    shape: list[asyncpg.Record]
    rows: dict[str, str]  # by table, as JSON
    sequences: dict[str, int | None]
    inserted: dict[str, int] = field(default_factory=dict)  # by table, until the last look


class _Keeper:
    """A loop on a thread: its connections outlive a test, and the test's own loop.

    A new session would read the catalog anew, which takes longer than the cleaning.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Databases:
    """The databases of one process that runs tests."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._clean: list[_Used] = []
        self._keeper = _Keeper()

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[str]:
        """A database as good as new, for as long as the block runs. Ends what is connected to it afterwards."""
        used = self._clean.pop() if self._clean else await self._keeper.do(self._new())
        yield database(self._server, used.name)
        if await self._keeper.do(self._cleaned(used)):
            self._clean.append(used)
        else:
            await self._keeper.do(self._drop(used))

    async def drop(self) -> None:
        """Remove all of them."""
        await self._keeper.do(self._drop(*self._clean))
        self._clean.clear()
        self._keeper.close()

    async def _new(self) -> _Used:
        name = await _make(self._server)
        connection = await asyncpg.connect(database(self._server, name))
        rows = {
            each["name"]: await connection.fetchval(
                f"SELECT json_agg(t)::text FROM {each['name']} t"
            )
            for each in await connection.fetch(_INSERTED)
        }
        sequences = {each["name"]: each["value"] for each in await connection.fetch(_SEQUENCES)}
        shape = await connection.fetch(_SHAPE)
        rows = {table: made for table, made in rows.items() if made}
        return _Used(name, connection, shape, rows, sequences)

    async def _cleaned(self, used: _Used) -> bool:
        try:
            await _stay_alone(used.connection)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # a test has ended it
            used.connection.terminate()
            used.connection = await asyncpg.connect(database(self._server, used.name))
            await _stay_alone(used.connection)
        return await _cleaned(used.connection, used)

    async def _drop(self, *some: _Used) -> None:
        for used in some:
            used.connection.terminate()
        await _drop(self._server, [used.name for used in some])


async def _stay_alone(connection: asyncpg.Connection) -> None:
    """End every other session, and wait until it has left."""
    async with asyncio.timeout(_LEAVING_S):
        while await connection.fetchval(_OTHERS):
            pass


async def _cleaned(connection: asyncpg.Connection, used: _Used) -> bool:
    """Whether the database could be made as it was."""
    if await connection.fetch(_SHAPE) != used.shape:
        return False
    inserted = {each["name"]: each["rows"] for each in await connection.fetch(_INSERTED)}
    since = {table: rows - used.inserted.get(table, 0) for table, rows in inserted.items()}
    if sum(since.values()) > _MOST_ROWS:
        return False
    used.inserted = inserted
    # A row can only be where one was inserted, or where there was one from the beginning.
    tables = [table for table, rows in since.items() if rows or table in used.rows]
    async with connection.transaction():
        # The audit refuses to be emptied, also by a superuser who does not say so.
        await connection.execute("SET LOCAL session_replication_role = replica")
        pages = await connection.fetchval(_emptied(tables))
        for table, made in used.rows.items():
            await connection.execute(
                f"INSERT INTO {table} OVERRIDING SYSTEM VALUE"
                f" SELECT * FROM json_populate_recordset(NULL::{table}, $1)",
                made,
            )
        for each in await connection.fetch(_SEQUENCES):
            made = used.sequences[each["name"]]
            if each["value"] != made:
                await connection.execute(
                    "SELECT setval($1::text::regclass, $2, $3)",
                    each["name"],
                    each["start"] if made is None else made,
                    made is not None,
                )
    return pages <= _MOST_PAGES


def _emptied(tables: Iterable[str]) -> str:
    """A statement that empties all of them at once, as their references ask for; answers the pages of the largest."""
    deletes = ", ".join(f"d{n} AS (DELETE FROM {table})" for n, table in enumerate(tables))
    sizes = ", ".join(f"pg_relation_size('{table}')" for table in tables)
    return f"WITH {deletes} SELECT greatest({sizes}) / current_setting('block_size')::integer"
