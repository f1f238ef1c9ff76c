"""Rows of attempts on their way to Postgres. A crash loses the last seconds of them: the ledger has the charges."""

import logging
from collections.abc import Sequence

import asyncpg

from gateway.domain.errors import StoreUnavailable
from gateway.relay.interval import every
from gateway.store.attempts import AttemptRow, add_attempts

_log = logging.getLogger(__name__)
_INTERVAL_S = 1.0
_MOST = 20_000
_BATCH = 2000


class AttemptRows:
    """Takes rows, and writes them every second and at the end. What there is no room for is dropped and counted."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._rows: list[AttemptRow] = []
        self._dropped = 0

    def add(self, rows: Sequence[AttemptRow]) -> None:
        """Take the rows of a call."""
        if len(self._rows) < _MOST:
            self._rows += rows
        else:
            self._dropped += len(rows)

    async def run(self) -> None:
        """Write until cancelled, and once more then."""
        await every(_INTERVAL_S, self.write)

    async def write(self) -> None:
        """Write what there is; what Postgres does not take is kept."""
        rows, self._rows = self._rows, []
        written = 0
        try:
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                await add_attempts(self._pool, batch)
                written += len(batch)
        except StoreUnavailable as error:
            _log.warning("%d rows of attempts wait: %s", len(rows) - written, error)
        finally:
            self._rows[:0] = rows[written:]
        if self._dropped and not self._rows:
            _log.error("%d rows of attempts were dropped: there was no room", self._dropped)
            self._dropped = 0
