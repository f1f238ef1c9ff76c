"""What lost workers, lost stores and lost answers leave behind is charged once, and nothing stays held."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from gateway.domain.token import Token
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.relay.announcing import Announcer
from gateway.relay.call import Call
from gateway.relay.housekeeping import Housekeeping
from gateway.relay.lease import Lease
from gateway.relay.posting import Poster
from gateway.relay.record import RequestIds, ledger_constant
from gateway.relay.unheard import Unheard
from gateway.store.books import StoredBook
from gateway.store.charges import Charge
from gateway.store.ledger import LedgerStore
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import apply_schema
from gateway.store.prepared import Prepared
from gateway.store.prepared import key as store_key
from gateway.store.quota import QuotaStore
from gateway.store.replies import Reserved, read_reply
from tests.integration.rig import LOOK_S, USD, Rig, chat, running, running_rig
from tests.ledger_lines import ledger_line
from tests.upstream import Echo, Gate, ScriptedUpstream
from tests.wire import Wire, request

AMOUNT = 123_000
TINY_S = 0.001  # a lease, or a charge's time, that is over at once

_ids = RequestIds()
_instants = itertools.count(1_800_000_000)


def new_id() -> bytes:
    return _ids.next(next(_instants))


class Worker:
    """What a gateway worker has of the stores, and nothing that runs by itself."""

    def __init__(self, quota: QuotaStore, ledger: LedgerStore) -> None:
        self.quota = quota
        self.poster = Poster(ledger, quota, interval_s=1)
        self.calls: list[Call] = []
        self.announcer = Announcer(quota, self.poster, lambda: self.calls)
        self.unheard = Unheard(quota, self.poster, lease_s=60)
        self.housekeeping = Housekeeping(
            quota,
            self.poster,
            self.announcer,
            self.unheard,
            generation=lambda: 1,
            lease=Lease(60, lambda: True),
            sweep_s=60,
        )

    async def reserve(self, prepared: Prepared, request_id: bytes, detail: bytes) -> None:
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.quota.reserve(prepared, request_id, AMOUNT, 7, detail, reply.set_result)
        assert isinstance(read_reply(await reply), Reserved)


@asynccontextmanager
async def worker(rig: Rig, valkey_url: str, **settings: float) -> AsyncIterator[Worker]:
    """A worker beside the rig's own."""
    ledger = LedgerStore(rig.gateway.config.postgres.dsn.get_secret_value(), statement_timeout_s=5)
    async with Pipeline(valkey_url) as pipeline:
        yield Worker(QuotaStore(pipeline, **settings), ledger)
    await ledger.close()


async def called(rig: Rig) -> Token:
    """A token with a grant, whose books are in the quota store and whose use is zero."""
    made = await rig.token(USD)
    entry = await rig.gateway.tokens.fetch(made.key)
    assert entry is not None
    books = await rig.gateway.keys.books(entry.token)
    opening = await rig.gateway.quota.opening(entry.token.shard)
    assert opening is not None
    assert await rig.gateway.quota.load(entry.token.account_id, books, opening=opening.name)
    return entry.token


def detail_of(token: Token) -> bytes:
    """As a call's: what the reaper needs to write the ledger's line."""
    constant = ledger_constant(token.account_id, token.id, token.user_id, token.group.id, "m")
    return constant + b"\topenai\tchat_completions\t1"


def charge_of(token: Token, request_id: bytes, amount: int = AMOUNT) -> Charge:
    """A settled call's line."""
    line = ledger_line(
        token, request_id, 1_800_000_000, input_tokens=3, output_tokens=4, amount=amount
    )
    return Charge(request_id, token.account_id, line)


async def book_of(rig: Rig, token: Token, scope: int = 0) -> StoredBook:
    book = await rig.gateway.quota.book(token.account_id, token.scope_ids[scope])
    assert book is not None
    return book


async def has_used(rig: Rig, token: Token, used: int) -> bool:
    book = await book_of(rig, token)
    return (book.used, book.pending) == (used, 0)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Until a condition of the stores holds, who tell nobody."""
    async with asyncio.timeout(5):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)


async def assert_settled(rig: Rig, token: Token, used: int) -> None:
    """All four books, here and in Postgres, have `used` and hold nothing."""
    await eventually(lambda: has_used(rig, token, used))
    for scope in range(4):
        book = await book_of(rig, token, scope)
        assert (book.used, book.pending, book.reserved, book.live) == (used, 0, 0, 0), scope
    for table in ("token", "member", "subscription", "account"):
        assert await rig.database.fetchval(f"SELECT max(used) FROM {table}") == used, table
    pipeline, account = rig.gateway.quota._pipeline, str(token.account_id)
    for kind in "rp":
        assert await pipeline.call(token.shard, "HLEN", store_key(token.shard, kind, account)) == 0
    assert await pipeline.call(token.shard, "ZCARD", store_key(token.shard, "x")) == 0


# Lost workers.


async def test_a_lost_workers_reservation_is_charged_once_and_nothing_stays_held(rig, valkey_url):
    token = await called(rig)
    async with (
        worker(rig, valkey_url, lease_s=TINY_S) as lost,
        worker(rig, valkey_url) as one,
        worker(rig, valkey_url) as two,
    ):
        prepared = lost.quota.prepare(token, "m", 1)
        ids = [new_id() for _ in range(3)]
        for request_id in ids:
            await lost.reserve(prepared, request_id, detail_of(token))
        assert (await book_of(rig, token)).live == 3
        await due(one.quota, token.shard, 3)
        await asyncio.gather(one.housekeeping.sweep(), two.housekeeping.sweep())
        await assert_settled(rig, token, 3 * AMOUNT)
        rows = await rig.ledger()
    assert sorted(row["request_id"].hex for row in rows) == sorted(i.decode() for i in ids)
    for row in rows:
        assert (row["amount"], row["estimated"], row["anomaly"]) == (AMOUNT, True, "lost_worker")
        assert (row["token_id"], row["model"], row["status"]) == (token.id, "m", 500)


async def due(quota: QuotaStore, shard: int, count: int) -> None:
    """Until so many leavings are overdue: the store's clock is in milliseconds."""

    async def are_overdue() -> bool:
        return len(await quota.overdue(shard)) >= count

    await eventually(are_overdue)


async def test_a_workers_late_charge_after_the_reapers_changes_nothing(rig, valkey_url):
    token = await called(rig)
    async with (
        worker(rig, valkey_url, lease_s=TINY_S) as late,
        worker(rig, valkey_url) as reaper,
    ):
        prepared = late.quota.prepare(token, "m", 1)
        request_id = new_id()
        await late.reserve(prepared, request_id, detail_of(token))
        await due(reaper.quota, token.shard, 1)
        await reaper.housekeeping.sweep()
        charge = charge_of(token, request_id, 5)
        late.quota.settle(prepared, request_id, 5, 1, charge.line)
        await late.poster.post([charge])
        await assert_settled(rig, token, AMOUNT)
        assert len(await rig.ledger()) == 1


async def test_a_settled_charge_that_nobody_posted_is_posted_once(rig, valkey_url):
    token = await called(rig)
    async with (
        worker(rig, valkey_url, sweep_s=TINY_S) as lost,
        worker(rig, valkey_url) as one,
        worker(rig, valkey_url) as two,
    ):
        prepared = lost.quota.prepare(token, "m", 1)
        # More than one look finds, and more than one account's share of a batch.
        ids = [new_id() for _ in range(250)]
        for request_id in ids:
            await lost.reserve(prepared, request_id, detail_of(token))
            line = charge_of(token, request_id, 1000).line
            lost.quota.settle(prepared, request_id, 1000, 7, line)
        await due(one.quota, token.shard, 100)
        assert (await book_of(rig, token)).pending == 250 * 1000
        await asyncio.gather(one.housekeeping.sweep(), two.housekeeping.sweep())
        await assert_settled(rig, token, 250 * 1000)
        rows = await rig.ledger()
    assert len(rows) == 250
    assert {(row["amount"], row["estimated"], row["status"]) for row in rows} == {
        (1000, False, 200)
    }


async def test_the_workers_own_housekeeping_finds_what_others_left(postgres_dsn, valkey_url):
    def configure(members: dict[str, Any]) -> None:
        members["quota"] |= {"sweep_s": 0.05}

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        token = await called(rig)
        async with worker(rig, valkey_url, lease_s=TINY_S) as lost:
            prepared = lost.quota.prepare(token, "m", 1)
            await lost.reserve(prepared, new_id(), detail_of(token))
        await assert_settled(rig, token, AMOUNT)


async def test_a_live_call_outlives_its_lease(postgres_dsn, valkey_url):
    """Leases are renewed for as long as a call runs: the sweeper of another worker leaves it alone."""

    def configure(members: dict[str, Any]) -> None:
        members["quota"] |= {"lease_s": 0.3}

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, configure) as rig,
        worker(rig, valkey_url) as other,
    ):
        gate = Gate()
        upstream.answer("m", Echo().first(gate))
        made = await rig.token(USD)
        wire = await Wire.connect(rig.url)
        wire.write(request(made.key, chat()))
        await gate.waiting(1)
        pipeline = rig.gateway.quota._pipeline
        leases = store_key(1, "x")
        (_, first) = await pipeline.call(1, "ZRANGE", leases, 0, -1, "WITHSCORES")
        async with asyncio.timeout(10):
            while True:
                (_, end) = await pipeline.call(1, "ZRANGE", leases, 0, -1, "WITHSCORES")
                await other.housekeeping.sweep()
                if float(end) > float(first) + 600:  # twice its first length
                    break
        gate.release()
        assert (await wire.answer()).status == 200
        wire.leave()
        (row,) = await rig.ledger()
        assert (row["status"], row["estimated"]) == (200, False)


# Posting.


async def test_posting_the_same_charges_twice_charges_once(rig, valkey_url):
    token = await called(rig)
    async with worker(rig, valkey_url) as one, worker(rig, valkey_url) as two:
        charges = [charge_of(token, new_id(), 10) for _ in range(50)]
        await asyncio.gather(one.poster.post(charges), two.poster.post(charges[::-1]))
        await one.poster.post(charges + charges)
        await assert_settled(rig, token, 500)
        assert len(await rig.ledger()) == 50


async def test_one_worker_posts_and_sweeps_at_the_same_time(rig, valkey_url):
    token = await called(rig)
    async with worker(rig, valkey_url) as one:
        batches = [[charge_of(token, new_id(), 1) for _ in range(20)] for _ in range(10)]
        await asyncio.gather(*(one.poster.post(batch) for batch in batches))
        await assert_settled(rig, token, 200)


async def test_more_charges_of_an_account_than_one_confirmation_takes(rig, valkey_url):
    token = await called(rig)
    async with worker(rig, valkey_url, sweep_s=60) as one:
        prepared = one.quota.prepare(token, "m", 1)
        charges = [charge_of(token, new_id(), 1) for _ in range(2500)]
        for charge in charges:
            one.quota.settle(prepared, charge.request_id, 1, 1, charge.line)
        await one.poster.post(charges)
        await assert_settled(rig, token, 2500)


async def test_a_line_that_postgres_cannot_take_holds_nobody_up_and_stays_spent(
    rig, valkey_url, caplog
):
    token = await called(rig)
    async with worker(rig, valkey_url, sweep_s=TINY_S) as one:
        prepared = one.quota.prepare(token, "m", 1)
        good = [charge_of(token, new_id(), 10) for _ in range(20)]
        bad_id = new_id()
        bad = Charge(bad_id, token.account_id, b"%b\tc\tthis is no number\n" % bad_id)
        negative = charge_of(token, new_id(), -7)
        for charge in (*good, bad, negative):
            one.quota.settle(prepared, charge.request_id, 10, 1, charge.line)
        await one.poster.post([*good[:7], bad, *good[7:], negative])
        assert len(await rig.ledger()) == 20
        assert caplog.text.count("cannot take") == 2
        await due(one.quota, token.shard, 2)
        await one.housekeeping.sweep()
        book = await book_of(rig, token)
        assert (book.used, book.pending) == (200, 20)


# Lost stores.


@contextmanager
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server that this test may stop."""
    with tempfile.TemporaryDirectory(prefix="tollhouse-tests-") as directory:
        # Where we are root the server is another user, who must be able to walk here; pytest's directories are closed.
        Path(directory).chmod(0o711)
        state = StateDirectory.open(Path(directory) / "state")
        server = EmbeddedPostgres(state, durable=False)
        try:
            yield server
        finally:
            server.stop()
            state.close()


async def test_charges_wait_while_postgres_is_away_and_are_posted_after(valkey_url):
    with own_postgres() as server:
        dsn = server.start()
        await apply_schema(dsn)
        async with ScriptedUpstream() as upstream, running(dsn, valkey_url, upstream) as rig:
            made = await rig.token(USD)
            async with rig.post(made.key, chat()) as answer:
                assert answer.status == 200
            (row,) = await rig.ledger()
            server.stop()
            for _ in range(20):
                async with rig.post(made.key, chat()) as answer:
                    assert answer.status == 200, "the data plane does not need Postgres"
            assert rig.gateway.accounting.poster.waiting == 20
            book = await rig.gateway.quota.book(made.row.account_id, f"t{made.row.id}")
            assert book is not None
            assert book.used + book.pending == 21 * row["amount"], (
                "nothing is spent twice meanwhile"
            )
            server.start()
            rows = await rig.ledger()
            assert [row["amount"] for row in rows] == [row["amount"]] * 21
            entry = await rig.gateway.tokens.fetch(made.key)
            assert entry is not None
            await assert_settled(rig, entry.token, 21 * row["amount"])


async def test_a_connection_lost_mid_way_loses_and_doubles_nothing(rig: Rig):
    token = await called(rig)
    made = await rig.token(USD)
    async with rig.post(made.key, chat()) as answer:
        assert answer.status == 200  # the key is known from here on: only posting needs Postgres
    cuts, calls = 0, 1

    async def cut() -> None:
        nonlocal cuts
        admin = await asyncpg.connect(rig.dsn)
        while cuts < 3:
            cuts += await admin.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = current_database() AND query LIKE ANY ($1)",
                ["%staging%", "BEGIN%", "COMMIT%"],
            )
        await admin.close()

    cutting = asyncio.create_task(cut())
    while not cutting.done():
        async with rig.post(made.key, chat()) as answer:
            assert answer.status == 200
        calls += 1
    await cutting
    rows = await rig.ledger()
    assert len(rows) == calls
    entry = await rig.gateway.tokens.fetch(made.key)
    assert entry is not None
    assert entry.token.account_id == token.account_id
    await assert_used(rig, entry.token, sum(row["amount"] for row in rows))


async def assert_used(rig: Rig, token: Token, used: int) -> None:
    assert await rig.database.fetchval("SELECT used FROM token WHERE id = $1", token.id) == used
    await eventually(lambda: has_used(rig, token, used))
    book = await book_of(rig, token)
    assert (book.pending, book.reserved, book.live) == (0, 0, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_flush_under_load_pauses_capped_calls_and_nobody_overspends(
    postgres_dsn, valkey_url, stream
):
    def configure(members: dict[str, Any]) -> None:
        members["quota"] |= {"pause_s": 0.6}

    body = chat(max_tokens=100, stream=stream)
    hold = len(orjson.dumps(body)) * 1000 + 100 * 10_000
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, configure) as rig,
    ):
        capped, free = await rig.token(20 * hold), await rig.token()
        gate = Gate()
        upstream.answer("m", Echo().first(gate))
        wires = [await Wire.connect(rig.url) for _ in range(10)]
        for wire in wires:
            wire.write(request(capped.key, body))
        await gate.waiting(10)
        upstream.answer("m", Echo())

        # Twice: the first time the worker might have announced what it holds anyway.
        for _ in range(2):
            await lose_store(rig)
            async with rig.post(capped.key, body) as answer:
                error = (await answer.json())["error"]
                assert (answer.status, error["code"]) == (503, "quota_unavailable")
                assert answer.headers["retry-after"] == "1"
                assert 0 < int(answer.headers["retry-after-ms"]) <= 600
            async with rig.post(free.key, chat("unpriced")) as answer:
                assert answer.status == 200, "who has no cap does not wait"
            while (status := await status_of(rig, capped.key, body)) == 503:
                pass
            assert status == 200, "the pause is over"
            book = await rig.gateway.quota.book(capped.row.account_id, f"t{capped.row.id}")
            assert book is not None
            assert book.live == 10, "what runs is held again before anybody else can spend"

        statuses = await asyncio.gather(*(spend(rig, capped.key, body) for _ in range(8)))
        assert {status for some in statuses for status in some} == {200, 429}
        gate.release()
        for wire in wires:
            assert (await wire.answer()).status == 200
            wire.leave()
        await rig.quiet()
        rows = [row for row in await rig.ledger() if row["token_id"] == capped.row.id]
        assert not any(row["estimated"] for row in rows)
        assert sum(row["amount"] for row in rows) <= 20 * hold
        entry = await rig.gateway.tokens.fetch(capped.key)
        assert entry is not None
        await assert_used(rig, entry.token, sum(row["amount"] for row in rows))


async def lose_store(rig: Rig) -> None:
    """Everything in the quota store is gone, and it is the same run of the server."""
    await rig.gateway.quota._pipeline.call(0, "FLUSHDB")


async def status_of(rig: Rig, key: str, body: Any) -> int:
    async with rig.post(key, body) as answer:
        await answer.read()
        return answer.status


async def spend(rig: Rig, key: str, body: Any) -> list[int]:
    """Call until the cap refuses."""
    statuses = []
    while not statuses or statuses[-1] == 200:
        statuses.append(await status_of(rig, key, body))
    return statuses
