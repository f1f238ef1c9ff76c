"""`tollhouse audit` and `/metrics` of the running product."""

import asyncio
import os
import re
import signal
import socket

import asyncpg
import pytest

from tests.e2e.product import (
    Product,
    audits_of,
    calling,
    linux_only,
    lives,
    running_beside,
    scripted,
    tollhouse,
)
from tests.upstream import Echo, Gate, ScriptedUpstream

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


def two_free_ports() -> int:
    """A port that is free, as the next one is."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


async def audit(product: Product) -> tuple[int, str]:
    done = await asyncio.to_thread(tollhouse, product.place, "audit")
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(240)
async def test_the_product_audits_itself_and_each_worker_tells_its_figures():
    port = two_free_ports()
    settings = {
        "TOLLHOUSE_GATEWAY__WORKERS": "2",
        "TOLLHOUSE_METRICS__LISTEN": f"127.0.0.1:{port}",
        "TOLLHOUSE_QUOTA__AUDIT_INTERVAL_S": "0.1",
    }
    async with (
        ScriptedUpstream() as upstream,
        running_beside(scripted(upstream.base_url), **settings) as product,
        calling(product) as caller,
    ):
        gate = Gate()
        upstream.answer("m", Echo().first(gate))
        token = await caller.token(unlimited_quota=True)
        call = asyncio.create_task(caller.chat(token["key"], ASK))
        await gate.waiting()
        status, output = await audit(product)
        assert status == 0, output
        assert "1 live calls hold" in output
        await figures_of_both(caller.session, port, "tollhouse_live_reservations 1")
        gate.release()
        assert (await call)[0] == 200
        await figures_of_both(caller.session, port, "tollhouse_live_reservations 0")
        assert await asyncio.to_thread(product.stop) == 0
        status, output = await audit(product)
        assert status == 2
        assert "no `tollhouse run` is up" in output


@linux_only
async def test_an_audit_ends_with_its_worker_however_that_ends():
    settings = {"TOLLHOUSE_GATEWAY__WORKERS": "1", "TOLLHOUSE_QUOTA__AUDIT_INTERVAL_S": "0.1"}
    async with running_beside("", **settings) as product:
        connection = await asyncpg.connect(product.ready["database_url"])
        async with connection.transaction():
            await connection.execute("LOCK TABLE grant_entry IN ACCESS EXCLUSIVE MODE")
            (worker,) = product.workers
            await asyncio.to_thread(product.until, lambda: bool(audits_of(worker)))
            (process,) = audits_of(worker)
            os.kill(worker, signal.SIGKILL)
            await asyncio.to_thread(product.until, lambda: not lives(process))
        await connection.close()


async def figures_of_both(session, port: int, wanted: str) -> None:
    """Until one of two workers tells `wanted`; the other tells of its own charges alone."""
    async with asyncio.timeout(30):
        while True:
            texts = []
            for number in range(2):
                async with session.get(f"http://127.0.0.1:{port + number}/metrics") as answer:
                    texts.append(await answer.text())
            assert all(
                re.search(r"^tollhouse_unposted_charges \d+$", t, re.MULTILINE) for t in texts
            )
            auditing = [text for text in texts if "tollhouse_audit_differences" in text]
            assert len(auditing) <= 1
            if auditing and wanted in auditing[0].splitlines():
                assert not re.search(
                    r"^tollhouse_audit_differences\S+ [^0]", auditing[0], re.MULTILINE
                )
                return
