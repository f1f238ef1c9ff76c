"""Redeem codes: made in batches, shown once, used once. Of a code only a digest is kept.

A code has 100 random bits in Crockford's base 32 (https://www.crockford.com/base32.html), whose letters are not taken
for digits; case, spaces and hyphens do not count.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.domain import key as keys
from gateway.domain.edit import Actor
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Problem, Rejected, mistake, rejected
from gateway.domain.rules import Rule
from gateway.domain.wallets import CodeBatch, CodeRow, Regrant
from gateway.store import audit
from gateway.store.accounts import Page, lock_account
from gateway.store.postgres import Connection, Pool, reading, transaction
from gateway.store.top_ups import Granted, Of, write_grant_of

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LETTERS: Final = str.maketrans("ILO", "110")
_PARTS, _PART = 5, 4
_STATE: Final = """
CASE WHEN c.used_at IS NOT NULL THEN 'used' WHEN c.revoked_at IS NOT NULL THEN 'revoked'
     WHEN b.expires_at <= now() THEN 'expired' ELSE 'unused' END
"""
_FROM: Final = f"""
  FROM redeem_code c JOIN redeem_batch b ON b.id = c.batch_id
 WHERE ($1::bigint IS NULL OR c.batch_id = $1) AND ($2 = '' OR {_STATE} = $2)
"""
_LIST: Final = f"""
SELECT c.id, c.batch_id, c.display, b.amount, b.note, {_STATE} AS state, b.created_at, b.expires_at, c.used_at,
       c.used_by, (SELECT username FROM "user" u WHERE u.id = c.used_by) AS used_by_name, c.account_id, b.actor
{_FROM} ORDER BY c.id DESC LIMIT $3 OFFSET $4
"""  # noqa: S608 -- constants
_INSERT: Final = """
INSERT INTO redeem_code (batch_id, pepper_version, digest, display)
SELECT $1, $2, * FROM unnest($3::bytea[], $4::text[])
"""
_USE: Final = f"""
UPDATE redeem_code c SET used_at = now(), used_by = $2, account_id = $3
  FROM redeem_batch b WHERE b.id = c.batch_id AND c.digest = ANY ($1) AND {_STATE} = 'unused'
RETURNING c.id, b.amount, b.note
"""  # noqa: S608 -- constants
_LOOK: Final = f"""
SELECT {_STATE} FROM redeem_code c JOIN redeem_batch b ON b.id = c.batch_id WHERE c.digest = ANY ($1)
"""  # noqa: S608 -- constants
_REVOKE: Final = """
UPDATE redeem_code SET revoked_at = now()
 WHERE used_at IS NULL AND revoked_at IS NULL AND (batch_id = $1 OR id = ANY ($2::bigint[])) RETURNING id
"""


_RULES: Final = {
    "used": Rule.CODE_USED,
    "revoked": Rule.CODE_REVOKED,
    "expired": Rule.CODE_EXPIRED,
}


class MadeBatch(NamedTuple):
    """A batch with its codes: the only time that they are known."""

    id: int
    codes: list[str]


@dataclass(frozen=True, slots=True)
class CodeQuery:
    """Which codes. `state` empty: of all states."""

    batch_id: int | None = None
    state: str = ""
    limit: int = 10
    offset: int = 0


class UnknownCode(Rejected):
    """A text that is no code of ours; guesses are counted."""

    def __init__(self) -> None:
        super().__init__(Problem.NOT_FOUND, mistake("key", Rule.NO_CODE))


async def write_batch(
    connection: Connection, actor: Actor, batch: CodeBatch, pepper: Pepper
) -> MadeBatch:
    """Make codes, within the caller's transaction."""
    codes = [_new_code(batch.prefix) for _ in range(batch.count)]
    batch_id = await connection.fetchval(
        """
        INSERT INTO redeem_batch (amount, note, expires_at, actor) VALUES ($1, $2, $3, $4) RETURNING id
        """,
        batch.amount,
        batch.note,
        batch.expires_at,
        actor.label,
    )
    digests = [keys.digest(_plain(code), pepper) for code in codes]
    shown = [f"{code[: -_PART * (_PARTS - 1) - (_PARTS - 1)]}-****" for code in codes]
    await connection.execute(_INSERT, batch_id, pepper.version, digests, shown)
    after = {"count": batch.count, "amount": batch.amount, "note": batch.note}
    await audit.record(connection, actor, "redeem.create", batch_id, after=after)
    return MadeBatch(batch_id, codes)


async def list_codes(pool: Pool, query: CodeQuery) -> Page:
    """Codes, the newest first."""
    filters = (query.batch_id, query.state)
    async with reading(pool) as connection:
        total = await connection.fetchval(f"SELECT count(*) {_FROM}", *filters)
        rows = await connection.fetch(_LIST, *filters, query.limit, query.offset)
    return Page(total, [CodeRow(**row) for row in rows])


async def revoke_codes(
    pool: Pool, actor: Actor, *, batch_id: int | None = None, ids: tuple[int, ...] = ()
) -> int:
    """Let nobody use the codes that nobody has used: those of a batch, or these; how many there were."""
    async with transaction(pool) as connection:
        rows = await connection.fetch(_REVOKE, batch_id, ids)
        after = {"batch_id": batch_id, "ids": [row["id"] for row in rows]}
        await audit.record(connection, actor, "redeem.revoke", batch_id or 0, after=after)
    return len(rows)


async def use_code(
    pool: Pool, actor: Actor, user_id: int, account_id: int, code: str, pepper: Pepper
) -> Granted:
    """Add a code's amount to an account that the actor reaches. Of several at once one wins.

    Raises `UnknownCode`, `Rejected` (used, revoked, expired; no such account; no cap to add to) and
    `StoreUnavailable`.
    """
    digests = keys.digests(_plain(code), pepper)
    async with transaction(pool) as connection:
        await _require_usable(connection, digests)  # before anything is locked
        await lock_account(connection, actor, account_id)
        # Whoever comes second waits here for the first, and then finds it used.
        row = await connection.fetchrow(_USE, digests, user_id, account_id)
        if row is None:
            await _require_usable(connection, digests)
            raise AssertionError("a code that is usable was not used")
        return await write_grant_of(
            connection,
            actor,
            Of(account_id),
            Regrant("key", "add", row["amount"]),
            "redeem",
            note=row["note"],
            idem_key=f"redeem:{row['id']}",
        )


async def _require_usable(connection: Connection, digests: Sequence[bytes]) -> None:
    state = await connection.fetchval(_LOOK, digests)
    if state is None:
        raise UnknownCode
    if state != "unused":
        raise rejected(Problem.CODE_NOT_USABLE, "key", _RULES[state])


def _new_code(prefix: str) -> str:
    parts = ("".join(secrets.choice(_DIGITS) for _ in range(_PART)) for _ in range(_PARTS))
    return "-".join([*([prefix] if prefix else []), *parts])


def _plain(code: str) -> str:
    """The code as digests are made of it, however people type it."""
    return "".join(each for each in code.upper() if each.isalnum()).translate(_LETTERS)
