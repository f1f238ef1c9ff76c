"""The query string of the log: which calls, and which part of the list (pure)."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from multidict import MultiMapping

from admin_api.mistakes import Mistakes
from admin_api.paging import size_in
from admin_api.parameters import instant, integer, require_known, text
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.domain.told import MAX_END_USER_CHARACTERS, MAX_KEY_CHARACTERS, MAX_VALUE_CHARACTERS
from gateway.store.ledger_calls import CallFilter

# The second names are New-API's.
_SECOND_NAMES: Final = {"model": "model_name", "start": "start_timestamp", "end": "end_timestamp"}
FILTERS: Final = frozenset(
    {
        *("user_id", "token_id", "token_name", "model", "group", "upstream", "status"),
        *("start", "end", "request_id", "min_amount_nusd", "max_amount_nusd", "type"),
        *("end_user", "tag"),
        *_SECOND_NAMES.values(),
    }
)
"""What chooses among calls."""

EVERYBODY: Final = "all"
MAX_ROWS_OF_PAGES: Final = 10_000
"""Rows that pages with numbers reach, and that are counted; cursors reach all."""

PAGING: Final = frozenset({"cursor", "limit", "size", "p", "page_size", "ps"})
"""What chooses a part of a list."""
_MAX_MODEL_CHARACTERS = 256
_MAX_TAG_CHARACTERS = MAX_KEY_CHARACTERS + 1 + MAX_VALUE_CHARACTERS
_ID_BYTES = 16
_STATUS = re.compile(r"([1-9][0-9]{2})|([1-5])xx")
_REQUEST_ID = re.compile(r"[0-9a-fA-F-]{32,36}")
_CONSUMPTION = "2"  # New-API's type of what is in this log

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A part of the list: what follows the call `before`, or else the page of that number."""

    chosen: CallFilter
    size: int
    before: UUID | None
    page: int | None

    @property
    def offset(self) -> int:
        """How many rows are left out in front."""
        return 0 if self.page is None else (self.page - 1) * self.size


def log_query_of(parameters: MultiMapping[str], user_id: int, *, pages: bool) -> LogQuery:
    """The list asked for; with `pages` it has pages unless there is a cursor. Raises `Rejected`."""
    found = Mistakes()
    chosen = found.reading(filter_of, parameters, user_id, FILTERS | PAGING)
    size = found.reading(size_in, parameters, "limit", "page_size", "ps", "size")
    before = found.reading(_cursor, parameters)
    number = found.reading(integer, parameters, "p", 1)
    found.raise_any()
    page = max(1, number)
    if before is not None or not (pages or parameters.get("p")):
        return LogQuery(chosen, size, before, None)
    if page * size > MAX_ROWS_OF_PAGES:
        raise invalid("p", Rule.PAGE_TOO_FAR, most=MAX_ROWS_OF_PAGES)
    return LogQuery(chosen, size, None, page)


def filter_of(
    parameters: MultiMapping[str], user_id: int, known: frozenset[str] = FILTERS
) -> CallFilter:
    """The calls asked for, of `user_id` unless it says otherwise. Raises `Rejected` naming the parameter."""
    found = Mistakes()
    reading = found.reading
    reading(require_known, parameters, known, repeatable="tag")
    everybody = parameters.get("user_id") == EVERYBODY
    chosen = CallFilter(
        user_id=None if everybody else reading(integer, parameters, "user_id", user_id),
        token_id=reading(integer, parameters, "token_id", 0) or None,
        token_name=reading(text, parameters, "token_name") or None,
        model=reading(_first, parameters, "model", _model) or None,
        group=reading(text, parameters, "group") or None,
        end_user=reading(text, parameters, "end_user", MAX_END_USER_CHARACTERS) or None,
        tags=tuple(reading(_tag, each) for each in parameters.getall("tag", []) if each),
        upstream=reading(text, parameters, "upstream") or None,
        statuses=reading(_statuses, parameters),
        start=reading(_first, parameters, "start", instant),
        end=reading(_first, parameters, "end", instant),
        request_id=reading(_request_id, parameters),
        min_amount=reading(integer, parameters, "min_amount_nusd", 0) or None,
        max_amount=reading(_optional, parameters, "max_amount_nusd"),
    )
    reading(_check_type, parameters)
    found.raise_any()
    return chosen


def cursor_of(request_id: UUID) -> str:
    """The place behind a call, for the next part of the list."""
    return base64.urlsafe_b64encode(request_id.bytes).rstrip(b"=").decode()


def _check_type(parameters: Mapping[str, str]) -> None:
    if text(parameters, "type") not in {"", "0", _CONSUMPTION}:
        raise invalid("type", Rule.NO_LOG_TYPE)


def _cursor(parameters: Mapping[str, str]) -> UUID | None:
    given = text(parameters, "cursor")
    if not given:
        return None
    try:
        decoded = base64.b64decode(given + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != _ID_BYTES:
        raise invalid("cursor", Rule.NO_CURSOR)
    return UUID(bytes=decoded)


def _request_id(parameters: Mapping[str, str]) -> UUID | None:
    given = text(parameters, "request_id")
    if not given:
        return None
    try:
        return UUID(given if _REQUEST_ID.fullmatch(given) else "")
    except ValueError:
        raise invalid("request_id", Rule.NO_REQUEST_ID) from None


def _statuses(parameters: Mapping[str, str]) -> tuple[int, int] | None:
    given = text(parameters, "status")
    if not given:
        return None
    found = _STATUS.fullmatch(given.lower())
    if found is None:
        raise invalid("status", Rule.NO_STATUS, given=given)
    if found[2]:
        return int(found[2]) * 100, int(found[2]) * 100 + 99
    return int(found[1]), int(found[1])


def _tag(given: str) -> tuple[str, str]:
    key, colon, value = given.partition(":")
    if not (key and colon and given.isprintable() and len(given) <= _MAX_TAG_CHARACTERS):
        raise invalid("tag", Rule.NO_TAG, given=given)
    return key, value


def _optional(parameters: Mapping[str, str], name: str) -> int | None:
    return integer(parameters, name, 0) if parameters.get(name, "").strip() else None


def _model(parameters: Mapping[str, str], name: str) -> str:
    return text(parameters, name, _MAX_MODEL_CHARACTERS)


def _first(
    parameters: Mapping[str, str], name: str, read: Callable[[Mapping[str, str], str], T]
) -> T:
    """What one of two names says; the first goes before, and both are read, so a bad one is always told."""
    first, second = read(parameters, name), read(parameters, _SECOND_NAMES[name])
    return first or second
