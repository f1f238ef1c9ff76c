"""The query string of a list, and the page object that answers it (pure)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from admin_api.parameters import first_integer, integer, text
from gateway.domain.rejection import invalid
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
    page = max(1, integer(parameters, "p", 1))
    wanted = first_integer(parameters, ("page_size", "ps", "size"), _DEFAULT_SIZE)
    size = min(_MAX_SIZE, max(1, wanted))
    sort = parameters.get("sort") or "id"
    if sort not in SORTS:
        raise invalid("sort", f"must be one of {', '.join(SORTS)}.")
    order = (parameters.get("order") or "desc").lower()
    if order not in {"asc", "desc"}:
        raise invalid("order", "must be asc or desc.")
    status = integer(parameters, "status", 0)
    if parameters.get("status") and not ENABLED <= status <= EXHAUSTED:
        raise invalid("status", "must be 1 enabled, 2 disabled, 3 expired or 4 exhausted.")
    everybody = parameters.get("user_id", "").strip().lower() == EVERYBODY
    return page, TokenQuery(
        user_id=None if everybody else integer(parameters, "user_id", user_id),
        keyword=text(parameters, "keyword"),
        mask=_mask(parameters),
        group=text(parameters, "group"),
        status=status,
        sort=sort,
        descending=order == "desc",
        limit=size,
        offset=(page - 1) * size,
    )


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


def _mask(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """What `token` says of a key's mask. A whole key has no business in an address, which is logged."""
    given = text(parameters, "token")
    if not given:
        return ()
    found = _MASK.fullmatch(given)
    if found is None:
        raise invalid(
            "token",
            "must be what lists show of a key: its first four characters, its last four, or "
            "sk-AbCd****wxyz; never a whole key.",
        )
    return tuple(part for part in found.groups() if part)
