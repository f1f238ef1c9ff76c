"""The rows of the scopes that a token's calls take from: made with its first use, with what the group grants."""

from gateway.store.postgres import Connection

# A subscription that begins with a grant has a version of its own: who knew of none reads it before the next call.
_ENSURE = """
WITH m AS (
  INSERT INTO member (account_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING
), s AS (
  INSERT INTO subscription (account_id, group_id, implied, granted, version)
  SELECT $1, g.id, true, g.subscription_granted, CASE WHEN g.subscription_granted IS NULL THEN 1 ELSE 2 END
    FROM "user" u JOIN "group" g ON g.id = coalesce($3, u.group_id) WHERE u.id = $2
  ON CONFLICT DO NOTHING RETURNING account_id, group_id, granted
)
INSERT INTO grant_entry (scope_kind, account_id, scope_id, delta, kind, actor)
SELECT 'g', account_id, group_id, granted, 'create', $4 FROM s WHERE granted IS NOT NULL
"""
_SUBSCRIBE = """
WITH s AS (
  INSERT INTO subscription (account_id, group_id, implied, granted)
  SELECT $1, id, true, subscription_granted FROM "group" WHERE name = $2 AND deleted_at IS NULL
  ON CONFLICT DO NOTHING RETURNING account_id, group_id, granted
)
INSERT INTO grant_entry (scope_kind, account_id, scope_id, delta, kind, actor)
SELECT 'g', account_id, group_id, granted, 'create', $3 FROM s WHERE granted IS NOT NULL
"""


async def ensure_scopes(
    connection: Connection, account_id: int, user_id: int, group_id: int | None, actor: str
) -> None:
    """See that member and subscription exist; a group of None is the user's."""
    await connection.execute(_ENSURE, account_id, user_id, group_id, actor)


async def ensure_subscription(
    connection: Connection, account_id: int, group: str, actor: str
) -> None:
    """See that the account's row for a group exists, if there is such a group."""
    await connection.execute(_SUBSCRIBE, account_id, group, actor)
