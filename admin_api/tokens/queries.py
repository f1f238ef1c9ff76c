"""The query string of a list, and the page object that answers it (pure)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from admin_api.mistakes import Mistakes
from admin_api.parameters import choice, first_integer, integer, text
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.domain.token import ENABLED, EXHAUSTED
from gateway.store.token_filters import TokenQuery
from gateway.store.token_lists import SORTS, TokenPage

EVERYBODY: Final = "all"
"""What `user_id` says for all users."""

_DEFAULT_SIZE = 10
_MAX_SIZE = 100
# What a mask shows of a key: its first four characters after sk-, its last four, or both with stars between.
_MASK = re.compile(r"(?:sk-)?([!-)+-~]{4})(?:\*+([!-)+-~]{4}))?")


def query_of(parameters: Mapping[str, str], user_id: int) -> tuple[int, TokenQuery]:
    """The page asked for, counted from 1, and the query. Raises `Rejected` naming the parameter."""
    reading = (found := Mistakes()).reading
    number = reading(integer, parameters, "p", 1)
    wanted = reading(first_integer, parameters, ("page_size", "ps", "size"), _DEFAULT_SIZE)
    everybody = parameters.get("user_id", "").strip().lower() == EVERYBODY
    query = TokenQuery(
        keyword=reading(text, parameters, "keyword"),
        mask=reading(_mask, parameters),
        status=reading(_status, parameters),
        group=reading(text, parameters, "group"),
        sort=reading(choice, parameters, "sort", SORTS, "id"),
        descending=reading(_order, parameters) == "desc",
        user_id=None if everybody else reading(integer, parameters, "user_id", user_id),
        limit=_DEFAULT_SIZE,
        offset=0,
    )
    found.raise_any()
    page, size = max(1, number), min(_MAX_SIZE, max(1, wanted))
    return page, replace(query, limit=size, offset=(page - 1) * size)


def page_of(
    page: int, query: TokenQuery, found: TokenPage, items: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The page object; a page beyond the end is empty."""
    return {
        "page": page,
        "page_size": query.limit,
        "total": found.total,
        "total_is_estimate": found.total_is_estimate,
        "items": items,
    }


def _status(parameters: Mapping[str, str]) -> int:
    status = integer(parameters, "status", 0)
    if parameters.get("status") and not ENABLED <= status <= EXHAUSTED:
        raise invalid("status", Rule.NO_TOKEN_STATUS, given=status)
    return status


def _order(parameters: Mapping[str, str]) -> str:
    order = parameters.get("order") or "desc"
    return choice({"order": order.lower()}, "order", ("asc", "desc"), "desc")


def _mask(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """What `token` says of a key's mask. A whole key has no business in an address, which is logged."""
    given = text(parameters, "token")
    if not given:
        return ()
    found = _MASK.fullmatch(given)
    if found is None:
        raise invalid("token", Rule.NO_MASK)
    return tuple(part for part in found.groups() if part)
