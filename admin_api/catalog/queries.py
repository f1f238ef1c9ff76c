"""The query of the catalog's lists, and the page object that answers it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from admin_api.paging import page_in, page_object
from admin_api.parameters import choice, text
from admin_api.queries import PageQuery, Query, Text

_SOURCES = ("file", "api", "book", "upstream")

T = TypeVar("T")


class EntryListQuery(PageQuery):
    """Which entries, and which page of them; by name."""

    keyword: Text = ""
    """What the name has to contain, whatever its case."""
    source: Literal["", "file", "api", "book", "upstream"] = ""
    """Where they are from."""


class PriceQuery(Query):
    """Of which model."""

    model: Text = ""
    """Its name, as providers call it; none has no price."""


def page_of(
    parameters: Mapping[str, str],
    found: Sequence[T],
    key: Callable[[T], tuple[str, str]],
    shown: Callable[[T], dict[str, Any]],
) -> dict[str, Any]:
    """The page that is asked for; `key` tells name and source. Raises `Rejected` naming the parameter."""
    page = page_in(parameters)
    keyword, source = text(parameters, "keyword").lower(), ""
    if parameters.get("source", "").strip():
        source = choice(parameters, "source", _SOURCES, "file")
    chosen = [
        each
        for each in sorted(found, key=lambda each: key(each)[0])
        if keyword in key(each)[0].lower() and source in {"", key(each)[1]}
    ]
    on_it = chosen[page.offset : page.offset + page.size]
    return page_object(page, len(chosen), [shown(each) for each in on_it])
