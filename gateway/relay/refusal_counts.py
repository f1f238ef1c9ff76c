"""Counts of refusals on their way to Postgres. A crash loses the last seconds of them: they are no money."""

import logging
from collections import Counter
from datetime import UTC, datetime

import asyncpg

from gateway.domain.errors import StoreUnavailable
from gateway.relay.interval import every
from gateway.store.refusals import add_refusals

_log = logging.getLogger(__name__)
_INTERVAL_S = 5.0
_MOST = 100_000


class RefusalCounts:
    """Counts, and writes what it counted every few seconds and at the end."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._counts: Counter[tuple[int, str]] = Counter()

    def add(self, token_id: int, reason: str) -> None:
        """Count a refusal by its `Reason`, or what stands in its place.

        `token_id` is 0 where no token was known yet, or too many wait to be written.
        """
        key = (token_id, str(reason))
        if key not in self._counts and len(self._counts) >= _MOST:
            key = (0, str(reason))
        self._counts[key] += 1

    async def run(self) -> None:
        """Write until cancelled, and once more then."""
        await every(_INTERVAL_S, self.write)

    async def write(self) -> None:
        """Write what was counted; what Postgres does not take is kept."""
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        try:
            await add_refusals(self._pool, counts, datetime.now(UTC))
        except StoreUnavailable as error:
            self._counts.update(counts)
            _log.warning("counts of refusals wait: %s", error)
