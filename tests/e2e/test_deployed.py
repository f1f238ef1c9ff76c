"""deploy/ started as far as it can be without containers: its commands, environments, secrets and configurations.

On a real Postgres and Valkey that have got deploy/secrets.sh's users, and no others.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gateway.embedded.binaries import find_postgres, find_valkey
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from tests.chaos.processes import Process, end_with
from tests.e2e.deployed import DEPLOY, READERS, Part, valkey_of_compose
from tests.e2e.product import folder, linux_only, scripted
from tests.rolling.replicas import until
from tests.upstream import ScriptedUpstream
from tests.valkeys import wait_for

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 10}
PSQL = next(
    (
        str(each)
        for each in (find_postgres(None).program.with_name("psql"), shutil.which("psql"))
        if each and Path(each).exists()
    ),
    None,
)

pytestmark = [
    linux_only,  # all of 127.0.0.0/8 is this machine
    pytest.mark.skipif(PSQL is None, reason="there is no psql"),
]


class Listening(EmbeddedPostgres):
    """One that is reached by TCP."""

    address = ""

    def _command(self, program):
        return [*super()._command(program), "-c", f"listen_addresses={self.address}"]


@dataclass
class Stores:
    """Both servers, with the users of `secrets` and no others but `superuser_dsn`."""

    network: str
    place: Path
    secrets: Path
    superuser_dsn: str

    def dsn(self, user: str) -> str:
        return (self.secrets / f"{user}_dsn").read_text().strip()

    @property
    def valkey_url(self) -> str:
        return (self.secrets / "valkey_url").read_text().strip()


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    network = f"127.{random.randrange(1, 255)}.{random.randrange(255)}"
    with folder() as place, StateDirectory.open(place / "server") as state:
        secrets = place / "secrets"
        servers = (f"{network}.1:5432", f"{network}.2:6379")
        subprocess.run([DEPLOY / "secrets.sh", secrets, *servers], check=True)
        postgres = Listening(state, durable=False)
        postgres.address = f"{network}.1"
        with contextlib.ExitStack() as stack:
            superuser = postgres.start()
            stack.callback(postgres.stop)
            # As the image of Postgres runs what it finds in /docker-entrypoint-initdb.d.
            psql = [PSQL, "-v", "ON_ERROR_STOP=1", "--no-password", "--no-psqlrc"]
            roles = ["--dbname", superuser, "--file", secrets / "roles.sql"]
            subprocess.run([*psql, *roles], check=True, stdout=subprocess.DEVNULL)
            stack.enter_context(valkey(place, secrets, f"{network}.2"))
            yield Stores(network, place, secrets, superuser)


@contextlib.contextmanager
def valkey(place: Path, secrets: Path, address: str) -> Iterator[None]:
    command = [find_valkey(None).program, *valkey_of_compose(secrets)]
    with (place / "valkey.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--bind", address, "--dir", place],
            stdout=log,
            stderr=log,
            preexec_fn=end_with(os.getpid()),  # noqa: PLW1509 -- this process has no threads
        )
    try:
        # As its health check in compose.yaml.
        with redis.Redis(address, username="health", password="none") as client:
            wait_for(client.ping, "Valkey")
        yield
    finally:
        process.kill()
        process.wait()


@dataclass
class Installation:
    """The processes of one way to deploy, on stores that another way may have used before."""

    stores: Stores
    parts: dict[str, Part]
    more: str

    async def run(self, name: str, *command: str) -> tuple[int, str]:
        """A part, or another command with all that it has, to its end: exit status and output."""
        process = self.process(name, *command)
        process.start(talking=True)
        out, _ = await asyncio.to_thread(process.child.communicate, timeout=60)
        return process.child.returncode, out.decode()

    def process(self, name: str, *command: str) -> Process:
        part = self.parts[name]
        return part.process(name, self.stores.place, self.address(name), self.more, *command)

    def address(self, name: str) -> str:
        return f"{self.stores.network}.{10 + list(self.parts).index(name)}"

    def url(self, name: str) -> str:
        return f"http://{self.address(name)}:{8081 if name == 'admin' else 8080}"

    @contextlib.asynccontextmanager
    async def up(self, session: aiohttp.ClientSession) -> AsyncIterator[list[str]]:
        """Everything that stays, started and ready; the gateways' names. It is told to stop, and does."""
        names = [name for name in self.parts if self.parts[name].command[0] in {"gateway", "admin"}]
        processes = [self.process(name) for name in names]
        try:
            for process in processes:
                process.start()
            for name, process in zip(names, processes, strict=True):
                await until(lambda name=name, of=process: self.is_ready(session, name, of))
            yield [name for name in names if name != "admin"]
            for process in processes:
                process.signal(signal.SIGTERM)
            for process in processes:
                assert await asyncio.to_thread(process.child.wait, 30) == 0
        finally:
            for process in processes:
                process.kill()

    async def is_ready(self, session: aiohttp.ClientSession, name: str, process: Process) -> bool:
        assert process.runs, (self.stores.place / f"{name}.log").read_text()
        try:
            async with session.get(f"{self.url(name)}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


@pytest.fixture(scope="module")
def first() -> dict[str, str]:
    """The first administrator's secrets, once they are known: users outlast a way to deploy."""
    return {}


@pytest.mark.parametrize("way", READERS)
async def test_what_is_shipped_makes_its_tables_and_takes_calls_with_a_user_of_each_process(
    way: str, stores: Stores, first: dict[str, str]
):
    async with ScriptedUpstream() as upstream, aiohttp.ClientSession() as session:
        parts = READERS[way](stores.secrets)
        parts.pop("gateway2", None)  # as gateway1
        shipped = Installation(stores, parts, scripted(upstream.base_url))
        assert (await shipped.run("migrate"))[0] == 0
        if not first:
            status, told = await shipped.run("admin", "user", "first", "--json")
            assert status == 0
            first.update(json.loads(told))
        bearer = {"Authorization": f"Bearer {first['access_token']}"}
        async with shipped.up(session) as gateways:
            made = {"name": way, "quota_usd": 1}
            async with session.post(
                f"{shipped.url('admin')}/api/token/", json=made, headers=bearer
            ) as answer:
                assert answer.status == 200, await answer.text()
                key = (await answer.json())["data"]["key"]
            for name in gateways:
                async with session.post(
                    f"{shipped.url(name)}/v1/chat/completions",
                    json=ASK,
                    headers={"Authorization": f"Bearer {key}"},
                ) as answer:
                    assert answer.status == 200, await answer.text()
            assert await connected(stores) == {"tollhouse_gateway", "tollhouse_admin"}
        if "audit" in parts:
            assert (await shipped.run("audit"))[0] == 0


async def connected(stores: Stores) -> set[str]:
    """The users of Postgres that are there now, in any of Tollhouse's tables."""
    server = await asyncpg.connect(stores.superuser_dsn)
    try:
        rows = await server.fetch(
            "SELECT usename FROM pg_stat_activity WHERE datname = 'tollhouse'"
        )
        return {row["usename"] for row in rows}
    finally:
        await server.close()


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
    stores: Stores, subtests
):
    shipped = Installation(stores, READERS["compose"](stores.secrets), "")
    assert (await shipped.run("migrate"))[0] == 0
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
    server = await asyncpg.connect(stores.superuser_dsn)
    await server.execute("CREATE ROLE somebody LOGIN PASSWORD 'else'")
    await server.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
        await asyncpg.connect(stores.dsn("owner"), user="somebody", password="else")


@pytest.mark.parametrize(
    ("user", "command", "said"),
    [
        (None, "PING", "Authentication required"),
        ("health", "GET q:x", "no permissions"),
        ("health", "INFO", "no permissions"),
        ("tollhouse", "FLUSHALL", "no permissions"),
        ("tollhouse", "GET other", "no permissions"),
        ("tollhouse", "ACL LIST", "no permissions"),
    ],
)
def test_a_user_of_valkey_may_what_it_is_for_and_no_more(
    stores: Stores, user: str | None, command: str, said: str
):
    with redis.Redis.from_url(stores.valkey_url) as client:
        assert client.ping()
    address = f"{stores.network}.2"
    asked = {
        None: redis.Redis(address, protocol=2, retry=Retry(NoBackoff(), 0)),
        "health": redis.Redis(address, username="health", password="none"),
        "tollhouse": redis.Redis.from_url(stores.valkey_url),
    }[user]
    with asked, pytest.raises(redis.RedisError, match=f"(?i){said}"):
        asked.execute_command(command)
