"""Workers made of the product's own parts, without a server: stepped by a test, on real stores and held time.

What fails is what lies between them: a `Wire` loses commands and answers or lets them come late, a worker is lost with
all that it remembers, Valkey forgets or comes back as it was, Postgres cannot be reached.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from unittest import mock

import asyncpg

from gateway.domain import key as keys
from gateway.domain.ask import Ask
from gateway.domain.catalog import Catalog, Group, Model, Price
from gateway.domain.edit import Actor, TokenChange, TokenDraft
from gateway.domain.errors import Refusal, StoreNotAsked, StoreUnavailable
from gateway.domain.limits import Limit, Metric
from gateway.domain.network import Address, parse_address
from gateway.domain.pepper import Pepper
from gateway.domain.quota import Hold, grown
from gateway.domain.rejection import Rejected
from gateway.domain.routes import Route
from gateway.domain.usage import Usage
from gateway.domain.wallets import Regrant
from gateway.relay.accounting import Accounting, Records
from gateway.relay.call import Call, Outcome
from gateway.relay.counters import CallCounters
from gateway.relay.objects import Objects
from gateway.relay.plain import Fields, Head
from gateway.relay.record import AccessLog
from gateway.relay.refusal_counts import RefusalCounts
from gateway.relay.request import PlainRequest
from gateway.relay.reservation import StaleRow
from gateway.relay.shadow_counts import ShadowCounts
from gateway.relay.spans import Tracer
from gateway.relay.terms import TermsMaker
from gateway.settings import QuotaSettings
from gateway.store.charges import Charge
from gateway.store.connection import encode
from gateway.store.conservation import Auditor, open_auditor
from gateway.store.keys import KeyStore
from gateway.store.ledger import LedgerStore
from gateway.store.loads import Loads
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import open_pool, transaction
from gateway.store.quota import QuotaStore
from gateway.store.replies import Reply, read_reply
from gateway.store.scripts import Scripts
from gateway.store.token_cache import Entry
from gateway.store.tokens import update_token
from gateway.store.top_ups import Of, give
from tests.quota_rig import name_run
from tests.tokens import create_token

START_S = 1_800_000_000
LEASE_S, PAUSE_S, SWEEP_S, BEAT_S = 4.0, 3.0, 2.0, 1.0
MOST_LATE_S = 0.9
"""How late a command may come: less than a beat, which is less than any time that the design rests on."""
SHARDS = 2
PEPPER = Pepper(bytes(range(32)))
SYSTEM = Actor("system", any_group=True)
NOWHERE = "postgresql://nobody@/none?host=/nonexistent"
MODEL = Model("m", Price(0, 1_000_000, 0, 0), default_output_tokens=1)
"""A token of output costs one nano-dollar."""
ROUTE = Route("chat_completions", "openai", "POST", "/chat/completions")

GRANTS = {"t1": 300, "t2": 250, "t3": 300, "m1.1": None, "m2.2": 280, "a1": 400, "a2": None}
"""Where every run begins; subscriptions have none in account 1, and one in account 2."""
SUBSCRIPTIONS = {1: None, 2: 260}
OF_TOKENS = (Limit(Metric.USD, "1m", 120, shadow=True), Limit(Metric.TOKENS, "5h", 90, shadow=True))
OF_SUBSCRIPTIONS = (Limit(Metric.REQUESTS, "1m", 3, shadow=True),)
"""Small enough that most runs go beyond them: calls that are counted and such that are not stand side by side."""


class Clock:
    """Held time, in ms; called, seconds."""

    def __init__(self) -> None:
        self.now_ms = START_S * 1000

    def __call__(self) -> float:
        return self.now_ms / 1000


class Fate(StrEnum):
    """What becomes of a command; whoever sent it is told that there was no answer."""

    LOST = "lost"
    UNHEARD = "unheard"
    LATE = "late"


@dataclass
class Late:
    """A command that is still on its way."""

    script: str
    command: bytes
    due_ms: int


class Wire(Pipeline):
    """A worker's connection to Valkey. `fates` are those of the next command of a script, by its name."""

    def __init__(self, url: str, scripts: Scripts, clock: Clock) -> None:
        super().__init__(url, scripts, operation_timeout_s=60)
        self._clock = clock
        self._names = {script.sha: name for name, script in scripts.items()}
        self.is_away = False
        self.fates: dict[str, Fate] = {}
        self.late: list[Late] = []

    @property
    def connected(self) -> bool:
        return not self.is_away and super().connected

    def send(self, shard: int, command: bytes, done: Any) -> None:
        if self.is_away:
            return self._tell(done, StoreNotAsked("away"))
        fate = None
        script = self._script_of(command) if self.fates else ""
        if script:
            fate = self.fates.pop(script, None)
        if fate is None:
            return super().send(shard, command, done)
        if fate is Fate.UNHEARD:
            super().send(shard, command, None)
        elif fate is Fate.LATE:
            due_ms = self._clock.now_ms + round(MOST_LATE_S * 1000)
            self.late.append(Late(script, command, due_ms))
        return self._tell(done, StoreUnavailable("no reply in time"))

    def ask(self, shard: int, *args: bytes | str | int) -> asyncio.Future[object]:
        if args == ("TIME",):  # the one look at a clock that is not a script's
            future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            seconds, ms = divmod(self._clock.now_ms, 1000)
            future.set_result([b"%d" % seconds, b"%d" % (ms * 1000)])
            return future
        return super().ask(shard, *args)

    @contextmanager
    def fated(self, script: str, fate: Fate | None) -> Iterator[Callable[[], bool]]:
        """The fate of the next command of a script, if one is sent; whether it was met."""
        if fate is not None:
            self.fates[script] = fate
        yield lambda: fate is not None and script not in self.fates
        self.fates.pop(script, None)

    def set_time(self) -> None:
        """Before whatever is sent next."""
        super().send(0, encode("SET", "test:now", self._clock.now_ms), None)

    def deliver(self, late: Late) -> None:
        """Let a command arrive after all."""
        self.late.remove(late)
        super().send(0, late.command, None)

    async def drained(self) -> None:
        """Until everything that was sent so far has been answered."""
        connection = self._connections[0]
        assert connection is not None
        while connection._dones:  # a command whose script was forgotten is sent again
            answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            super().send(0, b"*1\r\n$4\r\nPING\r\n", answer.set_result)
            await answer

    def _tell(self, done: Any, error: StoreUnavailable) -> None:
        if done is not None:
            asyncio.get_running_loop().call_soon(done, error)

    def _script_of(self, command: bytes) -> str:
        _, found, rest = command.partition(b"$7\r\nEVALSHA\r\n$40\r\n")
        return self._names.get(rest[:40], "") if found else ""


class Worker(Accounting):
    """What a gateway worker has of the stores. A worker that is lost is replaced by a new one on the same wire."""

    def __init__(self, stores: "Stores", number: int, wire: Wire, ledger: LedgerStore) -> None:
        self.number, self.wire, self.ledger = number, wire, ledger
        self.is_stopped = False
        self.kept: Any = None
        """The connection to Postgres, while that is away: to open one takes long."""
        self.doomed_in = b""
        self.calls: list[Call] = []
        self._stores = stores
        self.quota = QuotaStore(wire, lease_s=LEASE_S, sweep_s=SWEEP_S, pause_s=PAUSE_S)
        self.loads = Loads(stores.pool, stores.keys, self.quota)
        self._terms = TermsMaker(self.quota)
        shadows = ShadowCounts(RefusalCounts(stores.pool))
        super().__init__(
            self.quota,
            ledger,
            self.loads,
            QuotaSettings(lease_s=LEASE_S, sweep_s=SWEEP_S, post_interval_s=1, hold_wait_s=0),
            Records(stores.log, Objects(stores.pool), shadows, CallCounters(), Tracer("", 0, {})),
            renew_terms=self._terms.make,
            reach_catalog=stores.reach_catalog,
            generation=lambda: 1,
            live=self.live_calls,
            clock=stores.clock,
        )
        self.poster.close()  # it is stepped, and does not wait between its tries
        self._entries: dict[int, Entry] = {}

    @property
    def remembers(self) -> bool:
        """Whether anything would be lost with it."""
        return bool(self.live_calls() or self.poster.waiting or len(self.unheard))

    def live_calls(self) -> list[Call]:
        return [call for call in self.calls if call.reservation is not None and not call.finished]

    async def begin(self, call_id: bytes, token: int, first: int, most: int) -> Call | None:
        """A call of a token, as the chain makes it; None where the token cannot be looked up."""
        now = self._stores.clock()
        call = Call(self._stores.request, call_id, now, now)
        call.dialect, call.route, call.address = "openai", ROUTE, None
        call.catalog = self._stores.catalog
        call.ask = Ask(MODEL.name, True, most, None, 1, False, None, False, 1)  # noqa: FBT003
        call.hold = Hold(first, first, 0, first, most)
        try:
            call.entry = self._entries.get(token) or await self._find(token)
        except StoreUnavailable:
            return None
        call.terms = call.entry.terms.get((ROUTE.dialect, MODEL.name)) or self._terms.make(call)
        return call

    async def reserve(self, call: Call, token: int) -> Refusal | None:
        while True:
            try:
                return await self.reservations.reserve(call)
            except StaleRow:
                try:
                    call.entry = await self._find(token)
                except StoreUnavailable as error:
                    return Refusal(None, str(error))  # type: ignore[arg-type]
                call.terms = self._terms.make(call)

    async def extend(self, call: Call, output_tokens: int, *, any_part: bool) -> bool:
        """Whether the call holds more now; one that was taken over is ended."""
        wanted = grown(call.hold, call.ask, MODEL, call.terms.ratio_ppm, output_tokens)
        return await self.extensions.extend(call, wanted, any_part) is None

    async def reserve_again(self, call: Call) -> Reply:
        """The same command once more, as it could arrive."""
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        hold, prepared = call.hold, call.terms.prepared
        self.quota.reserve(
            prepared, call.request_id, hold.amount_nusd, hold.tokens, call.detail, reply.set_result
        )
        return read_reply(await reply)

    def settle_again(self, call: Call, cost: int) -> None:
        line = self.poster._charges[-1].line
        self.quota.settle(call.terms.prepared, call.request_id, cost, cost, line)

    def finish(self, call: Call, cost: int) -> Charge:
        """End a call that produced `cost` tokens."""
        self.settlements.finish(call, Outcome(200, Usage(output_tokens=cost)))
        self.calls.remove(call)
        return self.poster._charges[-1]

    async def beat(self) -> None:
        """At the present time; nothing that it sent is on its way any more."""
        self.wire.set_time()
        with unavailable():
            await self.housekeeping.beat()
        await self.wire.drained()

    async def post(self) -> None:
        await self.poster._post_waiting()

    async def write_unheard(self) -> None:
        """Postgres writes what waits, and the answer is lost."""
        with unavailable():
            if charges := self.poster._charges[:]:
                await self.ledger.post(charges)

    async def sweep(self) -> None:
        """One round of the sweeper's task."""
        with unavailable():
            await self.unheard.correct()
            await self.housekeeping.sweep()

    async def _find(self, token: int) -> Entry:
        row = await self.loads.find(keys.digests(self._stores.secrets[token], PEPPER))
        assert row is not None
        entry = self._entries[token] = Entry(b"", row, 0.0)
        return entry


@contextmanager
def unavailable() -> Iterator[None]:
    """What the product's tasks do where a store cannot be reached: later, again."""
    with suppress(StoreUnavailable):
        yield


class _Caller:
    """A caller's connection, of which nothing comes and nothing is taken."""

    transport: Any = None
    peer: Address = parse_address("127.0.0.1")
    is_ending = False

    async def drain(self) -> None:
        pass


class Stores:
    """Both stores, the workers on them, and what can happen to them."""

    def __init__(self, pool: asyncpg.Pool, closed_pool: asyncpg.Pool, dsn: str) -> None:
        self.pool, self._closed_pool, self._dsn = pool, closed_pool, dsn
        self.clock = Clock()
        self.log = AccessLog("/dev/null")
        self.request = PlainRequest(
            _Caller(), Head("/v1/chat/completions", "", Fields(), body_bytes=0), b""
        )
        self.secrets: dict[int, str] = {}
        self.groups = {1: Group(1, "default", limits=OF_SUBSCRIPTIONS, token_limits=OF_TOKENS)}
        self.catalog = Catalog(1, MappingProxyType({"m": MODEL}), MappingProxyType(self.groups), ())
        self.keys = KeyStore(pool, lambda: self.catalog, reach=self.reach_catalog)
        self.workers: list[Worker] = []
        self.look: Wire
        self.auditor: Auditor
        self.postgres_is_away = False
        self.run_id = b""
        self._runs = itertools.count()
        self._ids = itertools.count(1)
        self._saved: dict[bytes, bytes] = {}

    async def reach_catalog(self, _generation: int) -> None:
        raise AssertionError("the catalog never changes here")

    def new_id(self) -> bytes:
        """Like the product's (uuidv7), but the same in every run."""
        return b"%012x7%03x8%015x" % (self.clock.now_ms, 0, next(self._ids))

    async def make_tokens(self) -> None:
        """Accounts 1 (tokens 1 and 2) and 2 (token 3), as `reset` expects them."""
        for account in (1, 2):
            await self.pool.execute("INSERT INTO account (name) VALUES ('a')")
            await self.pool.execute(
                'INSERT INTO "user" (username, account_id, group_id) VALUES ($1, $2, 1)',
                f"u{account}",
                account,
            )
        for user in (1, 1, 2):
            draft = TokenDraft(name="t", granted=1)
            made = await create_token(self.pool, SYSTEM, user, draft, pepper=PEPPER, max_tokens=9)
            self.secrets[made.row.id] = made.key

    async def reset(self) -> None:
        """As new: nothing used, nothing held, time at its start, every worker just started."""
        self.clock.now_ms = START_S * 1000
        self._ids, self._runs, self._saved = itertools.count(1), itertools.count(), {}
        await self.set_postgres(away=False)
        await self.pool.execute(_reset_sql())
        for worker in self.workers:
            wire = worker.wire
            wire.is_away, wire.fates, wire.late = False, {}, []
            await wire.drained()
        self._name_run()
        await self._replace_data({})
        self.workers = [Worker(self, each.number, each.wire, each.ledger) for each in self.workers]
        await self.workers[0].quota.start(pause_s=0)
        for worker in self.workers:
            await worker.loads.learn()
        self.log.flush()

    async def set_time(self, now_ms: int) -> None:
        self.clock.now_ms = now_ms
        await self.look.call(0, "SET", "test:now", now_ms)

    async def forget(self) -> None:
        """Valkey loses everything, in the same run. It is a moment later: openings are told apart by their ms."""
        self.clock.now_ms += 1
        await self._replace_data({})

    async def save(self) -> None:
        """What a snapshot on disk would have."""
        names: Any = await self.look.call(0, "KEYS", "q:*")
        dumps = await asyncio.gather(*(self.look.call(0, "DUMP", name) for name in names))
        self._saved = dict(zip(names, dumps, strict=True))  # type: ignore[arg-type]

    async def restart(self, *, as_saved: bool) -> None:
        """Another run of Valkey with the same data, or with that of the last snapshot."""
        for worker in self.workers:
            worker.wire.late.clear()  # its connections are gone
        self._name_run()
        await self.look.call(0, "SCRIPT", "FLUSH")
        if as_saved:
            await self._replace_data(self._saved)

    async def set_postgres(self, *, away: bool) -> None:
        """Whether workers can reach Postgres."""
        if away == self.postgres_is_away:
            return
        self.postgres_is_away = away
        self.keys._pool = self._closed_pool if away else self.pool
        for worker in self.workers:
            ledger = worker.ledger
            ledger._dsn = NOWHERE if away else self._dsn
            ledger._connection, worker.kept = worker.kept, ledger._connection

    async def edit(self, worker: Worker, token: int, delta: int) -> int:
        """Change a token's grant as the admin app does; by how much it became another."""
        before = 0

        def decide(row: Any) -> TokenChange:
            nonlocal before
            before = row.granted
            return TokenChange(granted=max(0, row.granted + delta))

        edited = await update_token(self.pool, SYSTEM, token, decide)
        with unavailable():
            await worker.quota.load(edited.row.account_id, edited.books)
        assert edited.row.granted is not None
        return edited.row.granted - before

    async def give(self, worker: Worker, scope: str, delta: int) -> int:
        """Give to an account, member or subscription, or take back, as the admin app does; what it came to."""
        account, _, inside = scope[1:].rpartition(".")
        of = {
            "a": lambda: Of(int(inside)),
            "m": lambda: Of(int(account), user_id=int(inside)),
            "g": lambda: Of(int(account), group="default"),
        }[scope[0]]()
        try:
            async with transaction(self.pool) as connection:
                given = await give(connection, SYSTEM, of, Regrant("amount_usd", "add", delta), "")
        except Rejected:
            return 0  # more than there was
        with unavailable():
            await worker.quota.load(of.account_id, [given.book])
        return given.entry.delta

    def replace(self, worker: Worker) -> Worker:
        """A worker is lost, and another started in its place."""
        new = Worker(self, worker.number, worker.wire, worker.ledger)
        new.kept = worker.kept
        self.workers[worker.number] = new
        return new

    def _name_run(self) -> None:
        self.run_id = b"%040x" % next(self._runs)
        for wire in (self.look, self.auditor._pipeline, *(w.wire for w in self.workers)):
            name_run(wire, self.run_id)

    async def _replace_data(self, data: dict[bytes, bytes]) -> None:
        commands: list[tuple[Any, ...]] = [("MULTI",), ("FLUSHDB",)]
        commands += [("RESTORE", name, 0, dump) for name, dump in data.items()]
        commands += [("SET", "test:now", self.clock.now_ms), ("EXEC",)]
        await asyncio.gather(*(self.look.call(0, *command) for command in commands))


def _reset_sql() -> str:
    lines = [
        "SET session_replication_role = replica; DELETE FROM audit; RESET session_replication_role;",
        "DELETE FROM ledger; DELETE FROM grant_entry;",
        "UPDATE token SET granted = 0, gver = 1, used = 0, version = 1;",
    ]
    subscriptions = {f"g{account}.1": grant for account, grant in SUBSCRIPTIONS.items()}
    for scope, grant in {**GRANTS, **subscriptions}.items():
        account, _, inside = scope[1:].rpartition(".")
        table, where = {
            "t": ("token", f"id = {inside}"),
            "m": ("member", f"account_id = {account or 0} AND user_id = {inside}"),
            "g": ("subscription", f"account_id = {account or 0} AND group_id = {inside}"),
            "a": ("account", f"id = {inside}"),
        }[scope[0]]
        value = "NULL" if grant is None else str(grant)
        lines.append(
            f"UPDATE {table} SET granted = {value}, gver = 1, used = 0, version = 1 WHERE {where};"
        )
        if grant is not None:
            owner = account or {"t1": "1", "t2": "1", "t3": "2"}.get(scope, inside)
            lines.append(
                "INSERT INTO grant_entry (scope_kind, account_id, scope_id, delta, kind, actor) "
                f"VALUES ('{scope[0]}', {owner}, {inside}, {grant}, 'create', 'system');"
            )
    return "\n".join(lines)


@asynccontextmanager
async def open_stores(dsn: str, url: str, scripts: Scripts) -> AsyncIterator[Stores]:
    """Three workers on an empty database and an empty Valkey, whose shards are few."""
    async with AsyncExitStack() as stack:
        for module in (
            "domain.token",
            "store.openings",
            "store.contents",
            "relay.announcing",
            "relay.housekeeping",
        ):
            stack.enter_context(mock.patch(f"gateway.{module}.SHARDS", SHARDS))
        pool = await open_pool(dsn, size=2, statement_timeout_s=10)
        stack.push_async_callback(pool.close)
        closed = await open_pool(dsn, size=1, statement_timeout_s=10)
        await closed.close()
        stores = Stores(pool, closed, dsn)
        stack.callback(stores.log.close)
        auditor = await stack.enter_async_context(
            open_auditor(dsn, url, sweep_s=SWEEP_S, strict=True)
        )
        stores.auditor = auditor
        stores.look = await stack.enter_async_context(Wire(url, scripts, stores.clock))
        for number in range(3):
            wire = await stack.enter_async_context(Wire(url, scripts, stores.clock))
            ledger = LedgerStore(dsn, statement_timeout_s=10)
            stack.push_async_callback(ledger.close)
            stores.workers.append(Worker(stores, number, wire, ledger))
        stack.push_async_callback(stores.set_postgres, away=False)  # so that all are closed
        await stores.make_tokens()
        yield stores
