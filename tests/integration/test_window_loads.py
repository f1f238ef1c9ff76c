"""Windows are made anew of the ledger and of what is under way: nothing is forgotten, nothing counts twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.domain.limits import Limit, Metric
from gateway.store.charges import Charge
from gateway.store.replies import Again, Obstacle, Rate, Refused, Reserved
from tests.quota_rig import ACCOUNT, START, token
from tests.window_rig import Made, Worker, open_worker

BERLIN = "Europe/Berlin"
EVERY_WINDOW = (
    (0, Limit(Metric.REQUESTS, "1m", 50)),
    (0, Limit(Metric.TOKENS, "5h", 5_000)),
    (1, Limit(Metric.USD, "1d", 90_000)),
    (2, Limit(Metric.TOKENS, "7d", 9_000, models=frozenset({"big", "bi\tg"}))),
    (3, Limit(Metric.USD, "30d", 900_000)),
    (3, Limit(Metric.REQUESTS, "1d", 500, "calendar", time_zone=BERLIN)),
    (0, Limit(Metric.USD, "month", 990_000, "calendar")),
)


@pytest.fixture
async def worker(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Worker]:
    async with open_worker(postgres_dsn, valkey_url) as worker:
        yield worker


async def made(worker: Worker, *args: object, **cost: int) -> Made:
    call = await worker.call(*args, **cost)  # type: ignore[arg-type]
    assert isinstance(call, Made), call
    return call


async def left(worker: Worker, of, model: str = "m", **cost: int) -> object:
    """What a call would be answered; it takes nothing."""
    prepared = worker.prepare(of, model)
    for _ in range(3):
        reply = await worker.rig.reserve(prepared, worker.rig.new_id(), dry=True, **cost)
        if reply != Again(Obstacle.LOAD, reply[1]):  # type: ignore[index]
            return reply
        await worker.loads.load(prepared, of)
    raise AssertionError(reply)


async def test_a_flush_at_nine_tenths_of_a_week_leaves_nine_tenths(worker: Worker) -> None:
    t = token(limits=((0, Limit(Metric.TOKENS, "7d", 1_000)),))
    for _ in range(9):
        await worker.settle(await made(worker, t, tokens=100), tokens=100)
        await worker.wait(3_600_000)
    await worker.finish()
    await worker.lose_everything()
    reply = await left(worker, t, tokens=101)
    assert isinstance(reply, Refused)
    assert (reply.used, reply.limit) == (900, 1_000)
    assert isinstance(await left(worker, t, tokens=100), Reserved)


async def test_made_anew_windows_hold_exactly_what_they_held(worker: Worker) -> None:
    one, two = (token(n, user_id=2 + n, limits=EVERY_WINDOW) for n in (1, 2))
    for step in range(60):
        model = ("m", "big", "bi\tg")[step % 3]
        call = await made(worker, (one, two)[step % 2], model, tokens=90, amount=1_000)
        await worker.wait(step * 301)
        await worker.settle(call, tokens=7 * step % 90, amount=100 + step, reached=step % 5 != 0)
        await worker.wait((1_700_000, 0, 300, 5_000)[step % 4])
    await worker.finish()
    before = await everything_held(worker, one, two)
    state = await worker.rig.everything()
    assert all(before.values())
    for lose in (worker.lose_everything(), worker.roll_back(state)):
        await lose
        for t in (one, two):
            await left(worker, t, "big")
        assert await everything_held(worker, one, two) == before


async def everything_held(worker: Worker, *tokens) -> dict[object, dict[int, int]]:
    return {
        (t.id, w.scope, w.id): await worker.holds(t, w)
        for t in tokens
        for w in worker.prepare(t, "big").windows
    }


async def test_what_is_under_way_counts_once(worker: Worker) -> None:
    """A live call with its hold, a settled and a posted one with what they used."""
    t = token(limits=((0, Limit(Metric.USD, "1d", 1_000)), (3, Limit(Metric.REQUESTS, "1m", 9))))
    posted, settled, unreached, _ = [await made(worker, t, amount=200) for _ in range(4)]
    await worker.settle(posted, amount=10)
    await worker.post(posted)
    await worker.settle(settled, amount=30)
    await worker.settle(unreached, amount=0, reached=False)
    # Posted by a poster whose confirmation is still on its way.
    charges = [Charge(c.request_id, ACCOUNT, c.line) for c in (settled, unreached)]
    await worker._ledger.post(charges)
    for window in worker.prepare(t).windows:  # heads alone are lost
        scope_id = t.scope_ids[window.scope]
        await worker.rig.command("DEL", f"q:{{s007}}:h:{scope_id}:{window.id}")
    usd, requests = worker.prepare(t).windows
    await left(worker, t)
    assert sum((await worker.holds(t, usd)).values()) == 10 + 30 + 200
    assert sum((await worker.holds(t, requests)).values()) == 3


@pytest.mark.parametrize("back_from", ["nothing", "an older state"])
async def test_a_call_that_outlived_the_loss_is_corrected_when_it_ends(
    worker: Worker, back_from: str
) -> None:
    limits = (
        (0, Limit(Metric.TOKENS, "1m", 1_000)),
        (1, Limit(Metric.USD, "month", 10_000, "calendar")),
        (2, Limit(Metric.TOKENS, "1m", 600, burst=1_000)),
        (3, Limit(Metric.REQUESTS, "5h", 10)),
    )
    t = token(limits=limits)
    first = await made(worker, t, tokens=300, amount=3_000)
    state = await worker.rig.everything()
    await worker.wait(4_000)
    second = await made(worker, t, tokens=300, amount=3_000)
    if back_from == "nothing":
        await worker.lose_everything()
    else:
        await worker.roll_back(state)
    await worker.wait(2_000)
    ring, month, burst, requests = worker.prepare(t).windows
    await left(worker, t)
    assert await worker.holds(t, burst) == {0: 600}, "its refill is not known: none"
    await worker.settle(first, tokens=100, amount=1_000)
    await worker.settle(second, tokens=50, amount=500, reached=False)
    second_of = START // 1_000
    assert await worker.holds(t, ring) == {second_of: 100, second_of + 4: 50}
    assert sum((await worker.holds(t, month)).values()) == 1_500
    assert sum((await worker.holds(t, requests)).values()) == 1
    # Of 200 and 250 no more than what is left of the calls after 6 s and 2 s of refill.
    assert await worker.holds(t, burst) == {0: 600 - 200 - (300 - 200 - 20)}


async def test_a_limit_that_is_added_later_counts_what_was_used_before(worker: Worker) -> None:
    before = token()
    await worker.settle(await made(worker, before, tokens=70), tokens=70)
    await made(worker, before, tokens=20)  # still running
    after = token(limits=((0, Limit(Metric.TOKENS, "30d", 100)),))
    reply = await left(worker, after, tokens=11)
    assert isinstance(reply, Refused)
    assert reply.used == 90


async def test_only_calls_of_the_scope_and_of_the_limits_models_count(worker: Worker) -> None:
    limits = (
        (0, Limit(Metric.REQUESTS, "1d", 99)),
        (1, Limit(Metric.REQUESTS, "1d", 99)),
        (2, Limit(Metric.REQUESTS, "1d", 99, models=frozenset({"big"}))),
        (3, Limit(Metric.REQUESTS, "1d", 99)),
    )
    one, two = (token(n, user_id=2 + n, limits=limits) for n in (1, 2))
    for t, model, times in ((one, "big", 3), (one, "m", 4), (two, "big", 5)):
        for _ in range(times):
            await worker.settle(await made(worker, t, model))
    live = await made(worker, two, "big")
    await worker.post(*(call for call in worker.calls if call is not live))
    await worker.lose_everything()
    await left(worker, one, "big")
    held = [
        sum((await worker.holds(one, window)).values())
        for window in worker.prepare(one, "big").windows
    ]
    assert held == [7, 7, 9, 13]


async def test_a_herd_makes_one_query(worker: Worker) -> None:
    t = token(
        limits=((0, Limit(Metric.REQUESTS, "1d", 1_000)), (3, Limit(Metric.USD, "7d", 10**9)))
    )
    await worker.settle(await made(worker, t))
    await worker.finish()
    await worker.lose_everything()
    prepared, asked = worker.prepare(t), []
    posted = worker.loads._posted

    async def counted(*args):
        asked.append(args)
        return await posted(*args)

    worker.loads._posted = counted  # type: ignore[method-assign]
    answers = await asyncio.gather(*(worker.loads.load(prepared, t) for _ in range(50)))
    assert all(answers)
    assert len(asked) == 1
    await worker.loads.load(prepared, t)
    assert len(asked) == 1, "heads of this run are left alone"


async def test_a_caller_who_leaves_does_not_take_the_others_answer_along(worker: Worker) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "1d", 9)),))
    prepared = worker.prepare(t)
    first, second = (asyncio.create_task(worker.loads.load(prepared, t)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_rows_alone_leave_windows_as_they_are(worker: Worker) -> None:
    """As the admin app does after an edit."""
    t = token(limits=((0, Limit(Metric.REQUESTS, "1d", 2)),))
    await made(worker, t)
    (window,) = worker.prepare(t).windows
    before = await worker.holds(t, window)
    books = await worker.loads._keys.books(t)
    assert await worker.rig.store.load(ACCOUNT, books)
    assert await worker.holds(t, window) == before
    await worker.rig.command("DEL", f"q:{{s007}}:h:t1:{window.id}")
    assert await worker.rig.store.load(ACCOUNT, books)
    reply = await worker.rig.reserve(worker.prepare(t), worker.rig.new_id())
    assert reply == Again(Obstacle.LOAD, 0)


async def test_a_period_that_ended_meanwhile_is_not_loaded(worker: Worker) -> None:
    """A loss just before midnight: the new day begins with what was used in it, not with nothing."""
    limit = Limit(Metric.REQUESTS, "1d", 3, "calendar", time_zone=BERLIN)
    t = token(limits=((0, limit),))
    midnight = int(datetime(2027, 3, 28, tzinfo=ZoneInfo(BERLIN)).timestamp()) * 1000
    await worker.wait(midnight - START - 1)
    yesterday = worker.prepare(t)
    await worker.settle(await made(worker, t))
    await worker.wait(1)
    await worker.settle(await made(worker, t))
    await worker.finish()
    await worker.lose_everything()
    assert await worker.loads.load(yesterday, t)
    reply = await worker.rig.reserve(yesterday, worker.rig.new_id())
    assert reply == Again(Obstacle.PERIOD, midnight)
    reply = await left(worker, t)
    assert isinstance(reply, Reserved)
    assert reply.requests is not None
    assert reply.requests.remaining == 1


async def test_a_day_on_which_clocks_change_is_made_anew_with_its_own_edges(worker: Worker) -> None:
    limit = Limit(Metric.REQUESTS, "1d", 9, "calendar", time_zone=BERLIN)
    t = token(limits=((0, limit),))
    midnight = int(datetime(2027, 3, 28, tzinfo=ZoneInfo(BERLIN)).timestamp()) * 1000
    hours_23 = 23 * 3_600_000
    await worker.wait(midnight - START)
    for wait in (0, hours_23 - 1, 1):  # two on the short day, one on the next
        await worker.wait(wait)
        await worker.settle(await made(worker, t))
    await worker.finish()
    await worker.set_clock_back(1)
    await worker.lose_everything()
    assert await left(worker, t) == Reserved(None, Rate(9, 5, 1)), "what is of the future, too"
    await worker.lose_everything()
    await worker.wait(1)
    assert await left(worker, t) == Reserved(None, Rate(9, 7, 24 * 3_600_000))
    await worker.wait(24 * 3_600_000)
    assert await left(worker, t) == Reserved(None, Rate(9, 8, 24 * 3_600_000))


async def test_a_burst_is_full_again_only_as_its_refill_allows(worker: Worker) -> None:
    t = token(limits=((0, Limit(Metric.TOKENS, "1m", 60, burst=100)),))
    for tokens in (40, 50):
        await worker.settle(await made(worker, t, tokens=tokens), tokens=tokens)
        await worker.wait(60_000)
    await worker.finish()
    await worker.lose_everything()
    (window,) = worker.prepare(t).windows
    await left(worker, t, tokens=1)
    assert await worker.holds(t, window) == {0: 50}, "the 40 are older than a whole refill"


async def test_a_workers_clock_puts_no_running_call_into_the_future(worker: Worker) -> None:
    t = token(limits=((0, Limit(Metric.TOKENS, "1m", 99)),))
    call = await made(worker, t, tokens=33)
    call.at += 3_600_000
    await worker.lose_everything()
    (window,) = worker.prepare(t).windows
    await left(worker, t)
    assert await worker.holds(t, window) == {START // 1_000: 33}
    await worker.settle(call, tokens=3)
    assert await worker.holds(t, window) == {START // 1_000: 3}


async def test_a_lost_workers_call_counts_in_full(worker: Worker) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "1d", 9)), (0, Limit(Metric.TOKENS, "1d", 99))))
    lost = await made(worker, t, tokens=33)
    lost.line = (
        worker._line(lost, 33, 100, b"")
        .replace(b"\t200\t", b"\t500\t")
        .replace(b"\\N", b"lost_worker", 1)
    )
    await worker.post(lost)
    lost.is_live = False
    await worker.lose_everything()
    await left(worker, t)
    assert [sum((await worker.holds(t, w)).values()) for w in worker.prepare(t).windows] == [1, 33]
