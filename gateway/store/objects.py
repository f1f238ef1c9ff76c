"""Objects that callers have made at upstreams (files, responses, threads …): whose they are, and where.

Their ids are the upstreams'. A call that names one goes where it is, and only for the account that made it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import asyncpg

from gateway.domain.cases import Case, refusal
from gateway.domain.errors import Refusal
from gateway.store.postgres import reading, store_errors


class Made(NamedTuple):
    """An object: its id, the account that made it, and the upstream that has it."""

    id: str
    account_id: int
    upstream: str


# The first who made one keeps it, whatever an upstream says later.
_ADD = """
INSERT INTO object (id, account_id, upstream)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[]) ON CONFLICT (id) DO NOTHING
"""
_FIND = "SELECT id, account_id, upstream FROM object WHERE id = ANY($1::text[])"


def require_own(found: Iterable[Made], account_id: int) -> Refusal | None:
    """Refuse what another account has made."""
    for made in found:
        if made.account_id != account_id:
            return refusal(Case.OBJECT_NOT_YOURS, {"id": made.id})
    return None


async def add_objects(pool: asyncpg.Pool, some: Iterable[Made]) -> None:
    """Note objects. Raises `StoreUnavailable`."""
    rows = sorted({made.id: made for made in some}.values())
    async with reading(pool) as connection:
        await connection.execute(_ADD, *(list(column) for column in zip(*rows, strict=True)))


async def find_objects(pool: asyncpg.Pool, ids: Sequence[str]) -> list[Made]:
    """Those of the ids that were noted. Raises `StoreUnavailable`."""
    with store_errors():
        return [Made(*row) for row in await pool.fetch(_FIND, list(ids))]
