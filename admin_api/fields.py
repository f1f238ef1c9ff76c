"""How the fields of a token are read: each text, list or number form into one value (pure).

`None` = left to the group, an empty tuple = the token has none of its own.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from admin_api.mistakes import Mistakes
from gateway.catalog_settings import LimitSettings
from gateway.catalog_source import limit_of
from gateway.domain.catalog import NUSD_PER_USD, nusd
from gateway.domain.limits import MAX_EXACT, Limit
from gateway.domain.network import numbered_lines, parse_block
from gateway.domain.rejection import BrokenRule, invalid, mistake
from gateway.domain.rules import Rule

NEVER = frozenset({-1, 0})
"""What `expired_time` says for no expiry."""

MAX_LIST = 1000
_MAX_NAME_CHARACTERS = 100
_MAX_MODEL_CHARACTERS = 200
_MAX_LIMITS = 20
_MILLISECONDS_FROM = 10**11  # as seconds that is the year 5138
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SEPARATORS = re.compile(r"[,\r\n]+")


def parse_name(text: str) -> str:
    """A token's name, trimmed."""
    name = text.strip()
    if not 1 <= len(name) <= _MAX_NAME_CHARACTERS:
        bounds = {"least": 1, "most": _MAX_NAME_CHARACTERS, "given": len(name)}
        raise invalid("name", Rule.WRONG_LENGTH, **bounds)
    if _CONTROL.search(name):
        raise invalid("name", Rule.CONTROL_CHARACTERS)
    return name


def parse_models(value: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """`model_limits`: a list, a JSON array in a string, or names by commas or lines."""
    if value is None:
        return None
    if isinstance(value, str):
        if not value.strip():
            return None
        value = _names_in(value.strip())
    names = tuple(dict.fromkeys(name for entry in value if (name := entry.strip())))
    if len(names) > MAX_LIST:
        raise invalid("model_limits", Rule.TOO_MANY, most=MAX_LIST, given=len(names))
    found = Mistakes()
    for name in names:
        if len(name) > _MAX_MODEL_CHARACTERS or _CONTROL.search(name):
            most = _MAX_MODEL_CHARACTERS
            found.add(mistake("model_limits", Rule.NO_MODEL_NAME, given=name, most=most))
        elif "*" in name:
            found.add(mistake("model_limits", Rule.NO_PATTERN_IN_TOKEN, given=name))
    found.raise_any()
    return names


def parse_ips(field: str, value: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """`allow_ips` and `deny_ips`: addresses and CIDR blocks by lines, commas, or in a list."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    found = Mistakes()
    blocks: dict[str, None] = {}
    for number, line in numbered_lines(value):
        try:
            blocks[parse_block(number, line)] = None
        except BrokenRule as broken:
            found.add(broken.at(field))
    found.raise_any()
    if len(blocks) > MAX_LIST:
        raise invalid(field, Rule.TOO_MANY, most=MAX_LIST, given=len(blocks))
    return tuple(blocks)


def parse_expired_time(value: int, now: datetime) -> datetime | None:
    """`expired_time`: Unix seconds in the future, or -1 or 0 for never."""
    if value in NEVER:
        return None
    if value >= _MILLISECONDS_FROM:
        raise invalid("expired_time", Rule.MILLISECONDS, seconds=value // 1000)
    if value <= now.timestamp():
        raise invalid("expired_time", Rule.IN_THE_PAST, given=value)
    return datetime.fromtimestamp(value, UTC)


def parse_expires_in_days(days: int, now: datetime) -> datetime | None:
    """`expires_in_days`: counted from now, to the second; 0 for never."""
    return None if days == 0 else now.replace(microsecond=0) + timedelta(days=days)


def parse_limits(values: Iterable[LimitSettings] | None) -> tuple[Limit, ...] | None:
    """`limits`: two that would share a counter are refused."""
    if values is None:
        return None
    limits = tuple(limit_of(value) for value in values)
    if len(limits) > _MAX_LIMITS:
        raise invalid("limits", Rule.TOO_MANY, most=_MAX_LIMITS, given=len(limits))
    found = Mistakes()
    first: dict[str, int] = {}
    for place, limit in enumerate(limits):
        if limit.bound >= MAX_EXACT:
            found.add(mistake(f"limits.{place}", Rule.LIMIT_TOO_LARGE))
        if (other := first.setdefault(limit.id, place)) != place:
            found.add(mistake(f"limits.{place}", Rule.NOT_UNIQUE, other=f"limits.{other}"))
    found.raise_any()
    return limits


def grant_of_usd(usd: Decimal) -> int | None:
    """`quota_usd` in nano-dollars; 0 = unlimited. The body's bounds keep it exact."""
    return None if usd == 0 else nusd(usd)


def nusd_of(name: str, usd: Decimal) -> int:
    """An amount in nano-dollars, also a negative one. Raises `Rejected` beyond what books hold."""
    if abs(usd) * NUSD_PER_USD >= MAX_EXACT:
        raise invalid(name, Rule.BEYOND_BOOKS)
    return nusd(usd)


def _names_in(text: str) -> Sequence[str]:
    if not text.startswith("["):
        return _SEPARATORS.split(text)
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid("model_limits", Rule.NO_LIST_OF_NAMES)
    return names
