"""How people become users by themselves: with a wallet of their own, or in the one that they are invited to."""

from dataclasses import dataclass, field
from typing import Final

from gateway.domain.edit import Actor
from gateway.store import audit
from gateway.store.invites import Admission
from gateway.store.people import write_user
from gateway.store.postgres import Connection


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who registers. `granted`: nano-dollars on a wallet of their own; no `password_hash`: they log in otherwise."""

    username: str
    email: str | None
    password_hash: str | None = field(repr=False)
    granted: int
    email_verified: bool = False


_UNINVITED: Final = Admission(None, "user", "default", None, None)


async def write_newcomer(
    connection: Connection, actor: Actor, newcomer: Newcomer, admission: Admission | None
) -> int:
    """Make the user, within the caller's transaction; the id. Raises `Rejected` (name or address taken).

    What an invite gives stands in the place of what whoever registers gets.
    """
    by = admission or _UNINVITED
    gives = by.granted is not None
    user_id = await write_user(
        connection,
        actor,
        newcomer.username,
        email=newcomer.email,
        role=by.role,
        group=by.group,
        password_hash=newcomer.password_hash,
        account_id=by.account_id,
        member_role="owner" if by.account_id is None else "member",
        granted=by.granted if gives else newcomer.granted,
        grant_note=f"invite {by.invite_id}" if gives else "",
    )
    if newcomer.email_verified:
        await connection.execute(
            'UPDATE "user" SET email_verified_at = now() WHERE id = $1', user_id
        )
    after = {"invite_id": by.invite_id, **({"granted": by.granted} if gives else {})}
    await audit.record(connection, actor, "user.register", user_id, after=after)
    return user_id
