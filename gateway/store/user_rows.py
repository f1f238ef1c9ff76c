"""Users as administrators read them: one by their id, a page of those that match, and the groups that they may use."""

from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.people import UserRow
from gateway.domain.rejection import Problem, Rejected, rejected
from gateway.domain.rules import Rule
from gateway.store.postgres import Connection, Pool, reading

_COLUMNS: Final = """
SELECT u.id, u.username, u.display_name, u.email, u.email_verified_at, u.role, u.status, g.name AS "group",
       u.account_id, u.password_once, u.version, u.created_at, a.granted, a.used
"""
_FROM: Final = """
  FROM "user" u JOIN "group" g ON g.id = u.group_id JOIN account a ON a.id = u.account_id
 WHERE u.deleted_at IS NULL
"""
_USABLE_GROUPS: Final = """
SELECT g.id FROM "group" g JOIN "user" u ON u.id = $1
  LEFT JOIN subscription s ON s.account_id = u.account_id AND s.group_id = g.id AND NOT s.implied
       AND (s.starts_at IS NULL OR s.starts_at <= now()) AND (s.ends_at IS NULL OR s.ends_at > now())
 WHERE g.deleted_at IS NULL AND ($2 OR g.open OR g.id = u.group_id OR s.account_id IS NOT NULL)
 ORDER BY g.name
"""
_MAX_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UserQuery:
    """Which users, and which page of them. Empty texts and status 0 filter nothing.

    `keyword` stands in the username, the display name or the e-mail address.
    """

    keyword: str = ""
    role: str = ""
    group: str = ""
    status: int = 0
    limit: int = 10
    offset: int = 0


async def list_users(pool: Pool, query: UserQuery) -> tuple[list[UserRow], int]:
    """A page of the users that match, the newest first, and how many they are. Raises `StoreUnavailable`."""
    values: list[Any] = []

    def value(of: Any) -> str:
        values.append(of)
        return f"${len(values)}"

    conditions = []
    if query.keyword:
        escaped = query.keyword.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        text = f"{value(f'%{escaped}%')}::text"
        columns = ("u.username", "u.display_name", "u.email")
        conditions.append("(" + " OR ".join(f"{each} ILIKE {text}" for each in columns) + ")")
    for column, wanted in (
        ("u.role", query.role),
        ("g.name", query.group),
        ("u.status", query.status),
    ):
        if wanted:
            conditions.append(f"{column} = {value(wanted)}")
    where = _FROM + "".join(f" AND {each}" for each in conditions)
    async with reading(pool) as connection:
        total = await connection.fetchval(f"SELECT count(*) {where}", *values)
        rows = await connection.fetch(
            f"{_COLUMNS} {where} ORDER BY u.id DESC LIMIT {query.limit} OFFSET {query.offset}",
            *values,
        )
    return [UserRow(**row) for row in rows], total


async def get_user(pool: Pool, user_id: int) -> UserRow:
    """One user. Raises `Rejected` (not found) and `StoreUnavailable`."""
    async with reading(pool) as connection:
        return await read_user(connection, user_id)


async def read_user(connection: Connection, user_id: int) -> UserRow:
    """As `get_user`, within the caller's transaction."""
    row = None
    if 0 < user_id <= _MAX_ID:
        row = await connection.fetchrow(f"{_COLUMNS} {_FROM} AND u.id = $1", user_id)
    if row is None:
        raise no_such_user(user_id)
    return UserRow(**row)


async def usable_groups(pool: Pool, user_id: int, *, any_group: bool) -> list[int]:
    """The ids of the groups that a user's tokens may name, by their names. Raises `StoreUnavailable`."""
    async with reading(pool) as connection:
        return [row["id"] for row in await connection.fetch(_USABLE_GROUPS, user_id, any_group)]


def no_such_user(user_id: int, *, managed: bool = False) -> Rejected:
    """Also for a user who is not the caller's to manage."""
    rule = Rule.USER_NOT_YOURS if managed else Rule.NO_USER_OF_ID
    return rejected(Problem.NOT_FOUND, "id", rule, given=user_id)
