"""Who people are at OpenID providers, and which of our users that is."""

import secrets

from gateway.domain.edit import Actor
from gateway.store import audit
from gateway.store.people import USER_COLUMNS, User, user_of
from gateway.store.postgres import Connection

_FIND = f"""
SELECT {USER_COLUMNS} FROM identity i
  JOIN "user" u ON u.id = i.user_id JOIN "group" g ON g.id = u.group_id
 WHERE i.issuer = $1 AND i.subject = $2 AND u.deleted_at IS NULL
"""  # noqa: S608 -- a constant
# Both sides must have verified it: nobody may register with somebody else's address and wait for them to sign in.
_OWNER = """
SELECT id FROM "user"
 WHERE lower(email) = lower($1) AND email_verified_at IS NOT NULL AND deleted_at IS NULL
"""
_MOST_NUMBERED = 9


async def lock_identity(connection: Connection, issuer: str, subject: str) -> None:
    """Somebody's sign-ins take turns until the transaction ends, so that the first one makes one user."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{issuer} {subject}"
    )


async def find_identity(connection: Connection, issuer: str, subject: str) -> User | None:
    """The user who somebody at a provider is."""
    row = await connection.fetchrow(_FIND, issuer, subject)
    return None if row is None else user_of(row)


async def find_verified_owner(connection: Connection, email: str) -> int | None:
    """The user who has shown that an address is theirs."""
    found: int | None = await connection.fetchval(_OWNER, email)
    return found


async def write_identity(
    connection: Connection, actor: Actor, issuer: str, subject: str, user_id: int
) -> None:
    """From now on somebody at a provider is this user. One who was another, deleted by now, begins anew."""
    await connection.execute(
        """
        INSERT INTO identity (issuer, subject, user_id) VALUES ($1, $2, $3)
        ON CONFLICT (issuer, subject) DO UPDATE SET user_id = $3, created_at = now()
        """,
        issuer,
        subject,
        user_id,
    )
    after = {"issuer": issuer, "subject": subject}
    await audit.record(connection, actor, "user.link_identity", user_id, after=after)


async def free_username(connection: Connection, wanted: str) -> str:
    """A username like the wanted one that nobody has."""
    numbered = [wanted, *(f"{wanted}-{number}" for number in range(2, _MOST_NUMBERED + 1))]
    taken = {
        row["name"]
        for row in await connection.fetch(
            """SELECT lower(username) AS name FROM "user" WHERE lower(username) = ANY($1) AND deleted_at IS NULL""",
            [each.lower() for each in numbered],
        )
    }
    free = [each for each in numbered if each.lower() not in taken]
    return free[0] if free else f"{wanted}-{secrets.token_hex(4)}"
