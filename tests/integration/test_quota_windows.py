"""Windows: never above their limit in any real window, honest about when to come back."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.domain.limits import RINGS, Limit, Metric
from gateway.store.prepared import key
from gateway.store.replies import Again, Obstacle, Rate, Refused, Reserved, Rule
from tests.quota_rig import SHARD, START, Rig, open_rig, token


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with open_rig(valkey_url) as rig:
        await rig.set_time(START)
        yield rig


def refusal(reply: object) -> Refused:
    assert isinstance(reply, Refused), reply
    return reply


async def test_a_minute_lets_its_limit_through_and_says_when_the_next_fits(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "1m", 3)),))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    for second in range(3):
        await rig.set_time(START + second * 1_000)
        reply = await rig.reserve(prepared, rig.new_id())
        assert isinstance(reply, Reserved)
        assert reply.requests == Rate(3, 2 - second, 61_000)
    assert await rig.reserve(prepared, rig.new_id()) == Refused(
        Rule.WINDOW, "token", 3, 3, 0, Metric.REQUESTS, "1m", 59_000
    )
    await rig.set_time(START + 60_999)
    assert refusal(await rig.reserve(prepared, rig.new_id())).retry_ms == 1
    await rig.set_time(START + 61_000)
    assert isinstance(await rig.reserve(prepared, rig.new_id()), Reserved)


async def test_of_several_windows_the_last_to_open_is_told(rig: Rig) -> None:
    limits = (Limit(Metric.REQUESTS, "1m", 1), Limit(Metric.TOKENS, "5h", 15))
    t = token(limits=((1, limits[0]), (2, limits[1])))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    await rig.reserve(prepared, rig.new_id(), tokens=10)
    refused = refusal(await rig.reserve(prepared, rig.new_id(), tokens=10))
    assert (refused.scope, refused.metric, refused.window) == ("subscription", Metric.TOKENS, "5h")
    assert (refused.used, refused.limit) == (10, 15)
    assert refused.retry_ms == 61 * 300_000 - START % 300_000


async def test_the_tightest_windows_are_told_with_every_answer(rig: Rig) -> None:
    limits = (
        (0, Limit(Metric.REQUESTS, "1d", 100)),
        (3, Limit(Metric.REQUESTS, "1m", 10)),
        (0, Limit(Metric.TOKENS, "1m", 1_000)),
        (3, Limit(Metric.TOKENS, "1d", 500)),
    )
    t = token(limits=limits)
    await rig.load(t)
    reply = await rig.reserve(rig.store.prepare(t, "m", 0), rig.new_id(), tokens=50)
    assert isinstance(reply, Reserved)
    assert reply.requests == Rate(10, 9, 61_000)
    assert reply.tokens == Rate(500, 450, 97 * 900_000 - START % 900_000)


async def test_a_settlement_corrects_the_bucket_in_which_it_was_counted(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.TOKENS, "1m", 100)), (0, Limit(Metric.USD, "1m", 1_000))))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    early, late = rig.new_id(), rig.new_id()
    await rig.reserve(prepared, early, 500, 60)
    await rig.set_time(START + 30_000)
    await rig.reserve(prepared, late, 500, 40)
    await rig.settle(prepared, early, 200, 10)  # a closed bucket
    await rig.settle(prepared, late, 100, 5)  # the running one
    reply = await rig.reserve(prepared, rig.new_id(), 700, 85)
    assert isinstance(reply, Reserved)
    assert reply.tokens == Rate(100, 0, 61_000)
    refused = refusal(await rig.reserve(prepared, rig.new_id(), 1, 11))
    assert refused.retry_ms == 61_000, "the 10 of `early` are not enough"
    refused = refusal(await rig.reserve(prepared, rig.new_id(), 1, 10))
    assert refused.retry_ms == 31_000


async def test_a_settlement_after_its_window_is_past_changes_nothing(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.TOKENS, "1m", 100)),))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    known = rig.new_id()
    await rig.reserve(prepared, known, 1, 60)
    await rig.set_time(START + 120_000)
    await rig.reserve(prepared, rig.new_id(), 1, 70)
    await rig.settle(prepared, known, 1, 0)
    assert refusal(await rig.reserve(prepared, rig.new_id(), 1, 31)).used == 70


async def test_a_request_that_reached_no_upstream_is_given_back(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "1m", 1)),))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    kept, returned = rig.new_id(), rig.new_id()
    await rig.reserve(prepared, returned)
    await rig.settle(prepared, returned, 0, 0, keep_request=False)
    assert isinstance(await rig.reserve(prepared, kept), Reserved)
    await rig.settle(prepared, kept, 0, 0)
    assert refusal(await rig.reserve(prepared, rig.new_id())).rule is Rule.WINDOW


async def test_a_limit_of_some_models_counts_only_those(rig: Rig) -> None:
    big = Limit(Metric.REQUESTS, "1m", 1, models=frozenset({"big", "bigger"}))
    t = token(limits=((0, big), (0, Limit(Metric.REQUESTS, "1m", 3))))
    await rig.load(t)
    of_big, of_small = (rig.store.prepare(t, m, 0) for m in ("big", "small"))
    assert isinstance(await rig.reserve(of_big, rig.new_id()), Reserved)
    assert isinstance(await rig.reserve(of_small, rig.new_id()), Reserved)
    assert refusal(await rig.reserve(of_big, rig.new_id())).limit == 1
    assert isinstance(await rig.reserve(of_small, rig.new_id()), Reserved)
    assert refusal(await rig.reserve(of_small, rig.new_id())).limit == 3


async def test_a_lowered_limit_binds_the_next_call_and_keeps_the_count(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "1d", 10)),))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    for _ in range(3):
        await rig.reserve(prepared, rig.new_id())
    lowered = token(limits=((0, Limit(Metric.REQUESTS, "1d", 2)),))
    refused = refusal(await rig.reserve(rig.store.prepare(lowered, "m", 0), rig.new_id()))
    assert (refused.used, refused.limit) == (3, 2)


async def test_a_calendar_month_ends_in_its_own_zone(rig: Rig) -> None:
    zone = "America/New_York"
    limit = Limit(Metric.REQUESTS, "month", 1, mode="calendar", time_zone=zone)
    t = token(limits=((3, limit),))
    await rig.load(t)
    february = int(datetime(2027, 2, 1, tzinfo=ZoneInfo(zone)).timestamp()) * 1000
    prepared = rig.store.prepare(t, "m", 0, now_ms=START)
    assert isinstance(await rig.reserve(prepared, rig.new_id()), Reserved)
    await rig.set_time(february - 1)
    refused = refusal(await rig.reserve(prepared, rig.new_id()))
    assert (refused.window, refused.retry_ms) == ("month", 1)
    await rig.set_time(february)
    assert await rig.reserve(prepared, rig.new_id()) == Again(Obstacle.PERIOD, february)
    renewed = rig.store.prepare(t, "m", 0, now_ms=february)
    assert isinstance(await rig.reserve(renewed, rig.new_id()), Reserved)
    assert refusal(await rig.reserve(renewed, rig.new_id())).used == 1


async def test_a_clock_that_goes_back_over_a_month_reopens_nothing(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "month", 1, mode="calendar")),))
    await rig.load(t)
    february = int(datetime(2027, 2, 1, tzinfo=UTC).timestamp()) * 1000
    await rig.set_time(february)
    old, new = (rig.store.prepare(t, "m", 0, now_ms=february - n) for n in (1, 0))
    await rig.reserve(new, rig.new_id())
    await rig.set_time(february - 1)
    assert await rig.reserve(old, rig.new_id()) == Again(Obstacle.PERIOD, february)
    assert refusal(await rig.reserve(new, rig.new_id())).used == 1


async def test_a_clock_that_goes_back_reopens_no_ring(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "1m", 2)),))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    await rig.reserve(prepared, rig.new_id())
    await rig.set_time(START - 3_600_000)
    assert isinstance(await rig.reserve(prepared, rig.new_id()), Reserved)
    assert refusal(await rig.reserve(prepared, rig.new_id())).used == 2
    await rig.set_time(START + 60_999)
    assert refusal(await rig.reserve(prepared, rig.new_id())).retry_ms == 1


async def test_closed_buckets_do_not_pile_up(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "1m", 1_000)),))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    for second in range(0, 400, 2):
        await rig.set_time(START + second * 1_000)
        await rig.reserve(prepared, rig.new_id())
    assert await rig.command("HLEN", key(SHARD, "w", "t1")) <= 31
    await rig.set_time(START + 10_000_000)
    await rig.reserve(prepared, rig.new_id())
    assert await rig.command("HLEN", key(SHARD, "w", "t1")) == 0


@pytest.mark.parametrize("seed", range(12))
async def test_no_real_window_ever_holds_more_than_its_limit(rig: Rig, seed: int) -> None:
    """By the side of a truth that keeps every call: never refused more than a bucket early, too."""
    random_ = random.Random(seed)
    limits = (
        (0, Limit(Metric.REQUESTS, "1m", 12)),
        (0, Limit(Metric.TOKENS, "1m", 150)),
        (1, Limit(Metric.TOKENS, "5h", 900)),
        (3, Limit(Metric.USD, "1d", 20_000)),
    )
    t = token(limits=limits)
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    now = START
    calls: list[dict[str, object]] = []  # at, and what each metric counts now
    seen: Counter[str] = Counter()

    def counted(metric: Metric, since: int) -> int:
        return sum(c[metric] for c in calls if c["at"] > since)  # type: ignore[misc, operator]

    async def attempt(tokens: int, amount: int) -> object:
        request_id = rig.new_id()
        reply = await rig.reserve(prepared, request_id, amount, tokens)
        if isinstance(reply, Reserved):
            calls.append(
                {"at": now, "id": request_id, "live": True}
                | {Metric.REQUESTS: 1, Metric.TOKENS: tokens, Metric.USD: amount}
            )
            for _, limit in limits:
                ring = RINGS[limit.window]
                width = ring.bucket_ms * ring.count
                assert counted(limit.metric, now - width) <= limit.limit, limit
        return reply

    for _ in range(250):
        now += random_.choice([0, 10, 400, 999, 3_000, 20_000, 300_000, random_.randint(0, 10**7)])
        await rig.set_time(now)
        if random_.random() < 0.4 and (live := [c for c in calls if c["live"]]):
            call = random_.choice(live)
            tokens, amount = (
                random_.randint(0, call[m])  # type: ignore[call-overload]
                for m in (Metric.TOKENS, Metric.USD)
            )
            keep = random_.random() < 0.8
            await rig.settle(prepared, call["id"], amount, tokens, keep_request=keep)  # type: ignore[arg-type]
            call |= {"live": False, Metric.TOKENS: tokens, Metric.USD: amount}
            call[Metric.REQUESTS] = int(keep)
            continue
        tokens, amount = random_.randint(0, 60), random_.randint(0, 3_000)
        cost = {Metric.REQUESTS: 1, Metric.TOKENS: tokens, Metric.USD: amount}
        reply = await attempt(tokens, amount)
        if isinstance(reply, Reserved):
            seen["reserved"] += 1
            continue
        refused = refusal(reply)
        seen["refused"] += 1
        limit = next(
            n for _, n in limits if (n.metric, n.window) == (refused.metric, refused.window)
        )
        ring = RINGS[limit.window]
        earliest = now - ring.bucket_ms * (ring.count + 1)
        assert counted(limit.metric, earliest) + cost[limit.metric] > limit.limit, "too early"
        if random_.random() < 0.5:
            assert refused.retry_ms is not None
            now += refused.retry_ms - 1
            await rig.set_time(now)
            assert isinstance(await attempt(tokens, amount), Refused)
            now += 1
            await rig.set_time(now)
            assert isinstance(await attempt(tokens, amount), Reserved)
            seen["retried"] += 1
    assert min(seen["reserved"], seen["refused"], seen["retried"]) > 5, seen
