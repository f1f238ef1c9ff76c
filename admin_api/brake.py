"""Slows the guessing of passwords, and rations. Kept in this process only.

Three things pause log-ins: failures of one name from one address, soon and long; many failures of one name, wherever
from; many from one address, whomever they name. None locks an account: the second and third do not hold whoever comes
from where they have logged in before, and the first is another address's own affair.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network

_MAX_ENTRIES = 10_000
_MAX_AT_ONCE = 32
_FORGOTTEN_S = 3600.0
_IPV6_PREFIX = 64  # what one customer has, at least


class Braked(Exception):
    """Too many attempts; `retry_after_s` is when the next one is looked at."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"again in {retry_after_s:.0f} s")


class _Failures:
    """Failures of one name each: beyond `free` each doubles the pause, to `longest_s`; an hour without one forgets."""

    def __init__(self, free: int, longest_s: float, clock: Callable[[], float]) -> None:
        self._free = free
        self._longest_s = longest_s
        self._clock = clock
        self._noted: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def pause_s(self, name: str) -> float:
        """How long from now on; 0 for no time."""
        count, at = self._noted.get(name, (0, 0.0))
        over = count - self._free
        pause_s = 0.0 if over < 0 else min(self._longest_s, 2.0 ** min(over, 16))
        return max(0.0, at + pause_s - self._clock())

    def add(self, name: str) -> int:
        """Note one; how many they are by now."""
        now = self._clock()
        count, at = self._noted.pop(name, (0, now))
        count = 1 if now - at > _FORGOTTEN_S else count + 1
        self._noted[name] = (count, now)
        while len(self._noted) > _MAX_ENTRIES:
            self._noted.popitem(last=False)
        return count

    def forget(self, name: str) -> None:
        self._noted.pop(name, None)


class Brake:
    """Counts failures. Times are seconds of `clock` (monotonic)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._of_both = _Failures(5, 300, clock)
        self._of_name = _Failures(50, 60, clock)
        self._of_place = _Failures(100, 60, clock)
        self._running = 0

    def slows(self, username: str, address: str) -> bool:
        """Whether what others did holds an attempt up; not that of somebody who is known there."""
        return self._slow_s(username, address) > 0

    @contextmanager
    def attempt(self, username: str, address: str, *, known: bool = False) -> Iterator[None]:
        """One attempt; call `failed` or `succeeded` within. Raises `Braked` before it begins.

        `known`: the user has logged in from there before.
        """
        pause_s = self._of_both.pause_s(_pair(username, address))
        if not known:
            pause_s = max(pause_s, self._slow_s(username, address))
        if pause_s > 0:
            raise Braked(pause_s)
        if self._running >= _MAX_AT_ONCE:
            raise Braked(1)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def failed(self, username: str, address: str) -> int:
        """Note a wrong password; how many there were of late for this name, wherever from."""
        self._of_both.add(_pair(username, address))
        self._of_place.add(place_of(address))
        return self._of_name.add(username.lower())

    def succeeded(self, username: str, address: str) -> None:
        """Forget what was noted of the name at this address; what others did stays noted."""
        self._of_both.forget(_pair(username, address))

    def _slow_s(self, username: str, address: str) -> float:
        return max(
            self._of_name.pause_s(username.lower()), self._of_place.pause_s(place_of(address))
        )


def _pair(username: str, address: str) -> str:
    return f"{place_of(address)} {username.lower()}"


def place_of(address: str) -> str:
    """The address; of an IPv6 one its network, of which one caller has all addresses."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _IPV6_PREFIX), strict=False))
    return address


class Ration:
    """So many of something for each name in any real stretch of time. Times are seconds of `clock` (monotonic)."""

    def __init__(
        self, most: int, within_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._within_s = within_s
        self._clock = clock
        self._taken: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def take(self, name: Hashable) -> None:
        """Take one. Raises `Braked` where there is none left."""
        now = self._clock()
        taken = self._taken.pop(name, deque())
        while taken and taken[0] <= now - self._within_s:
            taken.popleft()
        self._taken[name] = taken
        if len(taken) >= self._most:
            raise Braked(taken[0] + self._within_s - now)
        taken.append(now)
        while len(self._taken) > _MAX_ENTRIES:
            self._taken.popitem(last=False)


class Throttles:
    """What people who are not logged in may cause, and how many letters and calls of webhooks anybody may."""

    def __init__(self) -> None:
        self.registrations = Ration(20, 3600.0)
        """By network: each hashes a password and writes a user."""
        self.resets = Ration(20, 3600.0)
        """By network."""
        self.sign_ins = Ration(1000, 3600.0)
        """By network, which all of a company may share."""
        self.letters = Ration(5, 3600.0)
        """By recipient."""
        self.webhook_tests = Ration(10, 600.0)
        """By user: each is a call of an address that they chose."""
