"""deploy/ started as far as it can be without containers: its commands, environments, secrets and configurations.

On a real Postgres and Valkey that have got deploy/secrets.sh's users, and no others.
"""

import asyncio
import json
from collections.abc import Iterator

import aiohttp
import asyncpg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.e2e.deployed import READERS
from tests.e2e.installation import IS_WHOLE, Installation, Stores, program, stores_running
from tests.e2e.product import linux_only, scripted
from tests.rolling.replicas import until
from tests.upstream import ScriptedUpstream

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 10}

pytestmark = [
    linux_only,  # all of 127.0.0.0/8 is this machine
    pytest.mark.skipif(
        not IS_WHOLE, reason="there is no psql, pg_dump and pg_restore beside the postgres"
    ),
]


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    with stores_running() as made:
        yield made


@pytest.fixture(scope="module")
def first(stores: Stores) -> dict[str, str]:
    """The secrets of the first administrator, on the first tables."""

    async def begin() -> str:
        shipped = Installation(stores, READERS["compose"](stores.secrets), "")
        assert (await shipped.run("migrate"))[0] == 0
        status, told = await shipped.run("admin", "user", "first", "--json")
        assert status == 0
        return told

    made: dict[str, str] = json.loads(asyncio.run(begin()))
    return made


async def new_key(shipped: Installation, session: aiohttp.ClientSession, access_token: str) -> str:
    body = {"name": "made", "quota_usd": 1}
    url = f"{shipped.url('admin')}/api/token/"
    header = {"Authorization": f"Bearer {access_token}"}
    async with session.post(url, json=body, headers=header) as answer:
        assert answer.status == 200, await answer.text()
        key: str = (await answer.json())["data"]["key"]
        return key


async def call(shipped: Installation, session: aiohttp.ClientSession, name: str, key: str) -> None:
    url = f"{shipped.url(name)}/v1/chat/completions"
    header = {"Authorization": f"Bearer {key}"}
    async with session.post(url, json=ASK, headers=header) as answer:
        assert answer.status == 200, await answer.text()


async def test_what_is_shipped_makes_its_tables_and_takes_calls_with_a_user_of_each_process(
    stores: Stores, first: dict[str, str], subtests
):
    async with ScriptedUpstream() as upstream, aiohttp.ClientSession() as session:
        for way, read in READERS.items():
            with subtests.test(way=way):
                shipped = Installation(stores, read(stores.secrets), scripted(upstream.base_url))
                await takes_calls(shipped, session, first)


async def takes_calls(
    shipped: Installation, session: aiohttp.ClientSession, first: dict[str, str]
) -> None:
    gateway = next(name for name in shipped.parts if name.startswith("gateway"))
    assert (await shipped.run("migrate"))[0] == 0
    async with shipped.up(session, gateway, "admin"):
        key = await new_key(shipped, session, first["access_token"])
        await call(shipped, session, gateway, key)
        there = await shipped.stores.ask(
            "SELECT DISTINCT usename FROM pg_stat_activity"
            " WHERE datname = 'tollhouse' AND pid <> pg_backend_pid()"
        )
        assert {row[0] for row in there} == {"tollhouse_gateway", "tollhouse_admin"}


REFUSED = {
    "gateway": [
        "CREATE TABLE mine (id int)",
        "DROP TABLE ledger",
        'SELECT email FROM "user"',
        "SELECT * FROM access_token",
    ],
    "admin": ["CREATE TABLE mine (id int)", "DROP TABLE ledger", "DELETE FROM ledger"],
    "reader": ["CREATE TABLE mine (id int)", "SELECT digest FROM token_secret"],
    "owner": [
        "CREATE ROLE another",
        "CREATE DATABASE another",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY ledger TO PROGRAM 'true'",
    ],
}


async def test_a_secret_of_postgres_opens_what_its_process_needs_and_no_more(
    stores: Stores, first: dict[str, str], subtests
):
    assert first["username"] == "admin"
    for user, statements in REFUSED.items():
        connection = await asyncpg.connect(stores.dsn(user))
        try:
            assert await connection.fetchval("SELECT count(*) FROM ledger") >= 0
            for statement in statements:
                with (
                    subtests.test(user=user, may_not=statement),
                    pytest.raises(asyncpg.InsufficientPrivilegeError),
                ):
                    await connection.execute(statement)
        finally:
            await connection.close()
    await stores.ask("CREATE ROLE somebody LOGIN PASSWORD 'else'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
        await asyncpg.connect(stores.dsn("owner"), user="somebody", password="else")


def test_a_user_of_valkey_may_what_it_is_for_and_no_more(stores: Stores, subtests):
    address = f"{stores.network}.2"
    users = {
        "nobody": redis.Redis(address, protocol=2, retry=Retry(NoBackoff(), 0)),
        "health": redis.Redis(address, username="health", password="none"),
        "tollhouse": redis.Redis.from_url(stores.valkey_url),
    }
    for user in ("health", "tollhouse"):
        assert users[user].ping()
    for user, command, said in (
        ("nobody", "PING", "authentication required"),
        ("health", "GET q:x", "no permissions"),
        ("health", "INFO", "no permissions"),
        ("tollhouse", "FLUSHALL", "no permissions"),
        ("tollhouse", "GET other", "no permissions"),
        ("tollhouse", "ACL LIST", "no permissions"),
    ):
        with (
            subtests.test(user=user, may_not=command),
            pytest.raises(redis.RedisError, match=f"(?i){said}"),
        ):
            users[user].execute_command(command)
    for client in users.values():
        client.close()


async def test_a_postgres_of_an_hour_ago_beside_a_valkey_that_knows_more_goes_on_as_the_documents_say(
    stores: Stores, first: dict[str, str]
):
    """With the owner's DSN for dump and restoration, and the users of the processes for the rest."""
    async with ScriptedUpstream() as upstream, aiohttp.ClientSession() as session:
        more = f"[quota]\noutbox_hours = 1\n{scripted(upstream.base_url)}"
        shipped = Installation(stores, READERS["compose"](stores.secrets), more)
        dump = stores.place / "tollhouse.dump"
        (before,) = await stores.ask("SELECT count(*) FROM ledger")
        async with shipped.up(session, "gateway1"):
            await call(shipped, session, "gateway1", first["key"])
            await until(lambda: charged(stores, before[0] + 1))
            await asyncio.to_thread(
                program, "pg_dump", stores.dsn("owner"), "--format=custom", f"--file={dump}"
            )
            await call(shipped, session, "gateway1", first["key"])
            await until(lambda: charged(stores, before[0] + 2))

        server = await asyncpg.connect(stores.superuser_dsn)
        await server.execute("DROP DATABASE tollhouse WITH (FORCE)")
        await server.close()
        anew = (stores.secrets / "roles.sql").read_text().partition("CREATE DATABASE")
        (stores.place / "database.sql").write_text("".join(anew[1:]))
        program("psql", stores.superuser_dsn, "--file", stores.place / "database.sql")
        program("pg_restore", stores.dsn("owner"), "--no-owner", "--no-privileges", dump)
        assert (await shipped.run("migrate"))[0] == 0
        status, told = await shipped.run("audit")
        assert (status, "ahead" in told) == (1, True), told

        status, told = await shipped.run("gateway1", "replay-outbox")
        assert status == 0
        assert await charged(stores, before[0] + 2)
        stores.valkey.lose()
        async with shipped.up(session, "gateway1"):
            await call(shipped, session, "gateway1", first["key"])
        assert await charged(stores, before[0] + 3)
        assert (await shipped.run("audit"))[0] == 0


async def charged(stores: Stores, calls: int) -> bool:
    """Whether the ledger has so many."""
    (row,) = await stores.ask("SELECT count(*) FROM ledger")
    return row[0] == calls
