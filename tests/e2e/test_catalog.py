"""A provider that is added from the command line while everything runs: called by every worker, its key sealed."""

import asyncio
import json

import asyncpg

from tests.e2e.product import calling_every_worker, running, tollhouse
from tests.upstream import ScriptedUpstream

KEY = "sk-provider-0123456789abcdef-wxyz"
WORKERS = 2
ASK = {"model": "small", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}


async def test_a_provider_that_is_added_while_everything_runs_is_called_by_every_worker():
    async with ScriptedUpstream() as provider:
        with running(TOLLHOUSE_GATEWAY__WORKERS=str(WORKERS)) as product:

            async def command(*words: str, **settings: str) -> str:
                done = await asyncio.to_thread(tollhouse, product.place, *words, **settings)
                assert done.returncode == 0, done.stderr
                return done.stdout

            price = ("--input-usd", "1", "--output-usd", "2")
            await command("model", "create", "small", *price)
            added = await command(
                *("upstream", "create", "local", "--base-url", provider.base_url, "--json"),
                *("--allow-cidr", "127.0.0.0/8", "--model", "small=echo"),
                *("--api-key-env", "PROVIDER"),
                PROVIDER=KEY,
            )
            assert json.loads(added)["api_key"] == "…wxyz"
            async with calling_every_worker(product) as callers:
                for caller in callers:
                    assert (await caller.chat(product.ready["key"], ASK))[0] == 200
                assert len(callers) == len(provider.requests) == WORKERS
            sent = {str(each.header("authorization")) for each in provider.requests}
            assert sent == {f"Bearer {KEY}"}
            connection = await asyncpg.connect(product.ready["database_url"])
            try:
                dump = await connection.fetchval("SELECT string_agg(u::text, ' ') FROM upstream u")
            finally:
                await connection.close()
            assert KEY not in dump
            logs = "".join(each.read_text() for each in (product.state / "log").glob("*.log"))
            assert KEY not in logs
