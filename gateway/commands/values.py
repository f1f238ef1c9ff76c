"""What an option's text means: each raises `argparse.ArgumentTypeError` naming the rule (pure).

It must stay cheap to import: every start of `tollhouse` does.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from gateway.domain.limits import RINGS, Metric

INHERIT: Final = "inherit"
"""Says of a rule that the group's defaults apply."""
NONE: Final = "none"
"""Says of a rule that the token has none of its own, whatever the group's defaults are."""

METRICS: Final = tuple(str(metric) for metric in Metric)
WINDOWS: Final = (*RINGS, "month")

_USD = re.compile(r"\$?([0-9]{1,7}(?:\.[0-9]{1,9})?)")
_WHOLE = re.compile(r"[0-9]{1,18}")
_SPAN = re.compile(r"([0-9]{1,9})([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_LIMIT_FORM = (
    "METRIC:WINDOW:LIMIT such as requests:5h:100 "
    f"(metrics: {', '.join(METRICS)}; windows: {', '.join(WINDOWS)})"
)


def usd(text: str) -> Decimal:
    """Dollars, exact to the nano-dollar."""
    if not (found := _USD.fullmatch(text)):
        raise _bad(text, "an amount in dollars such as 5 or 0.25, of at most 9 decimals")
    return Decimal(found[1])


def signed_usd(text: str) -> Decimal:
    """Dollars that may be negative."""
    return -usd(text[1:]) if text.startswith("-") else usd(text)


def whole(text: str) -> int:
    """A whole number from 0."""
    if not _WHOLE.fullmatch(text):
        raise _bad(text, "a whole number from 0")
    return int(text)


def count(text: str) -> int:
    """A whole number from 1."""
    if not _WHOLE.fullmatch(text) or not int(text):
        raise _bad(text, "a whole number from 1")
    return int(text)


def seconds(text: str) -> int:
    """A length of time: seconds, or a number with s, m, h or d."""
    if not (found := _SPAN.fullmatch(text)):
        raise _bad(text, "a length of time such as 0, 90s, 30m, 12h or 7d")
    return int(found[1]) * _SECONDS[found[2]]


def moment(text: str) -> int:
    """An instant in Unix seconds: those, a date, a date with a time (UTC unless it says), or so long ago."""
    now = datetime.now(UTC)
    if (found := _SPAN.fullmatch(text)) and found[2]:
        return int((now - timedelta(seconds=seconds(text))).timestamp())
    if _WHOLE.fullmatch(text) and len(text) > len("20261231"):
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        form = "2026-11-01, 2026-11-01T10:00, Unix seconds, or 7d for seven days ago"
        raise _bad(text, form) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def names(text: str) -> list[str] | None:
    """Names by commas; `inherit` (or nothing) is None, `none` is empty."""
    if text.strip() in {"", INHERIT}:
        return None
    return (
        [] if text.strip() == NONE else [name for each in text.split(",") if (name := each.strip())]
    )


def concurrency(text: str) -> int | None:
    """Calls at once; `none` is 0, `inherit` is None."""
    if text in {INHERIT, NONE}:
        return None if text == INHERIT else 0
    return count(text)


def limit(text: str) -> dict[str, Any] | str:
    """One limit as the API takes it; `none` and `inherit` as they are."""
    if text in {INHERIT, NONE}:
        return text
    parts = text.split(":")
    if len(parts) < len(("metric", "window", "limit")):
        raise _bad(text, _LIMIT_FORM)
    metric, window, bound, *options = parts
    if metric not in METRICS or window not in WINDOWS:
        raise _bad(text, _LIMIT_FORM)
    amount: Callable[[str], Decimal | int] = usd if metric == "usd" else count
    made: dict[str, Any] = {"metric": metric, "window": window, "limit": amount(bound)}
    if window == "month":
        made["mode"] = "calendar"  # the only one that a month has
    for option in options:
        name, _, value = option.partition("=")
        if option in {"calendar", "sliding"}:
            made["mode"] = option
        elif option == "shadow":
            made["shadow"] = True
        elif name == "burst":
            made["burst"] = amount(value)
        else:
            raise _bad(option, "an option of a limit: calendar, shadow, or burst=NUMBER")
    return made


def pair(text: str) -> tuple[str, str]:
    """`NAME=VALUE`."""
    name, equals, value = text.partition("=")
    if not name.strip() or not equals:
        raise _bad(text, "NAME=VALUE such as team=search")
    return name.strip(), value


def field(text: str) -> tuple[str, Any]:
    """`FIELD=JSON`, its numbers exact."""
    name, _, value = text.partition("=")
    try:
        read = json.loads(value, parse_float=Decimal)
    except (ValueError, RecursionError):
        name, read = "", None
    if not name.strip():
        raise _bad(text, 'FIELD=JSON such as weight=3 or description="for all"')
    return name.strip(), read


def rules(given: list[Any]) -> list[Any] | None:
    """What an option that may be repeated says; `inherit` is None, `none` is empty.

    Raises `ValueError` where one of these stands beside others.
    """
    words = {each for each in given if isinstance(each, str) and each in {INHERIT, NONE}}
    if not words:
        return given
    if len(given) > 1:
        raise ValueError(f"{words.pop()} stands alone")
    return None if words == {INHERIT} else []


def merged(current: Mapping[str, Any], pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Metadata with the pairs in it; a pair without a value takes its name out."""
    made = dict(current)
    for name, value in pairs:
        if value:
            made[name] = value
        else:
            made.pop(name, None)
    return made


def _bad(text: str, form: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text[:60]!r} is not {form}")
