"""Grants: each change of a `granted` column is entered, so that the sum of entries is the grant."""

from typing import Final, Literal

import asyncpg

from gateway.domain.edit import Actor
from gateway.domain.wallets import Entry
from gateway.store.postgres import Connection, Pool, reading

Scope = tuple[Literal["t", "m", "g", "a"], int, int]
"""What a grant is of: kind (token, member, subscription, account), account, the id within it."""

TOP_UP: Final = "top_up"
"""The kind of what a payment system has booked; its `idem_key` is `top_up:<reference>`."""

_ENTRY: Final = """
id, scope_kind AS scope, account_id, scope_id, delta, kind, actor, note, idem_key, at,
(SELECT username FROM "user" u WHERE u.id = CASE WHEN actor ~ '^user:[0-9]{1,18}$' THEN substr(actor, 6)::bigint END)
AS actor_name
"""


async def write_grant(
    connection: Connection,
    actor: Actor,
    scope: Scope,
    delta: int,
    kind: str,
    *,
    note: str = "",
    idem_key: str | None = None,
) -> Entry:
    """Enter a change of a grant by `delta` nano-dollars; of one `idem_key` there is one entry."""
    scope_kind, account_id, scope_id = scope
    row = await connection.fetchrow(
        f"""
        INSERT INTO grant_entry (scope_kind, account_id, scope_id, delta, kind, actor, note, idem_key)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_ENTRY}
        """,  # noqa: S608 -- a constant
        scope_kind.encode(),
        account_id,
        scope_id,
        delta,
        kind,
        actor.label,
        note,
        idem_key,
    )
    assert row is not None, "INSERT answers its row"
    return _entry(row)


async def write_regrant(
    connection: Connection,
    actor: Actor,
    scope: Scope,
    before: int | None,
    after: int | None,
    note: str = "",
) -> None:
    """Enter that a scope's grant became another; None is uncapped, and sums to 0."""
    if before == after:
        return
    kind = "uncap" if after is None else "cap" if before is None else "edit"
    await write_grant(connection, actor, scope, (after or 0) - (before or 0), kind, note=note)


async def find_entry(connection: Connection, idem_key: str) -> Entry | None:
    """The entry that was made with this key."""
    row = await connection.fetchrow(
        f"SELECT {_ENTRY} FROM grant_entry WHERE idem_key = $1",  # noqa: S608 -- a constant
        idem_key,
    )
    return None if row is None else _entry(row)


async def list_entries(pool: Pool, scope: Scope, *, before: int, limit: int) -> list[Entry]:
    """The entries of a scope whose id is below `before`, the newest first."""
    scope_kind, account_id, scope_id = scope
    async with reading(pool) as connection:
        rows = await connection.fetch(
            f"""
            SELECT {_ENTRY} FROM grant_entry
             WHERE scope_kind = $1 AND account_id = $2 AND scope_id = $3 AND id < $4
             ORDER BY id DESC LIMIT $5
            """,  # noqa: S608 -- a constant
            scope_kind.encode(),
            account_id,
            scope_id,
            before,
            limit,
        )
    return [_entry(row) for row in rows]


def _entry(row: asyncpg.Record) -> Entry:
    values = dict(row)
    origin, _, reference = (values.pop("idem_key") or "").partition(":")
    shown = reference if origin == TOP_UP else None
    return Entry(**values | {"scope": values["scope"].decode(), "reference": shown})
