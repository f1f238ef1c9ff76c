"""The contract of each script of the quota store, alone, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.domain.limits import Limit, Metric
from gateway.store.books import Book, Reservation, Settlement
from gateway.store.contents import MAX_IDS
from gateway.store.prepared import key
from gateway.store.replies import Again, Obstacle, Refused, Reserved, Rule
from tests.quota_rig import ACCOUNT, SHARD, START, Rig, name_run, open_rig, token


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with open_rig(valkey_url) as rig:
        yield rig


# RESERVE takes everything or nothing.


async def test_a_reservation_is_held_in_all_four_scopes(rig: Rig) -> None:
    t = token()
    await rig.load(t, token=1_000, account=500)
    prepared = rig.store.prepare(t, "m", 0)
    assert await rig.reserve(prepared, rig.new_id(), 200) == Reserved(300)
    assert [(b.reserved, b.live, b.pending) for b in await rig.books(t)] == [(200, 1, 0)] * 4
    await rig.assert_conserved(t)


@pytest.mark.parametrize("scope", ["token", "member", "subscription", "account"])
async def test_a_scope_that_refuses_is_named_and_nothing_is_taken(rig: Rig, scope: str) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "1m", 9)),))
    await rig.load(t, **{scope: 150})
    prepared = rig.store.prepare(t, "m", 0)
    assert await rig.reserve(prepared, rig.new_id(), 100) == Reserved(
        50, (9, 8, pytest.approx(60_500, abs=500))
    )
    before = await rig.everything()
    assert await rig.reserve(prepared, rig.new_id(), 51) == Refused(
        Rule.HELD, scope, 0, 150, 100, free=-1
    )
    assert await rig.reserve(prepared, rig.new_id(), 151) == Refused(
        Rule.QUOTA, scope, 0, 150, 100, free=-101
    )
    assert await rig.everything() == before


async def test_settled_money_refuses_for_good_and_held_money_for_now(rig: Rig) -> None:
    t = token()
    await rig.load(t, token=100)
    prepared = rig.store.prepare(t, "m", 0)
    first = rig.new_id()
    await rig.reserve(prepared, first, 80)
    assert await rig.reserve(prepared, rig.new_id(), 30) == Refused(
        Rule.HELD, "token", 0, 100, 80, free=-10
    )
    await rig.settle(prepared, first, 75)
    assert await rig.reserve(prepared, rig.new_id(), 30) == Refused(
        Rule.QUOTA, "token", 75, 100, 0, free=-5
    )
    assert await rig.reserve(prepared, rig.new_id(), 25) == Reserved(0)


async def test_the_most_lasting_reason_is_told(rig: Rig) -> None:
    limits = ((0, Limit(Metric.REQUESTS, "1m", 1)), (3, Limit(Metric.TOKENS, "1d", 50)))
    t = token(limits=limits, concurrency=(0, 0, 0, 1))
    await rig.load(t, token=150)
    prepared = rig.store.prepare(t, "m", 0)
    await rig.reserve(prepared, rig.new_id(), 100)
    window, crowd, held, too_big, quota = [
        await rig.reserve(p, rig.new_id(), amount, tokens)
        for p, amount, tokens in (
            (rig.store.prepare(replace(t, concurrency=(0, 0, 0, 0)), "m", 0), 1, 1),
            (prepared, 1, 1),
            (prepared, 100, 1),
            (prepared, 100, 51),
            (prepared, 151, 51),
        )
    ]
    assert isinstance(window, Refused)
    assert window.rule is Rule.WINDOW
    assert crowd == Refused(Rule.CONCURRENCY, "account", 1, 1)
    assert held == Refused(Rule.HELD, "token", 0, 150, 100, free=-50)
    assert too_big == Refused(Rule.TOO_BIG, "account", 51, 50, metric=Metric.TOKENS, window="1d")
    assert quota == Refused(Rule.QUOTA, "token", 0, 150, 100, free=-101)


async def test_a_dry_call_answers_the_same_and_leaves_no_trace(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "1m", 2)),))
    await rig.load(t, account=250)
    prepared = rig.store.prepare(t, "m", 0)
    await rig.set_time(START)
    await rig.reserve(prepared, rig.new_id(), 100)
    before = await rig.everything()
    dry = [await rig.reserve(prepared, b"0" * 32, n, dry=True) for n in (100, 200, 300)]
    assert await rig.everything() == before
    wet = [await rig.reserve(prepared, rig.new_id(), n) for n in (300, 200, 100)]
    assert dry == wet[::-1]


async def test_two_hundred_at_once_on_a_grant_of_fifty(rig: Rig) -> None:
    t = token()
    await rig.load(t, member=50 * 7)
    prepared = rig.store.prepare(t, "m", 0)
    replies = await asyncio.gather(*(rig.reserve(prepared, rig.new_id(), 7) for _ in range(200)))
    assert sum(isinstance(r, Reserved) for r in replies) == 50
    assert sum(isinstance(r, Refused) and r.rule is Rule.HELD for r in replies) == 150
    await rig.assert_conserved(t)


async def test_concurrency_counts_live_calls_of_all_tokens_of_the_scope(rig: Rig) -> None:
    one, two = (token(n, concurrency=(0, 0, 0, 2)) for n in (1, 2))
    await rig.load(one)
    await rig.load(two)
    first = rig.new_id()
    of_one, of_two = rig.store.prepare(one, "m", 0), rig.store.prepare(two, "m", 0)
    await rig.reserve(of_one, first)
    await rig.reserve(of_two, rig.new_id())
    refused = Refused(Rule.CONCURRENCY, "account", 2, 2)
    assert await rig.reserve(of_two, rig.new_id()) == refused
    await rig.settle(of_one, first)
    assert isinstance(await rig.reserve(of_two, rig.new_id()), Reserved)


async def test_scopes_without_a_grant_have_no_free_money_to_tell(rig: Rig) -> None:
    t = token(granted=(False,) * 4)
    await rig.load(t, token=None, member=None, subscription=None, account=None)
    prepared = rig.store.prepare(t, "m", 0)
    assert await rig.reserve(prepared, rig.new_id(), 10**15) == Reserved(None)


async def test_a_negative_balance_refuses_even_a_free_call(rig: Rig) -> None:
    t = token()
    await rig.load(t, token=-5)
    prepared = rig.store.prepare(t, "m", 0)
    assert await rig.reserve(prepared, rig.new_id(), 0) == Refused(
        Rule.QUOTA, "token", 0, -5, 0, free=-5
    )


async def test_amounts_are_exact_up_to_the_bound(rig: Rig) -> None:
    t = token()
    most = 2**52 - 1
    await rig.load(t, token=most, member=most, subscription=most, account=most)
    prepared = rig.store.prepare(t, "m", 0)
    first = rig.new_id()
    assert await rig.reserve(prepared, first, most - 1) == Reserved(1)
    assert await rig.reserve(prepared, rig.new_id(), 2) == Refused(
        Rule.HELD, "token", 0, most, most - 1, free=-1
    )
    await rig.settle(prepared, first, most - 1)
    assert await rig.reserve(prepared, rig.new_id(), 1) == Reserved(0)


@pytest.mark.parametrize(("amount", "tokens"), [(-1, 0), (2**52, 0), (0, -1), (0, 2**52)])
async def test_amounts_that_lua_cannot_count_are_not_sent(
    rig: Rig, amount: int, tokens: int
) -> None:
    prepared = rig.store.prepare(token(), "m", 0)
    with pytest.raises(ValueError, match="cannot reserve"):
        await rig.reserve(prepared, rig.new_id(), amount, tokens)


# RESERVE: what has to be known first


async def test_a_shard_that_is_not_open_says_so(valkey_url: str) -> None:
    async with open_rig(valkey_url, opened=False) as rig:
        prepared = rig.store.prepare(token(), "m", 0)
        assert await rig.reserve(prepared, rig.new_id()) == Again(Obstacle.EPOCH)
        assert not await rig.store.load(ACCOUNT, [Book("a7", None, 1, 0, 1)])


async def test_commands_of_another_run_of_the_store_are_not_even_sent(rig: Rig) -> None:
    t = token()
    await rig.load(t)
    prepared = replace(rig.store.prepare(t, "m", 0), run_id=b"f" * 40)
    assert rig.store.stale(prepared)
    before = await rig.everything()
    assert await rig.reserve(prepared, rig.new_id()) == Again(Obstacle.EPOCH)
    assert await rig.everything() == before


async def test_books_are_loaded_once_per_run_of_the_store(rig: Rig) -> None:
    t = token()
    prepared = rig.store.prepare(t, "m", 0)
    assert await rig.reserve(prepared, rig.new_id()) == Again(Obstacle.LOAD, 0)
    await rig.load(t)
    await rig.command("DEL", key(SHARD, "b", t.scope_ids[2]))
    assert await rig.reserve(prepared, rig.new_id()) == Again(Obstacle.LOAD, 2)
    await rig.load(t)
    # As a restart leaves it: the data is there, under another run id.
    await rig.command("SETRANGE", key(SHARD, "b", t.scope_ids[3]), 56, "f" * 40)
    assert await rig.reserve(prepared, rig.new_id()) == Again(Obstacle.LOAD, 3)
    await rig.load(t)
    assert isinstance(await rig.reserve(prepared, rig.new_id()), Reserved)


async def test_a_version_decides_who_reads_again(rig: Rig) -> None:
    t = token(versions=(5, 1, 1, 3))
    await rig.load(t)
    older = rig.store.prepare(replace(t, versions=(5, 1, 1, 2)), "m", 0)
    newer = rig.store.prepare(replace(t, versions=(6, 1, 1, 3)), "m", 0)
    assert await rig.reserve(older, rig.new_id()) == Again(Obstacle.STALE, 3)
    assert await rig.reserve(newer, rig.new_id()) == Again(Obstacle.LOAD, 0)


async def test_stale_comes_before_any_refusal(rig: Rig) -> None:
    t = token(versions=(1, 1, 1, 2))
    await rig.load(t, token=0)
    prepared = rig.store.prepare(replace(t, versions=(1, 1, 1, 1)), "m", 0)
    assert await rig.reserve(prepared, rig.new_id()) == Again(Obstacle.STALE, 3)


async def test_an_older_catalog_is_told_and_a_newer_one_raises_the_generation(rig: Rig) -> None:
    t = token()
    await rig.load(t)
    at_five, at_six = (rig.store.prepare(t, "m", n) for n in (5, 6))
    assert isinstance(await rig.reserve(at_six, rig.new_id()), Reserved)
    assert await rig.reserve(at_five, rig.new_id()) == Again(Obstacle.GENERATION, 6)
    assert await rig.store.start(generation=9) == 0
    assert await rig.store.start(generation=3) == 0, "it only rises"
    assert await rig.reserve(at_six, rig.new_id()) == Again(Obstacle.GENERATION, 9)


async def test_after_a_loss_capped_calls_wait_and_uncapped_pass(valkey_url: str) -> None:
    async with open_rig(valkey_url, opened=False, pause_s=3.0) as rig:
        await rig.set_time(START)
        assert await rig.store.reopen() == 256
        capped, uncapped = token(1), token(2, granted=(False,) * 4)
        await rig.load(capped)
        await rig.load(uncapped, token=None, member=None, subscription=None, account=None)
        of_capped, of_uncapped = (rig.store.prepare(t, "m", 0) for t in (capped, uncapped))
        await rig.set_time(START + 1_000)
        assert await rig.reserve(of_capped, rig.new_id()) == Again(Obstacle.PAUSE, 2_000)
        assert isinstance(await rig.reserve(of_uncapped, rig.new_id()), Reserved)
        assert await rig.store.reopen() == 0, "an open shard is left alone"
        await rig.set_time(START + 3_000)
        assert isinstance(await rig.reserve(of_capped, rig.new_id()), Reserved)


async def test_a_server_that_comes_back_as_it_was_before_another_took_over_is_opened_anew(rig: Rig):
    t = token()
    await rig.load(t)
    assert (await rig.store.look_round())[SHARD] is not None
    as_it_was, run_id = await rig.everything(), rig.pipeline.run_ids[SHARD]
    prepared = rig.store.prepare(t, "m", 0)
    name_run(rig.pipeline, b"f" * 40)
    assert await rig.store.start(0) == 256
    assert (await rig.store.look_round())[SHARD] is not None
    await rig.command("FLUSHDB")
    for name, dump in as_it_was.items():
        await rig.command("RESTORE", name, 0, dump)
    name_run(rig.pipeline, run_id)
    assert set((await rig.store.look_round()).values()) == {None}, "what it has is old"
    assert await rig.store.start(pause_s=60) == 256
    assert await rig.store.start(pause_s=60) == 0, "once"
    assert (await rig.store.look_round())[SHARD] is not None
    reply = await rig.reserve(prepared, rig.new_id())
    assert isinstance(reply, Again)
    assert reply.obstacle is Obstacle.PAUSE


async def test_a_known_id_takes_nothing_twice_even_where_it_would_be_refused(rig: Rig) -> None:
    t = token(concurrency=(1, 0, 0, 0))
    await rig.load(t, token=100)
    prepared = rig.store.prepare(t, "m", 0)
    known = rig.new_id()
    await rig.reserve(prepared, known, 100)
    assert await rig.reserve(prepared, known, 100) == Again(Obstacle.DUPLICATE)
    await rig.settle(prepared, known, 40)
    assert await rig.reserve(prepared, known, 100) == Again(Obstacle.DONE)
    assert await rig.reserve(prepared, known, 10) == Again(Obstacle.DONE)
    await rig.assert_conserved(t)


# SETTLE


async def test_a_settlement_moves_the_hold_to_what_is_pending(rig: Rig) -> None:
    t = token()
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    known = rig.new_id()
    await rig.reserve(prepared, known, 100)
    assert await rig.settle(prepared, known, 60) == b"OK"
    assert [(b.reserved, b.live, b.pending) for b in await rig.books(t)] == [(0, 0, 60)] * 4
    assert await rig.settle(prepared, known, 61) == b"ALREADY"
    assert await rig.settlements() == [(known.decode(), 60, t.scope_ids)]
    await rig.assert_conserved(t)


async def test_an_unknown_settlement_is_a_charge_all_the_same(rig: Rig) -> None:
    t = token()
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    assert await rig.settle(prepared, rig.new_id(), 60) == b"LATE"
    assert [(b.reserved, b.live, b.pending) for b in await rig.books(t)] == [(0, 0, 60)] * 4
    await rig.assert_conserved(t)


async def test_a_settlement_is_recorded_in_an_empty_store_and_counted_by_load(rig: Rig) -> None:
    t = token()
    prepared = rig.store.prepare(t, "m", 0)
    await rig.command("FLUSHDB")
    assert await rig.settle(prepared, rig.new_id(), 60) == b"LATE"
    await rig.store.start(0)
    await rig.load(t)
    assert [b.pending for b in await rig.books(t)] == [60] * 4


# CONFIRM


async def test_a_confirmed_charge_is_used_and_its_records_are_gone(rig: Rig) -> None:
    one, two = token(1), token(2)
    ids = []
    for t in (one, two):
        await rig.load(t)
        prepared = rig.store.prepare(t, "m", 0)
        ids.append(rig.new_id())
        await rig.reserve(prepared, ids[-1], 100)
        await rig.settle(prepared, ids[-1], 60)
    rows = [Book(s, 10**12, 1, 60, 1) for s in ("t1", "t2")]
    rows += [Book(s, 10**12, 1, 120, 1) for s in one.scope_ids[1:]]
    assert await rig.confirm(rows, ids) == 2
    for t in (one, two):
        books = await rig.books(t)
        assert [b.used for b in books] == [60, 120, 120, 120]
        assert {b.pending for b in books} == {0}
        await rig.assert_conserved(t)
    assert await rig.confirm(rows, ids) == 0
    await rig.assert_conserved(one, two)


async def test_a_confirmation_repairs_a_settlement_that_was_lost(rig: Rig) -> None:
    t = token(concurrency=(1, 0, 0, 0))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    known = rig.new_id()
    await rig.reserve(prepared, known, 100)
    assert await rig.confirm([Book(s, 10**12, 1, 60, 1) for s in t.scope_ids], [known]) == 1
    assert [(b.used, b.reserved, b.live) for b in await rig.books(t)] == [(60, 0, 0)] * 4
    await rig.assert_conserved(t)


async def test_a_charge_stays_while_one_of_its_scopes_is_unknown(rig: Rig) -> None:
    t = token()
    prepared = rig.store.prepare(t, "m", 0)
    known = rig.new_id()
    await rig.settle(prepared, known, 60)
    rows = [Book(s, 10**12, 1, 60, 1) for s in t.scope_ids]
    reply = await rig.confirm(rows[:3], [known])
    assert reply == [b"LOAD", b"a7"]
    assert len(await rig.settlements()) == 1
    assert await rig.confirm(rows, [known]) == 1
    assert [(b.used, b.pending) for b in await rig.books(t)] == [(60, 0)] * 4


async def test_a_load_of_an_older_row_cannot_undo_a_confirmation(rig: Rig) -> None:
    t = token()
    prepared = rig.store.prepare(t, "m", 0)
    known = rig.new_id()
    await rig.settle(prepared, known, 60)
    assert await rig.confirm([Book(s, 100, 1, 60, 1) for s in t.scope_ids], [known]) == 1
    await rig.load_rows([Book(s, 100, 1, 0, 1) for s in t.scope_ids])
    assert await rig.reserve(prepared, rig.new_id(), 41) == Refused(
        Rule.QUOTA, "token", 60, 100, 0, free=-1
    )


async def test_too_many_ids_are_refused_before_they_are_sent(rig: Rig) -> None:
    with pytest.raises(ValueError, match="1001 ids"):
        rig.store.confirm(ACCOUNT, [], [b"%032x" % n for n in range(1001)])


# LOAD


async def test_a_book_made_anew_counts_what_is_live_and_pending(rig: Rig) -> None:
    t = token()
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    ids = [rig.new_id() for _ in range(3)]
    for known in ids:
        await rig.reserve(prepared, known, 100)
    await rig.settle(prepared, ids[0], 60)
    await rig.command("DEL", *(key(SHARD, "b", s) for s in t.scope_ids))
    await rig.load(t)
    assert [(b.reserved, b.live, b.pending) for b in await rig.books(t)] == [(200, 2, 60)] * 4


@pytest.mark.parametrize("count", [2, 40], ids=["few", "many"])
@pytest.mark.parametrize("by_load", [True, False], ids=["load", "confirmation"])
async def test_books_made_anew_together_each_count_their_own(
    rig: Rig, count: int, *, by_load: bool
) -> None:
    tokens = [token(10**n) if n < 3 else token(n) for n in range(count)]  # of t1, t10 and t100
    for amount, each in enumerate(tokens, 50):
        await rig.load(each)
        prepared = rig.store.prepare(each, "m", 0)
        ids = [rig.new_id() for _ in range(3)]
        for known in ids:
            await rig.reserve(prepared, known, 2 * amount)
        await rig.settle(prepared, ids[0], amount)
    before = [await rig.books(each) for each in tokens]
    scopes = {scope: None for each in tokens for scope in each.scope_ids}
    await rig.command("DEL", *(key(SHARD, "b", scope) for scope in scopes))
    rows = [Book(scope, 10**12, 1, 0, 1) for scope in scopes]
    if by_load:
        await rig.load_rows(rows)
        assert [await rig.books(each) for each in tokens] == before
    else:
        assert await rig.confirm(rows, []) == 0
        await rig.assert_conserved(*tokens)


async def test_an_older_row_brings_back_neither_version_nor_grant_nor_use(rig: Rig) -> None:
    for row in (Book("a7", 500, 3, 70, 9), Book("a7", 900, 2, 60, 8), Book("a7", None, 1, 0, 1)):
        await rig.store.load(ACCOUNT, [row])
    book = await rig.store.book(ACCOUNT, "a7")
    assert book is not None
    assert (book.granted, book.gver, book.used, book.version) == (500, 3, 70, 9)


async def test_rows_from_before_a_loss_are_not_taken(rig: Rig) -> None:
    """Between their reading and their loading, 60 was posted and the store lost everything."""
    t = token()
    before = await rig.store.opening(SHARD)
    assert before is not None
    await rig.command("FLUSHDB")
    await rig.set_time(START)
    await rig.store.start(0)
    old = [Book(s, 100, 1, 0, 1) for s in t.scope_ids]
    assert not await rig.store.load(ACCOUNT, old, opening=before.name)
    assert await rig.store.book(ACCOUNT, "t1") is None


@pytest.mark.parametrize("told_by", ["an edit", "a confirmation"])
async def test_rows_of_unknown_age_make_no_book_that_is_believed(rig: Rig, told_by: str) -> None:
    t = token()
    prepared = rig.store.prepare(t, "m", 0)
    old = [Book(s, 100, 1, 0, 1) for s in t.scope_ids]
    if told_by == "an edit":
        assert await rig.store.load(ACCOUNT, old)
    else:
        await rig.confirm(old, [])
    assert await rig.reserve(prepared, rig.new_id(), 41) == Again(Obstacle.LOAD, 0)
    await rig.load_rows([Book(s, 100, 1, 60, 1) for s in t.scope_ids])
    refused = await rig.reserve(prepared, rig.new_id(), 41)
    assert isinstance(refused, Refused)
    assert (refused.rule, refused.used) == (Rule.QUOTA, 60)


async def test_an_edits_row_does_not_put_a_book_in_doubt_that_is_believed(rig: Rig) -> None:
    t = token()
    await rig.load(t, token=100)
    assert await rig.store.load(ACCOUNT, [Book("t1", 200, 2, 0, 1)])
    assert await rig.reserve(rig.store.prepare(t, "m", 0), rig.new_id(), 150) == Reserved(50)


async def test_a_grant_can_be_taken_away_and_set_again(rig: Rig) -> None:
    seen = []
    for gver, granted in enumerate((None, 0, None, 10), start=1):
        await rig.store.load(ACCOUNT, [Book("a7", granted, gver, 0, 1)])
        book = await rig.store.book(ACCOUNT, "a7")
        assert book is not None
        seen.append(book.granted)
    assert seen == [None, 0, None, 10]


# ANNOUNCE, OVERDUE


async def test_a_call_that_grew_is_raised_where_the_store_was_rolled_back(rig: Rig) -> None:
    t = token()
    await rig.load(t)
    known = rig.new_id()
    await rig.reserve(rig.store.prepare(t, "m", 0), known, 100, 10)
    (held,) = await rig.store.live(ACCOUNT)
    for amount, tokens in ((250, 25), (200, 20)):  # it never holds less for being announced
        announced = await rig.store.announce(ACCOUNT, [replace(held, amount=amount, tokens=tokens)])
        assert announced == (1, 0, 0, ())
        (live,) = await rig.store.live(ACCOUNT)
        assert (live.amount, live.tokens, live.detail) == (250, 25, b"detail")
    await rig.assert_conserved(t)


async def test_an_announced_reservation_outlives_its_lease(rig: Rig) -> None:
    t = token()
    await rig.set_time(START)
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    await rig.reserve(prepared, rig.new_id())
    live = await rig.store.live(ACCOUNT)
    await rig.set_time(START + 59_000)
    assert await rig.store.announce(ACCOUNT, live) == (1, 0, 0, ())
    await rig.set_time(START + 118_999)
    assert await rig.store.overdue(SHARD) == []
    await rig.set_time(START + 119_000)
    assert [o.entry for o in await rig.store.overdue(SHARD)] == live


async def test_nobodys_time_is_up_in_the_pause_after_a_loss(rig: Rig) -> None:
    """A store that was rolled back has the leases of a while ago; who lives renews them in the pause."""
    t = token()
    await rig.set_time(START)
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    await rig.reserve(prepared, rig.new_id())
    live = await rig.store.live(ACCOUNT)
    await rig.set_time(START + 60_000)
    await rig.store.start(pause_s=3, prolong=True)
    assert await rig.store.overdue(SHARD) == []
    await rig.command("DEL", key(SHARD, "e"))
    assert await rig.store.overdue(SHARD) == []
    await rig.store.start(pause_s=3)
    await rig.set_time(START + 63_000)
    assert [o.entry for o in await rig.store.overdue(SHARD)] == live


async def test_what_the_store_lost_is_made_anew_before_and_after_its_books(rig: Rig) -> None:
    t = token()
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    for _ in range(2):
        await rig.reserve(prepared, rig.new_id(), 100, detail=b"\x00binary\xff")
    live = await rig.store.live(ACCOUNT)
    await rig.command("FLUSHDB")
    assert await rig.store.announce(ACCOUNT, live[:1]) == (0, 1, 0, ())
    await rig.store.start(0)
    await rig.load(t)
    assert await rig.store.announce(ACCOUNT, live) == (1, 1, 0, ())
    assert sorted(await rig.store.live(ACCOUNT), key=lambda r: r.request_id) == sorted(
        live, key=lambda r: r.request_id
    )
    await rig.assert_conserved(t)


async def test_a_settled_call_is_not_brought_back_by_its_announcement(rig: Rig) -> None:
    t = token()
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    known = rig.new_id()
    await rig.reserve(prepared, known)
    live = await rig.store.live(ACCOUNT)
    await rig.settle(prepared, known)
    assert await rig.store.announce(ACCOUNT, live) == (0, 0, 1, ())
    await rig.assert_conserved(t)


async def test_a_recreated_reservation_settles_and_confirms_like_any_other(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.TOKENS, "1m", 1_000)),))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    lost = Reservation(rig.new_id().decode(), t.scope_ids, 100, 10, START, b"detail")
    assert await rig.store.announce(ACCOUNT, [lost]) == (0, 1, 0, ())
    assert await rig.settle(prepared, lost.request_id.encode(), 60) == b"OK"
    rows = [Book(s, 10**12, 1, 60, 1) for s in t.scope_ids]
    assert await rig.confirm(rows, [lost.request_id.encode()]) == 1
    await rig.assert_conserved(t)


async def opening_name(rig: Rig) -> bytes:
    opening = await rig.store.opening(SHARD)
    assert opening is not None
    return opening.name


async def test_what_the_reaper_took_over_is_gone_and_what_was_never_heard_is_not(rig: Rig) -> None:
    t = token()
    await rig.load(t)
    same = await opening_name(rig)
    missing = [
        Reservation(rig.new_id().decode(), t.scope_ids, 100, 10, START, b"", heard=heard)
        for heard in (True, False)
    ]
    reaped = missing[0].request_id.encode()
    assert await rig.store.announce(ACCOUNT, missing, same) == (0, 1, 0, (reaped,))
    assert [r.request_id for r in await rig.store.live(ACCOUNT)] == [missing[1].request_id]
    await rig.assert_conserved(t)


async def test_another_opening_has_lost_what_it_does_not_know(rig: Rig) -> None:
    t = token()
    await rig.set_time(START)
    before = await opening_name(rig)
    await rig.command("FLUSHDB")
    await rig.set_time(START + 1)
    await rig.store.start(0)
    assert await opening_name(rig) != before
    lost = Reservation(rig.new_id().decode(), t.scope_ids, 100, 10, START, b"")
    assert await rig.store.announce(ACCOUNT, [lost], before) == (0, 1, 0, ())


# RESTATE, VOID, the pause and the outbox


def charge(request_id: bytes, scope_ids: tuple[str, ...], amount: int = 60) -> Settlement:
    return Settlement(request_id.decode(), scope_ids, amount, b"event")


async def test_charges_that_the_store_lost_count_again_before_and_after_its_books(rig: Rig) -> None:
    one, two = token(1), token(2)
    charges = [charge(rig.new_id(), t.scope_ids) for t in (one, two, one)]
    assert await rig.store.restate(ACCOUNT, charges[:2]) == 2
    await rig.load(one)
    await rig.load(two)
    assert await rig.store.restate(ACCOUNT, charges) == 1
    assert await rig.store.restate(ACCOUNT, charges) == 0
    assert [b.pending for b in await rig.books(one)] == [120, 180, 180, 180]
    assert [b.pending for b in await rig.books(two)] == [60, 180, 180, 180]
    await rig.assert_conserved(one, two)


async def test_a_charge_that_is_told_again_ends_a_reservation_whose_settlement_was_lost(
    rig: Rig,
) -> None:
    t = token()
    await rig.load(t)
    known = rig.new_id()
    await rig.reserve(rig.store.prepare(t, "m", 0), known, 100)
    assert await rig.store.restate(ACCOUNT, [charge(known, t.scope_ids)]) == 1
    assert [(b.pending, b.reserved, b.live) for b in await rig.books(t)] == [(60, 0, 0)] * 4
    await rig.assert_conserved(t)
    rows = [Book(s, 10**12, 1, 60, 1) for s in t.scope_ids]
    assert await rig.confirm(rows, [known]) == 1
    await rig.assert_conserved(t)


async def test_as_many_charges_as_one_command_may_hold_are_told_in_one(rig: Rig) -> None:
    t = token()
    charges = [charge(rig.new_id(), t.scope_ids, 1) for _ in range(MAX_IDS)]
    assert await rig.store.restate(ACCOUNT, charges) == MAX_IDS


async def test_a_voided_reservation_gives_everything_back_and_is_a_charge_of_nothing(
    rig: Rig,
) -> None:
    t = token(limits=((0, Limit(Metric.REQUESTS, "1m", 1)), (1, Limit(Metric.TOKENS, "1d", 99))))
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    unheard = rig.new_id()
    await rig.reserve(prepared, unheard)
    assert await rig.void(prepared, unheard) == b"OK"
    assert await rig.settlements() == [(unheard.decode(), 0, t.scope_ids)]
    assert [(b.pending, b.reserved, b.live) for b in await rig.books(t)] == [(0, 0, 0)] * 4
    assert await rig.void(prepared, unheard) == b"ALREADY"
    await rig.assert_conserved(t)
    reply = await rig.reserve(prepared, rig.new_id())
    assert isinstance(reply, Reserved), "its request counts no more"


async def test_what_is_voided_before_it_comes_takes_nothing(rig: Rig) -> None:
    t = token()
    await rig.set_time(START)
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    unheard = rig.new_id()
    assert await rig.void(prepared, unheard) == b"NONE"
    assert await rig.settlements() == []
    assert await rig.reserve(prepared, unheard) == Again(Obstacle.DONE)
    assert [(b.reserved, b.live) for b in await rig.books(t)] == [(0, 0)] * 4
    await rig.set_time(START + 10_000)
    assert await rig.store.overdue(SHARD) == []
    await rig.assert_conserved(t)


async def test_a_pause_is_prolonged_within_the_same_opening(valkey_url: str) -> None:
    async with open_rig(valkey_url, opened=False, pause_s=3) as rig:
        t = token()
        await rig.set_time(START)
        await rig.store.start()
        await rig.load(t)
        prepared = rig.store.prepare(t, "m", 0)
        name = await opening_name(rig)
        await rig.set_time(START + 2_999)
        await rig.store.start()
        assert await rig.reserve(prepared, rig.new_id()) == Again(Obstacle.PAUSE, 1)
        await rig.store.prolong()
        assert await rig.reserve(prepared, rig.new_id()) == Again(Obstacle.PAUSE, 3_000)
        assert await opening_name(rig) == name
        await rig.set_time(START + 5_999)
        assert isinstance(await rig.reserve(prepared, rig.new_id()), Reserved)


async def test_a_newer_catalog_does_not_make_another_opening(rig: Rig) -> None:
    t = token()
    await rig.load(t)
    name = await opening_name(rig)
    assert isinstance(await rig.reserve(rig.store.prepare(t, "m", 5), rig.new_id()), Reserved)
    await rig.store.start(generation=6)
    assert await opening_name(rig) == name


async def test_the_outbox_keeps_what_was_settled_where_there_is_one(valkey_url: str) -> None:
    for outbox_s, kept in ((0, 0), (3600, 2)):
        async with open_rig(valkey_url, outbox_s=outbox_s) as rig:
            t = token(limits=((0, Limit(Metric.REQUESTS, "1m", 9)),))
            await rig.load(t)
            prepared = rig.store.prepare(t, "m", 0)
            ids = [rig.new_id() for _ in range(3)]
            for request_id in ids:
                await rig.reserve(prepared, request_id)
            await rig.settle(prepared, ids[0])
            assert await rig.settle(prepared, ids[0]) == b"ALREADY"
            assert await rig.void(prepared, ids[1]) == b"OK"
            assert await rig.void(prepared, rig.new_id()) == b"NONE"
            found = await rig.store.outbox(SHARD)
            assert [entry[1:] for entry in found] == [
                (ACCOUNT, request_id, b"event") for request_id in ids[:kept]
            ]
            if found:
                assert await rig.store.outbox(SHARD, found[0].entry_id) == found[1:]


async def test_overdue_tells_reservations_from_charges_with_all_that_is_known(rig: Rig) -> None:
    t = token(limits=((0, Limit(Metric.TOKENS, "1m", 1_000)), (3, Limit(Metric.USD, "1d", 10**9))))
    await rig.set_time(START)
    await rig.load(t)
    prepared = rig.store.prepare(t, "m", 0)
    held, charged = rig.new_id(), rig.new_id()
    await rig.reserve(prepared, held, 100, 10, detail=b"\x00binary\xff")
    await rig.reserve(prepared, charged, 100, 10)
    await rig.settle(prepared, charged, 60)
    await rig.set_time(START + 10_000)
    sweep = [Settlement(charged.decode(), t.scope_ids, 60, b"event")]
    assert [o.entry for o in await rig.store.overdue(SHARD)] == sweep
    await rig.set_time(START + 60_000)
    reap = [Reservation(held.decode(), t.scope_ids, 100, 10, START, b"\x00binary\xff")]
    both = await rig.store.overdue(SHARD)
    assert [o.entry for o in both] == sweep + reap
    assert {o.account_id for o in both} == {ACCOUNT}
    assert [o.entry for o in await rig.store.overdue(SHARD, limit=1)] == sweep
    assert await rig.store.overdue(SHARD + 1) == []
