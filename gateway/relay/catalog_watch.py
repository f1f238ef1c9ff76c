"""The worker's catalog: renewed when a notice, the quota store or Postgres says that there is a newer one.

Notices may be lost, and a call that finds out waits: so Postgres is looked at every second, too. A call keeps the
catalog that it began with.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from gateway.config import Loaded
from gateway.domain.catalog import Catalog
from gateway.domain.errors import StoreUnavailable
from gateway.store.catalog import CatalogReader

_log = logging.getLogger(__name__)
_LOOK_S = 1.0


class CatalogWatch:
    """Over a catalog that was read. `renewed` is told of each new one, with the one before it."""

    def __init__(
        self,
        reader: CatalogReader,
        renewed: Callable[[Catalog, Catalog], None],
        *,
        look_s: float = _LOOK_S,
    ) -> None:
        self.catalog = reader.latest
        self._reader = reader
        self._renewed = renewed
        self._look_s = look_s
        self._woken = asyncio.Event()

    def notice(self, generation: int) -> None:
        """Somebody has made a generation: look at once, unless it is known."""
        if generation > self.catalog.generation:
            self._woken.set()

    def wake(self) -> None:
        """A notice may have been missed."""
        self._woken.set()

    async def reach(self, generation: int) -> None:
        """Have the catalog of that generation, or a newer one. Raises `StoreUnavailable`."""
        self._take(await self._reader.reach(generation))

    async def look(self) -> None:
        """Have the catalog of the present generation. Raises `StoreUnavailable`."""
        self._take(await self._reader.read())

    async def adopt(self, loaded: Loaded) -> None:
        """Have that of another configuration. Raises `StoreUnavailable`; then nothing is changed."""
        self._take(await self._reader.adopt(loaded))

    async def run(self) -> None:
        """Look every second, and at once after a notice, until cancelled."""
        is_blind = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self.look()
            except StoreUnavailable as error:
                if not is_blind:
                    _log.warning("whether the catalog has changed is not known: %s", error)
                is_blind = True
            else:
                is_blind = False

    def _take(self, catalog: Catalog) -> None:
        if catalog is not self.catalog:
            before, self.catalog = self.catalog, catalog
            self._renewed(before, catalog)
