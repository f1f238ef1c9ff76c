"""What every write on a token begins and ends with: its account locked, its row read anew, its book to publish.

The account's row is locked first, as ledger posting does, so that no two writers deadlock and `used` stands still while
a grant is worked out from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.domain.edit import Actor, TokenRow
from gateway.domain.rejection import Problem, Rejected, rejected
from gateway.domain.rules import Rule
from gateway.store.books import Book
from gateway.store.postgres import Connection
from gateway.store.token_rows import read_token

# NO KEY UPDATE excludes posting (FOR UPDATE) and other edits, not foreign keys of new rows.
_LOCK_ACCOUNT = """
SELECT a.id FROM account a JOIN token t ON t.account_id = a.id
 WHERE t.id = $1 FOR NO KEY UPDATE OF a
"""
# In the order of their ids, so that two who lock several do not wait for each other.
_LOCK_ACCOUNTS = """
SELECT a.id FROM account a
 WHERE a.id IN (SELECT account_id FROM token WHERE id = ANY ($1) AND ($2::bigint IS NULL OR user_id = $2))
 ORDER BY a.id FOR NO KEY UPDATE OF a
"""


@dataclass(frozen=True, slots=True)
class Edited:
    """A token after a committed edit, and the books that the quota store must be told."""

    row: TokenRow
    books: tuple[Book, ...]


@dataclass(frozen=True, slots=True)
class Keyed(Edited):
    """A token with its new key: the only time that it is known."""

    key: str = field(repr=False)


def book_of(row: TokenRow) -> Book:
    """A token's own book."""
    return Book(f"t{row.id}", row.granted, row.gver, row.used, row.version)


async def lock_token(
    connection: Connection, actor: Actor, token_id: int, if_version: int | None = None
) -> TokenRow:
    """The token, which nobody can edit or post to until the transaction ends.

    Raises `Rejected` (not found, version mismatch).
    """
    await read_token(connection, actor, token_id)  # nobody locks what they may not see
    await connection.fetchval(_LOCK_ACCOUNT, token_id)
    row = await read_token(connection, actor, token_id)
    if if_version is not None and if_version != row.version:
        versions = {"version": row.version, "given": if_version}
        raise rejected(Problem.VERSION_MISMATCH, "version", Rule.VERSION_CHANGED, **versions)
    return row


async def lock_tokens(
    connection: Connection, actor: Actor, token_ids: Sequence[int]
) -> list[TokenRow]:
    """Likewise, of those tokens that the actor reaches."""
    await connection.execute(_LOCK_ACCOUNTS, token_ids, actor.user_id)
    rows = []
    for token_id in sorted(set(token_ids)):
        try:
            rows.append(await read_token(connection, actor, token_id))
        except Rejected:
            continue
    return rows
