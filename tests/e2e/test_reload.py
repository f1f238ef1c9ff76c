"""SIGHUP to `tollhouse run`: workers and admin app go by the changed file, and a bad one changes nothing."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.product import (
    Caller,
    Product,
    calling,
    calling_every_worker,
    linux_only,
    running_beside,
    scripted,
)
from tests.upstream import Echo, Gate, ScriptedUpstream

ASK = {"model": "new", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}
STREAM = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
NEW = '\n[[models]]\nname = "new"\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 10\n'


@pytest.fixture
def given(postgres_dsn: str, valkey_url: str) -> dict[str, str]:
    """Settings of a product with stores of the operator's own."""
    return {
        "TOLLHOUSE_POSTGRES__DSN": postgres_dsn,
        "TOLLHOUSE_REDIS__URL": valkey_url,
        "TOLLHOUSE_PEPPER": os.urandom(32).hex(),
        "TOLLHOUSE_KEK": os.urandom(32).hex(),
        "TOLLHOUSE_QUOTA__PAUSE_S": "0.001",  # nobody held anything in the empty store
        "TOLLHOUSE_GATEWAY__WORKERS": "2",
    }


async def told(product: Product, text: str, file: str) -> None:
    """Have the product read this file, and wait until it says that about it."""
    (product.place / "config.toml").write_text(file)
    product.send(signal.SIGHUP)
    await asyncio.to_thread(product.until, lambda: text in product.output)


async def until_so(ask: Callable[[], Any]) -> None:
    """Poll what a process does a moment after it was told."""
    async with asyncio.timeout(20):
        while not await ask():  # noqa: ASYNC110 -- the state of another process
            await asyncio.sleep(0.02)


async def answers(client: Caller, key: str) -> bool:
    return await client.chat(key, ASK) == (200, "")


@linux_only
async def test_all_go_by_the_changed_file_and_a_bad_one_changes_nothing(given: dict[str, str]):
    gate = Gate()
    async with (
        ScriptedUpstream() as upstream,
        running_beside(scripted(upstream.base_url), **given) as product,
        calling(product) as caller,
        calling_every_worker(product) as clients,
    ):
        upstream.answer("m", Echo().after(2, gate))
        pids = product.ready["pids"]
        key = (await caller.token(unlimited_quota=True))["key"]
        async with caller.post(key, STREAM) as stream:
            await gate.waiting()
            for client in clients:
                assert await client.chat(key, ASK) == (404, "model_not_found")

            file = scripted(upstream.base_url).replace('["m"]', '["m", "new"]') + NEW
            await told(product, "was taken over; changed: models, upstreams", file)
            for client in clients:
                await until_so(lambda client=client: answers(client, key))

            async def is_shown() -> bool:
                _, answer = await caller.admin("GET", "/api/model/new")
                return bool(answer["success"])

            await until_so(is_shown)
            await told(product, "is not TOML", "[gateway")
            await told(product, "quota.lease_s: takes a restart", file + "[quota]\nlease_s = 30\n")
            assert product.output.count("nothing is changed") == 2
            for client in clients:
                assert await answers(client, key)
            gate.release()
            assert (await stream.text()).endswith("data: [DONE]\n\n")
        assert product.ready["pids"] == pids
        assert await asyncio.to_thread(product.stop) == 0
