"""The query strings of warnings: as the document tells them, and how they are read (pure)."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from multidict import MultiMapping
from pydantic import Field

from admin_api.logs.queries import EVERYBODY
from admin_api.mistakes import Mistakes
from admin_api.paging import before_in, size_in
from admin_api.parameters import choice, instant, integer, require_known
from admin_api.queries import Instant, Number, Owner, Query
from gateway.store.warning_log import KINDS, STATES, WarningFilter

_MAX_ID: Final = 10**15 - 1


class StandingQuery(Query):
    """Whose."""

    user_id: Owner = ""
    """Whom they concern: you, unless an administrator names another user, or `all`, which has upstreams, too."""


class WarningListQuery(StandingQuery):
    """Which warnings, and which part of the list."""

    kind: Literal["", "quota", "limit", "expiry", "upstream"] = ""
    """The kind."""
    state: Literal["", "sent", "waiting", "failed"] = ""
    """What became of some message that told of it."""
    start: Instant = ""
    """Unix seconds; within."""
    end: Instant = ""
    """Unix seconds; not within."""
    cursor: Annotated[int, Field(ge=1, le=_MAX_ID)] | Literal[""] = ""
    """The last answer's `next_cursor`."""
    limit: Number = 10
    """Warnings in an answer, brought into 1 to 100."""


def whose(parameters: MultiMapping[str], user_id: int) -> int | None:
    """Whom they concern; None is all. Raises `Rejected` naming the parameter."""
    reading = (found := Mistakes()).reading
    reading(require_known, parameters, StandingQuery.model_fields)
    chosen = reading(_whose, parameters, user_id)
    found.raise_any()
    return chosen


def warning_filter_of(parameters: MultiMapping[str], user_id: int) -> WarningFilter:
    """The warnings asked for. Raises `Rejected` naming the parameter."""
    reading = (found := Mistakes()).reading
    reading(require_known, parameters, WarningListQuery.model_fields)
    chosen = WarningFilter(
        user_id=reading(_whose, parameters, user_id),
        kind=reading(choice, parameters, "kind", ("", *KINDS), "") or None,
        state=reading(choice, parameters, "state", ("", *STATES), "") or None,
        start=reading(instant, parameters, "start"),
        end=reading(instant, parameters, "end"),
        before=reading(before_in, parameters),
        limit=reading(size_in, parameters, "limit"),
    )
    found.raise_any()
    return chosen


def _whose(parameters: Mapping[str, str], user_id: int) -> int | None:
    if parameters.get("user_id") == EVERYBODY:
        return None
    return integer(parameters, "user_id", user_id)
