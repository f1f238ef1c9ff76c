"""Query parameters, for the API's document. What reads them: `admin_api/token_queries.py`.

An empty parameter is an absent one: forms send those that nobody filled in.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.store.token_rows import SORTS

_LARGEST = 10**15 - 1
Number = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)] | Literal[""]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class Query(BaseModel):
    """The parameters of a query string."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class ListQuery(Query):
    """Which tokens, in which order, and which page of them."""

    p: Number = 1
    """The page, from 1; below 1 counts as 1."""
    size: Number = 10
    """Tokens on a page, brought into 1 to 100. `page_size` and `ps` are other names of it."""
    page_size: Number = 10
    """As `size`, and goes before it."""
    ps: Number = 10
    """As `size`, and goes before it."""
    keyword: Text = ""
    """What the name has to contain."""
    status: Literal[1, 2, 3, 4, ""] = ""
    """1 enabled, 2 disabled, 3 expired, 4 exhausted."""
    group: Text = ""
    """The group that the token is in."""
    sort: Annotated[str, Field(json_schema_extra={"enum": ["", *SORTS]})] = "id"
    """What the list is ordered by."""
    order: Annotated[str, Field(pattern="^([aA][sS][cC]|[dD][eE][sS][cC]|)$")] = "desc"
    """`asc` or `desc`."""
    user_id: Number = ""
    """Whose tokens: your own unless it is given. Others' are for administrators."""


class UpdateQuery(Query):
    """How a change is read."""

    status_only: str = ""
    """If it is not empty, `status` alone is changed and the rest of the body is ignored."""
