"""What a worker says of upstreams that it cannot use, so that somebody can be warned of it."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable

import asyncpg

from gateway.domain.errors import StoreUnavailable
from gateway.relay.interval import every
from gateway.relay.upstream_state import UpstreamState
from gateway.store.outages import note_outages

_log = logging.getLogger(__name__)
_INTERVAL_S = 5.0


class Outages:
    """Looks at the upstreams of the moment; `run` writes what it sees. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        upstreams: Callable[[], Iterable[UpstreamState]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._upstreams = upstreams
        self._clock = clock
        self._worker = f"{socket.gethostname()}:{os.getpid()}"
        self._since: dict[str, float] = {}
        self._said = False

    async def run(self) -> None:
        """Look and write until cancelled."""
        await every(_INTERVAL_S, self.write)

    async def write(self) -> None:
        """Say what is out now; nothing is written as long as nothing is."""
        now = self._clock()
        out = {each.upstream.name for each in self._upstreams() if each.is_out(now)}
        self._since = {name: self._since.get(name, now) for name in out}
        if not (out or self._said):
            return
        try:
            since = self._since.items()
            await note_outages(self._pool, self._worker, {name: now - at for name, at in since})
            self._said = bool(out)
        except StoreUnavailable as error:
            _log.warning("outages were not written: %s", error)
