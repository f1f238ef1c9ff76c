"""What stands now of what people are warned of: quotas nearly used, keys that expire soon, upstreams that are out.

A quota is here from when it was warned of (`warned`) until it is raised, or what it is of is switched off or gone.
Limits are not: what fills them is gone with their window.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from gateway.store.ledger_calls import Where
from gateway.store.postgres import Pool, reading

KINDS: Final = ("quota", "expiry", "upstream")
MOST: Final = 200

# A subject names its scope (gateway/domain/marks.py); those of this rule are a letter and one or two numbers.
_QUOTAS: Final = """
SELECT 'quota' AS kind, w.told_at, s.used AS value, s.granted AS bound, s.token_id, s.user_id, s.account_id, s.group_id,
       NULL::text AS upstream
  FROM (SELECT told_at, left(subject, 1) AS of, split_part(substr(subject, 2), '.', 1)::bigint AS first,
               nullif(split_part(subject, '.', 2), '')::bigint AS second
          FROM warned WHERE rule = 'quota') w
 CROSS JOIN LATERAL (
    SELECT used, granted, id AS token_id, user_id, account_id, NULL::bigint AS group_id FROM token
     WHERE w.of = 't' AND id = w.first AND deleted_at IS NULL AND status = 1 AND coalesce(expires_at, 'infinity') > $1
    UNION ALL
    SELECT used, granted, NULL, user_id, account_id, NULL FROM member
     WHERE w.of = 'm' AND account_id = w.first AND user_id = w.second AND removed_at IS NULL
    UNION ALL
    SELECT used, granted, NULL, NULL, account_id, group_id FROM subscription
     WHERE w.of = 'g' AND account_id = w.first AND group_id = w.second
    UNION ALL
    SELECT used, granted, NULL, NULL, id, NULL FROM account WHERE w.of = 'a' AND id = w.first AND status = 1
 ) s
 WHERE s.granted > 0 AND s.used >= s.granted::numeric * $2 / 100
"""
_EXPIRIES: Final = """
SELECT 'expiry', (SELECT told_at FROM warned WHERE subject = 't' || t.id AND rule = 'expiry'), 0,
       extract(epoch FROM t.expires_at)::bigint, t.id, t.user_id, t.account_id, NULL::bigint, NULL
  FROM token t
 WHERE t.deleted_at IS NULL AND t.standing IN (1, 4)
   AND coalesce(t.expires_at, 'infinity') > $1 AND coalesce(t.expires_at, 'infinity') <= $1 + make_interval(days => $3)
"""
# As gateway/store/outages.py reads them.
_OUTAGES: Final = """
SELECT 'upstream', (SELECT told_at FROM warned WHERE subject = 'u' || o.upstream AND rule = 'out'),
       extract(epoch FROM min(o.since))::bigint, 0, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, o.upstream
  FROM outage o WHERE o.seen_at > now() - interval '1 minute' GROUP BY o.upstream
"""
_PAGE: Final = f"""
WITH standing AS ({_QUOTAS} UNION ALL {_EXPIRIES} UNION ALL {_OUTAGES}),
counted AS (SELECT *, count(*) OVER (PARTITION BY kind) AS n FROM standing WHERE {{where}})
SELECT c.kind, extract(epoch FROM c.told_at)::bigint AS told_at, c.value, c.bound, c.token_id, c.user_id, c.account_id,
       c.group_id, c.upstream, c.n, t.name AS token_name, u.username, a.name AS account_name, g.name AS "group"
  FROM (SELECT *, row_number() OVER (PARTITION BY kind ORDER BY told_at DESC NULLS FIRST, bound, token_id) AS place
          FROM counted) c
  LEFT JOIN token t ON t.id = c.token_id
  LEFT JOIN "user" u ON u.id = c.user_id
  LEFT JOIN account a ON a.id = c.account_id
  LEFT JOIN "group" g ON g.id = c.group_id
 WHERE c.place <= {MOST}
 ORDER BY array_position(ARRAY['upstream', 'quota', 'expiry'], c.kind), c.place
"""  # noqa: S608 -- our own names
# Those that the same warning would be told to.
_CONCERNS: Final = """
kind <> 'upstream' AND (user_id = {} OR (token_id IS NULL AND account_id IN
  (SELECT account_id FROM member WHERE user_id = {} AND role IN ('owner', 'admin') AND removed_at IS NULL)))
"""


class Standing(NamedTuple):
    """At most `MOST` of each kind, what was told last first; and how many of each kind there are."""

    rows: Sequence[asyncpg.Record]
    counts: dict[str, int]


async def read_standing(
    pool: Pool, now: datetime, *, percent: int, days: int, user_id: int | None
) -> Standing:
    """What stands from `percent` of a quota and `days` before an expiry on; of a user what concerns them.

    Raises `StoreUnavailable`.
    """
    where = Where()
    for value in (now, percent, days):
        where.value(value)
    if user_id is not None:
        where.add(_CONCERNS, user_id, user_id)
    async with reading(pool) as connection:
        rows = await connection.fetch(_PAGE.replace("{where}", str(where)), *where.values)
    return Standing(rows, {row["kind"]: row["n"] for row in rows})
