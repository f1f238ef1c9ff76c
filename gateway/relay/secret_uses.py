"""When each secret was last used, on its way to Postgres: an owner who rotates has to see who still has the old one.

While the pepper is changed, a secret that was used is also stored anew, as the new pepper has it.

A secret in use is looked up again and again, as the cache of tokens lets go of it; so what is noted is look-ups, not
calls. A crash loses the last seconds of them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from gateway.domain.errors import StoreUnavailable
from gateway.domain.pepper import Pepper
from gateway.domain.token import Token
from gateway.relay.interval import every
from gateway.store.secrets import note_uses

_log = logging.getLogger(__name__)
_INTERVAL_S = 1.0
_MOST_KEPT = 100_000

Find = Callable[[Sequence[bytes]], Awaitable[Token | None]]


class SecretUses:
    """Notes by which digests keys were looked up; `run` writes them."""

    def __init__(self, pool: asyncpg.Pool, pepper: Pepper) -> None:
        self._pool = pool
        self._pepper = pepper
        self._used: set[Sequence[bytes]] = set()

    def noting(self, find: Find) -> Find:
        """The same look-up, which notes what it finds."""

        async def found(digests: Sequence[bytes]) -> Token | None:
            token = await find(digests)
            if token is not None and len(self._used) < _MOST_KEPT:
                self._used.add(digests)
            return token

        return found

    async def run(self) -> None:
        """Write until cancelled, and once more then."""
        await every(_INTERVAL_S, self.write)

    async def write(self) -> None:
        """Write what was noted; what Postgres does not take is noted with the next look-up."""
        if not self._used:
            return
        used, self._used = self._used, set()
        try:
            await note_uses(self._pool, used, self._pepper)
        except asyncio.CancelledError:
            self._used |= used  # written once more at the end, and harmless twice
            raise
        except StoreUnavailable as error:
            _log.warning("uses of %d secrets were not written: %s", len(used), error)
