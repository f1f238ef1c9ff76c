"""Pages of lists: how what `PageQuery` describes is read, and what answers (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from admin_api.mistakes import Mistakes
from admin_api.parameters import first_integer, integer
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule

_DEFAULT_SIZE: Final = 10
_MAX_SIZE: Final = 100


class Page(NamedTuple):
    """A page, counted from 1."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """How many entries stand before it."""
        return (self.number - 1) * self.size


def page_in(parameters: Mapping[str, str]) -> Page:
    """The page asked for. Raises `Rejected` naming each parameter at fault."""
    reading = (found := Mistakes()).reading
    number = reading(integer, parameters, "p", 1)
    size = reading(size_in, parameters, "page_size", "ps", "size")
    found.raise_any()
    return Page(max(1, number), size)


def size_in(parameters: Mapping[str, str], *names: str) -> int:
    """How many entries are wanted at once, by the first of several names. Raises `Rejected`."""
    return min(_MAX_SIZE, max(1, first_integer(parameters, names, _DEFAULT_SIZE)))


def before_in(parameters: Mapping[str, str]) -> int | None:
    """The id that a `cursor` goes on from, as a `next_cursor` named it; None: from the newest. Raises `Rejected`."""
    before = integer(parameters, "cursor", 0)
    if parameters.get("cursor", "").strip() and before < 1:
        raise invalid("cursor", Rule.NO_CURSOR)
    return before or None


def page_object(page: Page, total: int, items: Sequence[Any], **more: Any) -> dict[str, Any]:
    """The answer; a page beyond the end is empty."""
    return {
        "page": page.number,
        "page_size": page.size,
        "total": total,
        **more,
        "items": items,
    }
