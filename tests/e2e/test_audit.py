"""`tollhouse audit` and `/metrics` of the running product."""

import asyncio
import os
import re
import signal

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
from tests.integration.test_forwarding import free_port
from tests.upstream import Echo, Gate, ScriptedUpstream

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


async def audit(product: Product) -> tuple[int, str]:
    done = await asyncio.to_thread(tollhouse, product.place, "audit")
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(240)
async def test_the_product_audits_itself_and_tells_the_figures_of_all_its_workers():
    port = free_port()
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
        await figures(caller.session, port, "tollhouse_quota_live_reservations 1")
        gate.release()
        assert (await call)[0] == 200
        told = await figures(caller.session, port, "tollhouse_quota_live_reservations 0")
        assert "tollhouse_workers 2" in told
        assert not [each for each in told if re.match(r"tollhouse_audit_differences\S+ [^0]", each)]
        await every_call_stays_counted(caller, token["key"], product, port)
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


async def figures(session, port: int, *wanted: str) -> list[str]:
    """The lines of `/metrics`, once they have those that are wanted."""
    async with asyncio.timeout(30):
        while True:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            if set(wanted) <= set(lines):
                return lines


async def every_call_stays_counted(caller, key: str, product: Product, port: int) -> None:
    """Also when one of the workers is killed and another takes its place."""
    counted = 'tollhouse_requests_total{route="chat_completions",model="m",provider="scripted",status="200",reason=""} '
    for _ in range(19):
        assert (await caller.chat(key, ASK))[0] == 200
    await figures(caller.session, port, f"{counted}20")
    before = product.workers
    os.kill(before[0], signal.SIGKILL)
    await asyncio.to_thread(product.until, lambda: set(product.workers).isdisjoint(before[:1]))
    await figures(caller.session, port, f"{counted}20", "tollhouse_workers 2")
    assert (await caller.chat(key, ASK))[0] == 200
    await figures(caller.session, port, f"{counted}21")
