"""A database that was used and cleaned is as a new one."""

import asyncpg
import pytest

from gateway.store.bootstrap import bootstrap
from gateway.store.postgres import apply_schema, open_pool
from tests.admin import running_admin
from tests.databases import Databases, execute, fresh_database
from tests.integration.rig import PEPPER, chat, configuration, running
from tests.upstream import ScriptedUpstream

# What says where and how something is stored, not what is.
_PLACES = [
    *("relfilenode", "relpages", "relallvisible", "relallfrozen", "relfrozenxid", "relminmxid"),
    "log_cnt",
]
_CATALOGS = (
    "attrdef",
    "attribute",
    "class",
    "constraint",
    "index",
    "inherits",
    "proc",
    "statistic",
    "trigger",
)


@pytest.fixture
async def pool(server_addresses):
    """Databases that no other test has used."""
    made = Databases(server_addresses[0])
    yield made
    await made.drop()


async def dump(dsn):
    """Everything that is in a database: rows as they lie, sequences, and what describes them."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT oid::regclass::text AS name FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')"
        )
        described = [f"pg_{name}" for name in _CATALOGS]
        return {
            name: await connection.fetch(
                f"SELECT to_jsonb(t) - $1::text[] FROM (SELECT * FROM {name}) t", _PLACES
            )
            for name in [*(each["name"] for each in tables), *described]
        }
    finally:
        await connection.close()


def _sorted(name, found):
    """Catalogs in any order, tables as they lie."""
    rows = [row[0] for row in found[name]]
    return sorted(rows) if name.startswith("pg_") else rows


async def use(dsn, valkey_url, aiohttp_client):
    """A day of a gateway's life: calls, people, edits, groups."""
    async with (
        ScriptedUpstream() as upstream,
        running(dsn, valkey_url, upstream) as rig,
        running_admin(aiohttp_client, dsn) as admin,
    ):
        key = (await rig.token(10**9)).key
        for _ in range(3):
            async with rig.post(key, chat()) as answer:
                assert answer.status == 200
        assert len(await rig.ledger()) == 3
        await admin.user("ada", password="correct horse battery")
        await rig.database.execute("UPDATE catalog SET generation = generation + 1")
        await rig.database.execute("""UPDATE "group" SET spec = '{"a": 1}' WHERE id = 1""")
        await rig.database.execute("""INSERT INTO "group" (name) VALUES ('vip')""")
        await rig.database.execute("DELETE FROM schema_version")
        await rig.database.execute("INSERT INTO refusal VALUES (0, 'unknown_key', now(), 1)")
        await rig.database.execute("INSERT INTO object VALUES ('o', 1, 'u')")


async def test_a_cleaned_database_equals_a_new_one(
    pool, server_addresses, valkey_url, aiohttp_client
):
    async with pool.taken() as used:
        await use(used, valkey_url, aiohttp_client)
    async with pool.taken() as again, fresh_database(server_addresses) as new:
        assert again == used
        cleaned, made = await dump(again), await dump(new)
    assert [name for name in made if _sorted(name, cleaned) != _sorted(name, made)] == []
    assert cleaned.keys() == made.keys()


async def test_the_first_start_gives_the_same_ids_each_time(pool, valkey_url):
    config = configuration("postgresql://x", valkey_url, "http://127.0.0.1:1").config
    seen = set()
    for _ in range(3):
        async with (
            pool.taken() as dsn,
            await open_pool(dsn, size=1, statement_timeout_s=5) as opened,
        ):
            first = await bootstrap(opened, PEPPER, config)
            seen.add((dsn, first.user_id, await opened.fetchval("SELECT max(id) FROM token")))
    assert len(seen) == 1


CHANGES = {
    "a table": "CREATE TABLE more (n int)",
    "a column": "ALTER TABLE token RENAME COLUMN name TO title",
    "a rule": "ALTER TABLE ledger DROP CONSTRAINT ledger_amount_check",
    "an index": "DROP INDEX token_trigram",
    "a partition": "SELECT ensure_ledger_partitions(now() + interval '3 months', 1)",
    "a function": "CREATE FUNCTION one() RETURNS int LANGUAGE sql RETURN 1",
    "all tables": "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
    "statistics": "INSERT INTO account (name) VALUES ('a'); ANALYZE account",
    "a setting": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''1MB''', current_database()); END $$",
    "many rows": "INSERT INTO account (name) SELECT 'a' FROM generate_series(1, 5000)",
    "large rows": "INSERT INTO account (name) SELECT repeat('a', 1000) FROM generate_series(1, 200)",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_changed_database_is_not_used_again(pool, change):
    async with pool.taken() as used:
        await execute(used, change)
    async with pool.taken() as again:
        assert again != used
        await apply_schema(again)


async def test_who_is_still_connected_is_sent_away_with_what_he_was_at(pool):
    async with pool.taken() as used:
        left = await asyncpg.connect(used)
        await left.execute("BEGIN; INSERT INTO account (name) VALUES ('a')")
    assert left.is_closed() or await _is_ended(left)
    async with pool.taken() as again:
        assert again == used
        connection = await asyncpg.connect(again)
        assert await connection.fetchval("SELECT count(*) FROM account") == 0
        await connection.close()


async def _is_ended(connection):
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await connection.execute("SELECT 1")
    return True
