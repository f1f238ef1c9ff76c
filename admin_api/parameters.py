"""How the parameters of a query string are read, each into one value (pure).

All raise `Rejected` naming the parameter.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from multidict import MultiMapping

from admin_api.mistakes import Mistakes
from gateway.domain.rejection import invalid, mistake
from gateway.domain.rules import Rule

_MAX_TEXT_CHARACTERS = 200
_MAX_DIGITS = 15
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_MILLISECONDS_FROM = 10**11  # as seconds that is the year 5138

S = TypeVar("S", bound=str)


def integer(parameters: Mapping[str, str], name: str, default: int) -> int:
    """A whole number; the default where it is absent or empty."""
    given = parameters.get(name, "").strip()
    if not given:
        return default
    if not _INTEGER.fullmatch(given):
        raise invalid(name, Rule.NO_WHOLE_NUMBER, digits=_MAX_DIGITS, given=given)
    return int(given)


def first_integer(parameters: Mapping[str, str], names: Iterable[str], default: int) -> int:
    """The first that is given of several names of one number. All are read, so a bad one is always told."""
    given = [integer(parameters, name, 0) for name in names if parameters.get(name, "").strip()]
    return given[0] if given else default


def text(parameters: Mapping[str, str], name: str, most: int = _MAX_TEXT_CHARACTERS) -> str:
    """A text without control characters; empty where it is absent."""
    given = parameters.get(name, "").strip()
    if len(given) > most:
        raise invalid(name, Rule.TOO_LONG, most=most, given=len(given))
    if not given.isprintable():
        raise invalid(name, Rule.CONTROL_CHARACTERS)
    return given


def choice(parameters: Mapping[str, str], name: str, choices: Collection[S], default: S) -> S:
    """One of a few words; the default where it is absent or empty."""
    given = parameters.get(name, "").strip() or default
    for each in choices:
        if each == given:
            return each
    raise invalid(name, Rule.NOT_ONE_OF, choices=[*filter(None, choices)], given=given)


def instant(parameters: Mapping[str, str], name: str) -> datetime | None:
    """Unix seconds; None where it is absent, empty or 0."""
    seconds = integer(parameters, name, 0)
    if not seconds:
        return None
    if seconds < 0:
        raise invalid(name, Rule.NO_UNIX_SECONDS, given=seconds)
    if seconds >= _MILLISECONDS_FROM:
        raise invalid(name, Rule.MILLISECONDS, seconds=seconds // 1000)
    return datetime.fromtimestamp(seconds, UTC)


def time_zone(parameters: Mapping[str, str], name: str) -> ZoneInfo:
    """A time zone by its IANA name; UTC where it is absent or empty."""
    given = text(parameters, name) or "UTC"
    try:
        return ZoneInfo(given)
    except (ValueError, LookupError, OSError):
        raise invalid(name, Rule.NO_TIME_ZONE, given=given) from None


def require_known(
    parameters: MultiMapping[str], known: Collection[str], *, repeatable: str = ""
) -> None:
    """Refuse a parameter that nothing reads: a filter with a mistyped name would let everything through."""
    found = Mistakes()
    for name in dict.fromkeys(parameters):
        if name not in known:
            found.add(mistake(name, Rule.UNKNOWN_PARAMETER, known=sorted(known)))
        elif name != repeatable and len(parameters.getall(name)) > 1:
            found.add(mistake(name, Rule.GIVEN_TWICE))
    found.raise_any()
