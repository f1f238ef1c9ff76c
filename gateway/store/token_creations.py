"""Tokens are made here: all that is read for one, and all that is written, in one statement.

Each statement is a way to the server and back, and creations are the writes that automation makes by the thousand
(`docs/decisions/0012-creating-tokens.md`).
"""

from collections.abc import Sequence

from gateway.domain.edit import Actor, TokenDraft, TokenRow
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Problem, invalid, rejected
from gateway.domain.rules import Rule
from gateway.store.editing import Keyed, book_of
from gateway.store.postgres import Connection
from gateway.store.seal import Seal
from gateway.store.secrets import StoredSecret, new_secret
from gateway.store.token_rows import limit_documents, row_of
from gateway.store.token_rules import (
    SUBSCRIBED,
    USABLE,
    check_grant,
    check_reserve,
    no_such_group,
)

# NO KEY UPDATE excludes posting (FOR UPDATE) and edits, not foreign keys of new rows.
_TAKE_TURN = """
SELECT a.id FROM account a JOIN "user" u ON u.account_id = a.id
 WHERE u.id = $1 FOR NO KEY UPDATE OF a
"""
_FAR = 500
"""More than are made at once without taking turns: one for each connection of all admin apps, and one batch."""

# `asked` is one row, or none where there is no such user; `made` is one where the token may be made, and everything
# after it follows from that. $24: count the user's tokens no further than so many; $25: make it only below so many;
# $26: of this account instead of the user's own choice, if they are a member of it.
# `shown` has the names of `TokenRow`, so that the audit row is what a reader of the row would write.
_CREATE = f"""
WITH asked AS (
  SELECT w.account_id, u.username, ug.name AS user_group, g.id AS group_id,
         m.removed_at IS NULL AND (m.user_id IS NOT NULL OR $26 IS NULL) AS member,
         ($2::text IS NULL OR coalesce($3::boolean AND g.id IS NOT NULL OR {USABLE}, false)) AS usable,
         (SELECT count(*) FROM (SELECT FROM token WHERE user_id = $1 AND deleted_at IS NULL LIMIT $24) t) AS count
    FROM "user" u JOIN "group" ug ON ug.id = u.group_id
    CROSS JOIN LATERAL (SELECT coalesce($26::bigint, u.account_id) AS account_id) w
    LEFT JOIN member m ON m.account_id = w.account_id AND m.user_id = u.id
    LEFT JOIN "group" g ON g.name = $2 AND g.deleted_at IS NULL {SUBSCRIBED}
   WHERE u.id = $1
), made AS (
  INSERT INTO token (account_id, user_id, group_id, name, expires_at, models, models_enabled,
                     allow_ips, deny_ips, limits, max_concurrency, reserve, metadata, granted, status)
  SELECT account_id, $1, group_id, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::bigint, $15
    FROM asked WHERE usable AND member AND ($25::bigint IS NULL OR count < $25)
  RETURNING *
), secret AS (
  INSERT INTO token_secret (token_id, digest, display, last4, purpose, sealed, pepper_version)
  SELECT id, $16, $17::text, $18, $19, $20::bytea, $27 FROM made
), entry AS (
  INSERT INTO grant_entry (scope_kind, account_id, scope_id, delta, kind, actor)
  SELECT 't', account_id, id, $14, 'create', $21::text FROM made WHERE $14 IS NOT NULL
), m AS (
  INSERT INTO member (account_id, user_id) SELECT account_id, $1 FROM made ON CONFLICT DO NOTHING
), s AS (
  INSERT INTO subscription (account_id, group_id, implied, granted, version)
  SELECT made.account_id, g.id, true, g.subscription_granted,
         CASE WHEN g.subscription_granted IS NULL THEN 1 ELSE 2 END
    FROM made JOIN "user" u ON u.id = $1 JOIN "group" g ON g.id = coalesce(made.group_id, u.group_id)
  ON CONFLICT DO NOTHING RETURNING account_id, group_id, granted
), subscribed AS (
  INSERT INTO grant_entry (scope_kind, account_id, scope_id, delta, kind, actor)
  SELECT 'g', account_id, group_id, granted, 'create', $21 FROM s WHERE granted IS NOT NULL
), shown AS (
  SELECT made.id, made.account_id, user_id, name, status, $2 AS "group", asked.user_group, expires_at, models,
         models_enabled, allow_ips, deny_ips, limits, max_concurrency, reserve, metadata, granted, gver, used,
         version, created_at, accessed_at, $17 AS display, $20 IS NOT NULL AS recoverable,
         asked.username, NULL::timestamptz AS overlap_until
    FROM made CROSS JOIN asked
), audited AS (
  INSERT INTO audit (actor, action, object_kind, object_id, after, address, request_id)
  SELECT $21, 'token.create', 'token', id::text, to_jsonb(shown), $22, $23 FROM shown
)
SELECT asked.usable AS may_use, asked.member, asked.account_id AS payer, asked.count AS present, shown.*
  FROM asked LEFT JOIN shown ON true
"""  # noqa: S608 -- our own


async def write_tokens(
    connection: Connection,
    actor: Actor,
    user_id: int,
    drafts: Sequence[TokenDraft],
    *,
    pepper: Pepper,
    max_tokens: int,
    seal: Seal | None = None,
) -> list[Keyed]:
    """Make tokens of `user_id` in that user's account, or the drafts'; several within the caller's transaction.

    With a `seal` their keys are kept recoverable. Raises `Rejected` (group not allowed, token limit reached, invalid
    field) and `StoreUnavailable`.
    """
    if len(drafts) > 1:
        await connection.execute(_TAKE_TURN, user_id)
    made = []
    for draft in drafts:
        key, secret = new_secret(pepper, seal)
        row = await insert_token(connection, actor, user_id, draft, secret, max_tokens=max_tokens)
        made.append(Keyed(row, (book_of(row),), key))
    return made


async def insert_token(
    connection: Connection,
    actor: Actor,
    user_id: int,
    draft: TokenDraft,
    secret: StoredSecret,
    *,
    max_tokens: int | None,
) -> TokenRow:
    """Make a token that `secret` opens, with all its rows or with none.

    `max_tokens` None: as many as it takes. Near that bound, creations of an account take turns until their transactions
    end; far below it so many are not made at once. Raises `Rejected` as `write_tokens` does.
    """
    check_grant(draft.granted)
    check_reserve(actor, draft.reserve)
    given = _given(actor, user_id, draft, secret)
    far = None if max_tokens is None else max_tokens - _FAR
    of = (draft.account_id, secret.pepper_version)
    found = await connection.fetchrow(_CREATE, *given, max_tokens or 0, far, *of)
    if found is not None and found["may_use"] and found["member"] and found["id"] is None:
        async with connection.transaction():
            await connection.execute(_TAKE_TURN, user_id)
            found = await connection.fetchrow(_CREATE, *given, max_tokens, max_tokens, *of)
    if found is None:
        raise rejected(Problem.NOT_FOUND, "user_id", Rule.NO_USER, given=user_id)
    if not found["member"]:
        raise invalid("account_id", Rule.NOT_YOUR_ACCOUNT, given=found["payer"])
    if not found["may_use"]:
        raise no_such_group(actor, draft.group or "")
    if found["id"] is None:
        assert max_tokens is not None, "else every token may be made"
        raise rejected(Problem.TOKEN_LIMIT_REACHED, None, Rule.TOKEN_LIMIT, most=max_tokens)
    return row_of(found[name] for name in TokenRow._fields)


def _given(
    actor: Actor, user_id: int, draft: TokenDraft, secret: StoredSecret
) -> tuple[object, ...]:
    """What `_CREATE` writes; of its parameters behind these the first two say how many there may be."""
    return (
        user_id,
        draft.group,
        actor.any_group,
        draft.name,
        draft.expires_at,
        draft.models,
        draft.models_enabled,
        draft.allow_ips,
        draft.deny_ips,
        limit_documents(draft.limits),
        draft.max_concurrency,
        draft.reserve,
        dict(draft.metadata),
        draft.granted,
        draft.status,
        secret.digest,
        secret.display,
        secret.last4,
        secret.purpose,
        secret.sealed,
        actor.label,
        actor.address,
        actor.request_id,
    )
