"""The drill of docs/operations.md: a dump of a product that takes calls, everything lost, and another that goes on."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from tests.databases import database, execute
from tests.e2e.product import (
    Product,
    calling,
    folder,
    linux_only,
    running_beside,
    scripted,
    tollhouse,
    watching,
)
from tests.upstream import Echo, Gate, ScriptedUpstream

USD = 1_000_000_000
GRANTED = 3 * USD // 100
ASK = {"model": "m", "messages": [{"role": "user", "content": "word " * 2000}], "max_tokens": 50}
# Of one version together: a dump is of no use to an older server.
PROGRAMS = next(
    (
        place
        for place in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        if all((place / name).exists() for name in ("postgres", "initdb", "pg_dump", "pg_restore"))
    ),
    None,
)

pytestmark = [
    linux_only,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PROGRAMS is None, reason="there is no pg_dump beside a postgres"),
]


@contextlib.contextmanager
def server(place: Path) -> Iterator[str]:
    """A Postgres of somebody's own, with an empty database `before` and another, `after`."""
    with StateDirectory.open(place / "server") as state:
        postgres = EmbeddedPostgres(state, bin_dir=PROGRAMS, durable=False)
        try:
            yield postgres.start()
        finally:
            postgres.stop()


async def program(name: str, *arguments: str) -> None:
    assert PROGRAMS is not None
    command = [PROGRAMS / name, *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


async def crash(product: Product) -> None:
    """Everything of it ends at once, and what it kept is gone."""
    pids = [*product.workers, product.ready["pids"]["admin"], product.ready["pids"]["valkey"]]
    with watching(pids) as ended:
        product.send(signal.SIGKILL)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(product.wait)
        await asyncio.to_thread(ended)
    shutil.rmtree(product.state)


async def test_what_was_dumped_goes_on_and_the_cap_holds_from_then_on():
    secrets = {
        "TOLLHOUSE_PEPPER": bytes(range(32)).hex(),
        "TOLLHOUSE_KEK": bytes(range(32, 64)).hex(),
    }
    with folder() as place, server(place) as admin_dsn:
        before, after = (database(admin_dsn, name) for name in ("before", "after"))
        await execute(admin_dsn, "CREATE DATABASE before", "CREATE DATABASE after")
        async with ScriptedUpstream() as upstream:
            config = scripted(upstream.base_url)
            dump = str(place / "tollhouse.dump")
            async with (
                running_beside(config, TOLLHOUSE_POSTGRES__DSN=before, **secrets) as product,
                calling(product) as caller,
            ):
                made = await caller.token(remain_quota=GRANTED // 2000)
                for _ in range(3):
                    assert (await caller.chat(made["key"], ASK))[0] == 200
                gate = Gate()
                upstream.answer("m", Echo().first(gate))
                under_way = asyncio.create_task(caller.chat(made["key"], ASK))
                await gate.waiting()
                await posted(before, 3)
                await program("pg_dump", "--format=custom", f"--file={dump}", before)
                gate.release()
                assert (await under_way)[0] == 200
                upstream.answer("m", Echo())
                assert (await caller.chat(made["key"], ASK))[0] == 200
                await posted(before, 5)
                # One more has begun when everything ends; nobody will ever hear of it.
                gate = Gate()
                upstream.answer("m", Echo().first(gate))
                lost = asyncio.create_task(caller.chat(made["key"], ASK))
                await gate.waiting()
                await crash(product)
                with contextlib.suppress(Exception):
                    await lost
            await execute(admin_dsn, "DROP DATABASE before WITH (FORCE)")

            await program("pg_restore", "--no-owner", "--no-privileges", f"--dbname={after}", dump)
            migrated = await asyncio.to_thread(
                tollhouse, place, "migrate", TOLLHOUSE_POSTGRES__DSN=after
            )
            assert migrated.returncode == 0, migrated.stderr
            upstream.answer("m", Echo())
            async with running_beside(config, TOLLHOUSE_POSTGRES__DSN=after, **secrets) as product:
                assert await audited(product, after)
                assert await used(after) == (3, await charged(after))
                async with calling(product) as caller:
                    answers = []
                    while not answers or answers[-1] == (200, ""):
                        answers.append(await caller.chat(made["key"], ASK))
                        assert len(answers) < 20
                assert answers[-1] == (429, "insufficient_quota")
                assert len(answers) > 2
                await posted(after, 3 + len(answers) - 1)
                assert await charged(after) <= GRANTED
                assert await audited(product, after)


async def fetch(dsn: str, statement: str) -> asyncpg.Record:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchrow(statement)
    finally:
        await connection.close()


async def posted(dsn: str, count: int) -> None:
    """Until the ledger has so many calls."""
    async with asyncio.timeout(30):
        while (await used(dsn))[0] < count:
            pass


async def used(dsn: str) -> tuple[int, int]:
    """How many calls the ledger has, and what the key has used."""
    row = await fetch(
        dsn, "SELECT (SELECT count(*) FROM ledger), (SELECT sum(used) FROM token)::bigint"
    )
    return tuple(row)


async def charged(dsn: str) -> int:
    return (await fetch(dsn, "SELECT sum(amount)::bigint FROM ledger"))[0]


async def audited(product: Product, dsn: str) -> bool:
    """Whether everything adds up."""
    url = product.ready["redis_url"]
    settings = {"TOLLHOUSE_POSTGRES__DSN": dsn, "TOLLHOUSE_REDIS__URL": url}
    done = await asyncio.to_thread(tollhouse, product.place, "audit", **settings)
    return done.returncode == 0
