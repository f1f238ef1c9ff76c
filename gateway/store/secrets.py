"""The secrets that open a token: made, rotated with overlap, found by what was pasted, revealed where kept.

Writes are validate → write → audit in one transaction, as `gateway/store/tokens.py`'s; the caller publishes what comes
back. No secret is ever in an audit row.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway.domain import key as keys
from gateway.domain.edit import Actor, TokenRow
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Problem, Rejected, rejected
from gateway.domain.rules import Rule
from gateway.store import audit
from gateway.store.editing import Edited, Keyed, book_of, lock_token
from gateway.store.postgres import Connection, Pool, reading, transaction
from gateway.store.seal import Seal, Unsealable
from gateway.store.token_rows import read_token

OWNER: Final = b"token_secret"
"""Whose a sealed key is, as far as the seal tells: a key of some row."""

MOST_LIVE = 10
"""How many secrets may open one token at a time."""

_INSERT = """
INSERT INTO token_secret (token_id, digest, pepper_version, display, last4, purpose, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_SECRETS = """
SELECT display, purpose, created_at, expires_at, last_used_at FROM token_secret
 WHERE token_id = $1 AND purpose <> 'playground' ORDER BY id DESC LIMIT 100
"""
_COUNT_LIVE = """
SELECT count(*) FROM token_secret
 WHERE token_id = $1 AND purpose <> 'playground' AND (expires_at IS NULL OR expires_at > now())
"""
# Nobody's overlap is made longer, and none that was promised is cut by a later one.
_END_OLDER = """
UPDATE token_secret SET expires_at = now() + make_interval(secs => $2)
 WHERE token_id = $1 AND purpose <> 'playground' AND (expires_at IS NULL OR ($2 = 0 AND expires_at > now()))
"""
_END_OVERLAP = """
UPDATE token_secret SET expires_at = now()
 WHERE token_id = $1 AND purpose <> 'playground' AND expires_at > now()
"""
_NEWEST = """
SELECT digest, sealed FROM token_secret WHERE token_id = $1 AND purpose <> 'playground' ORDER BY id DESC LIMIT 1
"""
# In one order, so that workers who write the same secrets do not wait for each other in a circle.
_MOVE = """
UPDATE token_secret x SET digest = u.new, pepper_version = $3
  FROM (SELECT s.id, d.new FROM unnest($1::bytea[], $2::bytea[]) d (old, new) JOIN token_secret s ON s.digest = d.old
         WHERE NOT EXISTS (SELECT FROM token_secret WHERE digest = d.new)
         ORDER BY s.id FOR UPDATE OF s) u
 WHERE x.id = u.id
"""
_NOTE_USES = """
UPDATE token_secret x SET last_used_at = now()
  FROM (SELECT id FROM token_secret
         WHERE digest = ANY ($1) AND coalesce(last_used_at < now() - interval '10 seconds', true)
         ORDER BY id FOR NO KEY UPDATE) u
 WHERE x.id = u.id
"""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it may be shown. `expires_at` is the end of a rotation's overlap."""

    display: str
    purpose: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """What is kept of a secret; `purpose` is `key`, or `imported` for another gateway's."""

    digest: bytes
    pepper_version: int
    display: str
    last4: str
    purpose: str = "key"
    sealed: bytes | None = field(default=None, repr=False)


def new_secret(pepper: Pepper, seal: Seal | None) -> tuple[str, StoredSecret]:
    """A new key, and what is kept of it. With a `seal` that is the key itself, too."""
    key = keys.create_key()
    digest = keys.digest(key, pepper)
    sealed = None if seal is None else seal.close(key.encode(), OWNER)
    return key, StoredSecret(digest, pepper.version, keys.display(key), key[-4:], sealed=sealed)


async def write_secret(connection: Connection, token_id: int, secret: StoredSecret) -> None:
    """Let a secret open a token."""
    await connection.execute(
        _INSERT,
        token_id,
        secret.digest,
        secret.pepper_version,
        secret.display,
        secret.last4,
        secret.purpose,
        secret.sealed,
    )


async def list_secrets(pool: Pool, token_id: int) -> list[Secret]:
    """A token's secrets, the newest first, with those that have ended."""
    async with reading(pool) as connection:
        return [Secret(*row) for row in await connection.fetch(_SECRETS, token_id)]


async def note_uses(pool: Pool, used: Collection[Sequence[bytes]], pepper: Pepper) -> None:
    """Note that secrets were used now, to about ten seconds; `used` are the digests of each.

    Those that stand there as another pepper has them are stored anew. Raises `StoreUnavailable`.
    """
    current = [digests[0] for digests in used]
    async with reading(pool) as connection:
        if len(pepper.versions) > 1:
            others = [digests[-1] for digests in used]
            await connection.execute(_MOVE, others, current, pepper.version)
        await connection.execute(_NOTE_USES, current)


async def write_rotation(
    connection: Connection,
    actor: Actor,
    token_id: int,
    overlap_s: int,
    *,
    pepper: Pepper,
    seal: Seal | None,
    if_version: int | None = None,
) -> Keyed:
    """Give a token a new secret, within the caller's transaction; the one before it ends in `overlap_s`.

    Without an overlap all older ones end now; with one, those that are ending keep the end that they were given.

    Raises `Rejected` (not found, version mismatch, too many secrets).
    """
    before = await lock_token(connection, actor, token_id, if_version)
    live = await connection.fetchval(_COUNT_LIVE, token_id)
    if overlap_s and live >= MOST_LIVE:
        field = "overlap_seconds"
        raise rejected(Problem.TOO_MANY_SECRETS, field, Rule.SECRETS_LIVE, live=live, id=token_id)
    await connection.execute(_END_OLDER, token_id, float(overlap_s))
    key, secret = new_secret(pepper, seal)
    await write_secret(connection, token_id, secret)
    row = await _risen(connection, actor, token_id)
    await audit.record(
        connection,
        actor,
        "token.rotate",
        token_id,
        before={"display": before.display},
        after={"display": row.display, "overlap_seconds": overlap_s},
    )
    return Keyed(row, (book_of(row),), key)


async def end_overlap(
    pool: Pool, actor: Actor, token_id: int, *, if_version: int | None = None
) -> Edited:
    """End the secrets that a rotation left in force. Raises `Rejected` and `StoreUnavailable`."""
    async with transaction(pool) as connection:
        row = await lock_token(connection, actor, token_id, if_version)
        ended = await connection.execute(_END_OVERLAP, token_id)
        if ended != "UPDATE 0":
            row = await _risen(connection, actor, token_id)
            count = int(ended.removeprefix("UPDATE "))
            await audit.record(
                connection, actor, "token.end_overlap", token_id, after={"ended": count}
            )
    return Edited(row, (book_of(row),))


async def find_by_key(pool: Pool, actor: Actor, key: str, pepper: Pepper) -> TokenRow:
    """The token that a key opens, or opened, among those that the actor reaches. Raises `Rejected`."""
    async with reading(pool) as connection:
        token_id = await connection.fetchval(
            "SELECT token_id FROM token_secret WHERE digest = ANY ($1) AND purpose <> 'playground'",
            keys.digests(key, pepper),
        )
        try:
            return await read_token(connection, actor, token_id or 0)
        except Rejected:
            raise rejected(Problem.NOT_FOUND, "key", Rule.KEY_OPENS_NOTHING) from None


async def reveal(
    pool: Pool, actor: Actor, token_ids: Sequence[int], seal: Seal, pepper: Pepper
) -> tuple[dict[int, str], dict[int, str]]:
    """The keys of tokens whose newest secret is kept, and for the others why there is none.

    Raises `Rejected` where a token is not among the actor's, and `StoreUnavailable`.
    """
    found: dict[int, str] = {}
    missing: dict[int, str] = {}
    async with transaction(pool) as connection:
        for token_id in token_ids:
            await read_token(connection, actor, token_id)
            digest, sealed = await connection.fetchrow(_NEWEST, token_id) or (b"", None)
            if sealed is None:
                missing[token_id] = _NOT_KEPT
                continue
            try:
                found[token_id] = _opened(sealed, digest, seal, pepper)
            except Unsealable:
                missing[token_id] = _OTHER_KEY
                continue
            await audit.record(connection, actor, "token.reveal", token_id)
    return found, missing


_NOT_KEPT = "Its key was not kept when it was made; rotate to obtain a new secret."
_OTHER_KEY = "Its key was sealed with a key that is gone; rotate to obtain a new secret."


def _opened(sealed: bytes, digest: bytes, seal: Seal, pepper: Pepper) -> str:
    """The key of a row. Its digest says that it is this row's own: digests change with the pepper, keys do not."""
    key = seal.open(sealed, OWNER).decode()
    if digest not in keys.digests(key, pepper):
        raise Unsealable("it is the key of another row, or made with another pepper")
    return key


async def _risen(connection: Connection, actor: Actor, token_id: int) -> TokenRow:
    """The token with the version that makes running gateways read its secrets again."""
    await connection.execute("UPDATE token SET version = version + 1 WHERE id = $1", token_id)
    return await read_token(connection, Actor(actor.label), token_id)
