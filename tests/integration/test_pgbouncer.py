"""Everything through a real PgBouncer in transaction mode: each transaction may get another session of the server."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import pytest

from gateway.store.audit_turn import take_turn
from gateway.store.conservation import open_auditor
from gateway.store.ledger_months import make_months
from gateway.store.postgres import connect, open_pool
from gateway.store.roles import ADMIN, GATEWAY, READER, let_in
from gateway.store.rollups import roll
from tests.admin import running_admin
from tests.integration.rig import USD, chat, running, until
from tests.upstream import ScriptedUpstream

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PASSWORD = "a-password-of-ascii"
SETTINGS = """
[databases]
* = {server}

[pgbouncer]
listen_addr =
unix_socket_dir = {directory}
listen_port = 6432
pidfile = {directory}/pid
auth_type = plain
auth_file = {directory}/users
pool_mode = transaction
default_pool_size = 2
"""

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


class Pooler(NamedTuple):
    """A pooler before one database; `dsn` of a role."""

    directory: str
    database: str

    def dsn(self, role: str) -> str:
        place = f"/{self.database}?host={self.directory}&port=6432&pgbouncer=true"
        return f"postgresql://{role}:{PASSWORD}@{place}"


@contextlib.contextmanager
def _started(directory: Path, server: str) -> Iterator[None]:
    (directory / "users").write_text(
        "".join(f'"{role}" "{PASSWORD}"\n' for role in (GATEWAY, ADMIN, READER))
    )
    (directory / "ini").write_text(SETTINGS.format(server=server, directory=directory))
    user = "nobody" if os.geteuid() == 0 else None  # as the server; it does not run as root
    if user is not None:
        for file in (directory, *directory.iterdir()):
            shutil.chown(file, user)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, directory / "ini"], user=user, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
async def pooler(postgres_dsn) -> AsyncIterator[Pooler]:
    parts = urlsplit(postgres_dsn)
    host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    server = f"host={unquote(host)} port={parts.port or 5432}"
    await let_in(postgres_dsn, dict.fromkeys((GATEWAY, ADMIN, READER), PASSWORD))
    with (
        tempfile.TemporaryDirectory(prefix="tollhouse-pooler-") as made,
        _started(Path(made), server),
    ):
        async with asyncio.timeout(20):
            await until(lambda: _listens(f"{made}/.s.PGSQL.6432"))
        yield Pooler(made, parts.path[1:])


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


async def test_calls_are_made_and_posted_each_once(pooler, postgres_dsn, valkey_url):
    """More of them at once than there are sessions, by workers who share these."""
    async with ScriptedUpstream() as upstream, contextlib.AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(
                running(postgres_dsn, valkey_url, upstream, own_dsn=pooler.dsn(GATEWAY))
            )
            for _ in range(2)
        ]
        made = [await workers[0].token(USD) for _ in range(8)]

        async def call(n: int) -> None:
            async with workers[n % 2].post(made[n % 8].key, chat()) as answer:
                assert answer.status == 200
                await answer.read()

        for _ in range(3):
            await asyncio.gather(*map(call, range(40)))
        for worker in workers:
            await worker.quiet()
        rows = await workers[0].ledger()
        assert len({row["request_id"] for row in rows}) == len(rows) == 120
        async with open_auditor(pooler.dsn(READER), valkey_url, sweep_s=10, strict=True) as auditor:
            report = await auditor.audit()
        assert (report.wrong, report.totals.charges) == (0, 120)


async def test_administrators_work_as_without_it(aiohttp_client, pooler, postgres_dsn):
    async with running_admin(aiohttp_client, postgres_dsn, own_dsn=pooler.dsn(ADMIN)) as admin:
        made = [await admin.create(name=f"n{n}") for n in range(5)]
        changed = await admin.call("PUT", "/api/token/", {"id": made[0]["id"], "name": "other"})
        assert changed.status == 200, changed.body
        listed = await asyncio.gather(
            *(admin.call("GET", "/api/token/?keyword=n&size=3") for _ in range(12))
        )
        assert {len(each.data["items"]) for each in listed} == {3}
        assert (await admin.call("DELETE", f"/api/token/{made[1]['id']}")).status == 200
        assert (await admin.call("GET", f"/api/token/{made[1]['id']}")).status == 404
        for path in ("/api/log/", "/api/log/stat", "/api/usage?by=model", "/api/state"):
            assert (await admin.call("GET", path)).status == 200


async def test_one_process_has_the_turn_however_sessions_change(pooler):
    async with take_turn(pooler.dsn(GATEWAY)) as first:
        assert first is not None
        async with take_turn(pooler.dsn(GATEWAY)) as second:
            assert second is None
        await first.check()
    async with asyncio.timeout(
        20
    ):  # a pooler tells its server a moment later that a client has left
        while True:
            async with take_turn(pooler.dsn(GATEWAY)) as again:
                if again is not None:
                    break


async def test_the_ledger_is_looked_after(pooler):
    async with await open_pool(pooler.dsn(GATEWAY), size=2, statement_timeout_s=10) as pool:
        assert await make_months(pool) is None
        while await roll(pool):
            pass
        assert await pool.fetchval(
            "SELECT rolled_before > now() - interval '2 hours' FROM rollup_state"
        )


async def test_a_role_without_a_bound_of_its_statements_is_told_of(pooler, postgres_dsn, caplog):
    owner = await asyncpg.connect(postgres_dsn)
    database = pooler.database
    try:
        async with await open_pool(pooler.dsn(ADMIN), size=1, statement_timeout_s=10):
            assert "ALTER ROLE … SET statement_timeout" in caplog.text
        caplog.clear()
        bound = f"IN DATABASE {database} SET statement_timeout"
        await owner.execute(f"ALTER ROLE {READER} {bound} = '50ms'")
        async with await open_pool(pooler.dsn(READER), size=1, statement_timeout_s=10) as pool:
            assert caplog.text == ""
            with pytest.raises(asyncpg.QueryCanceledError):
                await pool.execute("SELECT pg_sleep(30)")
    finally:
        await owner.execute(f"ALTER ROLE {READER} IN DATABASE {database} RESET ALL")
        await owner.close()


async def test_connections_without_a_pooler_bring_their_bound(postgres_dsn):
    connection = await connect(postgres_dsn, statement_timeout_s=0.05)
    with pytest.raises(asyncpg.QueryCanceledError):
        await connection.execute("SELECT pg_sleep(30)")
    await connection.close()
