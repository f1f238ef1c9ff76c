"""What a token may be: bounds of its grant, who may let its calls be estimated, which groups its user may use."""

from typing import Final

from gateway.domain.edit import Actor
from gateway.domain.limits import MAX_EXACT
from gateway.domain.rejection import Problem, Rejected, invalid, rejected
from gateway.domain.rules import Rule
from gateway.store.postgres import Connection, Pool, reading

SUBSCRIBED: Final = """
LEFT JOIN subscription s ON s.account_id = w.account_id AND s.group_id = g.id AND NOT s.implied
     AND (s.starts_at IS NULL OR s.starts_at <= now())
     AND (s.ends_at IS NULL OR s.ends_at > now())
"""
"""Joins the subscription of an account `w` that lets a user `u` use a group `g` there, besides the user's own."""

USABLE: Final = "(g.open OR g.id = u.group_id OR s.account_id IS NOT NULL)"
"""Whether the user may use the group, behind `SUBSCRIBED`."""

_USABLE_GROUP = f"""
SELECT g.id, {USABLE} AS usable
  FROM "user" u CROSS JOIN "group" g CROSS JOIN LATERAL (SELECT $3::bigint AS account_id) w {SUBSCRIBED}
 WHERE u.id = $1 AND g.name = $2 AND g.deleted_at IS NULL
"""  # noqa: S608 -- our own
_GROUP_OF = 'SELECT g.name FROM "user" u JOIN "group" g ON g.id = u.group_id WHERE u.id = $1'


def check_grant(granted: int | None) -> None:
    """Raises `Rejected` for a grant that the books cannot hold."""
    if granted is not None and not 0 <= granted < MAX_EXACT:
        raise invalid("remain_quota", Rule.GRANT_OUT_OF_BOUNDS)


def check_reserve(actor: Actor, reserve: str | None) -> None:
    """A cap that is estimated can be overrun: it is not its owner's to say. Raises `Rejected`."""
    if reserve == "estimate" and not actor.any_group:
        raise invalid("reserve", Rule.RESERVE_NOT_YOURS)


async def find_group(
    connection: Connection, actor: Actor, user_id: int, account_id: int, name: str | None
) -> int | None:
    """The id of a group that the user may use in the account; None follows the user's own group. Raises `Rejected`."""
    if name is None:
        return None
    found = await connection.fetchrow(_USABLE_GROUP, user_id, name, account_id)
    if found is None or not (actor.any_group or found["usable"]):
        raise no_such_group(actor, name)
    return int(found["id"])


async def group_of(pool: Pool, user_id: int) -> str:
    """The group of a user's tokens that name none; empty for a user that there is not. Raises `StoreUnavailable`."""
    async with reading(pool) as connection:
        return str(await connection.fetchval(_GROUP_OF, user_id) or "")


def no_such_group(actor: Actor, name: str) -> Rejected:
    """Whoever may use every group is told that there is none; others not even that."""
    if actor.any_group:
        return invalid("group", Rule.NO_GROUP, given=name)
    return rejected(Problem.GROUP_NOT_ALLOWED, "group", Rule.GROUP_NOT_YOURS, given=name)
