"""A primary that can no longer be written, and a replica that takes over: two real servers, and no charge is lost."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.store.conservation import open_auditor
from gateway.store.postgres import apply_schema, open_pool, transaction
from tests.integration.rig import USD, running, until
from tests.upstream import ScriptedUpstream

pytestmark = pytest.mark.timeout(300)


class Server(EmbeddedPostgres):
    """One that replicates, or can be replicated."""

    def _command(self, program):
        return [*super()._command(program), "-c", "wal_level=replica", "-c", "max_wal_senders=4"]


def directory_of(dsn: str) -> str:
    return unquote(parse_qs(urlsplit(dsn).query)["host"][0])


@contextlib.contextmanager
def two_servers() -> Iterator[tuple[Server, str, Server, str]]:
    """A primary and a replica that follows it, and the DSN of each."""
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollhouse-pair-")))
        root.chmod(0o711)
        states = [stack.enter_context(StateDirectory.open(root / name)) for name in ("a", "b")]
        first, second = (Server(state, durable=False) for state in states)
        dsn = first.start()
        stack.callback(first.stop)
        asyncio.run(apply_schema(dsn))
        first.stop()
        shutil.copytree(states[0].path / "pg", states[1].path / "pg")
        shutil.copytree(states[0].path / "secrets", states[1].path / "secrets", dirs_exist_ok=True)
        data = states[1].path / "pg"
        (data / "standby.signal").touch()
        parts = urlsplit(dsn)
        with (data / "postgresql.auto.conf").open("a") as settings:
            settings.write(
                f"primary_conninfo = 'host={directory_of(dsn)} user={parts.username} password={parts.password}'\n"
            )
        first.start()
        replica = second.start()
        stack.callback(second.stop)
        yield first, dsn, second, replica


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Server, str, Server, str]]:
    with two_servers() as made:
        yield made


async def is_told(dsn: str) -> bool:
    """Whether all sessions of a server know that nothing may be written: a new one is made when the others are told."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SHOW default_transaction_read_only") == "on"
    finally:
        await connection.close()


async def caught_up(primary: asyncpg.Connection, replica: asyncpg.Connection) -> None:
    """Until the replica has all that the primary has."""
    end = await primary.fetchval("SELECT pg_current_wal_lsn()::text")
    async with asyncio.timeout(60):
        while not await replica.fetchval(
            "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", end
        ):
            pass


async def test_calls_go_on_and_every_charge_comes_to_the_new_primary(pair, valkey_url):
    first, dsn, _, replica_dsn = pair
    both = dsn.replace("host=", f"host={directory_of(replica_dsn)},")
    primary, replica = await asyncpg.connect(dsn), await asyncpg.connect(replica_dsn)
    async with ScriptedUpstream() as upstream, running(both, valkey_url, upstream) as rig:
        made = await rig.token(USD)

        assert await rig.status(made.key) == 200
        assert len(await rig.ledger()) == 1
        await primary.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await primary.execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(30):
            while not await is_told(dsn):
                pass
        # Its key is remembered, and the quota store decides: the call passes, its charge waits.
        assert await rig.status(made.key) == 200
        assert rig.gateway.accounting.poster.waiting
        await caught_up(primary, replica)
        await replica.execute("SELECT pg_promote()")
        await primary.close()
        await asyncio.to_thread(first.stop)
        assert await rig.status(made.key) == 200
        async with asyncio.timeout(60):
            await until(lambda: not rig.gateway.accounting.poster.waiting)
        assert await replica.fetchval("SELECT count(DISTINCT request_id) FROM ledger") == 3
        # Edits and keys that nobody remembers, too, and what is counted beside calls.
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(StoreUnavailable):
                    other = await rig.token(USD)
                    break
        assert await rig.status(other.key) == 200
        await rig.posted()
        async with open_auditor(both, valkey_url, sweep_s=10, strict=True) as auditor:
            report = await auditor.audit()
        assert (report.wrong, report.totals.charges) == (0, 4)
    await replica.close()


async def test_a_pool_looks_for_another_server_once_it_may_not_write(postgres_dsn):
    """The server that was asked turned read-only, and nobody closed its connections."""
    async with await open_pool(postgres_dsn, size=2, statement_timeout_s=5) as pool:
        async with transaction(pool) as connection:
            before = await connection.fetchval("SELECT pg_backend_pid()")
        owner = await asyncpg.connect(postgres_dsn)
        await pool.execute("SET default_transaction_read_only = on")
        with pytest.raises(StoreUnavailable):
            async with transaction(pool) as connection:
                await connection.execute("INSERT INTO account (name) VALUES ('x')")
        async with transaction(pool) as connection:
            await connection.execute("INSERT INTO account (name) VALUES ('x')")
            assert await connection.fetchval("SELECT pg_backend_pid()") != before
        assert await owner.fetchval("SELECT count(*) FROM account WHERE name = 'x'") == 1
        await owner.close()
