"""Accounts: who reaches which, and edits of them: lock → read → write → audit, in one transaction.

The account's row is locked first, as everywhere (`gateway/store/editing.py`). Never writes `used`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gateway.domain.edit import UNCHANGED, Actor
from gateway.domain.rejection import Problem, Rejected, rejected
from gateway.domain.rules import Param, Rule
from gateway.domain.wallets import AccountChange, AccountRow, regranted
from gateway.store import audit
from gateway.store.books import Book
from gateway.store.grants import Scope, write_grant, write_regrant
from gateway.store.postgres import Connection, Pool, reading, transaction
from gateway.store.token_rows import limit_document

_MEMBERS: Final = """
  FROM member x JOIN "user" u ON u.id = x.user_id
 WHERE x.account_id = a.id AND x.removed_at IS NULL AND u.deleted_at IS NULL
"""
# Who else is in it is not for plain members.
_COLUMNS: Final = f"""
SELECT a.id, a.name, a.status, a.granted, a.gver, a.used, a.version, a.created_at, m.role,
       CASE WHEN m.role = 'member' THEN NULL
            ELSE (SELECT u.username {_MEMBERS} AND x.role = 'owner' ORDER BY u.id LIMIT 1) END AS owner,
       CASE WHEN m.role = 'member' THEN NULL ELSE (SELECT count(*) {_MEMBERS}) END AS members
"""
# $1: the caller, who is a member of it; NULL reaches every account.
_FROM: Final = """
  FROM account a LEFT JOIN member m ON m.account_id = a.id AND m.user_id = $1 AND m.removed_at IS NULL
 WHERE ($1::bigint IS NULL OR m.user_id IS NOT NULL)
"""
_ONE: Final = f"{_COLUMNS}{_FROM} AND a.id = $2"
_FILTERS: Final = """
   AND ($2 = '' OR a.name ILIKE '%' || $2 || '%') AND ($3 = 0 OR a.status = $3)
   AND ($4::bigint IS NULL OR EXISTS (SELECT FROM member o
         WHERE o.account_id = a.id AND o.user_id = $4 AND o.removed_at IS NULL))
"""
_LIST: Final = f"{_COLUMNS}{_FROM}{_FILTERS} ORDER BY a.id DESC LIMIT $5 OFFSET $6"
_COUNT: Final = f"SELECT count(*) {_FROM}{_FILTERS}"
# NO KEY UPDATE excludes posting (FOR UPDATE) and other edits, not foreign keys of new rows.
_LOCK: Final = "SELECT id FROM account WHERE id = $1 FOR NO KEY UPDATE"
_UPDATE: Final = """
UPDATE account SET name = $2, status = $3, granted = $4,
       gver = gver + CASE WHEN granted IS DISTINCT FROM $4 THEN 1 ELSE 0 END, version = version + 1
 WHERE id = $1
"""
MAX_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class AccountQuery:
    """Which accounts. `member_id`: those that this user is a member of."""

    keyword: str = ""
    status: int = 0
    member_id: int | None = None
    limit: int = 10
    offset: int = 0


class Page(NamedTuple):
    """A part of a list, and how long all of it is."""

    total: int
    rows: Sequence[Any]


async def list_accounts(pool: Pool, actor: Actor, query: AccountQuery) -> Page:
    """Accounts that the actor reaches, the newest first."""
    keyword = query.keyword.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    filters = (actor.user_id, keyword, query.status, query.member_id)
    async with reading(pool) as connection:
        total = await connection.fetchval(_COUNT, *filters)
        rows = await connection.fetch(_LIST, *filters, query.limit, query.offset)
    return Page(total, [AccountRow(**row) for row in rows])


async def get_account(pool: Pool, actor: Actor, account_id: int) -> AccountRow:
    """One account that the actor reaches. Raises `Rejected` (not found)."""
    async with reading(pool) as connection:
        return await read_account(connection, actor, account_id)


async def read_account(connection: Connection, actor: Actor, account_id: int) -> AccountRow:
    """As `get_account`, within the caller's transaction."""
    row = None
    if 0 < account_id <= MAX_ID:
        row = await connection.fetchrow(_ONE, actor.user_id, account_id)
    if row is None:
        raise no_such_account(account_id)
    return AccountRow(**row)


async def lock_account(connection: Connection, actor: Actor, account_id: int) -> AccountRow:
    """The account, in which nobody can edit, grant or post until the transaction ends.

    Raises `Rejected` (not found).
    """
    await read_account(connection, actor, account_id)  # nobody locks what they may not see
    await connection.fetchval(_LOCK, account_id)
    return await read_account(connection, actor, account_id)


async def write_account(
    connection: Connection, actor: Actor, name: str, granted: int | None, owner_id: int | None
) -> AccountRow:
    """Make an account, within the caller's transaction. Raises `Rejected` where there is no such owner."""
    account_id = await connection.fetchval(
        "INSERT INTO account (name, granted) VALUES ($1, $2) RETURNING id", name, granted
    )
    if granted is not None:
        scope: Scope = ("a", account_id, account_id)
        await write_grant(connection, actor, scope, granted, "create")
    if owner_id is not None:
        made = await connection.execute(
            """
            INSERT INTO member (account_id, user_id, role)
            SELECT $1, id, 'owner' FROM "user" WHERE id = $2 AND deleted_at IS NULL
            """,
            account_id,
            owner_id,
        )
        if made == "INSERT 0 0":
            raise rejected(Problem.NOT_FOUND, "owner_id", Rule.NO_USER, given=owner_id)
    after = {"name": name, "granted": granted, "owner_id": owner_id}
    await audit.record(connection, actor, "account.create", account_id, after=after)
    return await read_account(connection, Actor(actor.label), account_id)


async def update_account(
    pool: Pool,
    actor: Actor,
    account_id: int,
    change: AccountChange,
    *,
    if_version: int | None = None,
) -> AccountRow:
    """Change an account; the caller publishes its book. A change that changes nothing writes nothing.

    Raises `Rejected` (not found, version mismatch, not the role for it, a grant out of bounds) and
    `StoreUnavailable`.
    """
    async with transaction(pool) as connection:
        before = await lock_account(connection, actor, account_id)
        check_version(before.version, if_version)
        if change.by_administrators and actor.user_id is not None:
            field = "status" if change.regrant is None else change.regrant.field
            raise not_your_role(field, Rule.FOR_ADMINISTRATORS)
        require_manager(before, "name")
        name = before.name if change.name is UNCHANGED else change.name
        status = before.status if change.status is UNCHANGED else change.status
        granted = regranted(change.regrant, before.granted, before.used)
        if (name, status, granted) == (before.name, before.status, before.granted):
            return before
        await connection.execute(_UPDATE, account_id, name, status, granted)
        scope: Scope = ("a", account_id, account_id)
        await write_regrant(connection, actor, scope, before.granted, granted)
        after = await read_account(connection, actor, account_id)
        await audit.record(
            connection, actor, "account.update", account_id, **differences(before, after)
        )
        return after


def account_book(row: AccountRow) -> Book:
    """The account's own book."""
    return Book(f"a{row.id}", row.granted, row.gver, row.used, row.version)


def require_manager(account: AccountRow, what: str) -> None:
    """Refuse a plain member. Raises `Rejected`."""
    if account.role == "member":
        raise not_your_role(what, Rule.FOR_MANAGERS)


def not_your_role(field: str, rule: Rule, **params: Param) -> Rejected:
    """What is told to whom reaches the account, but not so far."""
    return rejected(Problem.MEMBER_ROLE_REQUIRED, field, rule, **params)


def no_such_account(account_id: int) -> Rejected:
    """Also for an account of others: that it exists is not told."""
    return rejected(Problem.NOT_FOUND, "id", Rule.NO_ACCOUNT, given=account_id)


def check_version(version: int, wanted: int | None) -> None:
    """Raises `Rejected` where somebody was quicker."""
    if wanted is not None and wanted != version:
        numbers = {"version": version, "given": wanted}
        raise rejected(Problem.VERSION_MISMATCH, "version", Rule.VERSION_CHANGED, **numbers)


def differences(before: Any, after: Any) -> dict[str, dict[str, Any]]:
    """The fields of two rows that differ, for the audit."""
    return audit.differences(_auditable(before), _auditable(after))


def _auditable(row: Any) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__slots__}
    limits = {k: [*map(limit_document, v)] for k, v in values.items() if isinstance(v, tuple)}
    return values | limits
