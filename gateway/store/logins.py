"""What is known of log-ins from the audit: where a user has logged in from, and that many have failed."""

from typing import Final

from gateway.domain.edit import Actor
from gateway.store import audit
from gateway.store.postgres import Pool, reading, transaction

# The same work for a name that nobody has.
_BEFORE: Final = """
SELECT EXISTS (
  SELECT FROM "user" u
   CROSS JOIN LATERAL (SELECT a.action, a.address, a.at FROM audit a
                        WHERE a.object_kind = 'user' AND a.object_id = u.id::text
                        ORDER BY a.id DESC LIMIT 1000) a
   WHERE lower(u.username) = lower($1) AND u.deleted_at IS NULL
     AND a.action = 'user.login' AND a.at > now() - interval '90 days'
     AND a.address <<= CASE family($2::text::inet)
                         WHEN 6 THEN network(set_masklen($2::text::inet, 64)) ELSE $2::text::inet END)
"""
_FIRST_NOTED: Final = 5


async def logged_in_before(pool: Pool, username: str, address: str) -> bool:
    """Whether the user has logged in from this address in the last 90 days. Raises `StoreUnavailable`."""
    if not address:
        return False
    async with reading(pool) as connection:
        return await connection.fetchval(_BEFORE, username, address) is True


async def note_failures(pool: Pool, actor: Actor, user_id: int | None, failures: int) -> None:
    """Write down that so many log-ins of a user have failed: at 5, and whenever they have doubled.

    So a thousand guesses are eight rows. None is a name that nobody has: it takes as long, and is not written down,
    since people type passwords there. Raises `StoreUnavailable`.
    """
    times, rest = divmod(failures, _FIRST_NOTED)
    if rest or times & (times - 1):
        return
    async with transaction(pool) as connection:
        after = {"failures": failures}
        await audit.record(connection, actor, "user.login_failed", user_id or 0, after=after)
