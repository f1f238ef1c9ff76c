"""How people become users by themselves: with a wallet of their own, or in the one that they are invited to."""

from dataclasses import dataclass, field

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


async def write_newcomer(
    connection: Connection, actor: Actor, newcomer: Newcomer, admission: Admission | None
) -> int:
    """Make the user, within the caller's transaction; the id. Raises `Rejected` (name or address taken)."""
    account_id = None if admission is None else admission.account_id
    user_id = await write_user(
        connection,
        actor,
        newcomer.username,
        email=newcomer.email,
        role="user" if admission is None else admission.role,
        group="default" if admission is None else admission.group,
        password_hash=newcomer.password_hash,
        account_id=account_id,
        member_role="owner" if account_id is None else "member",
        granted=newcomer.granted,
    )
    if newcomer.email_verified:
        await connection.execute(
            'UPDATE "user" SET email_verified_at = now() WHERE id = $1', user_id
        )
    after = {"invite_id": None if admission is None else admission.invite_id}
    await audit.record(connection, actor, "user.register", user_id, after=after)
    return user_id
