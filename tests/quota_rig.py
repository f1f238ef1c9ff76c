"""A quota store for tests: the real scripts on a real Valkey, with time held by the test."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.domain.catalog import Group
from gateway.domain.limits import Limit
from gateway.domain.network import Blocks
from gateway.domain.token import SCOPES, SHARDS, Token
from gateway.store.books import Book, StoredBook, unpack_settlement
from gateway.store.contents import WindowSums
from gateway.store.pipeline import Pipeline
from gateway.store.prepared import Prepared, key
from gateway.store.quota import QuotaStore
from gateway.store.replies import Reply, read_reply
from gateway.store.scripts import Scripts, load_scripts
from gateway.store.windows import windows_of

# In the place of include/clock.lua: the time that the test has set, the store's where it set none.
CLOCK = """
local function clock()
  local held = redis.call('GET', 'test:now')
  if held then return tonumber(held) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""
START = 1_800_000_000_000
"""2027-01-15 08:00 UTC, in ms: where tests that hold the time begin."""

SHARD, ACCOUNT = 7, 7


def token(
    token_id: int = 1,
    *,
    account_id: int = ACCOUNT,
    user_id: int = 3,
    limits: tuple[tuple[int, Limit], ...] = (),
    concurrency: tuple[int, int, int, int] = (0, 0, 0, 0),
    granted: tuple[bool, bool, bool, bool] = (True, True, True, True),
    versions: tuple[int, int, int, int] = (1, 1, 1, 1),
) -> Token:
    return Token(
        id=token_id,
        account_id=account_id,
        user_id=user_id,
        name="test",
        group=Group(2, "default"),
        status=1,
        expires_at=None,
        account_live=True,
        user_live=True,
        models=None,
        allow=Blocks.of([]),
        deny=Blocks.of([]),
        limits=limits,
        concurrency=concurrency,
        granted=granted,
        versions=versions,
    )


def name_run(pipeline: Pipeline, run_id: bytes) -> None:
    """Let a pipeline believe that its server is in this run."""
    pipeline.run_ids = [run_id] * SHARDS


class Rig:
    """`QuotaStore` with every operation awaitable, and a look at the records behind it."""

    def __init__(self, pipeline: Pipeline, **settings: float) -> None:
        self.pipeline = pipeline
        self.store = QuotaStore(pipeline, **settings)
        self._ids = itertools.count(1)

    def new_id(self) -> bytes:
        return b"%032x" % next(self._ids)

    async def command(self, *args: bytes | str | int) -> Any:
        return await self.pipeline.call(SHARD, *args)

    async def set_time(self, now_ms: int) -> None:
        await self.command("SET", "test:now", now_ms)

    async def load(self, of: Token, **scopes: int | None) -> None:
        """Rows with no use yet; `token=`, `member=`, `subscription=`, `account=` are grants."""
        rows = [
            Book(scope_id, scopes.get(scope, 10**12), 1, 0, version)
            for scope, scope_id, version in zip(SCOPES, of.scope_ids, of.versions, strict=True)
        ]
        await self.load_rows(rows, await self._empty_windows(of))

    async def _empty_windows(self, of: Token) -> WindowSums | None:
        """The windows of all models that the token's limits name, and of others, as yet unused."""
        names = {"m"}.union(*(limit.models or () for _, limit in of.limits))
        held = await self.command("GET", "test:now")
        now_ms = time.time() * 1000 if held is None else int(held)
        found = {w: None for name in sorted(names) for w in windows_of(of, name, int(now_ms))}
        return WindowSums(of.scope_ids, list(found), [{}] * len(found)) if found else None

    async def load_rows(self, rows: list[Book], windows: WindowSums | None = None) -> None:
        """Rows that were read just now."""
        opening = await self.store.opening(SHARD)
        assert opening is not None
        assert await self.store.load(ACCOUNT, rows, windows, opening=opening.name)

    async def reserve(
        self,
        prepared: Prepared,
        request_id: bytes,
        amount: int = 100,
        tokens: int = 10,
        *,
        detail: bytes = b"detail",
        dry: bool = False,
    ) -> Reply:
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.store.reserve(prepared, request_id, amount, tokens, detail, reply.set_result, dry=dry)
        return read_reply(await reply)

    async def settle(
        self,
        prepared: Prepared,
        request_id: bytes,
        amount: int = 60,
        tokens: int = 5,
        *,
        keep_request: bool = True,
    ) -> object:
        """As `QuotaStore.settle`, whose reply nobody gets, but with the reply."""
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        command = prepared.settle(request_id, amount, tokens, b"event", keep_request=keep_request)
        self.pipeline.send(prepared.shard, command, reply.set_result)
        return await reply

    async def void(self, prepared: Prepared, request_id: bytes) -> object:
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.store.void(prepared, request_id, b"event", reply.set_result)
        return await reply

    async def confirm(self, books: list[Book], ids: list[bytes]) -> object:
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.store.confirm(ACCOUNT, books, ids, reply.set_result)
        return await reply

    async def books(self, of: Token) -> list[StoredBook]:
        books = [await self.store.book(of.account_id, scope_id) for scope_id in of.scope_ids]
        assert None not in books
        return [book for book in books if book is not None]

    async def everything(self) -> dict[bytes, bytes]:
        """The whole database, byte for byte, to see that something left no trace."""
        keys = sorted(await self.command("KEYS", "*"))
        return {k: await self.command("DUMP", k) for k in keys}

    async def assert_conserved(self, *tokens: Token) -> None:
        """reserved = Σ r, live = its number, pending = Σ p, of every scope; x knows every id."""
        live = await self.store.live(ACCOUNT)
        settled = await self.settlements()
        for scope_id in {s for t in tokens for s in t.scope_ids}:
            book = await self.store.book(ACCOUNT, scope_id)
            assert book is not None
            mine = [r.amount for r in live if scope_id in r.scope_ids]
            assert (book.reserved, book.live) == (sum(mine), len(mine)), scope_id
            assert book.pending == sum(s[1] for s in settled if scope_id in s[2]), scope_id
        ids = {r.request_id for r in live} | {s[0] for s in settled}
        known = await self.command("ZRANGE", key(SHARD, "x"), 0, -1)
        assert {m.decode() for m in known} == {f"{ACCOUNT}|{i}" for i in ids}

    async def settlements(self) -> list[tuple[str, int, tuple[str, ...]]]:
        flat = await self.command("HGETALL", key(SHARD, "p", str(ACCOUNT)))
        found = [
            unpack_settlement(i.decode(), data) for i, data in zip(*[iter(flat)] * 2, strict=True)
        ]
        return [(s.request_id, s.amount, s.scope_ids) for s in found]


@asynccontextmanager
async def open_rig(
    url: str, *, opened: bool = True, scripts: Scripts | None = None, **settings: float
) -> AsyncIterator[Rig]:
    """An empty store, its shards open without a pause."""
    scripts = scripts or load_scripts(clock=CLOCK)
    async with Pipeline(url, scripts, operation_timeout_s=60) as pipeline:
        rig = Rig(pipeline, **settings)
        await rig.command("FLUSHDB")
        if opened:
            await rig.store.start(0)
        yield rig
