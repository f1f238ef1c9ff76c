"""The ledger's calls as they are read: each charge with its correction, and the filters that choose among them.

A correction (kind 'x') has the exact figures of a call that a reaper had charged in full, and what it cost more. So a
call's counts are the correction's where there is one, and its amount is the sum of both.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.store.charges import COUNTS
from gateway.store.postgres import Connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SAME = (
    *("account_id", "token_id", "user_id", "group_id", "model", "started_at"),
    *("end_user", "tags", "from_console"),
)
_EXACT = (
    "upstream",
    "dialect",
    "route",
    "status",
    "ttfb_ms",
    "duration_ms",
    "address",
    *COUNTS,
    "unbilled",
    "estimated",
    "anomaly",
    "price_version",
)

# Only a lost worker's charge can have a correction: no other row looks for one.
CALLS: Final = f"""
 (SELECT l.request_id, {", ".join(f"l.{name}" for name in _SAME)},
         {", ".join(f"coalesce(x.{name}, l.{name}) AS {name}" for name in _EXACT)},
         l.amount + coalesce(x.amount, 0) AS amount, coalesce(x.amount, 0) AS correction
    FROM ledger l
    LEFT JOIN LATERAL (
      SELECT * FROM ledger
       WHERE request_id = l.request_id AND kind = 'x' AND l.anomaly = 'lost_worker' LIMIT 1
    ) x ON true
   WHERE l.kind = 'c') call
"""  # noqa: S608 -- our own names
"""What queries read from: one row for each call, as `call`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls; what is None filters nothing. `user_id` None: everybody's.

    `end` is the first instant that is not among them. `statuses`: the lowest and the highest.
    """

    user_id: int | None
    start: datetime | None = None
    end: datetime | None = None
    request_id: UUID | None = None
    token_id: int | None = None
    token_name: str | None = None
    model: str | None = None
    group: str | None = None
    upstream: str | None = None
    statuses: tuple[int, int] | None = None
    min_amount: int | None = None
    max_amount: int | None = None
    end_user: str | None = None
    tags: tuple[tuple[str, str], ...] = ()


class Where:
    """Conditions on `call`, and the values of their `$1`, `$2` and so on."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._conditions: list[str] = []

    def add(self, condition: str, *values: Any) -> None:
        """A condition with a `{}` for each of its values."""
        self._conditions.append(condition.format(*(self.value(each) for each in values)))

    def copy(self) -> "Where":
        """The same, for another statement."""
        other = Where()
        other.values, other._conditions = [*self.values], [*self._conditions]
        return other

    def value(self, value: Any) -> str:
        """The placeholder of a value."""
        self.values.append(value)
        return f"${len(self.values)}"

    def __str__(self) -> str:
        return " AND ".join(self._conditions) or "true"


async def where_of(connection: Connection, chosen: CallFilter) -> Where:
    """The conditions of a filter. Ranges of time are ranges of ids, so that whole partitions are left out."""
    where = Where()
    if chosen.user_id is not None and chosen.token_id is None:
        _add_accounts(where, await _accounts_of(connection, chosen.user_id))
    for value, condition in (
        (chosen.user_id, "call.user_id = {}"),
        (chosen.start and uuid7_floor(chosen.start), "call.request_id >= {}"),
        (chosen.end and uuid7_floor(chosen.end), "call.request_id < {}"),
        (chosen.request_id, "call.request_id = {}"),
        (chosen.token_id, "call.token_id = {}"),
        (chosen.token_name, "call.token_id IN (SELECT id FROM token WHERE name = {})"),
        (chosen.model, "call.model = {}"),
        (chosen.group, 'call.group_id = (SELECT id FROM "group" WHERE name = {})'),
        (chosen.upstream, "call.upstream = {}"),
        (chosen.min_amount, "call.amount >= {}"),
        (chosen.max_amount, "call.amount <= {}"),
        (chosen.end_user, "call.end_user = {}"),
    ):
        if value is not None:
            where.add(condition, value)
    if chosen.statuses is not None:
        where.add("call.status BETWEEN {} AND {}", *chosen.statuses)
    for key, value in chosen.tags:
        where.add("call.tags ->> {} = {}", key, value)
    return where


@contextmanager
def in_time() -> Iterator[None]:
    """Tell a statement that takes too long from a database that does not answer. Raises `Rejected`."""
    try:
        yield
    except asyncpg.QueryCanceledError:
        raise invalid("start", Rule.TOO_MANY_CALLS) from None


def uuid7_floor(at: datetime) -> UUID:
    """The smallest id of an instant, as the function of that name in schema.sql."""
    return UUID(int=(at - _EPOCH) // timedelta(milliseconds=1) << 80)


def _add_accounts(where: Where, accounts: Sequence[int]) -> None:
    """The index is by account. With one of them, rows come from it in the order of their ids."""
    if len(accounts) == 1:
        where.add("call.account_id = {}", accounts[0])
    else:
        where.add("call.account_id = ANY({}::bigint[])", accounts)


async def _accounts_of(connection: Connection, user_id: int) -> list[int]:
    """The accounts that a user's tokens are or were of: making a token makes the member."""
    rows = await connection.fetch("SELECT account_id FROM member WHERE user_id = $1", user_id)
    return [row["account_id"] for row in rows]
