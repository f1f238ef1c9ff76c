"""What holds of the quota store after any sequence of operations, in any order."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.limits import Limit, Metric
from gateway.store.books import Book, Settlement
from gateway.store.replies import Again, Refused, Reserved
from tests.quota_rig import ACCOUNT, START, Rig, open_rig, token

RUN = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TOKENS = [
    token(
        n,
        user_id=3 + n % 2,
        limits=((0, Limit(Metric.TOKENS, "1m", 400)),),
        concurrency=(0, 0, 0, 6),
    )
    for n in (1, 2, 3)
]


class Bench:
    """One rig and the loop that it runs on, for tests that hypothesis calls many times."""

    def __init__(self, runner: asyncio.Runner, rig: Rig) -> None:
        self.run = runner.run
        self.rig = rig

    async def reset(self) -> Rig:
        await self.rig.command("FLUSHDB")
        await self.rig.store.start(0)
        await self.rig.set_time(START)
        return self.rig


@pytest.fixture
def bench(valkey_url: str) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        rig = runner.run(stack.enter_async_context(open_rig(valkey_url)))
        yield Bench(runner, rig)
        runner.run(stack.aclose())


@given(data=st.data())
@RUN
def test_rows_and_confirmations_give_the_same_book_in_any_order(
    bench: Bench, data: st.DataObject
) -> None:
    """Three charges, a grant and an edit in Postgres; Valkey hears of them in any order, twice."""
    t = TOKENS[0]
    ids = [b"%032x" % n for n in range(3)]
    history = [(0, 1, 500, 1), (10, 1, 500, 1), (10, 2, 900, 2), (30, 2, 900, 2), (60, 2, 900, 3)]
    posted = {1: ids[0], 3: ids[1], 4: ids[2]}  # which row of the history has which charge first

    def rows(at: int) -> list[Book]:
        used, gver, granted, version = history[at]
        return [Book(s, granted, gver, used, version) for s in t.scope_ids]

    messages = [("load", n) for n in range(5)] + [("confirm", n) for n in posted]
    order = data.draw(st.permutations(messages * 2))

    async def run() -> None:
        rig = await bench.reset()
        prepared = rig.store.prepare(t, "m", 0)
        for request_id, amount in zip(ids, (10, 20, 30), strict=True):
            await rig.settle(prepared, request_id, amount)
        for kind, at in order:
            if kind == "load":
                await rig.store.load(ACCOUNT, rows(at))
            else:
                await rig.confirm(rows(at), [posted[at]])
            # A charge is counted at every instant: as pending, or in a total that contains it.
            for book in await rig.books(t):
                assert book.used + book.pending >= 60
        books = await rig.books(t)
        assert {(b.used, b.pending, b.granted, b.gver, b.version) for b in books} == {
            (60, 0, 900, 2, 3)
        }

    bench.run(run())


step = st.tuples(
    st.sampled_from(
        ["reserve"] * 4
        + ["settle"] * 3
        + ["confirm"] * 2
        + ["announce", "repeat", "late", "void", "restate", "forget", "wait"]
    ),
    st.integers(0, 10**6),
)


@given(steps=st.lists(step, min_size=5, max_size=50))
@RUN
def test_sums_are_those_of_the_records_after_any_operations(
    bench: Bench, steps: list[tuple[str, int]]
) -> None:
    async def run() -> None:  # noqa: PLR0912 -- one branch per operation
        rig = await bench.reset()
        for t in TOKENS:
            await rig.load(t, token=2_000, account=4_000)
        prepared = [rig.store.prepare(t, "m", 0) for t in TOKENS]
        used = dict.fromkeys((s for t in TOKENS for s in t.scope_ids), 0)
        grants = {"t": 2_000, "a": 4_000}
        live: list[tuple[bytes, int]] = []
        settled: list[tuple[bytes, int, int]] = []
        now = START

        def rows(which: int) -> list[Book]:
            return [
                Book(s, grants.get(s[0], 10**12), 1, used[s], 1) for s in TOKENS[which].scope_ids
            ]

        for word, number in steps:
            which, amount = number % 3, number % 700
            if word in {"reserve", "late"}:
                request_id = rig.new_id()
                if word == "late":
                    await rig.settle(prepared[which], request_id, amount)
                    settled.append((request_id, which, amount))
                    continue
                reply = await rig.reserve(prepared[which], request_id, amount, number % 90)
                assert isinstance(reply, Reserved | Refused)
                if isinstance(reply, Reserved):
                    live.append((request_id, which))
            elif word == "settle" and live:
                request_id, of = live.pop(number % len(live))
                await rig.settle(prepared[of], request_id, amount)
                settled.append((request_id, of, amount))
            elif word == "repeat" and live + settled:
                known = (live + settled)[number % len(live + settled)]
                assert isinstance(await rig.reserve(prepared[known[1]], known[0], 1), Again)
            elif word == "confirm" and settled:
                request_id, of, charge = settled.pop(number % len(settled))
                for scope_id in TOKENS[of].scope_ids:
                    used[scope_id] += charge
                await rig.confirm(rows(of), [request_id])
            elif word == "void" and live:
                request_id, of = live.pop(number % len(live))
                assert await rig.void(prepared[of], request_id) == b"OK"
                assert await rig.void(prepared[of], request_id) == b"ALREADY"
                settled.append((request_id, of, 0))
            elif word == "restate":  # whatever the store knows of it already
                told = settled[number % 3 :]
                if live:
                    told.append((*live.pop(number % len(live)), amount))
                    settled.append(told[-1])
                told.append((rig.new_id(), which, amount))
                settled.append(told[-1])
                charges = [
                    Settlement(i.decode(), TOKENS[of].scope_ids, n, b"") for i, of, n in told
                ]
                assert await rig.store.restate(ACCOUNT, charges) <= 2
            elif word == "announce":
                await rig.store.announce(ACCOUNT, await rig.store.live(ACCOUNT))
            elif word == "forget":  # a book is lost and made anew
                scope_id = TOKENS[which].scope_ids[number % 4]
                await rig.command("DEL", f"q:{{s007}}:b:{scope_id}")
                await rig.load_rows(rows(which))
            elif word == "wait":
                now += number
                await rig.set_time(now)
            await rig.assert_conserved(*TOKENS)
            for t in TOKENS:
                for book in await rig.books(t):
                    assert book.used == used[book.scope_id]
        assert {r.request_id.encode() for r in await rig.store.live(ACCOUNT)} == {
            i for i, _ in live
        }

    bench.run(run())
