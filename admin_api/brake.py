"""Slows the guessing of passwords (a growing pause per name and address, few attempts at once), and rations.

Kept in this process only. It never locks an account: another address is not slowed by somebody
else's guesses.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_FREE_FAILURES = 5
_MAX_PAUSE_S = 300.0
_MAX_ENTRIES = 10_000
_MAX_AT_ONCE = 32


class Braked(Exception):
    """Too many attempts; `retry_after_s` is when the next one is looked at."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"again in {retry_after_s:.0f} s")


class Brake:
    """Counts failures. Times are seconds of `clock` (monotonic)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._running = 0

    @contextmanager
    def attempt(self, username: str, address: str) -> Iterator[None]:
        """One attempt; call `failed` or `succeeded` within. Raises `Braked` before it begins."""
        _, until = self._failures.get((username.lower(), address), (0, 0.0))
        if (pause_s := until - self._clock()) > 0:
            raise Braked(pause_s)
        if self._running >= _MAX_AT_ONCE:
            raise Braked(1)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def failed(self, username: str, address: str) -> None:
        """Note a wrong password: from the fifth on each doubles the pause, to five minutes."""
        name = (username.lower(), address)
        count = self._failures.pop(name, (0, 0.0))[0] + 1
        over = count - _FREE_FAILURES
        pause_s = 0.0 if over < 0 else min(_MAX_PAUSE_S, 2.0 ** min(over, 16))
        self._failures[name] = (count, self._clock() + pause_s)
        while len(self._failures) > _MAX_ENTRIES:
            self._failures.popitem(last=False)

    def succeeded(self, username: str, address: str) -> None:
        """Forget what was noted."""
        self._failures.pop((username.lower(), address), None)


class Ration:
    """So many of something for each user in any real stretch of time. Times are seconds of `clock` (monotonic)."""

    def __init__(
        self, most: int, within_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._within_s = within_s
        self._clock = clock
        self._taken: OrderedDict[int, deque[float]] = OrderedDict()

    def take(self, user_id: int) -> None:
        """Take one. Raises `Braked` where there is none left."""
        now = self._clock()
        taken = self._taken.pop(user_id, deque())
        while taken and taken[0] <= now - self._within_s:
            taken.popleft()
        self._taken[user_id] = taken
        if len(taken) >= self._most:
            raise Braked(taken[0] + self._within_s - now)
        taken.append(now)
        while len(self._taken) > _MAX_ENTRIES:
            self._taken.popitem(last=False)
