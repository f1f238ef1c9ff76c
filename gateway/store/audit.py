"""The audit: who changed what, written in the change's own transaction.

A change whose row cannot be written here is not made.
"""

from collections.abc import Mapping
from typing import Any

from gateway.domain.edit import Actor
from gateway.store.postgres import Connection


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of what `record` may be told, the members that differ; one that is absent is None."""
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return {
        "before": {name: before.get(name) for name in changed},
        "after": {name: after.get(name) for name in changed},
    }


async def record(
    connection: Connection,
    actor: Actor,
    action: str,
    object_id: int | str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write one row. `action` is `<kind>.<verb>`; no secret may stand in `before` or `after`."""
    await connection.execute(
        """
        INSERT INTO audit
               (actor, action, object_kind, object_id, before, after, address, request_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        actor.label,
        action,
        action.partition(".")[0],
        str(object_id),
        before,
        after,
        actor.address,
        actor.request_id,
    )
