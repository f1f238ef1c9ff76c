"""The ledger's months: partitions made in time, and dropped where they need not be kept any more.

Only the owner of the tables may do either, so both are functions of schema.sql that run with the owner's rights, and
take no argument: what is dropped when is a row of `ledger_keeping`, which the owner writes.
"""

from datetime import datetime
from typing import Final, NamedTuple

from gateway.store.postgres import Pool, transaction

_LONGEST_S: Final = 1800
_PATIENCE: Final = f"SET LOCAL statement_timeout = '{_LONGEST_S}s'"
_MAKE: Final = "SELECT strays, first_at, last_at FROM make_ledger_months()"
_DROP: Final = "SELECT drop_ledger_month()"


class Strays(NamedTuple):
    """How many rows are in the default partition, and from when to when they are."""

    rows: int
    first_at: datetime
    last_at: datetime


async def make_months(pool: Pool) -> Strays | None:
    """Make what is lacking for this month and the next two, once a day, whoever asks.

    Answers what the default partition has, None where it has nothing or another process has looked today. Raises
    `StoreUnavailable`, also where it would have had to wait for somebody: nothing is changed then.
    """
    async with transaction(pool) as connection:
        await connection.execute(_PATIENCE)
        found = await connection.fetchrow(_MAKE, timeout=_LONGEST_S)
    return Strays(*found) if found is not None and found["strays"] else None


async def drop_month(pool: Pool) -> str | None:
    """Drop the oldest month that need not be kept, carrying what its charges came to; its partition's name.

    None where there is none, or another process is at it. Raises `StoreUnavailable`, also where others read the
    ledger all the time: nothing is changed then.
    """
    async with transaction(pool) as connection:
        await connection.execute(_PATIENCE)
        dropped: str | None = await connection.fetchval(_DROP, timeout=_LONGEST_S)
    return dropped
