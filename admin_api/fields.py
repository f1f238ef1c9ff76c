"""How the fields of a token are read: each text, list or number form into one value (pure).

`None` = left to the group, an empty tuple = the token has none of its own.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gateway.catalog_settings import LimitSettings
from gateway.catalog_source import limit_of
from gateway.domain.catalog import NUSD_PER_USD, nusd
from gateway.domain.limits import MAX_EXACT, Limit
from gateway.domain.network import BlockError, parse_blocks
from gateway.domain.rejection import invalid

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
        raise invalid(
            "name", f"must have 1 to {_MAX_NAME_CHARACTERS} characters, it has {len(name)}."
        )
    if _CONTROL.search(name):
        raise invalid("name", "may hold no line breaks or control characters.")
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
        raise invalid("model_limits", f"may name {MAX_LIST} models at most, it names {len(names)}.")
    for name in names:
        if len(name) > _MAX_MODEL_CHARACTERS or _CONTROL.search(name):
            raise invalid(
                "model_limits",
                f"{name[:40]!r} is no model name: at most {_MAX_MODEL_CHARACTERS} characters, "
                "no control characters.",
            )
    return names


def parse_ips(field: str, value: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """`allow_ips` and `deny_ips`: addresses and CIDR blocks by lines, commas, or in a list."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        blocks = tuple(dict.fromkeys(parse_blocks(value)))
    except BlockError as error:
        raise invalid(field, f"{error}.") from None
    if len(blocks) > MAX_LIST:
        raise invalid(field, f"may have {MAX_LIST} lines at most, it has {len(blocks)}.")
    return blocks


def parse_expired_time(value: int, now: datetime) -> datetime | None:
    """`expired_time`: Unix seconds in the future, or -1 or 0 for never."""
    if value in NEVER:
        return None
    if value >= _MILLISECONDS_FROM:
        raise invalid(
            "expired_time", f"counts seconds, not milliseconds; did you mean {value // 1000}?"
        )
    if value <= now.timestamp():
        raise invalid(
            "expired_time",
            f"{value} is in the past; give Unix seconds in the future, or -1 for never.",
        )
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
        raise invalid("limits", f"may be {_MAX_LIMITS} at most, they are {len(limits)}.")
    for number, limit in enumerate(limits, start=1):
        if limit.bound >= MAX_EXACT:
            raise invalid(
                "limits", f"number {number} is too large; nano-dollars or counts stay below 2^52."
            )
        if limit.id in {other.id for other in limits[: number - 1]}:
            raise invalid(
                "limits",
                f"number {number} counts the same as one before it (metric, window, mode, "
                "models); keep one.",
            )
    return limits


def grant_of_usd(usd: Decimal) -> int | None:
    """`quota_usd` in nano-dollars; 0 = unlimited. The body's bounds keep it exact."""
    return None if usd == 0 else nusd(usd)


def nusd_of(name: str, usd: Decimal) -> int:
    """An amount in nano-dollars, also a negative one. Raises `Rejected` beyond what books hold."""
    if abs(usd) * NUSD_PER_USD >= MAX_EXACT:
        raise invalid(name, "is beyond what a book can hold (2^52 nano-dollars).")
    return nusd(usd)


def _names_in(text: str) -> Sequence[str]:
    if not text.startswith("["):
        return _SEPARATORS.split(text)
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid(
            "model_limits", 'begins with "[" but is no JSON array of names such as ["gpt-5.4"].'
        )
    return names
