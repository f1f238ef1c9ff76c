"""The short way into the ledger: what it writes, and that it gives way to the sure one wherever it is not enough."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from gateway.domain.token import Token
from gateway.relay.record import RequestIds
from gateway.store.charges import Charge, copy_text
from gateway.store.ledger import LedgerStore, Posted
from gateway.store.new_charges import AT_ONCE
from gateway.store.roles import GATEWAY
from tests.databases import as_role
from tests.integration.rig import USD, Rig
from tests.ledger_lines import ledger_line

NULL = b"\\N"
IDS = RequestIds()
ODD = {
    "tags": copy_text('{"path": "C:\\\\new", "lines": "one\\ntwo"}'),
    "end_user": copy_text("tab\tnew line\nslash\\"),
    "address": b"2001:db8::1",
}
EMPTY = {"ttfb_ms": NULL, "address": NULL, "upstream": b"", "amount": 0}
COUNT = 1200
LATE = "SELECT count(*) FROM rollup_late"


@pytest.fixture
async def ledger(rig: Rig) -> AsyncIterator[LedgerStore]:
    """A worker's own."""
    store = store_of(rig)
    yield store
    await store.close()


def store_of(rig: Rig) -> LedgerStore:
    return LedgerStore(as_role(rig.dsn, GATEWAY), statement_timeout_s=10)


async def called(rig: Rig) -> Token:
    """A token that a call may have been made with: its member and subscription are there."""
    entry = await rig.gateway.tokens.fetch((await rig.token(USD)).key)
    assert entry is not None
    await rig.gateway.keys.books(entry.token)
    return entry.token


def charge(token: Token, amount: int = 7, **fields: Any) -> Charge:
    request_id, now = IDS.next(time.time()), time.time()
    line = ledger_line(token, request_id, now, **{"amount": amount} | fields)
    return Charge(request_id, token.account_id, line)


def again(charges: Sequence[Charge]) -> list[Charge]:
    """The same with other ids."""
    return [
        Charge(made, each.account_id, each.line.replace(each.request_id, made))
        for each in charges
        for made in [IDS.next(time.time())]
    ]


async def used(rig: Rig, token: Token) -> list[int]:
    """By token, member, subscription and account."""
    row = await rig.database.fetchrow(
        """SELECT t.used, m.used, s.used, a.used FROM token t JOIN account a ON a.id = t.account_id
             JOIN member m ON m.account_id = a.id AND m.user_id = t.user_id
             JOIN subscription s ON s.account_id = a.id AND s.group_id = $2 WHERE t.id = $1""",
        token.id,
        token.group.id,
    )
    assert row is not None
    return list(row)


def told(posted: Posted, token: Token) -> list[int]:
    """What was answered of the same scopes."""
    books = posted.books[token.account_id]
    return [books[scope].used for scope in token.scope_ids]


async def ids_of(rig: Rig) -> list[bytes]:
    return sorted(row["request_id"].hex.encode() for row in await rig.ledger())


async def test_it_writes_what_the_sure_way_writes_and_stages_nothing(rig, ledger):
    one, other = await called(rig), await called(rig)
    charges = [charge(one), charge(other, 5), charge(one, 11, **ODD), charge(other, **EMPTY)]
    await (await ledger._open()).execute("DROP TABLE staging, late")
    quickly = await ledger.post_new(charges)
    assert told(quickly, one) == await used(rig, one) == [18, 23, 23, 23]
    assert told(quickly, other) == await used(rig, other) == [5, 23, 23, 23]
    sure = store_of(rig)
    surely = await sure.post(again(charges))
    await sure.close()
    assert {scope: 2 * book.used for scope, book in quickly.books[one.account_id].items()} == {
        scope: book.used for scope, book in surely.books[one.account_id].items()
    }
    rows = [{**row, "request_id": None} for row in await rig.ledger()]
    assert rows[:4] == rows[4:]


async def test_what_is_there_already_is_there_once_and_is_told_as_well(rig, ledger):
    one, other = await called(rig), await called(rig)
    charges = [charge(one), charge(other), charge(one)]
    await ledger.post_new(charges[:2])
    posted = await ledger.post_new(charges)
    assert told(posted, one) == await used(rig, one) == [14, 21, 21, 21]
    assert told(posted, other) == await used(rig, other) == [7, 21, 21, 21]
    assert await ids_of(rig) == sorted(each.request_id for each in charges)
    assert posted.refused == frozenset()


async def test_a_line_that_postgres_cannot_take_holds_nobody_up(rig, ledger):
    token = await called(rig)
    good = [charge(token) for _ in range(20)]
    bad_id = IDS.next(time.time())
    for bad in (
        Charge(bad_id, token.account_id, b"%b\tc\tthis is no number\n" % bad_id),
        Charge(bad_id, token.account_id, b"\n"),
        charge(token, -7),
        charge(token, status=b"teapot"),
        charge(token, 2**63),
    ):
        posted = await ledger.post_new([*good[:7], bad, *good[7:]])
        assert posted.refused == {bad.request_id}
        assert told(posted, token) == await used(rig, token) == [140] * 4
    assert await ids_of(rig) == sorted(each.request_id for each in good)


async def test_of_a_batch_of_several_statements_nothing_stays_where_the_last_fails(rig, ledger):
    token = await called(rig)
    charges = [charge(token) for _ in range(3 * AT_ONCE + 1)]
    await ledger.post_new(charges[-1:])
    posted = await ledger.post_new(charges)
    assert told(posted, token) == await used(rig, token) == [7 * len(charges)] * 4
    more = again(charges)
    posted = await ledger.post_new(more)
    assert told(posted, token) == await used(rig, token) == [14 * len(charges)] * 4
    assert await ids_of(rig) == sorted(each.request_id for each in [*charges, *more])


async def test_what_the_rollup_has_passed_is_noted_for_it(rig, ledger):
    token = await called(rig)
    await ledger.post_new([charge(token)])
    assert await rig.database.fetchval(LATE) == 0
    await rig.database.execute("UPDATE rollup_state SET noted_before = now() + interval '1 hour'")
    posted = await ledger.post_new([charge(token), charge(token)])
    assert told(posted, token) == await used(rig, token) == [21] * 4
    assert await rig.database.fetchval(LATE) == 2


async def test_whoever_else_posts_the_same_at_once_it_is_there_once(rig):
    """As a sweeper may, for a worker that it takes for lost."""
    tokens = [await called(rig) for _ in range(3)]
    dice = random.Random(7)
    charges = [charge(dice.choice(tokens)) for _ in range(COUNT)]
    stores = [store_of(rig) for _ in range(4)]

    async def post(store: LedgerStore) -> None:
        ways = random.Random(id(store))
        for start in range(0, COUNT, COUNT // 4):
            batch = charges[start : start + COUNT // 3]
            ways.shuffle(batch)
            await ways.choice((store.post, store.post_new))(batch)

    async with asyncio.timeout(60):
        await asyncio.gather(*map(post, stores))
    await asyncio.gather(*(store.close() for store in stores))
    assert await ids_of(rig) == sorted(each.request_id for each in charges)
    assert sum([(await used(rig, token))[0] for token in tokens]) == COUNT * 7
    assert (await used(rig, tokens[0]))[1:] == [COUNT * 7] * 3
