"""The schema: applied once whoever comes first, checked afterwards; and the first start."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from gateway.config import ConfigError, Loaded
from gateway.domain import key as keys
from gateway.domain.errors import StoreUnavailable
from gateway.domain.limits import MAX_EXACT
from gateway.domain.pepper import Pepper
from gateway.settings import Config
from gateway.store.bootstrap import UnknownUser, bootstrap, new_one_time_password
from gateway.store.configured import register_entries
from gateway.store.passwords import Passwords
from gateway.store.people import find_access, find_user
from gateway.store.postgres import (
    SCHEMA_VERSION,
    SchemaError,
    apply_schema,
    check_schema,
    open_pool,
    reading,
)
from tests.admin import PEPPER


@pytest.fixture
async def pool(postgres_dsn):
    async with await open_pool(postgres_dsn, size=4, statement_timeout_s=5) as opened:
        yield opened


async def drop_everything(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()


async def test_processes_that_start_together_make_one_schema(postgres_dsn):
    await drop_everything(postgres_dsn)
    await asyncio.gather(*(apply_schema(postgres_dsn) for _ in range(5)))
    async with await open_pool(postgres_dsn, size=1, statement_timeout_s=5) as pool:
        assert await pool.fetchval("SELECT count(*) FROM schema_version") == SCHEMA_VERSION
        await check_schema(pool)


async def test_a_schema_that_fails_half_way_leaves_nothing(postgres_dsn):
    await drop_everything(postgres_dsn)
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("CREATE TABLE audit (x int)")
    with pytest.raises(SchemaError, match="not empty"):
        await apply_schema(postgres_dsn)
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    await connection.close()
    assert [row["relname"] for row in tables] == ["audit"]


async def test_a_newer_schema_is_refused_with_the_remedy(postgres_dsn, pool):
    await pool.execute("INSERT INTO schema_version (version) VALUES ($1)", SCHEMA_VERSION + 1)
    with pytest.raises(SchemaError, match="upgrade Tollhouse"):
        await apply_schema(postgres_dsn)
    with pytest.raises(SchemaError, match="upgrade Tollhouse"):
        await check_schema(pool)


async def test_a_database_from_before_the_first_release_is_told_from_a_fault(postgres_dsn, pool):
    await pool.execute("ALTER FUNCTION grant_rights() RENAME TO grant_rights_of_old")
    try:
        with pytest.raises(SchemaError, match="a new state directory"):
            await apply_schema(postgres_dsn)
    finally:
        await pool.execute("ALTER FUNCTION grant_rights_of_old() RENAME TO grant_rights")


async def test_a_database_without_tables_is_told_what_to_run(postgres_dsn):
    await drop_everything(postgres_dsn)
    async with await open_pool(postgres_dsn, size=1, statement_timeout_s=5) as pool:
        with pytest.raises(SchemaError, match="tollhouse migrate"):
            await check_schema(pool)


async def test_the_ledger_has_partitions_for_this_month_and_the_next_two(postgres_dsn, pool):
    await pool.execute(
        "DROP TABLE "
        + await pool.fetchval(
            "SELECT max(relname) FROM pg_class WHERE relname ~ '^ledger_[0-9]{6}$'"
        )
    )
    await apply_schema(postgres_dsn)
    names = [
        row["relname"]
        for row in await pool.fetch(
            "SELECT relname FROM pg_class WHERE relname ~ '^ledger_[0-9]{6}$' ORDER BY 1"
        )
    ]
    now = datetime.now(UTC)
    months = [divmod(now.year * 12 + now.month - 1 + n, 12) for n in range(3)]
    assert names == [f"ledger_{year:04}{month + 1:02}" for year, month in months]


async def test_a_ledger_row_lands_in_the_partition_of_its_time(pool):
    await pool.execute(
        """
        INSERT INTO ledger (request_id, kind, account_id, token_id, user_id, group_id, model,
                            upstream, dialect, route, status, started_at, duration_ms, amount)
        SELECT uuid7_floor(at), 'c', 1, 1, 1, 1, 'm', 'u', 'openai', '/v1', 200, at, 1, 1
          FROM unnest(ARRAY[now(), now() + interval '5 years']) AS at
        """
    )
    places = await pool.fetch(
        "SELECT tableoid::regclass::text AS name FROM ledger ORDER BY request_id"
    )
    now = datetime.now(UTC)
    assert [row["name"] for row in places] == [f"ledger_{now:%Y%m}", "ledger_default"]


FORBIDDEN = [
    f"INSERT INTO account (name, granted) VALUES ('a', {MAX_EXACT})",
    "INSERT INTO account (name, status) VALUES ('a', 3)",
    """INSERT INTO "user" (username, account_id, group_id, role) SELECT 'u', 1, 1, 'root'""",
    """INSERT INTO grant_entry (scope_kind, account_id, scope_id, delta, kind, actor)
       VALUES ('z', 1, 1, 1, 'x', 'x')""",
    "INSERT INTO catalog (generation) VALUES (2)",
    "INSERT INTO session (digest, pepper_version, user_id, expires_at) VALUES ('short', 1, 1, now())",
]


async def test_the_database_itself_refuses_what_may_never_be_stored(pool, subtests):
    await pool.execute("INSERT INTO account (name) VALUES ('a')")
    for statement in FORBIDDEN:
        with (
            subtests.test(statement=statement[:60]),
            pytest.raises(asyncpg.IntegrityConstraintViolationError),
        ):
            await pool.execute(statement)


async def test_the_first_start_makes_credentials_that_work_once(postgres_dsn, pool):
    made = [
        each
        for each in await asyncio.gather(
            *(bootstrap(postgres_dsn, PEPPER, Config()) for _ in range(4))
        )
        if each is not None
    ]
    assert len(made) == 1
    (first,) = made
    assert await bootstrap(pool, PEPPER, Config()) is None
    user, stored = await find_user(pool, "ADMIN")
    assert (user.id, user.username, user.role) == (first.user_id, first.username, "owner")
    assert user.password_once
    passwords = Passwords()
    assert await passwords.verify(stored, first.password)
    assert not await passwords.verify(stored, first.password + "x")
    assert not await passwords.verify(None, first.password)
    passwords.close()
    access = await find_access(pool, first.access_token, PEPPER)
    assert access.user == user
    assert await find_access(pool, first.access_token, Pepper(bytes(32))) is None
    token = await pool.fetchrow(
        "SELECT t.* FROM token t JOIN token_secret s ON s.token_id = t.id WHERE s.digest = $1",
        keys.digest(first.key, PEPPER),
    )
    assert (token["name"], token["granted"], token["used"]) == ("first key", 1_000_000_000, 0)
    assert (
        await pool.fetchval("SELECT granted FROM account WHERE id = $1", token["account_id"])
        is None
    )
    assert await pool.fetchval("SELECT sum(delta)::bigint FROM grant_entry") == 1_000_000_000
    for secret in (first.password, first.access_token, first.key):
        assert secret not in repr(first)


async def test_configured_groups_get_ids_and_a_name_of_the_api_is_refused(pool):
    await register_entries(pool, configured("vip", "default", "trial"))
    await register_entries(pool, configured("vip"))
    names = await pool.fetch('SELECT name FROM "group" ORDER BY name')
    assert [row["name"] for row in names] == ["default", "trial", "vip"]
    await pool.execute("""UPDATE "group" SET source = 'api' WHERE name = 'vip'""")
    with pytest.raises(ConfigError, match=r"groups\.vip"):
        await register_entries(pool, configured("vip"))


def configured(*groups: str) -> Loaded:
    return Loaded(Config.model_validate({"groups": {name: {} for name in groups}}), None, {}, ())


async def test_a_new_one_time_password_replaces_the_old_and_ends_sessions(pool):
    first = await bootstrap(pool, PEPPER, Config())
    await pool.execute(
        "INSERT INTO session (digest, pepper_version, user_id, expires_at) "
        "VALUES ($1, 1, $2, now() + interval '1 hour')",
        bytes(32),
        first.user_id,
    )
    password = await new_one_time_password(pool, "admin")
    user, stored = await find_user(pool, "admin")
    passwords = Passwords()
    assert await passwords.verify(stored, password)
    assert not await passwords.verify(stored, first.password)
    passwords.close()
    assert user.password_once
    assert await pool.fetchval("SELECT count(*) FROM session") == 0
    with pytest.raises(UnknownUser, match="no user 'nobody'"):
        await new_one_time_password(pool, "nobody")


UNREACHABLE = [
    "postgresql://u@/x?host=/nowhere",
    "postgresql://u:p@127.0.0.1:1/x",
]


async def test_a_server_that_cannot_be_reached_is_an_unavailable_store(subtests):
    for dsn in UNREACHABLE:
        with subtests.test(dsn=dsn):
            with pytest.raises(StoreUnavailable):
                await open_pool(dsn, size=1, statement_timeout_s=1)
            with pytest.raises(StoreUnavailable):
                await apply_schema(dsn)


async def test_a_lost_connection_and_a_slow_statement_are_an_unavailable_store(postgres_dsn):
    async with await open_pool(postgres_dsn, size=1, statement_timeout_s=0.2) as pool:
        with pytest.raises(StoreUnavailable):
            async with reading(pool) as connection:
                await connection.execute("SELECT pg_sleep(30)")
        with pytest.raises(StoreUnavailable):
            async with reading(pool) as connection:
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        async with reading(pool) as connection:
            assert await connection.fetchval("SELECT 1") == 1
            assert await connection.fetchval("SHOW application_name") == "tollhouse"
        with pytest.raises(asyncpg.UndefinedTableError):
            async with reading(pool) as connection:
                await connection.execute("SELECT * FROM nothing")


async def test_json_is_read_and_written_as_values(pool):
    value = {"a": [1, None, "ü"], "b": 2.5}
    assert await pool.fetchval("SELECT $1::jsonb", value) == value
    assert await pool.fetchval("SELECT $1::json", value) == value
