"""Attempts: each try at an upstream of the calls that needed several."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from gateway.store.postgres import reading

_LONGEST = 500  # characters of an error: it is for people
_ADD = """
INSERT INTO attempt (request_id, no, upstream, status, error, cost_estimate, at)
SELECT * FROM unnest(
  $1::uuid[], $2::smallint[], $3::text[], $4::smallint[], $5::text[], $6::bigint[], $7::timestamptz[]
)
    ON CONFLICT (request_id, no) DO NOTHING
"""


class AttemptRow(NamedTuple):
    """One row. `request_id` is 32 hexadecimal digits, `number` counts from 1, `ended_at` is Unix seconds.

    `status` None: no answer. `cost_estimate_nusd`: what the upstream may bill and the ledger does not have.
    """

    request_id: str
    number: int
    upstream: str
    status: int | None
    error: str | None
    cost_estimate_nusd: int
    ended_at: float


async def add_attempts(pool: asyncpg.Pool, rows: Sequence[AttemptRow]) -> None:
    """Write rows, each once whatever happens. Raises `StoreUnavailable`."""
    values = [
        (
            UUID(row.request_id),
            row.number,
            row.upstream,
            row.status,
            None if row.error is None else _text(row.error),
            row.cost_estimate_nusd,
            datetime.fromtimestamp(row.ended_at, UTC),
        )
        for row in rows
    ]
    async with reading(pool) as connection:
        await connection.execute(_ADD, *(list(column) for column in zip(*values, strict=True)))


def _text(error: str) -> str:
    """What Postgres can store of it; NUL it cannot."""
    return error[:_LONGEST].replace("\0", "\ufffd").encode(errors="replace").decode()
