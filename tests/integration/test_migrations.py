"""Migrations: from the first schema to what a new database gets, whole or not at all."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.resources import migrations
from gateway.store import postgres
from gateway.store.postgres import SCHEMA_VERSION, SchemaError, apply_schema, check_tables
from tests.databases import database

# All that makes a schema, as text, with nothing that is only of one database: numbers, and the order of grants.
SHAPE = """
WITH ours AS MATERIALIZED (
  SELECT oid, relname, relkind, reloptions, relacl, relpartbound FROM pg_class
   WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'i', 'I', 'S')
)
SELECT concat_ws(' ', 'relation', relname, relkind, reloptions, pg_get_expr(relpartbound, oid),
                 (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(relacl) a)) AS line FROM ours
UNION ALL
SELECT concat_ws(' ', 'column', relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
                 attgenerated, pg_get_expr(adbin, adrelid),
                 (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(attacl) a))
  FROM pg_attribute JOIN ours ON ours.oid = attrelid
  LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
 WHERE relkind IN ('r', 'p', 'v') AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT concat_ws(' ', 'rule', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL
SELECT concat_ws(' ', 'index', pg_get_indexdef(oid)) FROM ours WHERE relkind IN ('i', 'I')
UNION ALL
SELECT concat_ws(' ', 'view', relname, pg_get_viewdef(oid)) FROM ours WHERE relkind = 'v'
UNION ALL
SELECT concat_ws(' ', 'sequence', seqrelid::regclass, seqstart, seqincrement, seqmax, seqmin, seqcycle)
  FROM pg_sequence
UNION ALL
SELECT concat_ws(' ', 'function', pg_get_functiondef(p.oid),
                 (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(proacl) a))
  FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
   AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
UNION ALL
SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT concat_ws(' ', 'version', version) FROM schema_version
ORDER BY 1
"""


@contextlib.asynccontextmanager
async def of_version(
    server_addresses: tuple[str, str], version: int
) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """A database as a Tollhouse of that schema has left it."""
    name = f"early_{uuid.uuid4().hex[:8]}"
    server = await asyncpg.connect(server_addresses[0])
    await server.execute(f"CREATE DATABASE {name}")
    dsn = database(server_addresses[0], name)
    connection = await asyncpg.connect(dsn)
    try:
        for number, (_, statements) in migrations().items():
            if number <= version:
                await connection.execute(statements)
                await connection.execute(
                    "INSERT INTO schema_version (version) VALUES ($1) ON CONFLICT DO NOTHING",
                    number,
                )
        yield dsn, connection
    finally:
        await connection.close()
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()


async def shape_of(connection: asyncpg.Connection) -> list[str]:
    return [row["line"] for row in await connection.fetch(SHAPE)]


async def test_a_database_of_any_earlier_version_becomes_what_a_new_one_is(
    server_addresses, postgres_dsn
):
    connection = await asyncpg.connect(postgres_dsn)
    new = await shape_of(connection)
    await connection.close()
    assert len(new) > 300
    for version in range(1, SCHEMA_VERSION):
        async with of_version(server_addresses, version) as (dsn, early):
            await asyncio.gather(*(apply_schema(dsn) for _ in range(3)))
            assert await shape_of(early) == new


def test_migrations_are_numbered_without_a_gap_and_the_last_is_the_version():
    assert list(migrations()) == list(range(1, SCHEMA_VERSION + 1))


async def test_rows_of_before_are_there_afterwards(server_addresses):
    async with of_version(server_addresses, 1) as (dsn, early):
        await early.execute(
            """
            INSERT INTO ledger (request_id, kind, account_id, token_id, user_id, group_id, model, upstream, dialect,
                                route, status, started_at, duration_ms, amount)
            SELECT uuid7_floor(at), 'c', 1, 1, 1, 1, 'm', 'u', 'openai', 'r', 200, at, 1, 7
              FROM unnest(ARRAY[now(), now() + interval '5 years']) AS at
            """
        )
        await apply_schema(dsn)
        assert await early.fetchval("SELECT sum(amount) FROM ledger") == 14


async def test_hours_that_were_rolled_before_have_no_halves(server_addresses):
    async with of_version(server_addresses, 3) as (dsn, early):
        rolled = await early.fetchval(
            "UPDATE rollup_state SET noted_before = now(), rolled_before = now() RETURNING rolled_before"
        )
        await apply_schema(dsn)
        row = await early.fetchrow("SELECT complete_from, complete_before FROM rollup_state")
        assert tuple(row) == (rolled, rolled)


async def test_an_earlier_schema_is_told_what_to_run(server_addresses):
    async with of_version(server_addresses, 1) as (_, early):
        with pytest.raises(SchemaError, match="run `tollhouse migrate`"):
            await check_tables(early)


async def test_a_migration_that_would_hold_others_up_gives_up_and_leaves_nothing(
    server_addresses, monkeypatch
):
    monkeypatch.setattr(postgres, "_LOCKS_S", 0.02)
    async with of_version(server_addresses, 1) as (dsn, early):
        before = await shape_of(early)
        async with early.transaction():
            await early.execute("CREATE TABLE carried (somebody text)")
            with pytest.raises(StoreUnavailable, match="0002_ledger_months"):
                await apply_schema(dsn)
            await early.execute("DROP TABLE carried")
        assert await shape_of(early) == before
        await apply_schema(dsn)
        await check_tables(early)
