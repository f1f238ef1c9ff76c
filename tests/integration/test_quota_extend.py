"""The contract of EXTEND, alone, on a real Valkey: a running call holds more, or what it held."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.domain.limits import Limit, Metric
from gateway.store.prepared import Prepared, key
from gateway.store.replies import Again, Extended, Obstacle, Refused, Reserved, Rule, read_extended
from tests.quota_rig import ACCOUNT, SHARD, START, Rig, open_rig, token

MINUTE = 60_000


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with open_rig(valkey_url, lease_s=60) as rig:
        await rig.set_time(START)
        yield rig


async def extend(
    rig: Rig,
    prepared: Prepared,
    request_id: bytes,
    amount: int,
    tokens: int = 10,
    *,
    fill: bool = False,
) -> Extended | Refused | Again:
    reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    rig.store.extend(prepared, request_id, amount, tokens, reply.set_result, fill=fill)
    return read_extended(await reply)


async def held(rig: Rig, amount: int = 100, tokens: int = 10, **options) -> tuple[Prepared, bytes]:
    """A token's prepared commands, and a reservation."""
    limits = options.pop("limits", ())
    t = token(limits=limits)
    await rig.load(t, **options)
    prepared, request_id = rig.store.prepare(t, "m", 0), rig.new_id()
    assert isinstance(await rig.reserve(prepared, request_id, amount, tokens), Reserved)
    return prepared, request_id


async def test_what_is_added_is_held_in_all_four_scopes_and_settled_with_the_rest(rig: Rig) -> None:
    prepared, request_id = await held(rig, 100, token=1_000)
    assert await extend(rig, prepared, request_id, 250, 25) == Extended(250)
    assert [(b.reserved, b.live) for b in await rig.books(token())] == [(250, 1)] * 4
    (live,) = await rig.store.live(ACCOUNT)
    assert (live.amount, live.tokens, live.detail) == (250, 25, b"detail")
    await rig.assert_conserved(token())
    await rig.settle(prepared, request_id, 240, 24)
    assert [(b.reserved, b.pending) for b in await rig.books(token())] == [(0, 240)] * 4


async def test_repeating_it_adds_nothing_and_asking_for_less_takes_nothing_back(rig: Rig) -> None:
    prepared, request_id = await held(rig, 100)
    for amount in (250, 250, 70):
        assert await extend(rig, prepared, request_id, amount, 25) == Extended(250)
    await rig.assert_conserved(token())


@pytest.mark.parametrize("scope", ["token", "member", "subscription", "account"])
async def test_a_scope_that_refuses_is_named_and_nothing_is_taken(rig: Rig, scope: str) -> None:
    prepared, request_id = await held(rig, 100, **{scope: 150})
    before = await rig.everything()
    assert await extend(rig, prepared, request_id, 151) == Refused(
        Rule.QUOTA, scope, 0, 150, 100, free=50
    )
    assert await rig.everything() == before


async def test_what_only_others_hold_is_told_apart(rig: Rig) -> None:
    prepared, request_id = await held(rig, 100, token=200)
    await rig.reserve(prepared, rig.new_id(), 60)
    refused = await extend(rig, prepared, request_id, 180)
    assert refused == Refused(Rule.HELD, "token", 0, 200, 160, free=40)
    refused = await extend(rig, prepared, request_id, 201)
    assert isinstance(refused, Refused)
    assert refused.rule is Rule.QUOTA


async def test_any_part_is_taken_of_what_the_tightest_scope_has_left(rig: Rig) -> None:
    prepared, request_id = await held(rig, 100, token=1_000, account=130)
    assert await extend(rig, prepared, request_id, 500, fill=True) == Extended(130)
    assert [b.reserved for b in await rig.books(token())] == [130] * 4
    assert await extend(rig, prepared, request_id, 500, fill=True) == Extended(130)
    await rig.assert_conserved(token())


async def test_any_part_of_an_overdrawn_scope_is_nothing(rig: Rig) -> None:
    prepared, request_id = await held(rig, 100, token=100)
    await rig.settle(prepared, rig.new_id(), 70)
    assert await extend(rig, prepared, request_id, 500, fill=True) == Extended(100)


async def test_a_reservation_that_is_not_there_is_not_made(rig: Rig) -> None:
    prepared, request_id = await held(rig, 100)
    await rig.settle(prepared, request_id, 100)
    before = await rig.everything()
    for some in (request_id, rig.new_id()):
        assert await extend(rig, prepared, some, 200) == Again(Obstacle.GONE)
    assert await rig.everything() == before


async def test_it_renews_the_lease(rig: Rig) -> None:
    prepared, request_id = await held(rig, 100)
    await rig.set_time(START + 59_000)
    assert await extend(rig, prepared, request_id, 100) == Extended(100)
    ends = await rig.command("ZSCORE", key(SHARD, "x"), b"%d|%b" % (ACCOUNT, request_id))
    assert float(ends) == START + 59_000 + 60_000


async def test_it_waits_for_the_pause_and_for_books_of_this_run(rig: Rig) -> None:
    prepared, request_id = await held(rig, 100)
    await rig.command("DEL", key(SHARD, "e"))
    assert await extend(rig, prepared, request_id, 200) == Again(Obstacle.EPOCH)
    await rig.store.start(3.0)
    assert await extend(rig, prepared, request_id, 200) == Again(Obstacle.PAUSE, 3_000)
    await rig.set_time(START + 3_000)
    await rig.command("DEL", key(SHARD, "b", "t1"))
    assert await extend(rig, prepared, request_id, 200) == Again(Obstacle.LOAD, 0)


async def test_an_edit_meanwhile_does_not_stop_a_running_call(rig: Rig) -> None:
    prepared, request_id = await held(rig, 100)
    await rig.load(token(versions=(2, 2, 2, 2)))
    assert await extend(rig, prepared, request_id, 200) == Extended(200)


@pytest.mark.parametrize("metric", [Metric.TOKENS, Metric.USD])
async def test_a_window_counts_what_is_added_and_settling_gives_the_rest_back(
    rig: Rig, metric: Metric
) -> None:
    """Both count 1,000: a call that began with 100 may grow to 1,000 and not further."""
    prepared, request_id = await held(rig, 100, 100, limits=((0, Limit(metric, "1m", 1_000)),))
    refused = await extend(rig, prepared, request_id, 1_001, 1_001)
    assert isinstance(refused, Refused)
    assert (refused.rule, refused.window, refused.used) == (Rule.WINDOW, "1m", 100)
    assert await extend(rig, prepared, request_id, 1_000, 1_000) == Extended(1_000)
    full = await rig.reserve(prepared, rig.new_id(), 1, 1)
    assert isinstance(full, Refused)
    assert (full.rule, full.used) == (Rule.WINDOW, 1_000)
    await rig.settle(prepared, request_id, 300, 300)
    assert isinstance(await rig.reserve(prepared, rig.new_id(), 700, 700), Reserved)


async def test_a_call_counts_where_it_began_however_late_it_grows(rig: Rig) -> None:
    limits = ((0, Limit(Metric.TOKENS, "1m", 1_000)),)
    prepared, request_id = await held(rig, 100, 400, limits=limits)
    await rig.set_time(START + 50_000)
    await rig.reserve(prepared, rig.new_id(), 1, 300)
    assert await extend(rig, prepared, request_id, 100, 700) == Extended(100)
    # The beginning leaves the window with all that was added to it.
    await rig.set_time(START + 61_000)
    assert isinstance(await rig.reserve(prepared, rig.new_id(), 1, 700), Reserved)
    assert isinstance(await rig.reserve(prepared, rig.new_id(), 1, 1), Refused)


async def test_a_call_whose_beginning_has_left_the_window_grows_freely(rig: Rig) -> None:
    limits = ((0, Limit(Metric.TOKENS, "1m", 1_000)),)
    prepared, request_id = await held(rig, 100, 400, limits=limits)
    await rig.set_time(START + 2 * MINUTE)
    await rig.reserve(prepared, rig.new_id(), 1, 900)
    assert await extend(rig, prepared, request_id, 100, 5_000) == Extended(100)
    refused = await rig.reserve(prepared, rig.new_id(), 1, 101)
    assert isinstance(refused, Refused)
    assert refused.used == 900


async def test_a_ring_that_nobody_moved_on_does_not_refuse_for_the_past(rig: Rig) -> None:
    limits = ((0, Limit(Metric.TOKENS, "1m", 1_000)),)
    prepared, _ = await held(rig, 100, 600, limits=limits)
    await rig.set_time(START + 30_000)
    late = rig.new_id()
    await rig.reserve(prepared, late, 1, 300)
    await rig.set_time(START + 65_000)  # the first has left; the head still counts it
    assert await extend(rig, prepared, late, 1, 900) == Extended(1)


async def test_any_part_counts_in_windows_without_asking_them(rig: Rig) -> None:
    limits = ((0, Limit(Metric.USD, "1m", 150)),)
    prepared, request_id = await held(rig, 100, limits=limits)
    assert await extend(rig, prepared, request_id, 400, fill=True) == Extended(400)
    refused = await rig.reserve(prepared, rig.new_id(), 1)
    assert isinstance(refused, Refused)
    assert refused.used == 400
