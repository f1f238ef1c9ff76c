r"""The cells of a row, whatever it came from: Postgres and SQLite give values, a CSV gives texts.

An empty cell, `NULL` and `\N` are nothing. Each function raises `BadCell` naming the column.
"""

import csv
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Row = Mapping[str, Any]

_NOTHING = frozenset({"", "NULL", "\\N"})
_TRUE = frozenset({"1", "t", "true", "yes"})
_FALSE = frozenset({"0", "f", "false", "no"})
_SHOWN = 60


class BadCell(Exception):
    """A cell that nothing can be made of. The message names the column."""


def invalid(column: str, rule: str) -> BadCell:
    """What is wrong with a cell: `rule` completes the sentence that the column's name begins."""
    return BadCell(f"{column}: {rule}")


def text(row: Row, name: str) -> str:
    """A text without the space around it; empty for nothing."""
    value = row.get(name)
    if value is None:
        return ""
    found = str(value).strip()
    return "" if found in _NOTHING else found


def integer(row: Row, name: str) -> int | None:
    """A whole number; None for nothing."""
    value = number(row, name)
    if value is None:
        return None
    if value != value.to_integral_value():
        raise invalid(name, f"must be a whole number, it is {_shown(row, name)}.")
    return int(value)


def number(row: Row, name: str) -> Decimal | None:
    """A number, exactly as it is written; None for nothing."""
    found = text(row, name)
    if not found:
        return None
    try:
        value = Decimal(found)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value.adjusted() > 30:  # noqa: PLR2004 -- no table has such a number
        raise invalid(name, f"must be a number, it is {_shown(row, name)}.")
    return value


def flag(row: Row, name: str) -> bool:
    """A truth; False for nothing."""
    return choice(row, name) or False


def choice(row: Row, name: str) -> bool | None:
    """A truth; None for nothing."""
    found = text(row, name).lower()
    if not found:
        return None
    if found not in _TRUE | _FALSE:
        raise invalid(name, f"must be true or false, it is {_shown(row, name)}.")
    return found in _TRUE


def names(row: Row, name: str) -> tuple[str, ...]:
    """A list of texts: a value, a JSON array, or an array as Postgres writes it (`{a,"b c"}`)."""
    value = row.get(name)
    if not isinstance(value, list):
        found = text(row, name)
        if not found:
            return ()
        value = _array(found) if found.startswith("{") else _parsed(row, name, found)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise invalid(name, f"must be a list of texts, it is {_shown(row, name)}.")
    return tuple(dict.fromkeys(value))


def document(row: Row, name: str) -> dict[str, Any]:
    """A JSON object; empty for nothing."""
    value = structure(row, name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(name, f"must be a JSON object, it is {_shown(row, name)}.")
    return value


def structure(row: Row, name: str) -> Any:
    """Any JSON; None for nothing."""
    value = row.get(name)
    if value is None or isinstance(value, dict | list):
        return value
    found = text(row, name)
    return _parsed(row, name, found) if found else None


def instant(row: Row, name: str) -> datetime | None:
    """An instant in ISO 8601, in UTC where it names no zone; None for nothing."""
    found = text(row, name)
    if not found:
        return None
    try:
        value = datetime.fromisoformat(found)
    except ValueError:
        raise invalid(
            name, f"must be an instant such as 2027-01-31 12:00:00, it is {_shown(row, name)}."
        ) from None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _array(found: str) -> list[str]:
    inner = found.removeprefix("{").removesuffix("}")
    if not inner:
        return []
    return next(csv.reader([inner], doublequote=False, escapechar="\\"))


def _parsed(row: Row, name: str, found: str) -> Any:
    try:
        return json.loads(found, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise invalid(name, f"must be JSON, it is {_shown(row, name)}.") from None


def _shown(row: Row, name: str) -> str:
    return repr(str(row[name])[:_SHOWN])
