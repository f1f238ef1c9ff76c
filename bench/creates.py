"""How many tokens a second the admin app makes for 16 clients of one user, and what each costs it and Postgres."""

import time
from pathlib import Path
from typing import Any

from bench.cpu import cpu_s
from bench.load import run_load
from bench.tollhouse import Tollhouse
from gateway.domain.edit import Actor
from gateway.store.people import write_access_token, write_user
from gateway.store.postgres import open_pool, transaction

_BODY = b'{"name": "made by the bench", "remain_quota": 500000}'
_WARM_UP_S = 1.0
_CLIENTS = 16


def measure_creates(
    gateway: Tollhouse, access_token: str, directory: Path, seconds: float
) -> dict[str, Any]:
    """Creations by a user who has few tokens so far."""
    body = directory / "create.json"
    body.write_bytes(_BODY)
    url = f"{gateway.admin_url}/api/token/"
    run_load(url, access_token, body, _WARM_UP_S, _CLIENTS)
    roots = {"app": gateway.pids["admin"], "postgres": gateway.pids["postgres"]}
    before = {name: cpu_s([root]) for name, root in roots.items()}
    load = run_load(url, access_token, body, seconds, _CLIENTS)
    if load.errors or not load.requests:
        raise RuntimeError(f"{load.errors} of {load.requests} tokens could not be made")
    processor_ms = {
        name: round(1e3 * (cpu_s([root]) - before[name]) / load.requests, 2)
        for name, root in roots.items()
    }
    return {
        "per_s": round(load.requests / load.seconds, 1),
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "processor_ms": processor_ms,
    }


async def new_user(gateway: Tollhouse) -> str:
    """The access token of a user who has no tokens yet."""
    actor = Actor("bench", any_group=True)
    async with (
        await open_pool(gateway.database_url, size=1, statement_timeout_s=60) as pool,
        transaction(pool) as connection,
    ):
        name = f"creates-{time.time_ns()}"
        user_id = await write_user(connection, actor, name, granted=None)
        return await write_access_token(connection, actor, user_id, "bench", gateway.pepper)


def show_creates(where: str, made: dict[str, Any]) -> None:
    """Print it in a line."""
    used = ", ".join(f"{name} {ms:.2f}" for name, ms in made["processor_ms"].items())
    print(
        f"created {where}: {made['per_s']:,.0f} tokens/s, p50 {made['p50_ms']:.0f} ms, p99 {made['p99_ms']:.0f} ms; "
        f"ms of the processor for each: {used}"
    )
