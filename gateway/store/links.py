"""Links in e-mails, which show that somebody reads what is sent to an address: to verify it, to reset a password.

Each works once and for a while, for the user who still has the address; only a digest of its secret is kept.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from gateway.domain import key as keys
from gateway.domain.edit import Actor
from gateway.domain.pepper import Pepper
from gateway.store import audit
from gateway.store.people import write_password
from gateway.store.postgres import Connection, Pool, reading

Purpose = Literal["reset", "verify"]

LIFETIMES: Final[dict[Purpose, timedelta]] = {
    "reset": timedelta(hours=1),
    "verify": timedelta(days=2),
}

_USABLE = """
l.digest = ANY ($1) AND l.purpose = $2 AND l.used_at IS NULL AND l.expires_at > now()
AND u.deleted_at IS NULL AND lower(u.email) = lower(l.email)
"""
_FIND = f"""
SELECT u.id, u.username, u.email FROM link l JOIN "user" u ON u.id = l.user_id WHERE {_USABLE}
"""  # noqa: S608 -- a constant
_INSERT = """
INSERT INTO link (digest, pepper_version, purpose, user_id, email, expires_at) VALUES ($1, $2, $3, $4, $5, now() + $6)
"""
_USE = """
UPDATE link SET used_at = now() WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL
RETURNING digest
"""
_VERIFY = """
UPDATE "user" SET email_verified_at = now(), version = version + 1
 WHERE id = $1 AND email_verified_at IS NULL RETURNING id
"""
_MAX_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose link it is."""

    id: int
    username: str
    email: str


async def write_link(
    connection: Connection, purpose: Purpose, user_id: int, email: str, pepper: Pepper
) -> str:
    """Make one, within the caller's transaction; its secret is known only now."""
    secret = secrets.token_urlsafe(32)
    await connection.execute(
        _INSERT,
        keys.digest(secret, pepper),
        pepper.version,
        purpose,
        user_id,
        email,
        LIFETIMES[purpose],
    )
    return secret


async def find_link(pool: Pool, purpose: Purpose, secret: str, pepper: Pepper) -> Owner | None:
    """Whose link this is, if it still works. Raises `StoreUnavailable`."""
    if not _may_be_one(secret):
        return None
    async with reading(pool) as connection:
        row = await connection.fetchrow(_FIND, keys.digests(secret, pepper), purpose)
    return None if row is None else Owner(**row)


async def use_link(
    connection: Connection, purpose: Purpose, secret: str, pepper: Pepper
) -> Owner | None:
    """Use it up, and with it all others of the same purpose; None where it does not work (any more).

    Of several at the same time one gets it.
    """
    if not _may_be_one(secret):
        return None
    digests = keys.digests(secret, pepper)
    row = await connection.fetchrow(f"{_FIND} FOR NO KEY UPDATE OF u", digests, purpose)
    if row is None:
        return None
    used = await connection.fetch(_USE, row["id"], purpose)
    if {each["digest"] for each in used}.isdisjoint(digests):
        return None  # another one had it while we waited
    return Owner(**row)


async def verify_email(connection: Connection, actor: Actor, owner: Owner) -> None:
    """Note that the owner reads their mail, within the caller's transaction."""
    await connection.execute(_VERIFY, owner.id)
    await audit.record(
        connection, actor, "user.verify_email", owner.id, after={"email": owner.email}
    )


async def reset_password(
    connection: Connection, actor: Actor, owner: Owner, password_hash: str
) -> None:
    """A new password, and no session any more, within the caller's transaction. A link by e-mail verifies, too."""
    await write_password(connection, actor, owner.id, password_hash, once=False)
    await verify_email(connection, actor, owner)


async def find_recipient(connection: Connection, email: str) -> tuple[int, str] | None:
    """The enabled user who has an address, and the address as they have it."""
    row = await connection.fetchrow(
        """
        SELECT id, email FROM "user"
         WHERE lower(email) = lower($1) AND deleted_at IS NULL AND status = 1
        """,
        email,
    )
    return None if row is None else (row["id"], row["email"])


async def remove_old_links(pool: Pool) -> None:
    """Those that ended a month ago. Raises `StoreUnavailable`."""
    async with reading(pool) as connection:
        await connection.execute("DELETE FROM link WHERE expires_at < now() - interval '30 days'")


def _may_be_one(secret: str) -> bool:
    return secret.isascii() and 0 < len(secret) <= _MAX_CHARACTERS
