"""Which tokens a list is of: the query, and its conditions in SQL."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from gateway.domain.token import DISABLED, ENABLED, EXHAUSTED, EXPIRED
from gateway.store.postgres import Connection

FEW: Final = 10_000
"""So many matches are counted; of more the number is estimated."""

# What a trigram index can look up: it knows three letters or digits in a row.
_TRIGRAM = re.compile(r"[^\W_]{3}")
_HAS_TRIGRAMS = "SELECT to_regclass('token_trigram') IS NOT NULL"
_EXPIRY = "coalesce(t.expires_at, 'infinity')"
STANDINGS: Final = (ENABLED, DISABLED, EXHAUSTED)

Value = Callable[[Any], str]
"""Takes a parameter's value and answers how SQL names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenQuery:
    """Which tokens, in which order. Empty texts and status 0 filter nothing.

    `user_id` None: everybody's. `mask`: four characters that the mask of one of its keys begins or
    ends with; two of them: begins and ends.
    """

    user_id: int | None
    keyword: str = ""
    mask: tuple[str, ...] = ()
    group: str = ""
    status: int = 0
    sort: str = "id"
    descending: bool = True
    limit: int = 10
    offset: int = 0

    @property
    def direction(self) -> str:
        """The order, in SQL."""
        return "DESC" if self.descending else "ASC"


class Filter(NamedTuple):
    """Which tokens match, as conditions in SQL and the values of their parameters.

    `branches` are disjoint, a match fulfils one, and each is as indexes find it soonest. `passed` is
    the same in one, for tokens that are read in some other order; `named` in disjoint ones again, for tokens that are
    read by name. `standings`: what the column of that name, the first one of most indexes, can be besides. `likely`
    is all of it in words that the planner has statistics of. `terms` are such, each of one column, and who fulfils
    them all matches; None where there are no statistics of some.
    """

    branches: tuple[str, ...]
    passed: str
    named: tuple[str, ...]
    values: list[Any]
    standings: tuple[int, ...]
    likely: str
    terms: tuple[str, ...] | None

    @property
    def standing(self) -> str:
        """What is said of the standing, as a condition."""
        return _is_one_of(self.standings)

    @property
    def whole(self) -> str:
        """All that is asked of a token that is passed."""
        if self.standings == STANDINGS:
            return self.passed
        return f"{self.standing} AND ({self.passed})"


async def filter_of(connection: Connection, query: TokenQuery, now: datetime) -> Filter | None:
    """What a match of the query has to fulfil at `now`; None where nothing can."""
    values: list[Any] = []

    def value(of: Any) -> str:
        values.append(of)
        return f"${len(values)}"

    conditions = ["t.deleted_at IS NULL"]
    standings: tuple[int, ...] = STANDINGS
    indexed, known = "", ""
    if query.user_id is not None:
        conditions.append(f"t.user_id = {value(query.user_id)}")
    if query.status:
        standings, lapse = _of_status(query.status)
        indexed, known = _of_expiry(lapse, value(now)) if lapse else ("", "")
    if query.mask:
        conditions.append(_of_mask(query.mask, value))
    names: tuple[str, ...] = ("",)
    by_reading = ""
    if query.keyword:
        names, by_reading = await _of_keyword(connection, query, value)
    groups = await _of_group(connection, query, value) if query.group else [""]
    if not groups:
        return None
    either = f"({' OR '.join(groups)})" if query.group else ""
    restricted = () if standings == STANDINGS else (_is_one_of(standings),)
    # Of masks, and of whose group is whose, the planner knows nothing.
    guessed = query.mask or (query.group and query.user_id is None)
    return Filter(
        tuple(_all(*conditions, indexed, name, group) for name in names for group in groups),
        _all(*conditions, indexed, by_reading, either),
        tuple(_all(*conditions, indexed, name, either) for name in names),
        values,
        standings,
        _all(*restricted, *conditions, known, by_reading, either),
        None
        if guessed
        else tuple(filter(None, (*restricted, *conditions, known, by_reading, either))),
    )


def _all(*conditions: str) -> str:
    return " AND ".join(filter(None, conditions))


def _is_one_of(standings: tuple[int, ...]) -> str:
    return f"t.standing IN ({', '.join(map(str, standings))})"


def _of_status(status: int) -> tuple[tuple[int, ...], str]:
    """`gateway.domain.token.effective_status` as the column and how the expiry compares with now."""
    if status == DISABLED:
        return (DISABLED,), ""
    if status == EXPIRED:
        return (ENABLED, EXHAUSTED), "<="
    return (status,), ">"


def _of_expiry(lapse: str, now: str) -> tuple[str, str]:
    """How the expiry compares with now: as indexes find it, and as the planner has statistics of it."""
    by_column = f"t.expires_at {lapse} {now}"
    never = "" if lapse == "<=" else " OR t.expires_at IS NULL"
    return f"{_EXPIRY} {lapse} {now}", f"({by_column}{never})"


async def _of_keyword(
    connection: Connection, query: TokenQuery, value: Value
) -> tuple[tuple[str, ...], str]:
    """Anywhere in the name, or at its beginning where the tokens are many and no index knows more.

    As indexes find it, in disjoint parts, and in the form that the planner has statistics of.
    """
    escaped = query.keyword.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    text = f"{value(escaped)}::text"
    first = f"lower(t.name) COLLATE \"C\" LIKE lower({text}) || '%'"
    if _TRIGRAM.search(query.keyword) and await connection.fetchval(_HAS_TRIGRAMS):
        later = f"substr(lower(t.name), 2) LIKE '%' || lower({text}) || '%' AND NOT {first}"
        return (first, later), f"t.name ILIKE '%' || {text} || '%'"
    if await _are_few(connection, query):
        return (f"t.name ILIKE '%' || {text} || '%'",), f"t.name ILIKE '%' || {text} || '%'"
    return (first,), f"t.name ILIKE {text} || '%'"


async def _are_few(connection: Connection, query: TokenQuery) -> bool:
    """Whether all tokens of the list's owner can be read."""
    owned, owner = ("", ()) if query.user_id is None else ("user_id = $1 AND", (query.user_id,))
    reached: int = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT FROM token WHERE {owned} deleted_at IS NULL LIMIT {FEW + 1}) t",  # noqa: S608 -- our own
        *owner,
    )
    return reached <= FEW


def _of_mask(mask: tuple[str, ...], value: Value) -> str:
    if len(mask) == 1:
        shown = f"left(display, 7) = 'sk-' || {value(mask[0])}::text OR last4 = {value(mask[0])}"
    else:
        start, end = mask
        shown = f"left(display, 7) = 'sk-' || {value(start)}::text AND last4 = {value(end)}"
    return (
        "t.id IN (SELECT token_id FROM token_secret"  # noqa: S608 -- our own
        f" WHERE ({shown}) AND purpose <> 'playground')"
    )


async def _of_group(connection: Connection, query: TokenQuery, value: Value) -> list[str]:
    """That the effective group is the query's: named by the token, or left to its user's."""
    found = await connection.fetchrow(
        """
        SELECT g.id, (SELECT u.group_id FROM "user" u WHERE u.id = $2) AS users
          FROM "group" g WHERE g.name = $1
        """,
        query.group,
        query.user_id,
    )
    if found is None:
        return []
    group_id = value(found["id"])
    named = f"t.group_id = {group_id}"
    if query.user_id is None:
        users = f'SELECT id FROM "user" WHERE group_id = {group_id}'  # noqa: S608 -- our own
        return [named, f"t.group_id IS NULL AND t.user_id IN ({users})"]
    return [named, "t.group_id IS NULL"] if found["users"] == found["id"] else [named]
