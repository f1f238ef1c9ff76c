"""The statement that reads a page of tokens, once it is said in SQL which they are."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway.store.token_filters import Filter, TokenQuery

SORTS: Final[Mapping[str, str]] = {
    "id": "t.id",
    "name": 'lower(t.name) COLLATE "C"',
    "created_time": "t.created_at",
    "accessed_time": "coalesce(t.accessed_at, '-infinity')",
    "expired_time": "coalesce(t.expires_at, 'infinity')",
    "used_quota": "t.used",
    "remain_quota": "coalesce(t.granted - t.used, 9223372036854775807)",
}
"""What lists may be ordered by, and the expression that does it."""


class Bounds(NamedTuple):
    """Which part of the matches a page is, as parameters: all pages of a list are read by the same statements.

    `values` are those of the filter, and then these two.
    """

    limit: str
    offset: str
    values: list[Any]

    @property
    def reach(self) -> str:
        """How many matches there are up to the page's end."""
        return f"{self.limit} + {self.offset}"


def bounds_of(query: TokenQuery, wanted: Filter) -> Bounds:
    """The bounds of the query's page."""
    given = len(wanted.values)
    values = [*wanted.values, query.limit, query.offset]
    return Bounds(f"${given + 1}::bigint", f"${given + 2}::bigint", values)


def page_of(ids: str, *more: str) -> str:
    """What reads the tokens whose ids `ids` selects, in its order.

    Behind what makes a `TokenRow` each row has the catalog's `generation`, by which groups are to be shown, and `more`.
    """
    columns = ", ".join(("t.*", "(SELECT generation FROM catalog) AS generation", *more))
    return f"SELECT {columns} FROM tokens_shown(ARRAY({ids})) WITH ORDINALITY t ORDER BY ordinality"  # noqa: S608 -- our own
