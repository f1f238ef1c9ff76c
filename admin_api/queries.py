"""Query parameters, for the API's document. What reads them: `admin_api/tokens/queries.py`.

An empty parameter is an absent one: forms send those that nobody filled in.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.domain.errors import Reason
from gateway.domain.told import MAX_END_USER_CHARACTERS
from gateway.store.refusals import KEYS as REFUSAL_KEYS
from gateway.store.refusals import SHADOW
from gateway.store.token_pages import SORTS
from gateway.store.usage import KEYS, TAG

_LARGEST = 10**15 - 1
_BY = f"^({'|'.join(KEYS)}|{TAG}[^\\x00-\\x1f\\x7f-\\x9f]+)$"
Number = Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)] | Literal[""]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class Query(BaseModel):
    """The parameters of a query string."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class PageQuery(Query):
    """Which page of a list."""

    p: Number = 1
    """The page, from 1; below 1 counts as 1."""
    size: Number = 10
    """Entries on a page, brought into 1 to 100. `page_size` and `ps` are other names of it."""
    page_size: Number = 10
    """As `size`, and goes before it."""
    ps: Number = 10
    """As `size`, and goes before it."""


class ListQuery(PageQuery):
    """Which tokens, in which order, and which page of them."""

    keyword: Text = ""
    """What the name has to contain."""
    token: Text = ""
    """What the list shows of the key: its first four characters, its last four, or both with stars; never all of it."""
    status: Literal[1, 2, 3, 4, ""] = ""
    """1 enabled, 2 disabled, 3 expired, 4 exhausted."""
    group: Text = ""
    """The group that the token is in."""
    sort: Annotated[str, Field(json_schema_extra={"enum": ["", *SORTS]})] = "id"
    """What the list is ordered by."""
    order: Annotated[str, Field(pattern="^([aA][sS][cC]|[dD][eE][sS][cC]|)$")] = "desc"
    """`asc` or `desc`."""
    user_id: Number | Literal["all"] = ""
    """Whose tokens: your own unless it is given. Others', and `all`, are for administrators."""


class UpdateQuery(Query):
    """How a change is read."""

    status_only: str = ""
    """If it is not empty, `status` alone is changed and the rest of the body is ignored."""


Model = Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Instant = Annotated[str, Field(pattern=r"^[0-9]{0,11}$")]
Owner = Number | Literal["all"]


EndUser = Annotated[
    str, Field(max_length=MAX_END_USER_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]
Tag = Annotated[
    str, Field(pattern=r"^([^:\x00-\x1f\x7f-\x9f]{1,64}:[^\x00-\x1f\x7f-\x9f]{1,512})?$")
]


class CallQuery(Query):
    """Which calls."""

    user_id: Owner = ""
    """Whose calls: yours unless an administrator names another, or `all`."""
    token_id: Number = ""
    """Calls of one token."""
    token_name: Text = ""
    """Calls of all tokens of that name."""
    model: Model = ""
    """The model, exactly."""
    group: Text = ""
    """The group, exactly."""
    end_user: EndUser = ""
    """Whom callers say that they call for, exactly."""
    tag: Tag = ""
    """A tag that callers give, as `key:value`; may be repeated, and all have to be there."""
    upstream: Text = ""
    """The upstream, exactly."""
    status: Annotated[str, Field(pattern=r"^([1-9][0-9]{2}|[1-5][xX]{2})?$")] = ""
    """What the caller was answered: `429`, or `4xx` for all of them."""
    start: Instant = ""
    """Unix seconds; within."""
    end: Instant = ""
    """Unix seconds; not within."""
    request_id: Annotated[str, Field(pattern=r"^([0-9a-fA-F-]{32,36})?$")] = ""
    """The `x-request-id` of an answer."""
    min_amount_nusd: Number = ""
    """Nano-dollars, at least."""
    max_amount_nusd: Number = ""
    """Nano-dollars, at most."""
    type: Literal["", "0", "2"] = ""
    """New-API's: 2, or 0 for all."""
    model_name: Model = ""
    """New-API's name of `model`."""
    start_timestamp: Instant = ""
    """New-API's name of `start`."""
    end_timestamp: Instant = ""
    """New-API's name of `end`."""


class CallListQuery(CallQuery):
    """Which calls, and which part of the list."""

    cursor: Text = ""
    """The last answer's `next_cursor`."""
    limit: Number = 10
    """Calls in an answer, brought into 1 to 100."""
    size: Number = 10
    """As `limit`, which goes before it."""
    page_size: Number = 10
    """As `limit`, which goes before it."""
    ps: Number = 10
    """As `limit`, which goes before it."""
    p: Number = ""
    """A page, from 1, instead of a cursor."""


class ExportQuery(CallQuery):
    """Which calls, and in which form."""

    format: Literal["", "csv", "jsonl"] = "csv"
    """CSV, or an object on each line."""


class SeriesQuery(Query):
    """Which series."""

    interval: Literal["", "hour", "day", "all"] = "day"
    """How long a point is."""
    start: Instant = ""
    """Unix seconds; 30 days or 24 hours before the end without it."""
    end: Instant = ""
    """Unix seconds; the first instant that is not counted."""
    time_zone: Text = "UTC"
    """An IANA name: whose days and hours they are."""
    by: Annotated[str, Field(max_length=200, pattern=_BY)] = ""
    """A series for each of these, or of the values of a tag: `tag:KEY`."""


class UsageQuery(SeriesQuery):
    """Which series, and how many."""

    top: Number = ""
    """How many keys have a series of their own, brought into 1 to what 10,000 points allow; else what 1,500 do."""
    top_by: Literal["", "cost", "requests", "tokens", "errors"] = "cost"
    """Of what these have the most."""


class CallSeriesQuery(UsageQuery, CallQuery):
    """Which series, over which calls."""


class RefusalQuery(Query):
    """Which refusals."""

    user_id: Owner = ""
    """Whose: your tokens' unless an administrator names another user, or `all`, with callers who have none."""
    token_id: Number = ""
    """Those of one token."""
    token_name: Text = ""
    """Those of all tokens of that name."""
    reason: Annotated[str, Field(json_schema_extra={"enum": ["", *Reason, SHADOW]})] = ""
    """The reason, or `shadow`."""
    start: Instant = ""
    """Unix seconds; the hour that they are in is within."""
    end: Instant = ""
    """Unix seconds; an hour that begins then is not within."""


class RefusalListQuery(RefusalQuery):
    """Which refusals, and which part of the list."""

    cursor: Text = ""
    """The last answer's `next_cursor`."""
    limit: Number = 10
    """Entries in an answer, brought into 1 to 100."""


class RefusalSeriesQuery(SeriesQuery, RefusalQuery):
    """Which series, over which refusals."""

    by: Annotated[str, Field(json_schema_extra={"enum": [*REFUSAL_KEYS]})] = ""
    """A series for each of these."""
