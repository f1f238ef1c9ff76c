"""Writes of an import: tokens that other gateways' keys open. Idempotent by digest.

A batch is one transaction. Only one import writes at a time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from gateway.domain.edit import Actor, TokenDraft
from gateway.domain.key import Foreign
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Problem, rejected
from gateway.domain.rules import Rule
from gateway.store.postgres import Connection, Pool, reading, transaction
from gateway.store.secrets import StoredSecret
from gateway.store.token_creations import insert_token

_IMPORT_LOCK = 0x746F6C69


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the imported tokens become."""

    id: int
    username: str


async def find_owner(pool: Pool, username: str | None) -> Owner:
    """The user of that name, or the first owner. Raises `Rejected` (not found) and `StoreUnavailable`."""
    async with reading(pool) as connection:
        row = await connection.fetchrow(
            """
            SELECT id, username FROM "user"
             WHERE CASE WHEN $1::text IS NULL THEN role = 'owner' ELSE lower(username) = lower($1) END
             ORDER BY id LIMIT 1
            """,
            username,
        )
    if row is None:
        if username is None:
            raise rejected(Problem.NOT_FOUND, "--user", Rule.NO_OWNER)
        raise rejected(Problem.NOT_FOUND, "--user", Rule.NO_USER, given=username)
    return Owner(row["id"], row["username"])


async def find_present(pool: Pool, secrets: Iterable[Foreign], pepper: Pepper) -> set[bytes]:
    """The `sha256` of those that open a token here already, or did until it was deleted."""
    by_digest = {
        digest: secret.sha256 for secret in secrets for digest in pepper.digests(secret.sha256)
    }
    async with reading(pool) as connection:
        return {by_digest[each] for each in await _present(connection, by_digest)}


async def write_batch(
    pool: Pool,
    actor: Actor,
    owner: Owner,
    batch: Sequence[tuple[Foreign, TokenDraft]],
    *,
    pepper: Pepper,
) -> dict[bytes, int]:
    """Make the tokens of a batch that are not there yet, all or none, and answer their ids by `sha256`.

    Raises `Rejected` (a group that was deleted meanwhile) and `StoreUnavailable`.
    """
    made = {}
    async with transaction(pool) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _IMPORT_LOCK)
        by_digests = {pepper.digests(secret.sha256): (secret, draft) for secret, draft in batch}
        present = await _present(connection, chain.from_iterable(by_digests))
        for digests, (secret, draft) in by_digests.items():
            if not present.isdisjoint(digests):
                continue
            stored = StoredSecret(
                digests[0], pepper.version, secret.display, secret.last4, "imported"
            )
            row = await insert_token(connection, actor, owner.id, draft, stored, max_tokens=None)
            made[secret.sha256] = row.id
    return made


async def _present(connection: Connection, digests: Iterable[bytes]) -> set[bytes]:
    rows = await connection.fetch(
        "SELECT digest FROM token_secret WHERE digest = ANY($1::bytea[])", list(digests)
    )
    return {row["digest"] for row in rows}
