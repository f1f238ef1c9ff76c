"""Nothing that is to be sent is lost with the process that sends it."""

import asyncio
import contextlib
import os
import signal
import sys

import asyncpg

from gateway.settings import Config
from gateway.store.bootstrap import bootstrap
from gateway.store.outbox import enqueue_mail
from gateway.store.postgres import open_pool
from gateway.store.seal import Seal
from tests.admin import KEK, PEPPER, PEPPER_SECRET
from tests.e2e.product import ROOT
from tests.integration.test_leavings import eventually
from tests.mail import running_mail


@contextlib.asynccontextmanager
async def admin_process(dsn, valkey_url, port):
    """`python -m admin_api`, which is killed at the end if it has not ended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "admin_api"),
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TOLLHOUSE_ADMIN__LISTEN": "127.0.0.1:0",
            "TOLLHOUSE_POSTGRES__DSN": dsn,
            "TOLLHOUSE_REDIS__URL": valkey_url,
            "TOLLHOUSE_PEPPER": PEPPER_SECRET.hex(),
            "TOLLHOUSE_KEK": KEK.hex(),
            "TOLLHOUSE_MAIL__HOST": "127.0.0.1",
            "TOLLHOUSE_MAIL__PORT": str(port),
            "TOLLHOUSE_MAIL__TLS": "none",
            "TOLLHOUSE_MAIL__SENDER": "no-reply@example.com",
        },
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_letter_survives_the_process_that_was_sending_it(postgres_dsn, valkey_url):
    async with await open_pool(postgres_dsn, size=1, statement_timeout_s=10) as pool:
        await bootstrap(pool, PEPPER, Config())
        async with pool.acquire() as connection:
            await enqueue_mail(connection, Seal(KEK), "ada@example.com", "A subject", "Hello.")
    database = await asyncpg.connect(postgres_dsn)
    async with running_mail() as box:
        box.hangs = True
        async with admin_process(postgres_dsn, valkey_url, box.port) as process:
            await box.arrived.wait()
            process.send_signal(signal.SIGKILL)
        left = await database.fetchrow("SELECT * FROM outbox")
        assert (left["attempts"], left["sent_at"], left["failed_at"]) == (1, None, None)
        assert left["due_at"] > left["created_at"]  # as long as it may have gone on sending
        await database.execute("UPDATE outbox SET due_at = now()")
        box.hangs = False
        async with admin_process(postgres_dsn, valkey_url, box.port) as process:
            letter = await box.letter()
            assert f"msg_{left['id']}_" in letter["Message-ID"]

            async def is_sent():
                return await database.fetchval("SELECT sent_at FROM outbox") is not None

            await eventually(is_sent)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        assert box.letters.empty()
    await database.close()
