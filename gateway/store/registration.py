"""How people become users by themselves: with a wallet of their own, or in the one that they are invited to."""

from dataclasses import dataclass

import asyncpg

from gateway.domain.edit import Actor
from gateway.domain.rejection import Problem, rejected
from gateway.domain.rules import Rule
from gateway.store import audit
from gateway.store.invites import Admission
from gateway.store.people import write_user
from gateway.store.postgres import Connection


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who registers. `granted`: nano-dollars on a wallet of their own; no `password_hash`: they log in otherwise."""

    username: str
    email: str | None
    password_hash: str | None
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
        role="user" if admission is None else admission.role,
        password_hash=newcomer.password_hash,
        account_id=account_id,
        granted=newcomer.granted,
    )
    try:
        await connection.execute(
            """
            UPDATE "user" SET email = $2, group_id = coalesce($3, group_id),
                   email_verified_at = CASE WHEN $4 THEN now() END
             WHERE id = $1
            """,
            user_id,
            newcomer.email,
            None if admission is None else admission.group_id,
            newcomer.email_verified,
        )
    except asyncpg.UniqueViolationError:
        raise rejected(Problem.NAME_TAKEN, "email", Rule.EMAIL_TAKEN) from None
    if account_id is not None:
        await connection.execute(
            "UPDATE member SET role = 'member' WHERE account_id = $1 AND user_id = $2",
            account_id,
            user_id,
        )
    after = {
        "email": newcomer.email,
        "invite_id": None if admission is None else admission.invite_id,
    }
    await audit.record(connection, actor, "user.register", user_id, after=after)
    return user_id
