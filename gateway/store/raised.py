"""What a batch of charges does to the four scopes that each was charged to: SQL for a posting transaction."""

from typing import Final

RAISED: Final = """
t AS (
  UPDATE token x SET used = used + d.amount, accessed_at = now()
    FROM (SELECT token_id, sum(amount)::bigint AS amount FROM touched GROUP BY 1) d WHERE x.id = d.token_id
  RETURNING x.account_id, 't' || x.id AS scope, granted, gver, used, version
), m AS (
  UPDATE member x SET used = used + d.amount
    FROM (SELECT account_id, user_id, sum(amount)::bigint AS amount FROM touched GROUP BY 1, 2) d
   WHERE x.account_id = d.account_id AND x.user_id = d.user_id
  RETURNING x.account_id, 'm' || x.account_id || '.' || x.user_id, granted, gver, used, version
), g AS (
  UPDATE subscription x SET used = used + d.amount
    FROM (SELECT account_id, group_id, sum(amount)::bigint AS amount FROM touched GROUP BY 1, 2) d
   WHERE x.account_id = d.account_id AND x.group_id = d.group_id
  RETURNING x.account_id, 'g' || x.account_id || '.' || x.group_id, granted, gver, used, version
), a AS (
  UPDATE account x SET used = used + d.amount
    FROM (SELECT account_id, sum(amount)::bigint AS amount FROM touched GROUP BY 1) d WHERE x.id = d.account_id
  RETURNING x.id, 'a' || x.id, granted, gver, used, version
)
"""
"""Four parts of a WITH: the `used` of each scope rises by what `touched` has of it.

`touched` has account_id, token_id, user_id, group_id and amount, and may have a scope in several rows.
"""

BOOKS: Final = (
    "SELECT * FROM t UNION ALL SELECT * FROM m UNION ALL SELECT * FROM g UNION ALL SELECT * FROM a"
)
"""The books of these scopes, as they then are."""
