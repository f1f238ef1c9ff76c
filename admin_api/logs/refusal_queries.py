"""The query string of refusals: which, and which part of the list (pure)."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from multidict import MultiMapping

from admin_api.logs.queries import EVERYBODY
from admin_api.mistakes import Mistakes
from admin_api.paging import size_in
from admin_api.parameters import choice, instant, integer, require_known, text
from gateway.domain.errors import Reason
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.store.refusals import KEYS, SHADOW, Place, RefusalFilter

FILTERS: Final = frozenset({"user_id", "token_id", "token_name", "reason", "start", "end"})
"""What chooses among refusals."""

_PAGING: Final = frozenset({"cursor", "limit"})
_REASONS: Final = ("", *(str(reason) for reason in Reason), SHADOW)
_PLACE: Final = re.compile(r"([0-9]{1,11}) ([0-9]{1,18}) ([a-z_]{1,50})")


@dataclass(frozen=True, slots=True)
class RefusalQuery:
    """A part of the list: what follows the place `before`."""

    chosen: RefusalFilter
    size: int
    before: Place | None


def refusal_query_of(parameters: MultiMapping[str], user_id: int) -> RefusalQuery:
    """The part asked for. Raises `Rejected` naming the parameter."""
    reading = (found := Mistakes()).reading
    query = RefusalQuery(
        reading(refusal_filter_of, parameters, user_id, FILTERS | _PAGING),
        reading(size_in, parameters, "limit"),
        reading(_cursor, parameters),
    )
    found.raise_any()
    return query


def refusal_filter_of(
    parameters: MultiMapping[str], user_id: int, known: frozenset[str] = FILTERS
) -> RefusalFilter:
    """The refusals asked for, of `user_id`'s tokens unless it says otherwise. Raises `Rejected` as above."""
    reading = (found := Mistakes()).reading
    reading(require_known, parameters, known)
    everybody = parameters.get("user_id") == EVERYBODY
    chosen = RefusalFilter(
        user_id=None if everybody else reading(integer, parameters, "user_id", user_id),
        token_id=reading(integer, parameters, "token_id", 0) or None,
        token_name=reading(text, parameters, "token_name") or None,
        reason=reading(choice, parameters, "reason", _REASONS, "") or None,
        start=reading(instant, parameters, "start"),
        end=reading(instant, parameters, "end"),
    )
    found.raise_any()
    return chosen


def key_of(parameters: Mapping[str, str]) -> str:
    """By what series are grouped. Raises `Rejected`."""
    return choice(parameters, "by", KEYS, "")


def cursor_of(place: Place) -> str:
    """The place behind a count, for the next part of the list."""
    told = f"{place.hour} {place.token_id} {place.reason}"
    return base64.urlsafe_b64encode(told.encode()).rstrip(b"=").decode()


def _cursor(parameters: Mapping[str, str]) -> Place | None:
    given = text(parameters, "cursor")
    if not given:
        return None
    try:
        told = base64.b64decode(given + "==", altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        told = ""
    found = _PLACE.fullmatch(told)
    if found is None:
        raise invalid("cursor", Rule.NO_CURSOR)
    return Place(int(found[1]), int(found[2]), found[3])
