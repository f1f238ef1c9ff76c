"""The query string of a list, and the page object that answers it (pure)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.domain.rejection import invalid
from gateway.domain.token import ENABLED, EXHAUSTED
from gateway.store.token_rows import SORTS, TokenQuery

_DEFAULT_SIZE = 10
_MAX_SIZE = 100
_MAX_TEXT_CHARACTERS = 200
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")


def query_of(parameters: Mapping[str, str], user_id: int) -> tuple[int, TokenQuery]:
    """The page asked for, counted from 1, and the query. Raises `Rejected` naming the parameter."""
    page = max(1, _integer(parameters, "p", 1))
    size_name = next((name for name in ("page_size", "ps", "size") if parameters.get(name)), "size")
    size = min(_MAX_SIZE, max(1, _integer(parameters, size_name, _DEFAULT_SIZE)))
    sort = parameters.get("sort") or "id"
    if sort not in SORTS:
        raise invalid("sort", f"must be one of {', '.join(SORTS)}.")
    order = (parameters.get("order") or "desc").lower()
    if order not in {"asc", "desc"}:
        raise invalid("order", "must be asc or desc.")
    status = _integer(parameters, "status", 0)
    if parameters.get("status") and not ENABLED <= status <= EXHAUSTED:
        raise invalid("status", "must be 1 enabled, 2 disabled, 3 expired or 4 exhausted.")
    return page, TokenQuery(
        user_id=_integer(parameters, "user_id", user_id),
        keyword=_text(parameters, "keyword"),
        group=_text(parameters, "group"),
        status=status,
        sort=sort,
        descending=order == "desc",
        limit=size,
        offset=(page - 1) * size,
    )


def page_of(
    page: int, query: TokenQuery, total: int, items: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The page object; a page beyond the end is empty."""
    return {"page": page, "page_size": query.limit, "total": total, "items": items}


def _integer(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "").strip()
    if not text:
        return default
    if not _INTEGER.fullmatch(text):
        raise invalid(name, f"must be a whole number of at most 15 digits, it is {text[:40]!a}.")
    return int(text)


def _text(parameters: Mapping[str, str], name: str) -> str:
    text = parameters.get(name, "").strip()
    if len(text) > _MAX_TEXT_CHARACTERS:
        raise invalid(name, f"may have {_MAX_TEXT_CHARACTERS} characters at most.")
    if not text.isprintable():
        raise invalid(name, "may hold no control characters.")
    return text
