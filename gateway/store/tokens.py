"""Administrative writes on tokens: validate → write → audit, in one transaction.

The caller publishes what comes back. Never writes `used`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from gateway.domain.edit import UNCHANGED, Actor, TokenChange, TokenDraft, TokenRow
from gateway.domain.limits import MAX_EXACT
from gateway.domain.rejection import Problem, Rejected, invalid
from gateway.store import audit
from gateway.store.editing import Edited, Keyed, book_of, lock_token, lock_tokens
from gateway.store.grants import Scope, write_grant, write_regrant
from gateway.store.postgres import Connection, Pool, reading, transaction
from gateway.store.scopes import ensure_scopes
from gateway.store.seal import Seal
from gateway.store.secrets import StoredSecret, new_secret
from gateway.store.token_rows import limit_document, read_token

# NO KEY UPDATE excludes posting (FOR UPDATE) and other edits, not foreign keys of new rows.
_LOCK_ACCOUNT_OF_USER = """
SELECT a.id FROM account a JOIN "user" u ON u.account_id = a.id
 WHERE u.id = $1 FOR NO KEY UPDATE OF a
"""
# Counted as far as it takes to know, and no further.
_ACCOUNT_AND_COUNT = """
SELECT u.account_id, (SELECT count(*) FROM (SELECT FROM token WHERE user_id = $1 AND deleted_at IS NULL
                                             LIMIT $2) t)::bigint AS count
  FROM "user" u WHERE u.id = $1
"""
_FAR = 2000
# One statement: each takes a way to the server and back.
_INSERT = """
WITH made AS (
  INSERT INTO token (account_id, user_id, group_id, name, expires_at, models, models_enabled,
                     allow_ips, deny_ips, limits, max_concurrency, reserve, metadata, granted,
                     status)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id
), secret AS (
  INSERT INTO token_secret (token_id, digest, display, last4, purpose, sealed)
  SELECT id, $16, $17, $18, $19, $20 FROM made
)
SELECT id FROM made
"""
_UPDATE = """
UPDATE token SET group_id = $2, name = $3, expires_at = $4, models = $5, models_enabled = $6,
       allow_ips = $7, deny_ips = $8, limits = $9, max_concurrency = $10, metadata = $11,
       granted = $12, status = $13, reserve = $14,
       gver = gver + CASE WHEN granted IS DISTINCT FROM $12 THEN 1 ELSE 0 END, version = version + 1
 WHERE id = $1
"""
_GROUPS = """
SELECT g.id, g.name, g.open OR g.id = u.group_id OR s.account_id IS NOT NULL AS usable
  FROM "user" u CROSS JOIN "group" g
  LEFT JOIN subscription s ON s.account_id = u.account_id AND s.group_id = g.id
       AND (s.starts_at IS NULL OR s.starts_at <= now())
       AND (s.ends_at IS NULL OR s.ends_at > now())
 WHERE u.id = $1 AND g.deleted_at IS NULL
"""
_USABLE_GROUP = f"{_GROUPS} AND g.name = $2"
_USABLE_GROUPS = f"SELECT name FROM ({_GROUPS}) g WHERE usable ORDER BY name"  # noqa: S608 -- a constant


async def write_token(
    connection: Connection,
    actor: Actor,
    user_id: int,
    draft: TokenDraft,
    *,
    pepper: bytes,
    max_tokens: int,
    seal: Seal | None = None,
) -> Keyed:
    """Make a token of `user_id` in that user's account, within the caller's transaction.

    With a `seal` its key is kept recoverable. Raises `Rejected` (group not allowed, token limit reached, invalid field)
    and `StoreUnavailable`.
    """
    key, secret = new_secret(pepper, seal)
    row = await insert_token(connection, actor, user_id, draft, secret, max_tokens=max_tokens)
    return Keyed(row, (book_of(row),), key)


async def insert_token(
    connection: Connection,
    actor: Actor,
    user_id: int,
    draft: TokenDraft,
    secret: StoredSecret,
    *,
    max_tokens: int | None,
) -> TokenRow:
    """Make a token that `secret` opens, within the caller's transaction.

    `max_tokens` None: as many as it takes. Raises `Rejected` as `write_token` does.
    """
    account_id = await _account_with_room(connection, user_id, max_tokens)
    _check_grant(draft.granted)
    _check_reserve(actor, draft.reserve)
    group_id = await _group_id(connection, actor, user_id, draft.group)
    await ensure_scopes(connection, account_id, user_id, group_id, actor.label)
    token_id = await connection.fetchval(
        _INSERT,
        account_id,
        user_id,
        group_id,
        draft.name,
        draft.expires_at,
        draft.models,
        draft.models_enabled,
        draft.allow_ips,
        draft.deny_ips,
        _documents(draft.limits),
        draft.max_concurrency,
        draft.reserve,
        dict(draft.metadata),
        draft.granted,
        draft.status,
        secret.digest,
        secret.display,
        secret.last4,
        secret.purpose,
        secret.sealed,
    )
    if draft.granted is not None:
        scope: Scope = ("t", account_id, token_id)
        await write_grant(connection, actor, scope, draft.granted, "create")
    row = await read_token(connection, Actor(actor.label), token_id)
    await audit.record(connection, actor, "token.create", token_id, after=_auditable(row))
    return row


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
        _check_grant(change.granted)
    if values["reserve"] != before.reserve:
        _check_reserve(actor, values["reserve"])
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
        _documents(values["limits"]),
        values["max_concurrency"],
        dict(values["metadata"]),
        values["granted"],
        values["status"],
        values["reserve"],
    )
    scope: Scope = ("t", before.account_id, before.id)
    await write_regrant(connection, actor, scope, before.granted, values["granted"])
    row = await read_token(connection, Actor(actor.label), before.id)
    await audit.record(connection, actor, "token.update", row.id, **_differences(before, row))
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


async def _account_with_room(connection: Connection, user_id: int, max_tokens: int | None) -> int:
    """The account that a new token of the user belongs to. Near the user's bound, creations take turns.

    Far below it no turn is needed: so many as `_FAR` are not made at once.
    """
    found = await connection.fetchrow(_ACCOUNT_AND_COUNT, user_id, max_tokens or 0)
    if found is not None and max_tokens is not None and found["count"] > max_tokens - _FAR:
        await connection.fetchval(_LOCK_ACCOUNT_OF_USER, user_id)
        found = await connection.fetchrow(_ACCOUNT_AND_COUNT, user_id, max_tokens)
    if found is None:
        raise Rejected(Problem.NOT_FOUND, f"There is no user {user_id}.", "user_id")
    if max_tokens is not None and found["count"] >= max_tokens:
        raise Rejected(
            Problem.TOKEN_LIMIT_REACHED,
            f"You have {max_tokens} tokens or more and may not have more: delete some, or ask an "
            "administrator to raise admin.max_tokens_per_user.",
        )
    account_id: int = found["account_id"]
    return account_id


async def usable_groups(pool: Pool, user_id: int) -> list[str]:
    """The groups that a user may choose for tokens, by name. Raises `StoreUnavailable`."""
    async with reading(pool) as connection:
        return [row["name"] for row in await connection.fetch(_USABLE_GROUPS, user_id)]


def _check_grant(granted: int | None) -> None:
    if granted is not None and not 0 <= granted < MAX_EXACT:
        raise invalid(
            "remain_quota",
            "the grant would be below 0, or not below 2^52 nano-dollars ($4,503,599).",
        )


def _check_reserve(actor: Actor, reserve: str | None) -> None:
    """A cap that is estimated can be overrun: it is not its owner's to say."""
    if reserve == "estimate" and not actor.any_group:
        raise invalid("reserve", '"estimate" is for administrators to set; "strict" is yours, too.')


async def _group_id(
    connection: Connection, actor: Actor, user_id: int, name: str | None
) -> int | None:
    """The id of a group that the user may use; None follows the user's own group."""
    if name is None:
        return None
    found = await connection.fetchrow(_USABLE_GROUP, user_id, name)
    if actor.any_group and found is None:
        raise invalid("group", f"there is no group {name!r}.")
    if found is None or not (actor.any_group or found["usable"]):
        raise Rejected(
            Problem.GROUP_NOT_ALLOWED,
            f"group: {name!r} is not a group that you may use; leave it out for your own group.",
            "group",
        )
    return int(found["id"])


async def _own_group_id(
    connection: Connection, actor: Actor, before: TokenRow, name: str | None
) -> int | None:
    """As `_group_id`, but a group that the token already has is kept without asking."""
    if name == before.group:
        actor = Actor(actor.label, any_group=True)
    return await _group_id(connection, actor, before.user_id, name)


def _after(before: TokenRow, change: TokenChange) -> dict[str, Any]:
    """Every changeable field as it will be."""
    wanted = {each.name: getattr(change, each.name) for each in fields(change)}
    return {
        name: getattr(before, name) if value is UNCHANGED else value
        for name, value in wanted.items()
    }


def _documents(limits: Any) -> list[dict[str, Any]] | None:
    return None if limits is None else [limit_document(limit) for limit in limits]


def _auditable(row: TokenRow) -> dict[str, Any]:
    document = asdict(row)
    document["limits"] = _documents(row.limits)
    return document


def _differences(before: TokenRow, after: TokenRow) -> dict[str, dict[str, Any]]:
    old, new = _auditable(before), _auditable(after)
    changed = [name for name in new if new[name] != old[name]]
    return {
        "before": {name: old[name] for name in changed},
        "after": {name: new[name] for name in changed},
    }
