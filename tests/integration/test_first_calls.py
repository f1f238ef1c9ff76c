"""The first call of a key: what its look-up brings along, and what must not be believed of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from gateway.domain.token import Token
from gateway.store.charges import Charge
from gateway.store.replies import Again, Obstacle, Reserved
from tests.integration.rig import USD, Rig, chat
from tests.quota_rig import ACCOUNT
from tests.window_rig import Worker, open_worker

DIGEST = bytes(range(32))


@pytest.fixture
async def worker(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Worker]:
    async with open_worker(postgres_dsn, valkey_url) as worker:
        await worker.pool.execute(
            "INSERT INTO token_secret (token_id, digest, pepper_version, display, last4) VALUES (1, $1, 1, 'x', 'y')",
            DIGEST,
        )
        await worker.pool.execute("INSERT INTO member (account_id, user_id) VALUES (7, 3)")
        await worker.pool.execute("INSERT INTO subscription (account_id, group_id) VALUES (7, 2)")
        await worker.loads.learn()
        yield worker


async def look_up(worker: Worker) -> Token:
    token = await worker.loads.find([DIGEST])
    assert token is not None
    return token


async def answer(worker: Worker, token: Token) -> object:
    """What the store says to a call that takes nothing."""
    prepared = worker.prepare(token)
    return await worker.rig.reserve(prepared, worker.rig.new_id(), dry=True)


async def test_a_key_that_was_looked_up_finds_its_books(worker: Worker) -> None:
    token = await look_up(worker)
    assert isinstance(await answer(worker, token), Reserved)


async def test_rows_that_were_asked_for_before_a_loss_make_no_book(worker: Worker) -> None:
    """They may lack what was posted until then."""
    async with worker.pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE token_secret")
        looking = asyncio.create_task(look_up(worker))
        await until_waited_for(worker)
        await worker.wait(1)
        await worker.lose_everything()
    token = await looking
    assert await answer(worker, token) == Again(Obstacle.LOAD, 0)
    assert await worker.loads.load(worker.prepare(token), token)
    assert isinstance(await answer(worker, token), Reserved)
    await worker.wait(1)
    await worker.rig.command("DEL", "q:{s007}:b:t1")
    token = await look_up(
        worker
    )  # whoever was told that an opening is over knows the next one by now
    assert isinstance(await answer(worker, token), Reserved)


async def test_a_look_up_leaves_a_book_that_is_in_use_as_it_is(worker: Worker) -> None:
    """What is posted and not yet confirmed would count twice."""
    token = await look_up(worker)
    made = await worker.call(token, amount=100)
    await worker.settle(made, amount=60)  # type: ignore[arg-type]
    posted = await worker._ledger.post([Charge(made.request_id, ACCOUNT, made.line)])  # type: ignore[union-attr]
    assert posted.books[ACCOUNT]["t1"].used == 60
    before = await worker.rig.books(token)
    await look_up(worker)
    assert await worker.rig.books(token) == before
    assert [(book.used, book.pending) for book in before] == [(0, 60)] * 4


async def test_books_of_a_herd_of_new_keys_go_together(worker: Worker, valkey_url: str) -> None:
    """Each LOAD reads all that its account has under way: of dozens at once many would be late, and the store lost."""
    digests = [bytes([n]) * 32 for n in range(1, 11)]
    await worker.pool.executemany(
        "INSERT INTO token_secret (token_id, digest, pepper_version, display, last4) VALUES ($2, $1, 1, 'x', 'y')",
        [(digest, 1 + n % 2) for n, digest in enumerate(digests)],
    )
    await worker.pool.execute("INSERT INTO member (account_id, user_id) VALUES (7, 4)")
    connection = worker.rig.pipeline._connections[ACCOUNT]
    assert connection is not None
    with redis.Redis.from_url(valkey_url) as beside:
        beside.client_pause(60_000, all=False)  # scripts, and not who lets them go on
        before = beside.info("commandstats")["cmdstat_evalsha"]["calls"]
        looking = [asyncio.create_task(worker.loads.find([digest])) for digest in digests]
        try:
            async with asyncio.timeout(30):
                while sum(map(len, worker.loads._ahead._waiting.values())) < 9:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            assert connection.waiting == 1
            looking.pop().cancel()
        finally:
            beside.client_unpause()
        found = await asyncio.gather(*looking)
        for token in found:
            assert token is not None
            assert isinstance(await answer(worker, token), Reserved)
        assert {token.id for token in found if token is not None} == {1, 2}
        assert worker.loads._ahead._waiting == {}
        asked = beside.info("commandstats")["cmdstat_evalsha"]["calls"] - before
        assert asked == 2 + len(found)


async def test_scopes_that_have_no_rows_yet_get_them_with_the_first_call(worker: Worker) -> None:
    await worker.pool.execute("DELETE FROM member; DELETE FROM subscription")
    token = await look_up(worker)
    assert await answer(worker, token) == Again(Obstacle.LOAD, 0)
    assert await worker.loads.load(worker.prepare(token), token)
    assert isinstance(await answer(worker, token), Reserved)
    assert await worker.pool.fetchval("SELECT count(*) FROM member") == 1


async def test_the_first_call_of_a_key_asks_postgres_once(rig: Rig) -> None:
    warm, new = await rig.token(USD), await rig.token(USD)
    asked: list[str] = []

    def note(record: Any) -> None:
        if "member" in record.query:  # look-ups, and whatever else reads or makes scopes
            asked.append(record.query)

    async def call(key: str) -> None:
        async with rig.post(key, chat()) as response:
            assert response.status == 200

    await call(warm.key)  # makes what the account has but once
    pool = rig.gateway.keys._pool
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(pool.get_size()):
            connection = await stack.enter_async_context(pool.acquire())
            connection.add_query_logger(note)
    await call(new.key)
    assert len(asked) == 1
    await call(new.key)
    assert len(asked) == 1


async def until_waited_for(worker: Worker) -> None:
    """Until a statement waits for a lock."""
    waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')"
    while not await worker.pool.fetchval(waits):
        pass
