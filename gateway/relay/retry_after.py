"""How long an upstream asks to be left alone."""

import math
from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime


def retry_after_s(headers: Iterable[tuple[bytes, bytes]], unix_s: float) -> float | None:
    """The seconds in an answer's headers, never below 0; None where it names none that can be read.

    `retry-after-ms` is OpenAI's, and more exact. `unix_s` is now: Retry-After may be a date.
    """
    fields = dict(headers)
    milliseconds = _number(fields.get(b"retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    given = fields.get(b"retry-after")
    seconds = _number(given)
    if seconds is not None or given is None:
        return seconds
    try:
        at = parsedate_to_datetime(given.decode("latin-1"))
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - unix_s)


def _number(text: bytes | None) -> float | None:
    try:
        number = float(text or b"")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
