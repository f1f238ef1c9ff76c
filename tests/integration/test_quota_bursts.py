"""Limits with a burst: so much at once, refilled at the limit's rate, and no minute holds more than both."""

import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from gateway.domain.limits import Limit, Metric
from gateway.store.replies import Rate, Refused, Reserved, Rule
from tests.quota_rig import START, Rig, open_rig, token

HOUR_MS = 3_600_000
USD = 1_000_000_000


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with open_rig(valkey_url) as rig:
        await rig.set_time(START)
        yield rig


async def admitted(rig: Rig, limit: Limit, calls: int, **cost: int) -> int:
    """How many of as many calls pass."""
    prepared = rig.store.prepare(token(limits=((0, limit),)), "m", 0)
    replies = [await rig.reserve(prepared, rig.new_id(), **cost) for _ in range(calls)]
    return sum(isinstance(reply, Reserved) for reply in replies)


async def test_a_burst_passes_at_once_and_then_one_at_a_time(rig: Rig) -> None:
    limit = Limit(Metric.REQUESTS, "1m", 60, burst=10)
    await rig.load(token(limits=((0, limit),)))
    assert await admitted(rig, limit, 100) == 10
    for second in range(1, 30):
        await rig.set_time(START + second * 1_000 - 1)
        assert await admitted(rig, limit, 3) == 0
        await rig.set_time(START + second * 1_000)
        assert await admitted(rig, limit, 3) == 1
    await rig.set_time(START + HOUR_MS)
    assert await admitted(rig, limit, 100) == 10, "however long nobody called"


async def test_what_is_left_of_a_burst_is_told_with_every_answer(rig: Rig) -> None:
    limit = Limit(Metric.TOKENS, "1m", 600, burst=100)
    t = token(limits=((0, limit), (0, Limit(Metric.REQUESTS, "1m", 7, burst=4))))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    reply = await rig.reserve(prepared, rig.new_id(), tokens=30)
    assert isinstance(reply, Reserved)
    assert reply.tokens == Rate(100, 70, 3_000)
    assert reply.requests == Rate(4, 3, 8_572), "60 s / 7, rounded up"
    await rig.set_time(START + 2_000)
    reply = await rig.reserve(prepared, rig.new_id(), tokens=90)
    assert isinstance(reply, Reserved)
    assert reply.tokens == Rate(100, 0, 10_000)
    refused = await rig.reserve(prepared, rig.new_id(), tokens=1)
    assert refused == Refused(
        Rule.WINDOW, "token", 100, 100, 0, Metric.TOKENS, "1m", 100, has_burst=True
    )


async def test_a_call_dearer_than_the_burst_can_never_pass(rig: Rig) -> None:
    t = token(limits=((1, Limit(Metric.USD, "1m", 10 * USD, burst=USD)),))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    before = await rig.everything()
    reply = await rig.reserve(prepared, rig.new_id(), USD + 1)
    assert isinstance(reply, Refused)
    assert (reply.rule, reply.scope, reply.used) == (Rule.TOO_BIG, "member", USD + 1)
    assert reply.limit == USD
    assert await rig.everything() == before
    assert isinstance(await rig.reserve(prepared, rig.new_id(), USD), Reserved)


async def test_a_refused_call_takes_nothing_from_any_window(rig: Rig) -> None:
    limits = (
        (0, Limit(Metric.REQUESTS, "1m", 60, burst=5)),
        (0, Limit(Metric.REQUESTS, "1m", 100)),
        (2, Limit(Metric.TOKENS, "7d", 20)),
    )
    t = token(limits=limits)
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    for _ in range(2):
        await rig.reserve(prepared, rig.new_id(), tokens=10)
    await rig.set_time(START + 700)
    before = await rig.everything()
    for _ in range(3):
        reply = await rig.reserve(prepared, rig.new_id(), tokens=10)
        assert isinstance(reply, Refused)
        assert reply.window == "7d"
    assert await rig.everything() == before


async def test_tokens_that_were_not_used_are_free_at_once(rig: Rig) -> None:
    limit = Limit(Metric.TOKENS, "1m", 60, burst=4_000)
    t = token(limits=((0, limit),))
    await rig.load(t)
    prepared, known = rig.store.prepare(t, "m", 0), rig.new_id()
    await rig.reserve(prepared, known, tokens=4_000)
    assert await admitted(rig, limit, 1, tokens=1) == 0
    await rig.settle(prepared, known, tokens=400)
    assert await admitted(rig, limit, 1, tokens=3_601) == 0
    assert await admitted(rig, limit, 1, tokens=3_600) == 1


async def test_nothing_is_given_back_that_was_refilled_meanwhile(rig: Rig) -> None:
    """What the level would have been without the call is the bound of what its end gives back."""
    limit = Limit(Metric.TOKENS, "1m", 60_000, burst=100)
    t = token(limits=((0, limit),))
    await rig.load(t)
    prepared, known = rig.store.prepare(t, "m", 0), rig.new_id()
    await rig.reserve(prepared, known, tokens=100)
    await rig.set_time(START + 50)
    assert await admitted(rig, limit, 1, tokens=50) == 1
    await rig.settle(prepared, known, tokens=0)
    assert await admitted(rig, limit, 1, tokens=51) == 0
    assert await admitted(rig, limit, 1, tokens=50) == 1


async def test_a_call_that_used_more_is_counted_in_full(rig: Rig) -> None:
    limit = Limit(Metric.TOKENS, "1m", 60, burst=100)
    t = token(limits=((0, limit),))
    await rig.load(t)
    prepared, known = rig.store.prepare(t, "m", 0), rig.new_id()
    await rig.reserve(prepared, known, tokens=10)
    await rig.set_time(START + 60_000)
    await rig.settle(prepared, known, tokens=130)  # 120 more, 10 were refilled before
    reply = await rig.reserve(prepared, rig.new_id(), tokens=1)
    assert isinstance(reply, Refused)
    assert (reply.used, reply.retry_ms) == (120, 21_000)


async def test_a_clock_that_goes_back_lets_nothing_more_in_and_blocks_for_a_burst(rig: Rig) -> None:
    limit = Limit(Metric.REQUESTS, "1m", 60, burst=10)
    t = token(limits=((0, limit),))
    await rig.load(t)
    assert await admitted(rig, limit, 4) == 4
    await rig.set_time(START - HOUR_MS)
    reply = await rig.reserve(rig.store.prepare(t, "m", 0), rig.new_id())
    assert isinstance(reply, Refused)
    assert reply.retry_ms == 1_000, "never later than a full burst"
    for back_and_forth in range(5):
        await rig.set_time(START - HOUR_MS + 300 * (back_and_forth % 2))
        assert await admitted(rig, limit, 1) == 0
    await rig.set_time(START - HOUR_MS + 1_000)
    assert await admitted(rig, limit, 3) == 1


async def test_a_burst_that_is_lowered_binds_the_next_call(rig: Rig) -> None:
    many, few = (Limit(Metric.REQUESTS, "1m", 60, burst=n) for n in (100, 5))
    await rig.load(token(limits=((0, many),)))
    assert await admitted(rig, many, 80) == 80
    assert await admitted(rig, few, 1) == 0
    await rig.set_time(START + 60_000)
    assert await admitted(rig, few, 9) == 0
    await rig.set_time(START + 76_000)
    assert await admitted(rig, few, 9) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_no_minute_holds_more_than_limit_and_burst(rig: Rig, seed: int) -> None:
    """By the side of a truth that keeps every call with what it turned out to use."""
    random_ = random.Random(seed)
    limit = Limit(Metric.TOKENS, "1m", random_.choice([90, 700, 2_345]), burst=300)
    assert limit.burst is not None
    t = token(limits=((0, limit),))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    now, calls, live, seen = START, [], [], Counter[str]()

    def counted(since: int) -> int:
        return sum(used for at, used in calls if at > since)

    for _ in range(400):
        now += random_.choice([0, 3, 40, 400, 3_000, 20_000, random_.randint(0, 90_000)])
        await rig.set_time(now)
        if live and random_.random() < 0.4:
            number, request_id = live.pop(random_.randrange(len(live)))
            at, held = calls[number]
            used = random_.randint(0, held)
            await rig.settle(prepared, request_id, tokens=used)
            calls[number] = (at, used)
            continue
        tokens, request_id = random_.randint(0, 150), rig.new_id()
        reply = await rig.reserve(prepared, request_id, tokens=tokens)
        if isinstance(reply, Refused):
            assert reply.retry_ms is not None
            seen["refused"] += 1
            await rig.set_time(now + reply.retry_ms - 1)
            early = await rig.reserve(prepared, request_id, tokens=tokens)
            assert isinstance(early, Refused)
            assert early.retry_ms == 1
            now += reply.retry_ms
            await rig.set_time(now)
            reply = await rig.reserve(prepared, request_id, tokens=tokens)
        assert isinstance(reply, Reserved)
        live.append((len(calls), request_id))
        calls.append((now, tokens))
        for since in {at - 1 for at, _ in calls}:  # every window that ends now, up to a minute
            if since >= now - 60_000:
                allowed = limit.burst + limit.limit * (now - since - 1) / 60_000
                assert counted(since) <= allowed
        assert counted(now - 60_000) <= limit.bound
    assert seen["refused"] > 5, seen


@pytest.mark.parametrize(
    ("limit", "burst"), [(1, 1_440), (7, 10_000), (2**41, 2**51), (3 * 10**12 + 1, 4 * 10**15)]
)
async def test_the_smallest_and_the_largest_bursts_are_exact(
    rig: Rig, limit: int, burst: int
) -> None:
    t = token(limits=((0, Limit(Metric.USD, "1m", limit, burst=burst)),))
    await rig.load(t, token=None, member=None, subscription=None, account=None)
    prepared = rig.store.prepare(t, "m", 0)
    assert isinstance(await rig.reserve(prepared, rig.new_id(), burst), Reserved)
    too_big = await rig.reserve(prepared, rig.new_id(), 2**52 - 1)
    assert isinstance(too_big, Refused)
    assert too_big.rule is Rule.TOO_BIG
    refused = await rig.reserve(prepared, rig.new_id(), burst)
    assert isinstance(refused, Refused)
    assert refused.retry_ms == -(-burst * 60_000 // limit)
    await rig.set_time(START + refused.retry_ms - 1)
    early = await rig.reserve(prepared, rig.new_id(), burst)
    assert isinstance(early, Refused)
    assert (early.used, early.retry_ms) == (burst - limit * (refused.retry_ms - 1) // 60_000, 1)
    await rig.set_time(START + refused.retry_ms)
    assert isinstance(await rig.reserve(prepared, rig.new_id(), burst), Reserved)
