"""Grants: each change of a `granted` column is entered, so that the sum of entries is the grant."""

from typing import Literal

from gateway.domain.edit import Actor
from gateway.store.postgres import Connection

Scope = tuple[Literal["t", "m", "g", "a"], int, int]
"""What a grant is of: kind (token, member, subscription, account), account, the id within it."""


async def write_grant(
    connection: Connection,
    actor: Actor,
    scope: Scope,
    delta: int,
    kind: str,
) -> None:
    """Enter a change of a grant by `delta` nano-dollars."""
    scope_kind, account_id, scope_id = scope
    await connection.execute(
        """
        INSERT INTO grant_entry (scope_kind, account_id, scope_id, delta, kind, actor)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        scope_kind.encode(),
        account_id,
        scope_id,
        delta,
        kind,
        actor.label,
    )


async def write_regrant(
    connection: Connection,
    actor: Actor,
    scope: Scope,
    before: int | None,
    after: int | None,
) -> None:
    """Enter that a scope's grant became another; None is uncapped, and sums to 0."""
    if before == after:
        return
    kind = "uncap" if after is None else "cap" if before is None else "edit"
    await write_grant(connection, actor, scope, (after or 0) - (before or 0), kind)
