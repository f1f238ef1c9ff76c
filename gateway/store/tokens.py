"""Edits of tokens: validate → write → audit, in one transaction. They are made in `gateway/store/token_creations.py`.

The caller publishes what comes back. Never writes `used`.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

from gateway.domain.edit import UNCHANGED, Actor, TokenChange, TokenRow
from gateway.store import audit
from gateway.store.editing import Edited, book_of, lock_token, lock_tokens
from gateway.store.grants import Scope, write_regrant
from gateway.store.postgres import Connection, Pool, transaction
from gateway.store.scopes import ensure_scopes
from gateway.store.token_rows import limit_documents, read_token
from gateway.store.token_rules import check_grant, check_reserve, find_group

_UPDATE = """
UPDATE token SET group_id = $2, name = $3, expires_at = $4, models = $5, models_enabled = $6,
       allow_ips = $7, deny_ips = $8, limits = $9, max_concurrency = $10, metadata = $11,
       granted = $12, status = $13, reserve = $14,
       gver = gver + CASE WHEN granted IS DISTINCT FROM $12 THEN 1 ELSE 0 END, version = version + 1
 WHERE id = $1
"""


async def update_token(
    pool: Pool,
    actor: Actor,
    token_id: int,
    decide: Callable[[TokenRow], TokenChange],
    *,
    if_version: int | None = None,
) -> Edited:
    """Change a token. `decide` sees the row and says what it becomes.

    Nobody can post or edit meanwhile. A change that changes nothing writes nothing. Raises
    `Rejected` (not found, version mismatch, group not allowed, whatever `decide` raises) and
    `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        before = await lock_token(connection, actor, token_id, if_version)
        return await _apply(connection, actor, before, decide(before))


async def update_tokens(
    pool: Pool, actor: Actor, token_ids: Sequence[int], change: TokenChange
) -> list[Edited]:
    """Make the same change of all those tokens that the actor reaches, or of none.

    Raises `Rejected` and `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        rows = await lock_tokens(connection, actor, token_ids)
        return [await _apply(connection, actor, row, change) for row in rows]


async def _apply(
    connection: Connection, actor: Actor, before: TokenRow, change: TokenChange
) -> Edited:
    values = _after(before, change)
    if all(values[name] == getattr(before, name) for name in values):
        return Edited(before, (book_of(before),))
    if change.granted is not UNCHANGED:
        check_grant(change.granted)
    if values["reserve"] != before.reserve:
        check_reserve(actor, values["reserve"])
    group_id = await _own_group_id(connection, actor, before, values["group"])
    await ensure_scopes(connection, before.account_id, before.user_id, group_id, actor.label)
    await connection.execute(
        _UPDATE,
        before.id,
        group_id,
        values["name"],
        values["expires_at"],
        values["models"],
        values["models_enabled"],
        values["allow_ips"],
        values["deny_ips"],
        limit_documents(values["limits"]),
        values["max_concurrency"],
        dict(values["metadata"]),
        values["granted"],
        values["status"],
        values["reserve"],
    )
    scope: Scope = ("t", before.account_id, before.id)
    await write_regrant(connection, actor, scope, before.granted, values["granted"])
    row = await read_token(connection, Actor(actor.label), before.id)
    await audit.record(
        connection,
        actor,
        "token.update",
        row.id,
        **audit.differences(_auditable(before), _auditable(row)),
    )
    return Edited(row, (book_of(row),))


async def delete_token(
    pool: Pool, actor: Actor, token_id: int, *, if_version: int | None = None
) -> Edited:
    """Revoke a token for good. The row stays for the ledger; nothing finds it any more.

    Raises `Rejected` (not found, version mismatch) and `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        row = await lock_token(connection, actor, token_id, if_version)
        return await _revoke(connection, actor, row)


async def delete_tokens(pool: Pool, actor: Actor, token_ids: Sequence[int]) -> list[Edited]:
    """Revoke all those tokens that the actor reaches, or none. Raises `StoreUnavailable`."""
    async with transaction(pool) as connection:
        rows = await lock_tokens(connection, actor, token_ids)
        return [await _revoke(connection, actor, row) for row in rows]


async def _revoke(connection: Connection, actor: Actor, row: TokenRow) -> Edited:
    version = await connection.fetchval(
        "UPDATE token SET deleted_at = now(), version = version + 1 "
        "WHERE id = $1 RETURNING version",
        row.id,
    )
    await audit.record(connection, actor, "token.delete", row.id, before=_auditable(row))
    return Edited(row, (replace(book_of(row), version=version),))


async def _own_group_id(
    connection: Connection, actor: Actor, before: TokenRow, name: str | None
) -> int | None:
    """As `find_group`, but a group that the token already has is kept without asking."""
    if name == before.group:
        actor = Actor(actor.label, any_group=True)
    return await find_group(connection, actor, before.user_id, before.account_id, name)


def _after(before: TokenRow, change: TokenChange) -> dict[str, Any]:
    """Every changeable field as it will be."""
    wanted = {each.name: getattr(change, each.name) for each in fields(change)}
    return {
        name: getattr(before, name) if value is UNCHANGED else value
        for name, value in wanted.items()
    }


def _auditable(row: TokenRow) -> dict[str, Any]:
    document = row._asdict()
    document["limits"] = limit_documents(row.limits)
    return document
