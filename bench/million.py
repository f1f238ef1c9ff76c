"""A table with a million tokens: most of one owner, the eleventh part of a hundred others."""

import asyncpg

_PEOPLE = """
INSERT INTO "group" (name) VALUES ('vip'), ('trial') ON CONFLICT DO NOTHING;
WITH a AS (
  INSERT INTO account (name, granted) SELECT 'bench', NULL FROM generate_series(1, 100) RETURNING id
)
INSERT INTO "user" (username, account_id, group_id) SELECT 'bench' || id, id, 1 FROM a
"""
# A fifth each begins with prod, dev, …; a twentieth is disabled, a third has expired, a tenth is exhausted; two in five
# were never used; what was used and when is spread over five decades and sixty days.
_TOKENS = """
WITH others AS (SELECT array_agg(id ORDER BY id) AS ids FROM "user" WHERE username LIKE 'bench%')
INSERT INTO token (account_id, user_id, group_id, name, status, expires_at, granted, used,
                   created_at, accessed_at)
SELECT u.account_id, u.id,
       CASE WHEN r2 < 0.2 THEN (SELECT id FROM "group" WHERE name = 'vip')
            WHEN r2 < 0.2005 THEN (SELECT id FROM "group" WHERE name = 'trial') END,
       (ARRAY['prod', 'dev', 'staging', 'local', 'ci'])[1 + n % 5] || '-' || substr(md5(n::text), 1, 6)
         || '-' || (ARRAY['backend', 'frontend', 'worker', 'batch', 'notebook', 'search'])[1 + n % 6],
       CASE WHEN r1 < 0.05 THEN 2 ELSE 1 END,
       CASE WHEN r3 < 0.5 THEN now() + (r3 - 0.3) * interval '1000 days' END,
       CASE WHEN r4 < 0.7 THEN 1000000000 WHEN r4 < 0.9 THEN (r4 * 1e10)::bigint END,
       CASE WHEN r5 < 0.4 THEN 0 ELSE (10 ^ (4 + r5 * 5.3))::bigint END,
       now() - ($1 - n) * interval '20 seconds',
       CASE WHEN r5 >= 0.4 THEN now() - r6 * interval '60 days' END
  FROM (SELECT n, random() r1, random() r2, random() r3, random() r4, random() r5, random() r6
          FROM generate_series(1, $1::int) n) drawn
  CROSS JOIN others
  JOIN "user" u ON u.id = CASE WHEN n % 11 = 0 THEN others.ids[1 + n / 11 % 100] ELSE 1 END
"""
_SECRETS = """
INSERT INTO token_secret (token_id, digest, pepper_version, display, last4)
SELECT id, sha256(id::text::bytea), 0, 'sk-' || substr(h, 1, 4) || '**********' || substr(h, 5, 4),
       substr(h, 5, 4)
  FROM (SELECT id, encode(sha256(('k' || id)::bytea), 'base64') AS h FROM token) made
ON CONFLICT DO NOTHING
"""
_OVERSPENT = "UPDATE token SET used = granted WHERE used > granted"
_ENTRIES = """
INSERT INTO grant_entry (scope_kind, account_id, scope_id, delta, kind, actor)
SELECT 't', account_id, id, granted, 'create', 'bench' FROM token
 WHERE granted IS NOT NULL AND NOT EXISTS (
   SELECT FROM grant_entry e WHERE e.scope_kind = 't' AND e.scope_id = token.id)
"""
_CHARGES = """
INSERT INTO ledger (request_id, kind, account_id, token_id, user_id, group_id, model, upstream, dialect, route,
                    status, started_at, duration_ms, amount)
SELECT gen_random_uuid(), 'c', t.account_id, t.id, t.user_id, coalesce(t.group_id, u.group_id), 'm', 'bench',
       'openai', 'chat_completions', 200, now(), 1, t.used
  FROM token t JOIN "user" u ON u.id = t.user_id WHERE t.used > 0
"""
_SUMS = """
INSERT INTO member (account_id, user_id, used)
SELECT account_id, user_id, sum(amount) FROM ledger GROUP BY 1, 2
    ON CONFLICT (account_id, user_id) DO UPDATE SET used = excluded.used;
INSERT INTO subscription (account_id, group_id, implied, used)
SELECT account_id, group_id, true, sum(amount) FROM ledger GROUP BY 1, 2
    ON CONFLICT (account_id, group_id) DO UPDATE SET used = excluded.used;
UPDATE account SET used = charged FROM (SELECT account_id, sum(amount) AS charged FROM ledger GROUP BY 1) sums
 WHERE id = account_id;
ANALYZE
"""
_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
  FROM pg_index i WHERE indrelid IN ('token'::regclass, 'token_secret'::regclass)
   AND NOT indisunique
"""


async def fill(dsn: str, count: int) -> None:
    """Make `count` tokens; user 1, who must be there, has ten elevenths of them."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET maintenance_work_mem = '256MB'")
        indexes = await connection.fetch(_INDEXES)
        for index in indexes:  # made at the end, which takes a tenth of the time
            await connection.execute(f"DROP INDEX {index['name']}")
        await connection.execute(_PEOPLE)
        await connection.execute(_TOKENS, count, timeout=900)
        await connection.execute(_SECRETS, timeout=900)
        for index in indexes:
            await connection.execute(index["definition"], timeout=900)
        await connection.execute("VACUUM ANALYZE", timeout=900)
        await connection.execute("CHECKPOINT", timeout=900)  # else pages are read beside it
    finally:
        await connection.close()


# Callable whatever `_TOKENS` made of them; the grants have no entries, which nothing here asks for. Tokens that were
# there before have a secret of their own besides.
_ACTIVATE = """
WITH chosen AS (
  SELECT token_id AS id, row_number() OVER (ORDER BY token_id) AS n FROM token_secret
   GROUP BY token_id HAVING count(*) = 1 ORDER BY token_id LIMIT cardinality($1::bytea[])
), callable AS (
  UPDATE token SET status = 1, expires_at = NULL, granted = 1000000000000, used = 0, group_id = NULL
    FROM chosen WHERE token.id = chosen.id
)
UPDATE token_secret SET digest = ($1::bytea[])[chosen.n] FROM chosen WHERE token_secret.token_id = chosen.id
"""


async def activate(dsn: str, digests: list[bytes]) -> None:
    """Let these digests open as many of the tokens that `fill` made, each with a grant."""
    connection = await asyncpg.connect(dsn)
    try:
        changed = await connection.execute(_ACTIVATE, digests, timeout=900)
        if changed != f"UPDATE {len(digests)}":
            raise RuntimeError(f"{len(digests)} tokens were to be callable: {changed}")
        await connection.execute("VACUUM ANALYZE token, token_secret", timeout=900)
    finally:
        await connection.close()


async def balance(dsn: str, *, entries: bool = True) -> None:
    """Give what `fill` made a charge for all that was used and, with `entries`, an entry for each grant: it adds up."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_OVERSPENT, timeout=900)
        if entries:
            await connection.execute(_ENTRIES, timeout=900)
        await connection.execute(_CHARGES, timeout=900)
        await connection.execute(_SUMS, timeout=900)
    finally:
        await connection.close()
