"""A worker for tests of windows: calls on held time, their ledger in a real Postgres, and losses of the store."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType

import asyncpg

from gateway.domain.catalog import Catalog
from gateway.domain.token import Token
from gateway.relay.record import ledger_constant
from gateway.store.books import Reservation
from gateway.store.charges import Charge
from gateway.store.keys import KeyStore
from gateway.store.ledger import LedgerStore
from gateway.store.loads import Loads
from gateway.store.postgres import open_pool
from gateway.store.prepared import Prepared, key
from gateway.store.replies import Again, Obstacle, Refused, Reserved
from gateway.store.windows import Kind, Window
from tests.ledger_lines import ledger_line
from tests.quota_rig import ACCOUNT, SHARD, START, Rig, name_run, open_rig

_NOTHING = Catalog(1, MappingProxyType({}), MappingProxyType({}), ())
_ROWS = """
INSERT INTO "group" (id, name) OVERRIDING SYSTEM VALUE VALUES (2, 'two');
INSERT INTO account (id, name, granted) OVERRIDING SYSTEM VALUE VALUES (7, 'seven', NULL);
INSERT INTO "user" (id, username, account_id, group_id) OVERRIDING SYSTEM VALUE VALUES (3, 'u', 7, 2), (4, 'v', 7, 2);
INSERT INTO token (id, account_id, user_id, name) OVERRIDING SYSTEM VALUE VALUES (1, 7, 3, 'a'), (2, 7, 4, 'b');
"""


@dataclass
class Made:
    """A call that was reserved, with what it is known to use by now."""

    request_id: bytes
    token: Token
    model: str
    prepared: Prepared
    at: int
    real: int
    requests: int
    tokens: int
    amount: int
    line: bytes = b""
    is_live: bool = True
    is_posted: bool = False


async def _no_other(_generation: int) -> None:
    raise AssertionError("the catalog never changes here")


class Worker:
    """Reserves as `Reservations` does, settles and posts when it is told to."""

    def __init__(self, rig: Rig, pool: asyncpg.Pool, ledger: LedgerStore) -> None:
        self.rig = rig
        self.pool = pool
        self.loads = Loads(pool, KeyStore(pool, lambda: _NOTHING, reach=_no_other), rig.store)
        self.now = self.real = START
        self.calls: list[Made] = []
        self.loaded = 0
        self._ledger = ledger
        self._runs = 0

    async def wait(self, milliseconds: int) -> None:
        self.real += milliseconds
        self.now += milliseconds
        await self.rig.set_time(self.now)

    async def set_clock_back(self, milliseconds: int) -> None:
        self.now -= milliseconds
        await self.rig.set_time(self.now)

    async def call(
        self, token: Token, model: str = "m", *, tokens: int = 10, amount: int = 100
    ) -> Made | Refused:
        """Reserve, after whatever the store wants first."""
        request_id = b"%012x7%03x%016x" % (self.now, 0, len(self.calls) + 1)
        prepared = self.prepare(token, model)
        for _ in range(9):
            reply = await self.rig.reserve(
                prepared, request_id, amount, tokens, detail=_constant(token, model)
            )
            if isinstance(reply, Reserved):
                made = Made(
                    request_id, token, model, prepared, self.now, self.real, 1, tokens, amount
                )
                self.calls.append(made)
                return made
            if isinstance(reply, Refused):
                return reply
            prepared = await self._clear(prepared, token, model, reply)
        raise AssertionError(f"no decision: {reply}")

    def prepare(self, token: Token, model: str = "m") -> Prepared:
        return self.rig.store.prepare(token, model, 0, now_ms=self.now)

    async def _clear(self, prepared: Prepared, token: Token, model: str, reply: Again) -> Prepared:
        if reply.obstacle is Obstacle.LOAD:
            self.loaded += 1
            assert await self.loads.load(prepared, token)
        elif reply.obstacle is Obstacle.EPOCH:
            await self.rig.store.start(0)
            return self.prepare(token, model)
        elif reply.obstacle is Obstacle.PAUSE:  # the clock went back since the shard was opened
            await self.wait(reply.value)
        else:
            assert reply.obstacle is Obstacle.PERIOD, reply
            return self.rig.store.prepare(token, model, 0, now_ms=reply.value)
        return prepared

    async def settle(
        self, made: Made, *, tokens: int = 10, amount: int = 100, reached: bool = True
    ) -> None:
        made.line = self._line(made, tokens, amount, b"scripted" if reached else b"")
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        command = made.prepared.settle(
            made.request_id, amount, tokens, made.line, keep_request=reached
        )
        self.rig.pipeline.send(SHARD, command, done.set_result)
        await done
        made.is_live, made.tokens, made.amount, made.requests = False, tokens, amount, int(reached)

    async def post(self, *calls: Made) -> None:
        """Write settled calls to Postgres, and confirm them."""
        charges = [Charge(made.request_id, ACCOUNT, made.line) for made in calls]
        posted = await self._ledger.post(charges)
        assert not posted.refused
        await self.rig.confirm(
            [*posted.books[ACCOUNT].values()], [made.request_id for made in calls]
        )
        for made in calls:
            made.is_posted = True

    async def finish(self) -> None:
        """Nothing is in flight any more."""
        for made in self.calls:
            if made.is_live:
                await self.settle(made, tokens=made.tokens, amount=made.amount)
        if waiting := [made for made in self.calls if not made.is_posted]:
            await self.post(*waiting)

    async def lose_everything(self) -> None:
        """The store is empty, in the same run."""
        await self.rig.command("FLUSHDB")
        await self._come_back()

    async def roll_back(self, state: dict[bytes, bytes]) -> None:
        """The store is as it was, in another run."""
        self._runs += 1
        name_run(self.rig.pipeline, b"%040x" % (self._runs << 120))
        await self.rig.command("FLUSHDB")
        for name, dump in state.items():
            await self.rig.command("RESTORE", name, 0, dump)
        await self._come_back()

    async def _come_back(self) -> None:
        """What workers do within the pause: announce what they hold, post what they had settled."""
        await self.rig.set_time(self.now)
        await self.rig.store.start(0)
        held = [
            Reservation(
                made.request_id.decode(),
                made.token.scope_ids,
                made.amount,
                made.tokens,
                made.at,
                _constant(made.token, made.model),
            )
            for made in self.calls
            if made.is_live
        ]
        await self.rig.store.announce(ACCOUNT, held)
        if settled := [made for made in self.calls if made.line]:
            await self.post(*settled)

    async def holds(self, token: Token, window: Window) -> dict[int, int]:
        """What a window counts, by bucket, of what still counts."""
        scope_id = token.scope_ids[window.scope]
        head = await self.rig.command("GET", key(SHARD, "h", f"{scope_id}:{window.id}"))
        total, oldest, current, in_current, _ = struct.unpack_from("<5d", head)
        if window.kind is Kind.BURST:
            return {0: int(total)}
        found = {int(current): int(in_current)}
        flat = await self.rig.command("HGETALL", key(SHARD, "w", scope_id))
        for field, units in zip(flat[::2], flat[1::2], strict=True):
            name, _, bucket = field.decode().rpartition("|")
            if name == window.id:
                assert oldest <= int(bucket) < current, "a bucket that nothing counts"
                found[int(bucket)] = int(units)
        assert sum(found.values()) == total
        if window.kind is Kind.RING:
            first = self.now // window.first - window.second
            found = {bucket: units for bucket, units in found.items() if bucket >= first}
        return {bucket: units for bucket, units in found.items() if units}

    def _line(self, made: Made, tokens: int, amount: int, upstream: bytes) -> bytes:
        return ledger_line(
            made.token,
            made.request_id,
            made.at / 1000,
            made.model,
            upstream=upstream,
            input_tokens=tokens // 3,
            output_tokens=tokens - tokens // 3,
            amount=amount,
        )


def _constant(token: Token, model: str) -> bytes:
    return ledger_constant(token.account_id, token.id, token.user_id, token.group.id, model)


@asynccontextmanager
async def open_worker(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Worker]:
    """An empty store with its time held, and a database with the rows of two tokens of one account."""
    pool = await open_pool(postgres_dsn, size=4, statement_timeout_s=10)
    ledger = LedgerStore(postgres_dsn, statement_timeout_s=10)
    try:
        await pool.execute(_ROWS)
        async with open_rig(valkey_url) as rig:
            await rig.set_time(START)
            yield Worker(rig, pool, ledger)
    finally:
        await ledger.close()
        await pool.close()
