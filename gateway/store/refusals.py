"""Refusals by token, reason and hour: for owners who ask why, and for operators who look for abuse."""

from collections.abc import Mapping
from datetime import datetime

import asyncpg

from gateway.store.postgres import store_errors

_ADD = """
INSERT INTO refusal AS r (token_id, reason, hour, n)
SELECT token_id, reason, date_trunc('hour', $1::timestamptz, 'UTC'), n
  FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS new (token_id, reason, n)
    ON CONFLICT (token_id, reason, hour) DO UPDATE SET n = r.n + excluded.n
"""


async def add_refusals(
    pool: asyncpg.Pool, counts: Mapping[tuple[int, str], int], at: datetime
) -> None:
    """Add counts by (token id, reason) to the hour of `at`; token 0 is a caller without one.

    Raises `StoreUnavailable`.
    """
    # In one order, so that two workers' statements cannot lock each other out.
    rows = sorted((token_id, reason, n) for (token_id, reason), n in counts.items())
    with store_errors():
        await pool.execute(_ADD, at, *(list(column) for column in zip(*rows, strict=True)))
