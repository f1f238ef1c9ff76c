"""Charges on their way to Postgres, in numbers that no single command may carry."""

import time

from gateway.relay.record import RequestIds, instant_text
from gateway.store.contents import MAX_IDS
from gateway.store.ledger import COLUMNS, Charge
from tests.integration.rig import USD, Rig

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
