"""The query string of a list (pure)."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from admin_api.mistakes import Mistakes
from admin_api.paging import Page, page_in
from admin_api.parameters import choice, integer, text
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.domain.token import ENABLED, EXHAUSTED
from gateway.store.token_filters import TokenQuery
from gateway.store.token_pages import SORTS

EVERYBODY: Final = "all"
"""What `user_id` says for all users."""

# What a mask shows of a key: its first four characters after sk-, its last four, or both with stars between.
_MASK = re.compile(r"(?:sk-)?([!-)+-~]{4})(?:\*+([!-)+-~]{4}))?")


def query_of(parameters: Mapping[str, str], user_id: int) -> tuple[Page, TokenQuery]:
    """The page asked for, and the query. Raises `Rejected` naming the parameter."""
    reading = (found := Mistakes()).reading
    page = reading(page_in, parameters)
    everybody = parameters.get("user_id", "").strip().lower() == EVERYBODY
    query = TokenQuery(
        keyword=reading(text, parameters, "keyword"),
        mask=reading(_mask, parameters),
        status=reading(_status, parameters),
        group=reading(text, parameters, "group"),
        sort=reading(choice, parameters, "sort", SORTS, "id"),
        descending=reading(_order, parameters) == "desc",
        user_id=None if everybody else reading(integer, parameters, "user_id", user_id),
        limit=0,
        offset=0,
    )
    found.raise_any()
    return page, replace(query, limit=page.size, offset=page.offset)


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
