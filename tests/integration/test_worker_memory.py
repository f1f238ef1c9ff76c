"""What a worker remembers while a store is away, slow or lost: nothing is charged twice, and nothing is forgotten."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.breaker import BreakerState
from gateway.domain.errors import Reason, StoreUnavailable
from gateway.domain.token import SHARDS
from gateway.relay.announcing import Announcer
from gateway.relay.posting import Lag
from gateway.relay.refusal_counts import RefusalCounts
from gateway.store.charges import Charge
from gateway.store.ledger import LedgerStore
from gateway.store.postgres import apply_schema
from gateway.store.prepared import key as store_key
from tests.integration.rig import USD, Rig, chat, running, running_rig, until
from tests.integration.test_leavings import (
    AMOUNT,
    assert_settled,
    book_of,
    called,
    charge_of,
    detail_of,
    eventually,
    lose_store,
    new_id,
    own_postgres,
    status_of,
    worker,
)
from tests.severable import Wire, before_postgres, before_valkey
from tests.upstream import Echo, Gate, ScriptedUpstream
from tests.wire import Wire as Caller
from tests.wire import request


@asynccontextmanager
async def behind(
    valkey_url: str, postgres_dsn: str, **quota: Any
) -> AsyncIterator[tuple[Rig, Wire]]:
    """A gateway whose way to Valkey a test can hold and cut."""

    with tempfile.TemporaryDirectory(prefix="tollhouse-tests-") as directory:
        async with (
            ScriptedUpstream() as upstream,
            before_valkey(Path(directory) / "v", valkey_url) as wire,
        ):

            def configure(members: dict[str, Any]) -> None:
                members["redis"] = {"url": wire.url, "operation_timeout_s": 0.5}
                members["quota"] |= quota

            async with running(postgres_dsn, valkey_url, upstream, configure) as rig:
                yield rig, wire


async def warm(rig: Rig, granted: int | None = USD) -> tuple[str, Any]:
    """A key that has been used once."""
    made = await rig.token(granted)
    assert await status_of(rig, made.key, chat()) == 200
    entry = await rig.gateway.tokens.fetch(made.key)
    assert entry is not None
    await rig.posted()
    return made.key, entry.token


async def away(rig: Rig, wire: Wire) -> None:
    """The quota store cannot be reached."""
    wire.accepts = False
    wire.cut()
    await until(lambda: not rig.gateway.quota.connected)


async def back(rig: Rig, wire: Wire) -> None:
    wire.accepts = True
    wire.resume()
    await until(lambda: rig.gateway.quota.connected)


async def assert_used(rig: Rig, token: Any, used: int) -> None:
    """In Postgres at once, in the quota store as soon as it has been told; nothing stays held."""
    assert await used_of(rig, token) == used

    async def is_settled() -> bool:
        book = await book_of(rig, token)
        return (book.used, book.pending, book.reserved, book.live) == (used, 0, 0, 0)

    await eventually(is_settled)


async def used_of(rig: Rig, token: Any) -> int:
    return await rig.database.fetchval("SELECT used FROM token WHERE id = $1", token.id)


# Reservations whose answer never came.


async def test_a_reservation_that_was_not_heard_of_is_given_back_and_charged_nothing(
    valkey_url, postgres_dsn
):
    async with behind(valkey_url, postgres_dsn) as (rig, wire):
        key, token = await warm(rig)
        used = await used_of(rig, token)
        calls = len(rig.upstream.requests)
        wire.hold_replies()
        async with rig.post(key, chat()) as answer:
            assert answer.status == 503
            assert (await answer.json())["error"]["code"] == "quota_unavailable"
        assert len(rig.gateway.accounting.unheard) == 1
        wire.resume()
        await until(lambda: not len(rig.gateway.accounting.unheard))
        await assert_used(rig, token, used)
        row = (await rig.ledger())[-1]
        assert (row["amount"], row["anomaly"], row["status"]) == (0, "void", 503)
        assert len(rig.upstream.requests) == calls


async def test_one_that_never_reached_the_store_makes_no_row(valkey_url, postgres_dsn):
    async with behind(valkey_url, postgres_dsn) as (rig, wire):
        key, token = await warm(rig)
        used = await used_of(rig, token)
        wire.stall()
        assert await status_of(rig, key, chat()) == 503
        wire.cut()
        await back(rig, wire)
        await until(lambda: not len(rig.gateway.accounting.unheard))
        await assert_used(rig, token, used)
        assert len(await rig.ledger()) == 1


async def test_a_caller_who_leaves_before_the_late_answer_is_charged_nothing(
    valkey_url, postgres_dsn
):
    async with behind(valkey_url, postgres_dsn) as (rig, wire):
        key, token = await warm(rig)
        used = await used_of(rig, token)
        wire.hold_replies()
        caller = await Caller.connect(rig.url)
        caller.write(request(key, chat()))
        await until(lambda: wire.held > 0)
        caller.leave()
        await until(lambda: len(rig.gateway.accounting.unheard) == 1)
        wire.resume()
        await until(lambda: not len(rig.gateway.accounting.unheard))
        await assert_used(rig, token, used)
        assert [row["amount"] for row in await rig.ledger()][1:] == [0]


async def test_what_the_reaper_charged_for_a_call_that_was_never_made_is_granted_back(
    rig, valkey_url
):
    token = await called(rig)
    async with worker(rig, valkey_url) as one, worker(rig, valkey_url) as reaper:
        prepared = one.quota.prepare(token, "m", 1)
        ids = [new_id(), new_id()]
        one.unheard._lease_s = 0
        await one.reserve(prepared, ids[0], detail_of(token))
        await reaper.poster.post([lost_worker(token, ids[0], AMOUNT)])
        for request_id in ids:  # the second was never taken
            one.unheard.add(prepared, charge_of(token, request_id, 0))
        one.unheard.void()
        await until(lambda: not len(one.unheard))
        await one.unheard.correct()
        rows = await rig.ledger()
        assert [row["amount"] for row in rows] == [AMOUNT]
        assert await left(rig, token) == USD
        await eventually(lambda: has_granted(rig, token, USD + AMOUNT))


# Late figures.


def lost_worker(token: Any, request_id: bytes, amount: int) -> Charge:
    charge = charge_of(token, request_id, amount)
    return charge._replace(line=charge.line.replace(b"\tf\t\\N\t", b"\tt\tlost_worker\t"))


async def left(rig: Rig, token: Any) -> int:
    return await rig.database.fetchval("SELECT granted - used FROM token WHERE id = $1", token.id)


async def has_granted(rig: Rig, token: Any, granted: int) -> bool:
    return (await book_of(rig, token)).granted == granted


async def assert_grants_add_up(rig: Rig) -> None:
    wrong = await rig.database.fetch(
        """SELECT t.id FROM token t WHERE t.granted IS NOT NULL AND t.granted <>
           (SELECT sum(delta) FROM grant_entry e WHERE e.scope_kind = 't' AND e.scope_id = t.id)"""
    )
    assert not wrong
    assert await rig.database.fetchval(
        "SELECT (SELECT sum(amount) FROM ledger) = (SELECT sum(used) FROM account)"
    )


async def test_a_late_figure_above_the_estimate_is_a_row_of_its_own(rig, valkey_url):
    token = await called(rig)
    async with worker(rig, valkey_url) as one:
        request_id = new_id()
        await one.poster.post([lost_worker(token, request_id, 50)])
        for _ in range(3):
            await one.poster.post([charge_of(token, request_id, 80), charge_of(token, new_id(), 1)])
        await one.poster.post([lost_worker(token, request_id, 50)])
        rows = [row for row in await rig.ledger() if row["request_id"].hex == request_id.decode()]
        assert [(row["kind"], row["amount"]) for row in rows] == [(b"c", 50), (b"x", 30)]
        await assert_settled(rig, token, 83)
        await assert_grants_add_up(rig)


async def test_a_late_figure_below_the_estimate_is_granted_back_once(rig, valkey_url):
    token = await called(rig)
    await rig.database.execute("UPDATE member SET granted = 0, gver = gver + 1")
    async with worker(rig, valkey_url) as one, worker(rig, valkey_url) as two:
        first, second = new_id(), new_id()
        await one.poster.post([lost_worker(token, each, 50) for each in (first, second)])
        charges = [charge_of(token, first, 20), charge_of(token, second, 45)]
        await asyncio.gather(*(each.poster.post(charges) for each in (one, two, one, two)))
        await assert_settled(rig, token, 100)
        entries = await rig.database.fetch(
            "SELECT scope_kind, delta FROM grant_entry WHERE kind = 'refund' ORDER BY 1, 2"
        )
        kinds = {(entry["scope_kind"], entry["delta"]) for entry in entries}
        assert {(b"t", 5), (b"t", 30), (b"m", 5), (b"m", 30)} <= kinds
        assert (b"g", 5) not in kinds, "a scope without a grant has nothing to be given back"
        assert len(kinds) == len(entries)
        assert await left(rig, token) == USD - 65
        await eventually(lambda: has_granted(rig, token, USD + 35))
        await assert_grants_add_up(rig)


async def test_a_call_whose_reservation_was_taken_over_is_fenced_and_corrected(
    postgres_dsn, valkey_url
):
    def configure(members: dict[str, Any]) -> None:
        members["quota"] |= {"lease_s": 3}

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, configure) as rig,
        worker(rig, valkey_url) as reaper,
    ):
        gate = Gate()
        upstream.answer("m", Echo().first(gate))
        made = await rig.token(USD)
        caller = await Caller.connect(rig.url)
        caller.write(request(made.key, chat()))
        await gate.waiting(1)
        (call,) = rig.gateway.forwarder.live_calls()
        token = call.entry.token
        await rig.posted()
        await until_announced(rig)
        await reaper.poster.post([lost_worker(token, call.request_id, call.hold.amount_nusd)])
        await until(lambda: call.fenced)
        assert not await rig.gateway.quota.live(token.account_id)
        gate.release()
        await caller.answer()
        caller.leave()
        await rig.quiet()
        exact = await left(rig, token)
        assert USD - call.hold.amount_nusd < exact < USD
        await assert_grants_add_up(rig)


async def until_announced(rig: Rig) -> None:
    """Until the worker has announced everything in the present opening."""
    opening = await rig.gateway.quota.opening()
    assert opening is not None
    await until(lambda: rig.gateway.accounting.announcer.known.get(0) == opening.name)


# Lost stores.


async def test_charges_that_postgres_lacks_survive_the_loss_of_the_quota_store(valkey_url):
    def configure(members: dict[str, Any]) -> None:
        members["quota"] |= {"pause_s": 3}  # enough for a machine that is busy with tests

    with own_postgres() as server:
        dsn = server.start()
        await apply_schema(dsn)
        async with (
            ScriptedUpstream() as upstream,
            running(dsn, valkey_url, upstream, configure) as rig,
        ):
            key, token = await warm(rig)
            amount = await used_of(rig, token)
            other = await rig.token()
            server.stop()
            for _ in range(20):
                assert await status_of(rig, key, chat()) == 200
            async with rig.post(other.key, chat()) as answer:
                assert answer.status == 503, "a key that is not known is not called wrong"
                assert (await answer.json())["error"]["code"] == "key_store_unavailable"
            await lose_store(rig)
            pipeline, account = rig.gateway.quota._pipeline, str(token.account_id)
            charges = store_key(token.shard, "p", account)

            async def told() -> bool:
                return await pipeline.call(token.shard, "HLEN", charges) == 20

            await eventually(told)
            server.start()
            await rig.posted()
            assert await status_of(rig, key, chat()) in {200, 503}
            rows = await rig.ledger()
            assert {row["amount"] for row in rows} == {amount}
            await assert_used(rig, token, len(rows) * amount)
            assert rig.gateway.quota.double_faults == 0


async def test_a_loss_that_is_heard_of_too_late_is_counted_with_what_is_at_stake(
    rig, valkey_url, caplog
):
    token = await called(rig)
    async with worker(rig, valkey_url) as one, worker(rig, valkey_url) as other:
        for amount in (10, 32):
            one.poster.add(charge_of(token, new_id(), amount))
        await lose_store(rig)
        await other.quota.start(pause_s=60)
        await one.announcer.tell(await one.quota.look_round())
        assert (one.quota.double_faults, one.quota.double_fault_nusd) == (0, 0), "it was in time"
        await lose_store(rig)
        await other.quota.start(pause_s=0)
        await one.announcer.tell(await one.quota.look_round())
        assert (one.quota.double_faults, one.quota.double_fault_nusd) == (1, 42)
        assert "double fault" in caplog.text


async def test_the_pause_lasts_for_as_long_as_there_is_something_to_tell(rig, valkey_url):
    token = await called(rig)
    clock = iter(range(0, 10_000, 20))
    async with worker(rig, valkey_url, pause_s=30) as one:
        announcer = Announcer(one.quota, one.poster, list, lambda: next(clock))
        one.poster.add(charge_of(token, new_id(), 10))
        await lose_store(rig)
        await one.quota.start(pause_s=15)
        before = await one.quota.opening()
        await announcer.tell(dict.fromkeys(range(SHARDS), before))
        after = await one.quota.opening()
        assert after.name == before.name
        assert after.pause_left_s > 20 > before.pause_left_s


async def test_what_postgres_has_by_then_is_not_told_again(rig, valkey_url):
    token = await called(rig)
    async with worker(rig, valkey_url) as one:
        for _ in range(2_500):
            one.poster.add(charge_of(token, new_id(), 1))
        steps = one.poster.settlements()
        assert len(next(steps)[token.account_id]) == 1_000
        assert await one.poster._post_waiting()
        assert list(steps) == []
        assert one.poster.waiting_bytes == 0


# Calls without the store.


async def test_a_call_that_went_on_without_the_store_counts_when_it_is_back(
    valkey_url, postgres_dsn
):
    async with behind(valkey_url, postgres_dsn) as (rig, wire):
        key, token = await warm(rig, None)
        used = await used_of(rig, token)
        await away(rig, wire)
        for _ in range(3):
            assert await status_of(rig, key, chat()) == 200
        await rig.posted()
        await back(rig, wire)
        await assert_used(rig, token, 4 * used)


async def test_allow_lets_each_token_spend_its_bound_and_no_more_until_the_store_decides(
    valkey_url, postgres_dsn
):
    body = chat(max_tokens=100)
    hold = len(json.dumps(body, separators=(",", ":"))) * 1000 * 2 + 100 * 10_000
    async with behind(
        valkey_url, postgres_dsn, on_store_loss="allow", allow_bounded_nusd=2 * hold
    ) as (rig, wire):
        (one, token), (two, _) = await warm(rig), await warm(rig)
        for _ in range(2):
            await away(rig, wire)
            spent = 0
            while (status := await status_of(rig, one, body)) == 200:
                spent += 1
            assert status == 503
            assert 2 <= spent <= 4
            assert await status_of(rig, two, body) == 200, "the bound is each token's own"
            assert await status_of(rig, one, body) == 503
            await back(rig, wire)
            assert await status_of(rig, one, body) == 200, "the store decides"
        await rig.posted()
        await assert_used(rig, token, await used_of(rig, token))


async def test_readiness_tells_of_the_breaker(valkey_url, postgres_dsn):
    async with behind(valkey_url, postgres_dsn) as (rig, wire):
        await away(rig, wire)
        async with rig.session.get(f"{rig.url}/readyz") as answer:
            told = await answer.json()
        assert (answer.status, told["openings"]) == (503, 1)
        assert told["breaker"] in {BreakerState.OPEN, BreakerState.HALF_OPEN}


# Bounded memory.


@asynccontextmanager
async def locked_accounts(rig: Rig) -> AsyncIterator[None]:
    """Postgres answers, and no charge can be posted."""
    async with rig.database.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
        yield


async def test_calls_are_refused_before_the_memory_for_their_charges_is_full(
    postgres_dsn, valkey_url, caplog
):
    def configure(members: dict[str, Any]) -> None:
        members["quota"] |= {"post_buffer_bytes": 65_536}

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, configure) as rig,
    ):
        key, token = await warm(rig)
        free, _ = await warm(rig, None)
        amount = await used_of(rig, token)
        async with locked_accounts(rig):
            passed = 2
            while (status := await status_of(rig, key, chat())) == 200:
                passed += 1
            assert status == 503
            reached = len(upstream.requests)
            async with rig.post(free, chat()) as answer:
                assert answer.status == 503
                assert answer.headers["retry-after"] == "5"
            assert len(upstream.requests) == reached
            assert rig.gateway.accounting.poster.refused == 2
            assert caplog.text.count("no room for charges") == 1
            assert rig.gateway.accounting.poster.waiting_bytes < 65_536 + 1_000
        await rig.posted()
        assert rig.gateway.accounting.poster.waiting_bytes == 0
        assert await status_of(rig, key, chat()) == 200
        rows = await rig.ledger()
        assert [row["amount"] for row in rows] == [amount] * (passed + 1)


async def test_a_lock_on_postgres_holds_no_call_up(rig):
    key, _ = await warm(rig)
    async with locked_accounts(rig):
        for _ in range(50):
            assert await status_of(rig, key, chat()) == 200
        assert rig.gateway.accounting.poster.waiting == 50
    assert len(await rig.ledger()) == 51
    lag = rig.gateway.accounting.poster.lag
    assert sum(lag.counts) == 51
    assert 0 < lag.quantile_s(0.5) <= lag.quantile_s(0.99)


def test_the_lag_is_counted_by_upper_bound():
    lag = Lag()
    assert lag.quantile_s(0.99) == 0
    lag.count([0.0, 99.5, 99.99, 99.999], 100.0)
    assert (lag.quantile_s(0.5), lag.quantile_s(0.75), lag.quantile_s(1)) == (0.05, 0.5, 300)
    assert sum(lag.counts) == 4


async def test_counts_of_refusals_do_not_grow_without_bound(rig):
    counts = RefusalCounts(rig.database)
    for token_id in range(1, 100_011):
        counts.add(token_id, Reason.KEY_EXPIRED)
    assert len(counts._counts) == 100_001
    assert counts._counts[0, "key_expired"] == 10


# Faults between the two stores.


async def test_a_commit_whose_reply_is_lost_posts_once(rig, valkey_url):
    token = await called(rig)
    dsn = rig.dsn
    with tempfile.TemporaryDirectory(prefix="tollhouse-tests-") as directory:
        async with before_postgres(Path(directory), dsn) as wire:
            ledger = LedgerStore(wire.url, statement_timeout_s=5)
            charges = [charge_of(token, new_id(), 10) for _ in range(5)]
            wire.cut_reply_to = b"COMMIT\0"
            with pytest.raises(StoreUnavailable):
                await ledger.post(charges)
            assert len(await rig.ledger()) == 5, "it was committed"
            posted = await ledger.post(charges)
            assert posted.books[token.account_id][f"t{token.id}"].used == 50
            await ledger.close()
    assert len(await rig.ledger()) == 5


async def test_a_thousand_settlements_whose_replies_are_late_count_once(valkey_url, postgres_dsn):
    async with behind(valkey_url, postgres_dsn) as (rig, wire):
        _, token = await warm(rig)
        used = await used_of(rig, token)
        async with worker(rig, wire.url) as one:
            prepared = one.quota.prepare(token, "m", 1)
            wire.hold_replies()
            charges = [charge_of(token, new_id(), 3) for _ in range(1_000)]
            for _ in range(2):
                for charge in charges:
                    one.quota.settle(prepared, charge.request_id, 3, 1, charge.line)
            await until(lambda: wire.held > 0)
            await one.poster.post(charges)
            await away(rig, wire)
            await until(lambda: not one.quota.connected)
            await back(rig, wire)
            await until(lambda: one.quota.connected)
            for charge in charges:
                one.quota.settle(prepared, charge.request_id, 3, 1, charge.line)
            one.poster.confirm_again()
            await one.poster.post(charges)
            await assert_used(rig, token, used + 3_000)


async def test_scripts_that_are_forgotten_all_the_time_are_no_callers_matter(rig):
    key, token = await warm(rig)
    pipeline = rig.gateway.quota._pipeline
    for _ in range(30):
        await pipeline.call(0, "SCRIPT", "FLUSH")
        statuses = await asyncio.gather(*(status_of(rig, key, chat()) for _ in range(5)))
        assert set(statuses) == {200}
    await rig.quiet()
    await assert_used(rig, token, await used_of(rig, token))
    assert len(await rig.ledger()) == 151


async def test_a_quota_store_that_is_full_refuses_and_recovers(postgres_dsn, own_valkey_url):
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, own_valkey_url, upstream) as rig,
    ):
        key, token = await warm(rig)
        free, _ = await warm(rig, None)
        pipeline = rig.gateway.quota._pipeline
        await pipeline.call(0, "CONFIG", "SET", "maxmemory", "1")
        assert await status_of(rig, key, chat()) == 503
        assert await status_of(rig, free, chat()) == 200
        await pipeline.call(0, "CONFIG", "SET", "maxmemory", "0")
        assert await status_of(rig, key, chat()) == 200
        await rig.quiet()
        await assert_used(rig, token, await used_of(rig, token))


async def test_many_unknown_keys_at_once_see_no_more_than_the_pool(rig):
    made = [await rig.token(USD) for _ in range(100)]
    pool_size = rig.gateway.config.postgres.pool_size
    most = 0
    async with rig.database.acquire() as connection:
        calls = [asyncio.create_task(status_of(rig, each.key, chat())) for each in made]
        while not all(call.done() for call in calls):
            active = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
            )
            most = max(most, active)
        assert {await call for call in calls} == {200}
    assert most <= pool_size + 2, "the pool, the ledger's own, and the one that looks"


# The outbox.


async def test_the_outbox_brings_back_what_a_failover_of_postgres_lost(postgres_dsn, valkey_url):
    def configure(members: dict[str, Any]) -> None:
        members["quota"] |= {"outbox_hours": 1}

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        key, token = await warm(rig)
        for _ in range(9):
            assert await status_of(rig, key, chat()) == 200
        rows = await rig.ledger()
        used = await used_of(rig, token)
        lost = [row["request_id"] for row in rows[4:]]
        await rig.database.execute("DELETE FROM ledger WHERE request_id = ANY($1)", lost)
        for table in ("token", "member", "subscription", "account"):
            await rig.database.execute(f"UPDATE {table} SET used = used - $1", 6 * used // 10)
        for _ in range(2):
            assert await replayed(postgres_dsn, valkey_url) == (
                "Posted 10 events; those that the ledger had changed nothing.\n"
            )
            assert await rig.ledger() == rows
            await assert_settled(rig, token, used)


async def replayed(dsn: str, url: str) -> str:
    """What `tollhouse replay-outbox` says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.cli",
        "replay-outbox",
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"TOLLHOUSE_POSTGRES__DSN": dsn, "TOLLHOUSE_REDIS__URL": url},
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    return told.decode()
