"""The audit as it is read: rows that match, the newest first. Writing is `gateway/store/audit.py`'s."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from gateway.store.postgres import Pool, reading

AuditRow = asyncpg.Record
"""The columns of `audit`, with `actor_name`: null where no user acted."""

_ROWS: Final = """
SELECT a.id, a.at, a.actor, u.username AS actor_name, a.action, a.object_kind, a.object_id, a.before, a.after,
       host(a.address) AS address, a.request_id
  FROM (SELECT * FROM audit WHERE {where} ORDER BY id DESC LIMIT {limit}) a
  LEFT JOIN "user" u ON u.id = CASE WHEN a.actor ~ '^user:[0-9]{{1,18}}$' THEN substr(a.actor, 6)::bigint END
 ORDER BY a.id DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which rows: those older than the row `before`, within `start` and `end`. What is empty filters nothing."""

    object_kind: str = ""
    object_id: str = ""
    actor: str = ""
    action: str = ""
    start: datetime | None = None
    end: datetime | None = None
    before: int | None = None
    limit: int = 10


async def read_audit(pool: Pool, query: AuditQuery) -> Sequence[AuditRow]:
    """At most `query.limit` rows. Raises `StoreUnavailable`."""
    wanted: tuple[tuple[str, Any], ...] = (
        ("object_kind =", query.object_kind),
        ("object_id =", query.object_id),
        ("actor =", query.actor),
        ("action =", query.action),
        ("at >=", query.start),
        ("at <", query.end),
        ("id <", query.before),
    )
    given = [(condition, value) for condition, value in wanted if value]
    conditions = [f"{condition} ${n}" for n, (condition, _) in enumerate(given, start=1)]
    statement = _ROWS.format(where=" AND ".join(conditions) or "true", limit=query.limit)
    async with reading(pool) as connection:
        return await connection.fetch(statement, *(value for _, value in given))
