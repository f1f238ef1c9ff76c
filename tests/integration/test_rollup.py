"""Usage that is told by the rollup: what the ledger itself would tell, at every moment."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from gateway.domain.edit import TokenDraft
from gateway.domain.errors import StoreUnavailable
from gateway.domain.intervals import edges
from gateway.domain.rollup import EPOCH
from gateway.relay.record import RequestIds
from gateway.settings import Config
from gateway.store import usage
from gateway.store.bootstrap import bootstrap
from gateway.store.charges import COUNTS, Charge
from gateway.store.ledger import POSTING_LOCK, LedgerStore
from gateway.store.ledger_calls import CallFilter, where_of
from gateway.store.ledger_months import drop_month
from gateway.store.measures import of_sums
from gateway.store.postgres import Pool, open_pool, reading_at_once, transaction
from gateway.store.rolled_usage import cells_of, cells_of_calls, reach_of
from gateway.store.rollups import roll
from gateway.store.usage import KEYS, read_series, read_sums
from tests.admin import PEPPER, SYSTEM
from tests.databases import as_role
from tests.ledger_lines import ledger_line
from tests.tokens import create_token

NOW = datetime.now(UTC)
SPAN_H = 80
EVERYBODYS = CallFilter(user_id=None)
NULL = b"\\N"


@dataclass
class Ledger:
    """A ledger of three tokens, of which one is another user's; `pool` is the owner's, `own` a worker's."""

    dsn: str
    pool: Pool
    own: Pool
    tokens: list[Any]
    dice: random.Random

    def charges(self, count: int, *, lost: bool = False) -> list[Charge]:
        """Calls at any time of the last days."""
        ids, made = RequestIds(), []
        for _ in range(count):
            at_s = NOW.timestamp() - self.dice.uniform(0, SPAN_H * 3600)
            made.append(self.charge(ids.next(at_s), at_s, lost=lost))
        return made

    def charge(
        self, request_id: bytes, at_s: float, *, lost: bool = False, amount: int = 0
    ) -> Charge:
        dice = self.dice
        token = dice.choice(self.tokens)
        fields = {name: dice.randrange(50) for name in COUNTS} | {
            "amount": amount or dice.randrange(1, 1000),
            "status": b"500" if lost else dice.choice((b"200", b"200", b"404", b"499")),
            "upstream": b"" if lost else dice.choice((b"near", b"far")),
            "ttfb_ms": NULL if lost else dice.choice((NULL, b"12")),
            "anomaly": b"lost_worker" if lost else NULL,
        }
        line = ledger_line(token, request_id, at_s, dice.choice(("m", "n")), **fields)
        return Charge(request_id, token.account_id, line)

    def exact(self, lost: Charge) -> Charge:
        """What the worker brings after all: of the same token and model, dearer."""
        fields = lost.line.split(b"\t")
        token = SimpleNamespace(
            account_id=int(fields[2]), id=int(fields[3]), user_id=int(fields[4]),
            group=SimpleNamespace(id=int(fields[5])),
        )  # fmt: skip
        at_s = datetime.fromisoformat(fields[11].decode()).timestamp()
        exact = {"amount": 5000, "upstream": b"near", "input_tokens": 3}
        line = ledger_line(token, lost.request_id, at_s, fields[6].decode(), **exact)
        return Charge(lost.request_id, token.account_id, line)

    async def post(self, *charges: Charge) -> None:
        """Post them as a worker does."""
        store = LedgerStore(as_role(self.dsn, "tollhouse_gateway"), statement_timeout_s=30)
        try:
            await self.dice.choice((store.post, store.post_new))(charges)
        finally:
            await store.close()

    async def roll(self, behind: str = "0 hours") -> None:
        """Until nothing is left to do; as long as posting holds it up, too."""
        while True:
            try:
                if not await roll(self.own, behind=behind):
                    return
            except StoreUnavailable:
                pass


@pytest.fixture
async def ledger(postgres_dsn):
    async with (
        await open_pool(postgres_dsn, size=4, statement_timeout_s=10) as pool,
        await open_pool(
            as_role(postgres_dsn, "tollhouse_gateway"), size=4, statement_timeout_s=10
        ) as own,
    ):
        await bootstrap(pool, PEPPER, Config())
        await pool.execute("SELECT ensure_ledger_partitions(now() - interval '40 days', 4)")
        other = await pool.fetchval(
            """WITH a AS (INSERT INTO account (name) VALUES ('other') RETURNING id)
               INSERT INTO "user" (username, account_id, group_id) SELECT 'other', id, 1 FROM a RETURNING id"""
        )
        tokens = []
        for user_id in (1, 1, other):
            made = await create_token(
                pool,
                SYSTEM,
                user_id,
                TokenDraft(name="t", granted=None),
                pepper=PEPPER,
                max_tokens=9,
            )
            row = made.row
            tokens.append(
                SimpleNamespace(
                    account_id=row.account_id, id=row.id, user_id=row.user_id,
                    group=SimpleNamespace(id=1),
                )
            )  # fmt: skip
        yield Ledger(postgres_dsn, pool, own, tokens, random.Random(7))


def filters(ledger: Ledger) -> list[CallFilter]:
    return [
        EVERYBODYS,
        CallFilter(user_id=1),
        CallFilter(user_id=None, token_id=ledger.tokens[2].id),
        CallFilter(user_id=None, model="m", upstream="far"),
        CallFilter(user_id=1, group="default", token_name="t"),
    ]


def questions(ledger: Ledger) -> list[tuple[CallFilter, str, Sequence[datetime]]]:
    """Filter, key and points: each with each of the others, but not all three."""
    end = NOW + timedelta(minutes=1)
    points = [
        edges(NOW - timedelta(hours=SPAN_H + 1), end, interval, ZoneInfo(zone), 1000)
        for interval, zone in (
            ("day", "UTC"),
            ("day", "Asia/Kolkata"),
            ("day", "Asia/Kathmandu"),
            ("hour", "Asia/Kolkata"),
            ("all", "UTC"),
        )
    ]
    chosen, keys = filters(ledger), [by for by in KEYS if by != "end_user"]
    return [
        (chosen[n], keys[(n + turn) % 5], points[(n + 2 * turn) % 5])
        for turn in range(5)
        for n in range(5)
    ]


async def as_told(ledger: Ledger, monkeypatch, *, rolled: bool) -> list[Any]:
    with monkeypatch.context() as patch:
        if not rolled:
            patch.setattr(usage, "is_rolled", lambda *_: False)
        return [
            await read_series(ledger.pool, chosen, points, by, most, weight)
            for (chosen, by, points), (most, weight) in zip(
                questions(ledger),
                cycle(((100, "cost"), (1, "tokens"), (2, "errors"))),
                strict=False,
            )
        ] + [await read_sums(ledger.pool, chosen) for chosen in filters(ledger)]


async def test_every_question_has_the_same_answer_before_between_and_after(ledger, monkeypatch):
    lost = ledger.charges(20, lost=True)
    await ledger.post(*ledger.charges(300), *lost)
    await ledger.post(*map(ledger.exact, lost[:5]))
    raw = await as_told(ledger, monkeypatch, rolled=False)
    assert raw[-1]["requests"] > 0
    assert await as_told(ledger, monkeypatch, rolled=True) == raw
    await ledger.roll("40 hours")
    assert await ledger.pool.fetchval("SELECT count(*) FROM rollup") > 100
    assert await as_told(ledger, monkeypatch, rolled=True) == raw
    # What comes late, of hours that are rolled and of those that are not; corrections of both, too.
    await ledger.post(*ledger.charges(100), *map(ledger.exact, lost[5:12]))
    assert await ledger.pool.fetchval("SELECT count(*) FROM rollup_late") > 20
    raw = await as_told(ledger, monkeypatch, rolled=False)
    assert await as_told(ledger, monkeypatch, rolled=True) == raw
    await ledger.roll()
    await ledger.post(*map(ledger.exact, lost[12:]), *ledger.charges(50))
    await ledger.roll()
    assert await ledger.pool.fetchval("SELECT count(*) FROM rollup_late") == 0
    raw = await as_told(ledger, monkeypatch, rolled=False)
    assert await as_told(ledger, monkeypatch, rolled=True) == raw


async def test_many_calls_are_summed_up_in_pieces_and_every_answer_is_exact_after_each(
    ledger, monkeypatch
):
    lost = ledger.charges(10, lost=True)
    await ledger.post(*ledger.charges(150), *lost)
    raw = await as_told(ledger, monkeypatch, rolled=False)
    ends = []
    while await roll(ledger.own, behind="0 hours", at_once=25):
        end = await ledger.pool.fetchval("SELECT rolled_before FROM rollup_state")
        if end not in ends:
            ends.append(end)
            assert await as_told(ledger, monkeypatch, rolled=True) == raw
            pieces = "SELECT count(*) FROM ledger WHERE request_id >= uuid7_floor($1) AND request_id < uuid7_floor($2)"
            assert await ledger.pool.fetchval(pieces, *[EPOCH, *ends][-2:]) <= 40
    assert len(ends) > 5
    assert any(end.minute % 15 for end in ends), "none is within a quarter of an hour"
    assert all(end.second == end.microsecond == 0 for end in ends)
    await ledger.post(*ledger.charges(40), *map(ledger.exact, lost))
    raw = await as_told(ledger, monkeypatch, rolled=False)
    assert await as_told(ledger, monkeypatch, rolled=True) == raw
    await ledger.roll()
    assert await as_told(ledger, monkeypatch, rolled=True) == raw


async def test_the_rollup_is_read_and_not_the_ledger(ledger):
    """Else equal answers would show nothing."""
    await ledger.post(*ledger.charges(50))
    await ledger.roll()
    await ledger.pool.execute("UPDATE rollup SET amount = amount * 1000000")
    points = [NOW - timedelta(hours=SPAN_H), NOW - timedelta(hours=SPAN_H // 2)]
    for by in ("", "token_id", "model"):
        (each, *_) = await read_series(ledger.pool, EVERYBODYS, points, by, 100)
        # What the edges cut of half an hour is of the ledger, and can be taken away.
        assert (each.total["amount"] + 50_000) % 1_000_000 < 100_000
        assert each.total["amount"] > 1_000_000


async def test_what_is_posted_again_is_counted_once(ledger, monkeypatch):
    charges = ledger.charges(60)
    await ledger.post(*charges[:30])
    await ledger.roll()
    await ledger.post(*charges)
    await ledger.post(*charges)
    await ledger.roll()
    assert (await read_sums(ledger.pool, EVERYBODYS))["requests"] == 60


async def test_no_hour_is_summed_up_while_a_posting_may_not_have_noted(ledger, monkeypatch):
    """The posting has not looked yet whether the rollup was there, and commits afterwards."""
    await ledger.post(*ledger.charges(10))
    connection = await asyncpg.connect(ledger.dsn)
    await connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock_shared({POSTING_LOCK})")
    rolling = asyncio.create_task(ledger.roll())
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $1"
    )
    async with asyncio.timeout(30):
        while not await ledger.pool.fetchval(waiting, POSTING_LOCK):
            pass
    assert await ledger.pool.fetchval("SELECT noted_before = to_timestamp(0) FROM rollup_state")
    await connection.execute(
        """
        INSERT INTO ledger (request_id, kind, account_id, token_id, user_id, group_id, model, upstream, dialect,
                            route, status, started_at, duration_ms, amount)
        SELECT uuid7_floor(now() - interval '30 hours'), 'c', 1, 1, 1, 1, 'm', 'u', 'openai', 'r', 200, now(), 1, 7
        """
    )
    await connection.execute("COMMIT")
    await rolling
    await connection.close()
    assert (await read_sums(ledger.pool, EVERYBODYS))["requests"] == 11


async def test_answers_are_exact_while_calls_are_posted_and_hours_are_rolled(ledger):
    """Both ways are asked in one snapshot, again and again."""
    done = asyncio.Event()

    async def post(lost: list[Charge]) -> None:
        for n in range(12):
            await ledger.post(*ledger.charges(20), ledger.exact(lost[n]))

    async def keep_rolling() -> None:
        for behind in range(SPAN_H * 60, -1, -245):
            await ledger.roll(f"{behind} minutes")
        while not done.is_set():
            await ledger.roll()

    looks = 0

    async def compare() -> None:
        nonlocal looks
        points = edges(NOW - timedelta(hours=SPAN_H + 1), NOW, "day", ZoneInfo("UTC"), 100)
        while not done.is_set():
            for by in ("", "model", "token_id"):
                async with reading_at_once(ledger.pool) as connection:
                    raw = await cells(connection, by, points, rolled=False)
                    assert await cells(connection, by, points, rolled=True) == raw
                looks += 1

    lost = ledger.charges(24, lost=True)
    await ledger.post(*lost)
    async with asyncio.TaskGroup() as group:
        group.create_task(compare())
        group.create_task(keep_rolling())
        posting = [group.create_task(post(lost[n : n + 12])) for n in (0, 12)]
        await asyncio.wait(posting)
        done.set()
    assert looks > 3
    await ledger.roll()
    total = await read_sums(ledger.pool, EVERYBODYS)
    rows = await ledger.pool.fetchrow(
        "SELECT count(*) FILTER (WHERE kind = 'c'), sum(amount) FROM ledger"
    )
    assert (total["requests"], total["amount"]) == tuple(rows)


async def cells(
    connection: asyncpg.Connection, by: str, points: Sequence[datetime], *, rolled: bool
) -> list[Any]:
    where = await where_of(connection, EVERYBODYS)
    if rolled:
        found = cells_of(await reach_of(connection), EVERYBODYS, where, points, KEYS[by], by)
    else:
        found = cells_of_calls(where, points, KEYS[by])
    rows = await connection.fetch(
        f"SELECT point, key, {of_sums()} FROM ({found}) part"
        " GROUP BY 1, 2 HAVING sum(requests) <> 0 ORDER BY 1, 2",
        *where.values,
    )
    return [tuple(row) for row in rows]


async def test_what_was_rolled_without_the_newer_kinds_is_read_without_them(ledger, monkeypatch):
    """A worker of the version before goes on for a while beside this one."""
    await ledger.post(*ledger.charges(300))
    await ledger.roll("60 hours")
    begun = await ledger.pool.fetchval("SELECT rolled_before FROM rollup_state")
    await ledger.roll("30 hours")
    await ledger.pool.execute("DELETE FROM rollup WHERE span IN ('f', 't') AND at >= $1", begun)
    await ledger.pool.execute("DELETE FROM rollup WHERE span = 's'")
    await ledger.pool.execute(
        "UPDATE rollup_state SET complete_before = $1, stretched_before = $1", begun
    )
    ended = await ledger.pool.fetchval("SELECT rolled_before FROM rollup_state")
    await ledger.roll()
    complete_from, stretched_from = await ledger.pool.fetchrow(
        "SELECT complete_from, stretched_from FROM rollup_state"
    )
    assert timedelta() <= complete_from - ended < timedelta(hours=1)
    assert stretched_from == ended
    raw = await as_told(ledger, monkeypatch, rolled=False)
    assert await as_told(ledger, monkeypatch, rolled=True) == raw


async def test_a_year_of_keys_and_users_is_told_of_stretches(ledger, monkeypatch):
    await ledger.pool.execute("SELECT ensure_ledger_partitions(now() - interval '400 days', 15)")
    ids = RequestIds()
    times = sorted(NOW.timestamp() - ledger.dice.uniform(0, 390) * 86_400 for _ in range(300))
    await ledger.post(*(ledger.charge(ids.next(at_s), at_s) for at_s in times))
    await ledger.roll()

    async def told(year: Sequence[datetime], *, rolled: bool) -> list[Any]:
        with monkeypatch.context() as patch:
            if not rolled:
                patch.setattr(usage, "is_rolled", lambda *_: False)
            return [
                await read_series(ledger.pool, chosen, year, by, 100)
                for chosen in (EVERYBODYS, CallFilter(user_id=1))
                for by in ("token_id", "user_id")
            ]

    year = (NOW - timedelta(days=365), NOW + timedelta(minutes=1))
    cut = (NOW - timedelta(days=200, hours=5), NOW - timedelta(days=9))
    for each in (year, cut):
        assert await told(each, rolled=True) == await told(each, rolled=False)
    # A model's is not: stretches do not tell them apart.
    await ledger.pool.execute("UPDATE rollup SET requests = 0, errors = 0 WHERE span = 's'")
    (of_token, *_), *_ = await told(year, rolled=True)
    (of_model, *_) = await read_series(
        ledger.pool, replace(EVERYBODYS, model="m"), year, "user_id", 9
    )
    assert of_token.total["requests"] < 60 < of_model.total["requests"]


async def test_usage_of_a_month_that_was_dropped_is_told_as_before(ledger, monkeypatch):
    await ledger.pool.execute("SELECT ensure_ledger_partitions(now() - interval '200 days', 8)")
    ids = RequestIds()
    times = [NOW.timestamp() - days * 86_400 for days in range(1, 190, 3)]
    await ledger.post(*(ledger.charge(ids.next(at_s), at_s) for at_s in times))
    await ledger.pool.execute("UPDATE ledger_keeping SET retention_months = 2")
    assert await drop_month(ledger.own) is None  # the rollup does not have it
    await ledger.roll()
    points = edges(NOW - timedelta(days=195), NOW, "day", ZoneInfo("UTC"), 1000)
    before = await read_series(ledger.pool, EVERYBODYS, points, "model", 100)
    sums = await read_sums(ledger.pool, EVERYBODYS)
    dropped = 0
    while await drop_month(ledger.own):
        dropped += 1
    assert dropped >= 3
    assert await ledger.pool.fetchval("SELECT count(*) FROM ledger") < len(times)
    assert await read_series(ledger.pool, EVERYBODYS, points, "model", 100) == before
    assert await read_sums(ledger.pool, EVERYBODYS) == sums
    # An hour that an edge cuts is told in the point that it begins in, and none twice.
    cut = edges(NOW - timedelta(days=195), NOW, "day", ZoneInfo("Asia/Kolkata"), 1000)
    told = await read_series(ledger.pool, EVERYBODYS, cut, "", 100)
    assert told[0].total == sums


async def test_one_process_rolls_at_a_time(ledger):
    await ledger.post(*ledger.charges(100))
    async with transaction(ledger.own) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", 0x746F6C72)
        assert not await roll(ledger.own)
    await asyncio.gather(*(ledger.roll() for _ in range(3)))
    assert (await read_sums(ledger.pool, EVERYBODYS))["requests"] == 100
