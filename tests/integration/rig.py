"""A gateway in this process for tests: real stores, a scripted upstream, tokens made by the administrative store."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import asyncpg
from aiohttp import web

from gateway.app import Gateway, open_gateway
from gateway.config import Loaded, load
from gateway.domain.edit import Actor, TokenDraft
from gateway.domain.pepper import Pepper
from gateway.store.bootstrap import bootstrap
from gateway.store.editing import Keyed
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import open_pool
from gateway.store.quota import QuotaStore
from gateway.store.roles import GATEWAY
from gateway.store.seal import Seal
from tests.databases import as_role
from tests.tokens import create_token
from tests.upstream import ScriptedUpstream

PEPPER_SECRET = bytes(range(32))
PEPPER = Pepper(PEPPER_SECRET)
SEAL = Seal(bytes(range(32, 64)))
SYSTEM = Actor("system", any_group=True)
USD = 1_000_000_000
LOOK_S = 0.001  # between two looks at what tells nobody: who looks all the time takes the processor that it waits for
PRICED = {
    "input_usd_per_mtok": 1,
    "output_usd_per_mtok": 10,
    "default_output_tokens": 100,
    "max_output_tokens": 1000,
}


@dataclass
class Rig:
    """A running gateway, its upstream, and a client session. `database` and `dsn` are the owner's."""

    gateway: Gateway
    upstream: ScriptedUpstream
    url: str
    session: aiohttp.ClientSession
    database: asyncpg.Pool
    site: web.BaseSite
    pepper: Pepper = PEPPER
    dsn: str = ""

    async def token(self, granted: int | None = None, **fields: Any) -> Keyed:
        """A new token of the first user, uncapped unless `granted` (nano-dollars) says otherwise."""
        draft = TokenDraft(name=fields.pop("name", "test"), granted=granted, **fields)
        return await create_token(
            self.database, SYSTEM, 1, draft, pepper=self.pepper, max_tokens=100_000
        )

    def post(self, key: str, body: Any, path: str = "/v1/chat/completions", **options: Any):
        """A call as a client makes it: a context manager of the answer."""
        headers = {"Authorization": f"Bearer {key}", **options.pop("headers", {})}
        if isinstance(body, bytes):
            return self.session.post(self.url + path, data=body, headers=headers, **options)
        return self.session.post(self.url + path, json=body, headers=headers, **options)

    async def status(self, key: str) -> int:
        """What a plain call with this key comes to."""
        async with self.post(key, chat()) as answer:
            await answer.read()
            return answer.status

    async def only_row(self) -> dict[str, Any]:
        """The one row that the ledger has."""
        (row,) = await self.ledger()
        return dict(row)

    async def ledger(self) -> list[asyncpg.Record]:
        """Every row, once nothing waits to be posted."""
        await self.posted()
        return await self.database.fetch("SELECT * FROM ledger ORDER BY request_id")

    async def posted(self) -> None:
        """Until every finished call is in Postgres."""
        async with _deadline():
            await until(lambda: not self.gateway.accounting.poster.waiting)

    async def quiet(self) -> None:
        """Until no call runs, and every one is in Postgres."""
        async with _deadline():
            await self.gateway.handler.drain(30)
            await self.posted()


def chat(model: str = "m", text: str = "Hello", **members: Any) -> dict[str, Any]:
    """A chat body."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **members}


@contextlib.asynccontextmanager
async def running(
    postgres_dsn: str,
    valkey_url: str,
    upstream: ScriptedUpstream,
    configure: Callable[[dict[str, Any]], None] | None = None,
    environment: dict[str, str] | None = None,
    pepper: Pepper = PEPPER,
    own_dsn: str | None = None,
    trace_headers: dict[str, str] | None = None,
) -> AsyncIterator[Rig]:
    """A gateway before `upstream`, with the priced model `m` and the unpriced `unpriced`.

    `own_dsn` is how it reaches the database, if not as the role of its own.
    """
    own = own_dsn or as_role(postgres_dsn, GATEWAY)
    loaded = configuration(own, valkey_url, upstream.base_url, configure, environment)
    async with contextlib.AsyncExitStack() as stack:
        pool = await open_pool(postgres_dsn, size=4, statement_timeout_s=10)
        stack.push_async_callback(pool.close)
        await bootstrap(pool, pepper, loaded.config)
        async with Pipeline(valkey_url) as pipeline:
            # An empty store, and nobody who held anything.
            await QuotaStore(pipeline).start(pause_s=0)
        gateway = await stack.enter_async_context(
            open_gateway(loaded, pepper=pepper, seal=SEAL, trace_headers=trace_headers or {})
        )
        runner = web.ServerRunner(gateway.server, shutdown_timeout=1.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        host, port = runner.addresses[0][:2]
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )
        await stack.enter_async_context(session)
        yield Rig(
            gateway, upstream, f"http://{host}:{port}", session, pool, site, pepper, postgres_dsn
        )


@contextlib.asynccontextmanager
async def running_rig(
    postgres_dsn: str,
    valkey_url: str,
    configure: Callable[[dict[str, Any]], None] | None = None,
    environment: dict[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Rig]:
    """The same before a scripted upstream of its own."""
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, configure, environment, **options) as rig,
    ):
        yield rig


def configuration(
    postgres_dsn: str,
    valkey_url: str,
    base_url: str,
    configure: Callable[[dict[str, Any]], None] | None = None,
    environment: dict[str, str] | None = None,
) -> Loaded:
    """A loaded configuration, after `configure` changed its members."""
    members: dict[str, Any] = {
        # A machine that is busy with tests is no overloaded gateway.
        "gateway": {"listen": "127.0.0.1:0", "shed_delay_s": 0},
        "postgres": {"dsn": postgres_dsn},
        # Nor is it a lost store; who tests lost stores says what is slow.
        "redis": {"url": valkey_url, "operation_timeout_s": 5.0},
        "quota": {"pause_s": 0.2, "post_interval_s": 0.02},
        "log": {"access": "/dev/null"},
        "models": [{"name": "m", **PRICED}, {"name": "unpriced"}],
        "upstreams": [{"name": "scripted", "base_url": base_url, "models": ["*"]}],
    }
    if configure is not None:
        configure(members)
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(_toml(members))
        file.flush()
        return load(environment or {}, file.name)


def _toml(members: dict[str, Any]) -> str:
    """TOML of sections, lists of tables and inline values: all that a configuration needs."""
    lines = []
    for name, value in members.items():
        tables = value if isinstance(value, list) else [value]
        for table in tables:
            lines.append(f"[[{name}]]" if isinstance(value, list) else f"[{name}]")
            lines += [f"{key} = {_inline(item)}" for key, item in table.items()]
    return "\n".join(lines)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_inline(k)} = {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition of this process holds."""
    while not condition():  # noqa: ASYNC110 -- any state of this process, not only events
        await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def _deadline(seconds: float = 20) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds):
        yield


def instant(seconds: float) -> datetime:
    """An aware instant."""
    return datetime.fromtimestamp(seconds, UTC)
