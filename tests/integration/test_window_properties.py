"""Whatever happens to the store, no real window ever holds more than its limit allows."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.limits import RINGS, Limit, Metric
from gateway.store.replies import Refused
from gateway.store.windows import period
from tests.quota_rig import START, token
from tests.window_rig import Made, Worker, open_worker

ZONE = "America/New_York"
LIMITS = (
    (0, Limit(Metric.REQUESTS, "1m", 6)),
    (0, Limit(Metric.TOKENS, "1m", 90, burst=120)),
    (1, Limit(Metric.TOKENS, "5h", 400)),
    (2, Limit(Metric.USD, "1d", 6_000, models=frozenset({"big"}))),
    (2, Limit(Metric.USD, "1d", 9_000, "calendar", time_zone=ZONE)),
    (3, Limit(Metric.REQUESTS, "7d", 40)),
    (3, Limit(Metric.USD, "month", 30_000, "calendar")),
)
TOKENS = [token(n, user_id=2 + n, limits=LIMITS) for n in (1, 2)]
IN_SHADOW = tuple(
    (scope, replace(limit, limit=limit.limit // 2, shadow=True)) for scope, limit in LIMITS
)
WATCHED = [token(n, user_id=2 + n, limits=LIMITS + IN_SHADOW) for n in (1, 2)]
"""With stricter ones in the shadow, which change nothing."""
WAITS = (0, 7, 400, 999, 3_000, 20_000, 61_000, 300_000, 3_600_000, 40_000_000)

step = st.tuples(
    st.sampled_from(
        ["call"] * 6 + ["settle"] * 4 + ["post", "post", "keep", "flush", "roll", "jump", "back"]
    ),
    st.integers(0, 10**6),
)


class Bench:
    """One worker and the loop that it runs on, for tests that hypothesis calls many times."""

    def __init__(self, runner: asyncio.Runner, worker: Worker) -> None:
        self.run = runner.run
        self.worker = worker

    async def reset(self) -> Worker:
        worker = self.worker
        await worker.pool.execute("TRUNCATE ledger")
        await worker.rig.command("FLUSHDB")
        worker.calls, worker.now, worker.real = [], START, START
        await worker.rig.set_time(START)
        await worker.rig.store.start(0)
        return worker


@pytest.fixture
def bench(postgres_dsn: str, valkey_url: str) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        worker = runner.run(stack.enter_async_context(open_worker(postgres_dsn, valkey_url)))
        yield Bench(runner, worker)
        runner.run(stack.aclose())


def used(worker: Worker, scope_id: str, limit: Limit, since_ms: int) -> int:
    """What calls of the scope that really began after `since_ms` use, by what is known now."""
    counted = [
        call
        for call in worker.calls
        if call.real > since_ms and scope_id in call.token.scope_ids and limit.counts(call.model)
    ]
    return sum(getattr(call, {"usd": "amount"}.get(limit.metric, limit.metric)) for call in counted)


def assert_within_limits(worker: Worker, of: Made) -> None:
    for scope, limit in LIMITS:
        if limit.mode == "calendar":
            if worker.now != worker.real:  # of two midnights, which one was it?
                continue
            since = period(limit.window, limit.time_zone, worker.now)[0] - 1
        else:
            ring = RINGS[limit.window]
            since = worker.real - ring.bucket_ms * ring.count
        assert used(worker, of.token.scope_ids[scope], limit, since) <= limit.bound, limit


@given(steps=st.lists(step, min_size=10, max_size=60))
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_real_window_holds_more_than_its_bound_through_losses(
    bench: Bench, steps: list[tuple[str, int]]
) -> None:
    async def run() -> None:
        worker = await bench.reset()
        kept: dict[bytes, bytes] = {}
        for word, number in steps:
            live = [call for call in worker.calls if call.is_live]
            if word == "call":
                await worker.wait(WAITS[number % len(WAITS)])
                of, model = WATCHED[number % 2], ("big", "m")[number % 3 == 0]
                cost = {"tokens": number % 97, "amount": number % 2_999}
                reply = await worker.call(of, model, **cost)
                if isinstance(reply, Refused) and reply.retry_ms and number % 5 == 0:
                    await worker.wait(reply.retry_ms - 1)
                    early = await worker.call(of, model, **cost)
                    assert isinstance(early, Refused)
                    assert early.retry_ms == 1
                    await worker.wait(1)
                    reply = await worker.call(of, model, **cost)
                    assert isinstance(reply, Made), "exactly when it was told to come back"
                if isinstance(reply, Made):
                    assert_within_limits(worker, reply)
            elif word == "settle" and live:
                call = live[number % len(live)]
                ends = {"tokens": number % (call.tokens + 1), "amount": number % (call.amount + 1)}
                await worker.settle(call, **ends, reached=number % 4 != 0)
            elif word == "post":
                if waiting := [c for c in worker.calls if c.line and not c.is_posted]:
                    await worker.post(waiting[number % len(waiting)])
            elif word == "keep":
                kept = await worker.rig.everything()
            elif word == "flush":
                await worker.lose_everything()
            elif word == "roll":
                await worker.roll_back(kept)
            elif word == "jump":
                await worker.wait(number * 1_000)
            elif word == "back":
                await worker.set_clock_back(number % 90_000 if number % 2 else number)

    bench.run(run())


@given(steps=st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_windows_made_anew_are_those_that_nothing_happened_to(
    bench: Bench, steps: list[int]
) -> None:
    """Of a burst, what is refilled meanwhile is not known: it is never fuller than it was."""

    async def run() -> None:
        worker = await bench.reset()
        for number in steps:
            await worker.wait(WAITS[number % len(WAITS)])
            model = ("big", "m")[number % 3 == 0]
            reply = await worker.call(
                TOKENS[number % 2], model, tokens=number % 97, amount=number % 999
            )
            if isinstance(reply, Made) and number % 7:
                await worker.wait(number % 90_000)
                await worker.settle(
                    reply, tokens=number % 31, amount=number % 301, reached=number % 5 != 0
                )
        await worker.finish()
        windows = [(t, w) for t in TOKENS for w in worker.prepare(t, "big").windows]
        for t in TOKENS:  # so that each has a head
            await worker.loads.load(worker.prepare(t, "big"), t)
        before = [await worker.holds(t, w) for t, w in windows]
        await worker.lose_everything()
        for t in TOKENS:
            await worker.loads.load(worker.prepare(t, "big"), t)
        after = [await worker.holds(t, w) for t, w in windows]
        for (_, window), was, holds in zip(windows, before, after, strict=True):
            if window.id == "t1mb":
                assert holds.get(0, 0) <= 120
            elif not window.bucket_ms and was and max(was) != window.first:
                assert holds == {}, "its period is over"
            else:
                assert holds == was, window

    bench.run(run())
