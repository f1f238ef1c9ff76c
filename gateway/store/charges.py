"""Charges: each forwarded call as one row of the ledger.

A row is written once, as a line of COPY's text format: the same bytes stand in Valkey until Postgres has them.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from gateway.store.books import Settlement

LOST_WORKER = "lost_worker"
"""The anomaly of a call that nobody ended: charged in full, and an upstream may have had it."""

COUNTS: Final = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_output_tokens",
    "image_output_tokens",
    "rejected_prediction_tokens",
)
"""The counts of tokens."""

COLUMNS = (
    "request_id",
    "kind",
    "account_id",
    "token_id",
    "user_id",
    "group_id",
    "model",
    "upstream",
    "dialect",
    "route",
    "status",
    "started_at",
    "ttfb_ms",
    "duration_ms",
    "address",
    *COUNTS,
    "amount",
    "unbilled",
    "estimated",
    "anomaly",
    "price_version",
    "end_user",
    "tags",
    "from_console",
)

_SCOPE_FIELDS = slice(COLUMNS.index("account_id"), COLUMNS.index("group_id") + 1)
_AMOUNT_FIELD = COLUMNS.index("amount")
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r"}


class Charge(NamedTuple):
    """One line of the ledger. `request_id` is 32 hexadecimal digits."""

    request_id: bytes
    account_id: int
    line: bytes


async def lines(charges: Sequence[Charge]) -> AsyncIterator[bytes]:
    """What COPY reads. Given a file, asyncpg would read it in a thread."""
    yield b"".join([charge.line for charge in charges])


def sums(charges: Iterable[Charge]) -> dict[tuple[int, ...], int]:
    """What was charged to each account, token, user and group that a charge has together."""
    of_scopes: dict[tuple[bytes, ...], int] = {}
    for charge in charges:
        fields = charge.line.split(b"\t", _AMOUNT_FIELD + 1)
        scopes = tuple(fields[_SCOPE_FIELDS])
        of_scopes[scopes] = of_scopes.get(scopes, 0) + int(fields[_AMOUNT_FIELD])
    return {tuple(map(int, scopes)): amount for scopes, amount in of_scopes.items()}


def settlement(charge: Charge) -> Settlement:
    """A charge as the quota store keeps it."""
    fields = charge.line.split(b"\t", _AMOUNT_FIELD + 1)
    scope_ids = _scope_ids(*fields[_SCOPE_FIELDS])
    return Settlement(
        charge.request_id.decode(), scope_ids, int(fields[_AMOUNT_FIELD]), charge.line
    )


@lru_cache(maxsize=4096)
def _scope_ids(account: bytes, token: bytes, user: bytes, group: bytes) -> tuple[str, ...]:
    """The names of the four scopes; charges come by the thousand, and of few tokens."""
    of_account = account.decode()
    return (
        f"t{token.decode()}",
        f"m{of_account}.{user.decode()}",
        f"g{of_account}.{group.decode()}",
        f"a{of_account}",
    )


def model_of(constant: bytes) -> str:
    """The model in what is constant of a token's and model's lines (`COLUMNS` from account_id on); more may follow."""
    text = constant.split(b"\t")[COLUMNS.index("model") - COLUMNS.index("account_id")]
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text.decode())


def ended_at(line: bytes) -> float:
    """When the call of a line ended, Unix seconds."""
    fields = line.split(b"\t")
    started = datetime.fromisoformat(fields[COLUMNS.index("started_at")].decode())
    return started.timestamp() + int(fields[COLUMNS.index("duration_ms")]) / 1000


def copy_text(value: str) -> bytes:
    """A text value as COPY's text format writes it; NUL cannot be stored and becomes U+FFFD."""
    escaped = value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return escaped.replace("\r", "\\r").replace("\0", "\ufffd").encode(errors="replace")


NOTHING_TOLD = b"\\N\t\\N\tf"
"""The fields `end_user`, `tags` and `from_console` of an application's call that told nothing."""


def told_text(
    end_user: str, tags: Mapping[str, str] | None, *, from_console: bool = False
) -> bytes:
    """The fields `end_user`, `tags` and `from_console`."""
    return b"%b\t%b\t%b" % (
        copy_text(end_user) if end_user else b"\\N",
        copy_text(orjson.dumps(tags).decode()) if tags else b"\\N",
        b"t" if from_console else b"f",
    )
