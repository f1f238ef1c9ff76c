"""The query of the catalog's lists, and the page object that answers it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from admin_api.parameters import choice, first_integer, integer, text
from admin_api.queries import Number, Query, Text

_DEFAULT_SIZE = 10
_MAX_SIZE = 100
_SOURCES = ("file", "api", "book", "upstream")

T = TypeVar("T")


class EntryListQuery(Query):
    """Which entries, and which page of them; by name."""

    p: Number = 1
    """The page, from 1; below 1 counts as 1."""
    size: Number = 10
    """Entries on a page, brought into 1 to 100. `page_size` and `ps` are other names of it."""
    page_size: Number = 10
    """As `size`, and goes before it."""
    ps: Number = 10
    """As `size`, and goes before it."""
    keyword: Text = ""
    """What the name has to contain, whatever its case."""
    source: Literal["", "file", "api", "book", "upstream"] = ""
    """Where they are from."""


def page_of(
    parameters: Mapping[str, str],
    found: Sequence[T],
    key: Callable[[T], tuple[str, str]],
    shown: Callable[[T], dict[str, Any]],
) -> dict[str, Any]:
    """The page that is asked for; `key` tells name and source. Raises `Rejected` naming the parameter."""
    page = max(1, integer(parameters, "p", 1))
    size = min(
        _MAX_SIZE, max(1, first_integer(parameters, ("page_size", "ps", "size"), _DEFAULT_SIZE))
    )
    keyword, source = text(parameters, "keyword").lower(), ""
    if parameters.get("source", "").strip():
        source = choice(parameters, "source", _SOURCES, "file")
    chosen = [
        each
        for each in sorted(found, key=lambda each: key(each)[0])
        if keyword in key(each)[0].lower() and source in {"", key(each)[1]}
    ]
    return {
        "page": page,
        "page_size": size,
        "total": len(chosen),
        "items": [shown(each) for each in chosen[(page - 1) * size : page * size]],
    }
