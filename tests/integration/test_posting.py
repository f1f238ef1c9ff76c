"""Charges on their way to Postgres: how many at once, in numbers that no single command may carry."""

import asyncio
import time

from gateway.relay.posting import BATCH, Poster
from gateway.relay.record import RequestIds, instant_text
from gateway.store.charges import COLUMNS, Charge
from gateway.store.contents import MAX_IDS
from gateway.store.ledger import LedgerStore
from gateway.store.roles import GATEWAY
from tests.databases import as_role
from tests.integration.rig import USD, Rig

_WAITS = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())
"""

AMOUNT = 7


def charge(request_id: bytes, account: int, token: int, group: int) -> Charge:
    """A charge of `AMOUNT` nano-dollars to a token of user 1."""
    fields = dict.fromkeys(COLUMNS, b"0") | {
        "request_id": request_id,
        "kind": b"c",
        "account_id": b"%d" % account,
        "token_id": b"%d" % token,
        "user_id": b"1",
        "group_id": b"%d" % group,
        "started_at": instant_text(time.time()),
        "address": b"\\N",
        "amount": b"%d" % AMOUNT,
        "estimated": b"f",
        "anomaly": b"\\N",
        "end_user": b"\\N",
        "tags": b"\\N",
        "from_console": b"f",
    }
    line = b"\t".join(fields[name] for name in COLUMNS) + b"\n"
    return Charge(request_id, account, line)


async def test_more_charges_of_one_account_than_fit_one_confirmation_are_all_confirmed(rig: Rig):
    """As after a stretch without Postgres, when one account's calls have piled up."""
    token = (await rig.token(USD)).row
    group = await rig.database.fetchval("""SELECT id FROM "group" WHERE name = 'default'""")
    ids = RequestIds()
    count = 2 * MAX_IDS + 1
    for _ in range(count):
        rig.gateway.accounting.poster.add(
            charge(ids.next(time.time()), token.account_id, token.id, group)
        )
    await rig.posted()
    used = await rig.database.fetchval("SELECT used FROM token WHERE id = $1", token.id)
    assert used == count * AMOUNT
    book = await rig.gateway.quota.book(token.account_id, f"t{token.id}")
    assert book is not None
    assert (book.used, book.pending) == (used, 0)


async def test_a_batch_of_as_many_tokens_as_charges_is_confirmed_whole(rig: Rig):
    """No script can be given 4,000 books at once."""
    first = (await rig.token(USD)).row
    group = await rig.database.fetchval("""SELECT id FROM "group" WHERE name = 'default'""")
    rows = await rig.database.fetch(
        "INSERT INTO token (account_id, user_id, name) SELECT $1, 1, 'one' FROM generate_series(1, $2) RETURNING id",
        first.account_id,
        BATCH,
    )
    ids = RequestIds()
    for (token_id,) in rows:
        rig.gateway.accounting.poster.add(
            charge(ids.next(time.time()), first.account_id, token_id, group)
        )
    await rig.posted()
    for token_id in (rows[0][0], rows[BATCH // 2][0], rows[-1][0]):
        book = await rig.gateway.quota.book(first.account_id, f"t{token_id}")
        assert book is not None
        assert (book.used, book.pending) == (AMOUNT, 0)


async def test_what_comes_while_a_batch_is_posted_waits_for_the_next_one(rig: Rig):
    """Else batches follow one another without a pause, with a few calls in each."""
    token = (await rig.token(USD)).row
    group = await rig.database.fetchval("""SELECT id FROM "group" WHERE name = 'default'""")
    ids = RequestIds()
    one, other = (charge(ids.next(time.time()), token.account_id, token.id, group) for _ in "ab")
    ledger = LedgerStore(as_role(rig.dsn, GATEWAY), statement_timeout_s=10)
    poster = Poster(ledger, rig.gateway.quota, interval_s=3600)
    async with asyncio.timeout(30):
        poster.add(one)
        async with rig.database.acquire() as connection, connection.transaction():
            await connection.execute(
                "SELECT FROM account WHERE id = $1 FOR UPDATE", token.account_id
            )
            posting = asyncio.create_task(poster._post_waiting())
            while not await rig.database.fetchval(_WAITS):
                pass
            poster.add(other)
        assert await posting
        assert poster.waiting == 1
        poster.close()
        await poster.run()
        assert poster.waiting == 0
        await ledger.close()
    posted = [row["request_id"].hex.encode() for row in await rig.ledger()]
    assert posted == sorted([one.request_id, other.request_id])
