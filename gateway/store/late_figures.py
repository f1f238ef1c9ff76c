"""Exact figures that come after a reaper charged their calls in full: SQL for the posting transaction.

What a call cost more is a row of kind 'x'; what it cost less is granted back, since `used` never falls. Each once,
whatever is repeated: by the row's key, and by the grant's `idem_key`.
"""

from collections.abc import Sequence

LATE_TABLE = """
CREATE TEMPORARY TABLE IF NOT EXISTS late ON COMMIT DELETE ROWS AS
SELECT *, 0::bigint AS difference FROM staging LIMIT 0
"""

# What the rollup has to add because it has been there already: gateway/store/rollups.py.
NOTED = """
INSERT INTO rollup_late (request_id, kind)
SELECT request_id, kind FROM new WHERE request_id < (SELECT uuid7_floor(noted_before) FROM rollup_state)
"""

# LATERAL: the staging table has no statistics, and the ledger must never be read whole.
FIND_LATE = """
INSERT INTO late
SELECT DISTINCT ON (s.request_id) s.*, s.amount - l.amount
  FROM staging s CROSS JOIN LATERAL (
         SELECT amount, anomaly FROM ledger WHERE request_id = s.request_id AND kind = 'c' LIMIT 1
       ) l
 WHERE s.kind = 'c' AND s.anomaly IS DISTINCT FROM 'lost_worker' AND l.anomaly = 'lost_worker'
   AND s.amount <> l.amount
 ORDER BY s.request_id
"""

_SCOPES = (
    ("t", "token", "x.id = d.token_id", "x.id", "x.id"),
    (
        "m",
        "member",
        "x.account_id = d.account_id AND x.user_id = d.user_id",
        "x.user_id",
        "x.account_id || '.' || x.user_id",
    ),
    (
        "g",
        "subscription",
        "x.account_id = d.account_id AND x.group_id = d.group_id",
        "x.group_id",
        "x.account_id || '.' || x.group_id",
    ),
    ("a", "account", "x.id = d.account_id", "x.id", "x.id"),
)


def _correct_scope(kind: str, table: str, match: str, scope_id: str, name: str) -> str:
    """The parts of the statement that refund and charge the differences to one kind of scope."""
    account = "x.id" if kind == "a" else "x.account_id"
    return f"""
{kind}_back AS (
  INSERT INTO grant_entry (scope_kind, account_id, scope_id, delta, kind, actor, idem_key)
  SELECT '{kind}', d.account_id, {scope_id}, -d.difference, 'refund', 'system', 'late:{kind}:' || d.request_id
    FROM late d JOIN {table} x ON {match} WHERE d.difference < 0 AND x.granted IS NOT NULL
  ON CONFLICT (idem_key) DO NOTHING RETURNING account_id, scope_id, delta
), {kind} AS (
  UPDATE {table} x SET used = used + c.more, granted = granted + c.back, gver = gver + (c.back > 0)::int
    FROM (SELECT {account} AS account_id, {scope_id} AS scope_id,
                 (SELECT coalesce(sum(d.amount), 0) FROM new d WHERE {match})::bigint AS more,
                 (SELECT coalesce(sum(b.delta), 0) FROM {kind}_back b
                   WHERE b.account_id = {account} AND b.scope_id = {scope_id})::bigint AS back
            FROM {table} x WHERE EXISTS (SELECT FROM late d WHERE {match})) c
   WHERE {account} = c.account_id AND {scope_id} = c.scope_id
  RETURNING {account}, '{kind}' || {name}, granted, gver, used, version
)"""  # noqa: S608 -- our own names


def correct_sql(columns: Sequence[str]) -> str:
    """The statement that corrects what `FIND_LATE` found; answers the books that it changed, as posting does."""
    late = ", ".join({"kind": "'x'", "amount": "difference"}.get(name, name) for name in columns)
    return f"""
WITH new AS (
  INSERT INTO ledger ({", ".join(columns)}) SELECT {late} FROM late WHERE difference > 0
  ON CONFLICT DO NOTHING RETURNING request_id, kind, account_id, token_id, user_id, group_id, amount
), noted AS ({NOTED}), {", ".join(_correct_scope(*scope) for scope in _SCOPES)}
SELECT * FROM t UNION ALL SELECT * FROM m UNION ALL SELECT * FROM g UNION ALL SELECT * FROM a
"""  # noqa: S608 -- our own names
