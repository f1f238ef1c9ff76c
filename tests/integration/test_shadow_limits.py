"""Limits in the shadow refuse nothing, and say of each call what they would have said if they bound it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.domain.limits import Limit, Metric
from gateway.store.prepared import Prepared
from gateway.store.replies import (
    Extended,
    Rate,
    Refused,
    Reply,
    Reserved,
    Rule,
    read_extended,
)
from tests.quota_rig import START, Rig, open_rig, token
from tests.shadow_twins import Twins
from tests.window_rig import Made, Worker, open_worker


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with open_rig(valkey_url) as rig:
        await rig.set_time(START)
        yield rig


@pytest.fixture
async def worker(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Worker]:
    async with open_worker(postgres_dsn, valkey_url) as worker:
        yield worker


def shadow(metric: Metric, window: str, limit: int, *args: str, **options: int) -> Limit:
    return Limit(metric, window, limit, *args, shadow=True, **options)  # type: ignore[arg-type]


async def prepared(rig: Rig, *limits: Limit) -> Prepared:
    """The commands of a token that has these limits."""
    t = token(limits=tuple((0, limit) for limit in limits))
    await rig.load(t)
    return rig.store.prepare(t, "m", 0, now_ms=START)


def shadows(reply: Reply) -> tuple[Refused, ...]:
    assert isinstance(reply, Reserved), reply
    return reply.shadows


@pytest.mark.parametrize(
    "limit",
    [
        shadow(Metric.REQUESTS, "1m", 6),
        shadow(Metric.REQUESTS, "1d", 6, "calendar"),
        shadow(Metric.REQUESTS, "1m", 1, burst=6),
        shadow(Metric.TOKENS, "5h", 60),
        shadow(Metric.USD, "month", 600, "calendar"),
    ],
    ids=lambda limit: limit.counter,
)
async def test_at_twice_the_limit_every_call_passes_and_half_of_them_are_told(
    rig: Rig, limit: Limit
) -> None:
    commands = await prepared(rig, limit)
    told = [shadows(await rig.reserve(commands, rig.new_id(), 100, 10)) for _ in range(12)]
    assert [len(each) for each in told] == [0] * 6 + [1] * 6
    (refused,) = told[-1]
    assert (refused.rule, refused.scope, refused.metric) == (Rule.WINDOW, "token", limit.metric)
    assert (refused.window, refused.used) == (limit.window, limit.burst or limit.limit)
    assert refused.retry_ms is not None
    await rig.set_time(START + refused.retry_ms - 1)
    assert len(shadows(await rig.reserve(commands, rig.new_id(), 100, 10))) == 1
    if limit.mode == "calendar":
        return
    await rig.set_time(START + refused.retry_ms)
    assert shadows(await rig.reserve(commands, rig.new_id(), 100, 10)) == ()


async def test_a_call_that_alone_is_above_the_limit_passes_and_is_told(rig: Rig) -> None:
    commands = await prepared(rig, shadow(Metric.TOKENS, "1m", 100))
    assert shadows(await rig.reserve(commands, rig.new_id(), 1, 101)) == (
        Refused(Rule.TOO_BIG, "token", 101, 100, 0, Metric.TOKENS, "1m"),
    )
    assert shadows(await rig.reserve(commands, rig.new_id(), 1, 100)) == ()


async def test_a_stricter_limit_is_tried_beside_the_real_one(rig: Rig) -> None:
    commands = await prepared(
        rig, Limit(Metric.REQUESTS, "1m", 4), shadow(Metric.REQUESTS, "1m", 2)
    )
    replies = [await rig.reserve(commands, rig.new_id()) for _ in range(4)]
    assert [len(shadows(each)) for each in replies] == [0, 0, 1, 1]
    assert [each.requests for each in replies if isinstance(each, Reserved)] == [
        Rate(4, left, 61_000) for left in (3, 2, 1, 0)
    ], "callers are told of the limit that binds"
    refused = await rig.reserve(commands, rig.new_id())
    assert refused == Refused(Rule.WINDOW, "token", 4, 4, 0, Metric.REQUESTS, "1m", 61_000)


@pytest.mark.parametrize("shadow_first", [True, False])
async def test_what_a_real_limit_refuses_leaves_no_trace_in_the_shadow(
    rig: Rig, *, shadow_first: bool
) -> None:
    limits = [shadow(Metric.TOKENS, "5h", 15), Limit(Metric.REQUESTS, "1m", 1)]
    commands = await prepared(rig, *(limits if shadow_first else reversed(limits)))
    await rig.reserve(commands, rig.new_id(), tokens=10)
    before = await rig.everything()
    refused = await rig.reserve(commands, rig.new_id(), tokens=10)
    assert isinstance(refused, Refused)
    assert refused.metric is Metric.REQUESTS
    assert await rig.everything() == before


async def test_a_grant_refuses_whatever_is_in_the_shadow(rig: Rig) -> None:
    t = token(limits=((0, shadow(Metric.USD, "1m", 100)),))
    await rig.load(t, token=150)
    refused = await rig.reserve(rig.store.prepare(t, "m", 0), rig.new_id(), 151)
    assert isinstance(refused, Refused)
    assert refused.rule is Rule.QUOTA


@pytest.mark.parametrize(
    "limit",
    [
        shadow(Metric.TOKENS, "1m", 100),
        shadow(Metric.TOKENS, "1d", 100, "calendar"),
        shadow(Metric.TOKENS, "1m", 1, burst=100),
    ],
    ids=lambda limit: limit.counter,
)
async def test_the_end_of_a_call_changes_the_window_only_where_it_is_counted(
    rig: Rig, limit: Limit
) -> None:
    commands = await prepared(rig, limit)
    counted, told = rig.new_id(), rig.new_id()
    assert shadows(await rig.reserve(commands, counted, 1, 60)) == ()
    assert len(shadows(await rig.reserve(commands, told, 1, 70))) == 1
    await rig.settle(commands, told, 1, 5)
    (refused,) = shadows(await rig.reserve(commands, rig.new_id(), 1, 41))
    assert refused.used == 60
    await rig.settle(commands, counted, 1, 20)
    assert shadows(await rig.reserve(commands, rig.new_id(), 1, 80)) == ()
    (refused,) = shadows(await rig.reserve(commands, rig.new_id(), 1, 1))
    assert refused.used == 100


async def test_a_request_that_was_told_and_reached_no_upstream_is_not_given_back(rig: Rig) -> None:
    commands = await prepared(rig, shadow(Metric.REQUESTS, "1m", 1))
    told = rig.new_id()
    await rig.reserve(commands, rig.new_id())
    assert len(shadows(await rig.reserve(commands, told))) == 1
    await rig.settle(commands, told, 0, 0, keep_request=False)
    assert len(shadows(await rig.reserve(commands, rig.new_id()))) == 1


async def extend(rig: Rig, commands: Prepared, request_id: bytes, tokens: int) -> object:
    reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    rig.store.extend(commands, request_id, 100, tokens, reply.set_result)
    return read_extended(await reply)


async def test_a_call_grows_beyond_a_limit_in_the_shadow_and_is_counted_where_it_was(
    rig: Rig,
) -> None:
    commands = await prepared(rig, shadow(Metric.TOKENS, "1m", 100))
    counted, told = rig.new_id(), rig.new_id()
    await rig.reserve(commands, counted, 100, 60)
    await rig.reserve(commands, told, 100, 70)
    for request_id in (told, counted):
        assert await extend(rig, commands, request_id, 500) == Extended(100)
    (refused,) = shadows(await rig.reserve(commands, rig.new_id(), 1, 1))
    assert refused.used == 500, "what grew without having been counted is not"
    await rig.settle(commands, told, 100, 500)
    await rig.settle(commands, counted, 100, 90)
    assert shadows(await rig.reserve(commands, rig.new_id(), 1, 10)) == ()


@pytest.mark.parametrize("tokens", [40, 41, 101])
async def test_a_look_tells_what_a_reservation_would(rig: Rig, tokens: int) -> None:
    commands = await prepared(
        rig, shadow(Metric.TOKENS, "1m", 100), Limit(Metric.TOKENS, "1m", 1_000)
    )
    await rig.reserve(commands, rig.new_id(), 1, 60)
    before = await rig.everything()
    looked = await rig.store.look(commands, 1, tokens)
    assert await rig.everything() == before
    assert looked.windows == tuple(zip(commands.windows, (60, 60), strict=True))
    reply = await rig.reserve(commands, rig.new_id(), 1, tokens)
    assert shadows(looked.reply) == shadows(reply)
    assert len(shadows(reply)) == (tokens > 40)


async def test_a_look_that_is_refused_tells_what_windows_in_the_shadow_hold(rig: Rig) -> None:
    commands = await prepared(
        rig, shadow(Metric.TOKENS, "1m", 100), Limit(Metric.REQUESTS, "1m", 1)
    )
    await rig.reserve(commands, rig.new_id(), 1, 60)
    looked = await rig.store.look(commands, 1, 41)
    assert isinstance(looked.reply, Refused)
    assert [used for _, used in looked.windows] == [60, 1]


@pytest.mark.parametrize("mode", ["sliding", "calendar"])
async def test_a_window_that_is_made_anew_counts_every_call_and_corrects_it(
    worker: Worker, mode: str
) -> None:
    """The one that was told, too: of a call in the ledger nobody knows that it was."""
    t = token(limits=((0, shadow(Metric.TOKENS, "1d", 100, mode)),))
    first = await worker.call(t, tokens=60)
    told = await worker.call(t, tokens=70)
    assert isinstance(first, Made)
    assert isinstance(told, Made)
    await worker.wait(1_000)
    (window,) = worker.prepare(t).windows
    assert sum((await worker.holds(t, window)).values()) == 60
    await worker.roll_back(await worker.rig.everything())  # started anew; nothing is lost
    assert isinstance(await worker.call(t, tokens=1), Made)
    assert sum((await worker.holds(t, window)).values()) == 60 + 70
    await worker.settle(told, tokens=5)
    assert sum((await worker.holds(t, window)).values()) == 60 + 5


@pytest.mark.parametrize("seed", range(6))
async def test_limits_in_the_shadow_say_what_twins_that_bind_would(rig: Rig, seed: int) -> None:
    twins = Twins(rig, seed)
    await twins.run(150)
    assert min(twins.counts.passed, twins.counts.reported, twins.counts.grown) > 5, twins.counts


def test_a_token_that_has_limits_in_the_shadow_alone_is_not_capped() -> None:
    free = token(granted=(False,) * 4, limits=((0, shadow(Metric.REQUESTS, "1m", 1)),))  # type: ignore[arg-type]
    assert not free.capped
    assert replace(free, limits=(*free.limits, (0, Limit(Metric.REQUESTS, "1m", 1)))).capped
