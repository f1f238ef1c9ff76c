"""How many tokens a second parallel clients make over one admin app.

`python -m bench.creates URL TOKEN COUNT` is the clients: a process of their own, so that they do not take
the app's time.
"""

import asyncio
import sys
import time
from typing import NamedTuple

import aiohttp
from aiohttp import web

from admin_api.app import build_app
from admin_api.notifier import StoreNotifier
from gateway.domain.edit import Actor
from gateway.settings import Config
from gateway.store.bootstrap import bootstrap
from gateway.store.people import write_access_token, write_user
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import Pool, open_pool, transaction
from gateway.store.quota import QuotaStore
from gateway.store.valkey import open_valkey

_CLIENTS = 16
_PEPPER = bytes(range(32))
_CONFIG = {"admin": {"max_tokens_per_user": 10_000}}


class Creates(NamedTuple):
    """`app_ms`: processor time of the app's process for each token, which a busy machine changes less."""

    per_s: float
    app_ms: float


async def measure_creates(dsn: str, url: str, count: int) -> Creates:
    """Tokens made by a new user of an app on these stores."""
    config = Config.model_validate(_CONFIG)
    async with (
        await open_pool(dsn, size=config.postgres.pool_size, statement_timeout_s=60) as pool,
        Pipeline(url) as pipeline,
        open_valkey(url) as valkey,
    ):
        quota = QuotaStore(pipeline)
        await quota.start(0)
        await bootstrap(pool, _PEPPER, config)
        access_token = await _new_user(pool)
        app = build_app(config, pool, StoreNotifier(quota, valkey, timeout_s=1), quota, _PEPPER)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0]
            begun = time.process_time()
            per_s = await _run_clients(f"http://{host}:{port}", access_token, count)
            return Creates(per_s, (time.process_time() - begun) * 1000 / count)
        finally:
            await runner.cleanup()


async def _new_user(pool: Pool) -> str:
    actor = Actor("bench", any_group=True)
    async with transaction(pool) as connection:
        user_id = await write_user(connection, actor, f"creates{time.time_ns()}", granted=None)
        return await write_access_token(connection, actor, user_id, "bench", _PEPPER)


async def _run_clients(url: str, access_token: str, count: int) -> float:
    clients = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.creates", url, access_token, str(count), stdout=-1
    )
    said, _ = await clients.communicate()
    if clients.returncode:
        raise RuntimeError("a token could not be made")
    return float(said)


async def _create(url: str, access_token: str, count: int) -> float:
    left = iter(range(count))
    headers = {"Authorization": f"Bearer {access_token}"}
    async with aiohttp.ClientSession(url, headers=headers) as session:

        async def client() -> None:
            for number in left:
                body = {"name": f"made {number}", "remain_quota": 500_000}
                async with session.post("/api/token/", json=body) as answer:
                    answer.raise_for_status()
                    await answer.read()

        begun = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(_CLIENTS)))
        return count / (time.perf_counter() - begun)


if __name__ == "__main__":
    print(asyncio.run(_create(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
