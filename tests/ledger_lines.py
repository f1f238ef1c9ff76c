"""Lines of the ledger for tests: only what a test is about is named, the rest is an ordinary answered call."""

import contextlib
from types import SimpleNamespace
from typing import Any

from gateway.domain.edit import Actor, TokenRow
from gateway.domain.token import Token
from gateway.relay.record import RequestIds, instant_text
from gateway.store.charges import COLUMNS, Charge, copy_text
from gateway.store.ledger import LedgerStore
from gateway.store.postgres import Pool
from gateway.store.token_rows import get_token

_ORDINARY = dict.fromkeys(COLUMNS, b"0") | {
    "kind": b"c",
    "upstream": b"scripted",
    "dialect": b"openai",
    "route": b"chat_completions",
    "status": b"200",
    "ttfb_ms": b"1",
    "duration_ms": b"2",
    "address": b"127.0.0.1",
    "estimated": b"f",
    "anomaly": b"\\N",
    "price_version": b"1",
    "end_user": b"\\N",
    "tags": b"\\N",
    "from_console": b"f",
}


def ledger_line(
    token: Token, request_id: bytes, at_s: float, model: str = "m", **fields: int | bytes
) -> bytes:
    """A line as a worker writes it, in COPY's text form."""
    given = {name: b"%d" % v if isinstance(v, int) else v for name, v in fields.items()}
    values = (
        _ORDINARY
        | {
            "request_id": request_id,
            "account_id": b"%d" % token.account_id,
            "token_id": b"%d" % token.id,
            "user_id": b"%d" % token.user_id,
            "group_id": b"%d" % token.group.id,
            "model": copy_text(model),
            "started_at": instant_text(at_s),
        }
        | given
    )
    return b"\t".join(values[name] for name in COLUMNS) + b"\n"


class Calls:
    """Posts calls of one token as a worker does. `ids` are made of their instants."""

    def __init__(self, ledger: LedgerStore, row: TokenRow, group_id: int = 1) -> None:
        self._ledger = ledger
        self._ids = RequestIds()
        self.token: Any = SimpleNamespace(
            account_id=row.account_id,
            id=row.id,
            user_id=row.user_id,
            group=SimpleNamespace(id=group_id),
        )

    async def post(self, at_s: float, amount: int = 0, model: str = "m", **fields: int | bytes):
        """Post one call; its id."""
        return await self.repost(self._ids.next(at_s), at_s, amount, model, **fields)

    async def repost(
        self, request_id: bytes, at_s: float, amount: int, model: str = "m", **fields: int | bytes
    ):
        """Post a call that has an id."""
        line = ledger_line(self.token, request_id, at_s, model, amount=amount, **fields)
        await self._ledger.post([Charge(request_id, self.token.account_id, line)])
        return request_id


@contextlib.asynccontextmanager
async def posting_calls(dsn: str, pool: Pool, token_id: int):
    """`Calls` of a token."""
    ledger = LedgerStore(dsn, statement_timeout_s=10)
    try:
        yield Calls(ledger, await get_token(pool, Actor("system"), token_id))
    finally:
        await ledger.close()
