"""When what could not be sent is tried again. Pure."""

from typing import Final

_FIRST_S: Final = 5
_GROWTH: Final = 3
_LONGEST_S: Final = 6 * 3600
_ATTEMPTS: Final = 12


def pause_after(attempts: int) -> int | None:
    """Seconds from the failure of so many attempts until the next; None: given up, after about a day."""
    if attempts >= _ATTEMPTS:
        return None
    pause_s: int = _FIRST_S * _GROWTH ** (max(1, attempts) - 1)
    return min(_LONGEST_S, pause_s)
