"""A look answers what RESERVE would, tells what is there, and takes nothing."""

from collections.abc import AsyncIterator

import pytest

from gateway.domain.limits import Limit, Metric
from gateway.store.replies import Again, Obstacle, Refused, Reserved, Rule
from tests.quota_rig import START, Rig, open_rig, token


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with open_rig(valkey_url) as rig:
        await rig.set_time(START)
        yield rig


LIMITS = (
    (0, Limit(Metric.REQUESTS, "1m", 3)),
    (1, Limit(Metric.TOKENS, "1d", 100, "calendar")),
    (2, Limit(Metric.USD, "5h", 1_000)),
    (3, Limit(Metric.REQUESTS, "1m", 60, burst=3)),
)


async def test_a_look_tells_books_and_windows_as_they_are_and_leaves_no_trace(rig: Rig) -> None:
    t = token(limits=LIMITS)
    await rig.load(t, token=500)
    prepared = rig.store.prepare(t, "m", 0, now_ms=START)
    await rig.reserve(prepared, rig.new_id(), 100, 10)
    before = await rig.everything()
    looked = await rig.store.look(prepared, 200, 20)
    assert await rig.everything() == before
    assert looked.reply == Reserved(200)
    assert [(b.granted, b.reserved, b.live) for b in looked.books] == [
        (b.granted, b.reserved, b.live) for b in await rig.books(t)
    ]
    assert looked.windows == tuple(zip(prepared.windows, (1, 10, 100, 1), strict=True))


async def test_what_has_left_a_window_is_not_told(rig: Rig) -> None:
    t = token(limits=LIMITS)
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0, now_ms=START)
    await rig.reserve(prepared, rig.new_id(), 100, 10)
    await rig.set_time(START + 2 * 60_000)
    looked = await rig.store.look(prepared, 1, 1)
    assert [used for _, used in looked.windows] == [0, 10, 100, 0]


@pytest.mark.parametrize(
    ("amount", "tokens", "rule"),
    [(1_001, 1, Rule.QUOTA), (500, 91, Rule.WINDOW), (1, 101, Rule.TOO_BIG)],
)
async def test_a_look_that_is_refused_tells_no_less(
    rig: Rig, amount: int, tokens: int, rule: Rule
) -> None:
    t = token(limits=LIMITS)
    await rig.load(t, account=1_000)
    prepared = rig.store.prepare(t, "m", 0, now_ms=START)
    await rig.reserve(prepared, rig.new_id(), 100, 10)
    before = await rig.everything()
    looked = await rig.store.look(prepared, amount, tokens)
    assert await rig.everything() == before
    assert isinstance(looked.reply, Refused)
    assert looked.reply.rule is rule
    assert looked.reply == await rig.reserve(prepared, rig.new_id(), amount, tokens)
    assert [used for _, used in looked.windows] == [1, 10, 100, 1]
    assert [(b.reserved, b.live) for b in looked.books] == [(100, 1)] * 4


async def test_a_look_at_what_is_not_loaded_says_so(rig: Rig) -> None:
    prepared = rig.store.prepare(token(), "m", 0)
    assert await rig.store.look(prepared, 1, 1) == (Again(Obstacle.LOAD, 0), (), ())


async def test_a_look_beyond_what_the_store_can_count_is_an_error(rig: Rig) -> None:
    with pytest.raises(ValueError, match="cannot reserve"):
        await rig.store.look(rig.store.prepare(token(), "m", 0), 2**53, 1)
