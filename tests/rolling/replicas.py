"""Three gateways and an admin app as processes on given stores: started, asked, stopped, started again."""

import asyncio
import contextlib
import inspect
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import asyncpg

from gateway.config import load
from gateway.domain.edit import Actor, TokenDraft
from gateway.domain.pepper import Pepper
from gateway.store.bootstrap import bootstrap
from gateway.store.editing import Keyed
from gateway.store.postgres import apply_schema, open_pool
from tests.chaos.processes import Process, free_port, module, plain_environment
from tests.tokens import create_token

REPLICAS = 3
PEPPER_SECRET = bytes(range(32))
PEPPER = Pepper(PEPPER_SECRET)
_UP_S = 40.0
_POLL_S = 0.02
_NUSD_PER_USD = 1_000_000_000

# Models `m` and `long` cost the same; only the upstream tells them apart.
_CONFIGURATION = """
[gateway]
trusted_proxies = ["127.0.0.1"]
lame_duck_s = {lame_duck_s}
drain_s = 20

[admin]
trusted_proxies = ["127.0.0.1"]

[[models]]
name = "m"
input_usd_per_mtok = 1
output_usd_per_mtok = 10

[[models]]
name = "long"
input_usd_per_mtok = 1
output_usd_per_mtok = 10

[[upstreams]]
name = "scripted"
base_url = "{upstream_url}"
models = ["m", "long"]
"""


class Replica:
    """One gateway; `stop` and `start` may be called again and again."""

    def __init__(self, directory: Path, number: int, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.access = directory / f"access-{number}.log"
        own = {
            "TOLLHOUSE_GATEWAY__LISTEN": f"127.0.0.1:{self.port}",
            "TOLLHOUSE_LOG__ACCESS": str(self.access),
        }
        log = directory / f"gateway-{number}.log"
        self.process = Process(f"gateway-{number}", module("gateway"), environment | own, log)

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process.start()
        await until(lambda: self.says(200))

    async def says(self, status: int) -> bool:
        """Whether that is how it answers /readyz."""
        return await readiness(self.port) == status

    def terminate(self) -> None:
        """Tell it to end."""
        self.process.signal(signal.SIGTERM)

    async def listens(self) -> bool:
        """Whether it takes connections."""
        return await readiness(self.port) != 0

    async def ended(self) -> int:
        """Wait for its end; the exit status."""
        return await asyncio.to_thread(self.process.child.wait, _UP_S)

    def calls(self) -> int:
        """How many calls it has written down."""
        return self.access.read_bytes().count(b'"event":"call"') if self.access.exists() else 0


class Replicas:
    """All of it. `key` opens a token with money on it."""

    def __init__(self, replicas: list[Replica], admin_port: int, token: Keyed, dsn: str) -> None:
        self.all = replicas
        self.admin_port = admin_port
        self.token = token
        self.dsn = dsn

    @property
    def ports(self) -> list[int]:
        """Where the gateways are."""
        return [replica.port for replica in self.all]

    async def ledger(self) -> list[asyncpg.Record]:
        """Its rows."""
        connection = await asyncpg.connect(self.dsn)
        try:
            rows: list[asyncpg.Record] = await connection.fetch("SELECT * FROM ledger")
            return rows
        finally:
            await connection.close()

    async def used_nusd(self) -> int:
        """What the token has spent, as Postgres says."""
        connection = await asyncpg.connect(self.dsn)
        try:
            used = await connection.fetchval(
                "SELECT used FROM token WHERE id = $1", self.token.row.id
            )
            return int(used)
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def replicas(
    directory: Path, dsn: str, valkey_url: str, upstream_url: str, *, lame_duck_s: float
) -> AsyncIterator[Replicas]:
    """Started and ready, on stores that nobody else uses; ended however the block ends."""
    config = directory / "config.toml"
    text = _CONFIGURATION.format(lame_duck_s=lame_duck_s, upstream_url=upstream_url)
    await asyncio.to_thread(config.write_text, text)
    token = await _token(dsn, config)
    admin_port = free_port()
    environment = plain_environment() | {
        "TOLLHOUSE_CONFIG": str(config),
        "TOLLHOUSE_STATE": str(directory),
        "TOLLHOUSE_PEPPER": PEPPER_SECRET.hex(),
        "TOLLHOUSE_KEK": PEPPER_SECRET.hex(),
        "TOLLHOUSE_POSTGRES__DSN": dsn,
        "TOLLHOUSE_REDIS__URL": valkey_url,
        "TOLLHOUSE_ADMIN__LISTEN": f"127.0.0.1:{admin_port}",
        "TOLLHOUSE_QUOTA__PAUSE_S": "0.001",  # nobody held anything in the empty store
        # A machine that is busy is no lost store.
        "TOLLHOUSE_REDIS__OPERATION_TIMEOUT_S": "5.0",
    }
    admin = Process("admin", module("admin_api"), environment, directory / "admin.log")
    made = [Replica(directory, number, environment) for number in range(REPLICAS)]
    try:
        admin.start()
        await asyncio.gather(*(each.start() for each in made))
        await until(lambda: _says(admin_port, 200))
        yield Replicas(made, admin_port, token, dsn)
    finally:
        for process in (admin, *(each.process for each in made)):
            process.kill()


async def _token(dsn: str, config: Path) -> Keyed:
    await apply_schema(dsn)
    loaded = load({}, str(config))
    async with await open_pool(dsn, size=1, statement_timeout_s=10) as pool:
        await bootstrap(pool, PEPPER, loaded.config)
        draft = TokenDraft(name="rolling", granted=1000 * _NUSD_PER_USD)
        return await create_token(
            pool, Actor("system", any_group=True), 1, draft, pepper=PEPPER, max_tokens=100
        )


async def readiness(port: int) -> int:
    """The status of /readyz on a connection of its own; 0 where there is none."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/readyz") as answer,
        ):
            json.loads(await answer.read())
            return answer.status
    except aiohttp.ClientConnectionError:
        return 0


async def _says(port: int, status: int) -> bool:
    return await readiness(port) == status


async def until(condition: Callable[[], object], within_s: float = _UP_S) -> None:
    """Poll what has no event; a condition may be awaited."""
    async with asyncio.timeout(within_s):
        while True:
            holds = condition()
            if inspect.isawaitable(holds):
                holds = await holds
            if holds:
                return
            await asyncio.sleep(_POLL_S)
