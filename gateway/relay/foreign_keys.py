"""Other gateways' keys: whether any open tokens here, and how many unknown ones may be looked up.

A text that is no key of ours costs a look-up in Postgres to refuse. So it is looked up only while
foreign keys exist, and no address makes Postgres look for many that nobody has.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from gateway.domain.errors import StoreUnavailable
from gateway.domain.network import Address

UNKNOWN_PER_S = 50
"""So many keys that turn out unknown are looked up for an address in one second of the clock."""

_log = logging.getLogger(__name__)
_LOOK_S = 5.0
_REST_S = 0.2
_MAX_ADDRESSES = 10_000
_NETWORK_BITS = 64  # what one subscriber of IPv6 has


class ForeignKeys:
    """`find_any` asks Postgres whether there are any. What was found last holds while it does not answer."""

    def __init__(self, find_any: Callable[[], Awaitable[bool]]) -> None:
        self._find_any = find_any
        self._woken = asyncio.Event()
        self.exist = False
        self.look_ups = LookUps()

    async def look(self) -> None:
        """Find out whether there are any. Raises `StoreUnavailable`."""
        self.exist = await self._find_any()

    def wake(self) -> None:
        """Look soon: a token has changed, and may be one that was imported."""
        if not self.exist:
            self._woken.set()

    async def run(self) -> None:
        """Look every few seconds, and soon after being woken, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self.look()
            except StoreUnavailable as error:
                _log.warning("whether keys were imported is not known: %s", error)
            await asyncio.sleep(_REST_S)


class LookUps:
    """Counts by address, for the present second only; bounded. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._taken: dict[int, int] = {}

    def take(self, address: Address | None) -> bool:
        """Whether one more may be looked up for this address; those of nobody knows whom are counted together."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._taken = second, {}
        name = _network(address)
        taken = self._taken.get(name, 0)
        if taken >= UNKNOWN_PER_S or (not taken and len(self._taken) >= _MAX_ADDRESSES):
            return False
        self._taken[name] = taken + 1
        return True

    def give_back(self, address: Address | None) -> None:
        """The one that was taken turned out to be good."""
        name = _network(address)
        if self._taken.get(name):
            self._taken[name] -= 1


def _network(address: Address | None) -> int:
    """What is counted as one: an IPv4 address, or a /64 of IPv6, which is told from IPv4 by its sign."""
    if address is None:
        return -1
    return address.value if address.is_v4 else -2 - (address.value >> _NETWORK_BITS)
