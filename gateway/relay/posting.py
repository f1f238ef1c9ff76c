"""Charges on their way to Postgres: kept here until it has them, then confirmed to the quota store."""

import asyncio
import logging
import time
from collections.abc import Sequence

from gateway.domain.errors import StoreUnavailable
from gateway.store.books import Book
from gateway.store.ledger import Charge, LedgerStore
from gateway.store.quota import MAX_IDS, QuotaStore

_log = logging.getLogger(__name__)
_BATCH = 4000
_RETRY_S = 0.5
_LAST_TRIES_S = 10.0


class Poster:
    """Posts what was added, every `interval_s`. Nothing leaves it before Postgres answered that it is written."""

    def __init__(self, ledger: LedgerStore, quota: QuotaStore, *, interval_s: float) -> None:
        self._ledger = ledger
        self._quota = quota
        self._interval_s = interval_s
        self._charges: list[Charge] = []
        self._closing = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many charges Postgres does not have yet."""
        return len(self._charges)

    def add(self, charge: Charge) -> None:
        """Take a charge. Never awaits, so that no cancelled call can lose one."""
        self._charges.append(charge)

    async def run(self) -> None:
        """Post until `close`, then post the rest.

        Where Postgres stays away, what is left is given up: it is on record in the quota store as settled, and the next
        sweeper posts it.
        """
        while not self._closing.is_set():
            await self._pause(self._interval_s)
            await self._post_waiting()
        give_up_at = time.monotonic() + _LAST_TRIES_S
        while self._charges and not await self._post_waiting():
            if time.monotonic() > give_up_at:
                _log.error("left %d charges for the sweeper", len(self._charges))
                return
            await asyncio.sleep(_RETRY_S)

    def close(self) -> None:
        """Let `run` end once everything is posted."""
        self._closing.set()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass

    async def _post_waiting(self) -> bool:
        while self._charges:
            batch = self._charges[:_BATCH]
            try:
                await self.post(batch)
            except StoreUnavailable as error:
                _log.warning("the ledger waits with %d charges: %s", len(self._charges), error)
                await self._pause(_RETRY_S)
                return False
            del self._charges[: len(batch)]
        return True

    async def post(self, charges: Sequence[Charge]) -> None:
        """Write charges to Postgres, then tell the quota store that they are final. Raises `StoreUnavailable`.

        A charge that Postgres cannot take stays on record in the quota store, as spent.
        """
        posted = await self._ledger.post(charges)
        ids: dict[int, list[bytes]] = {}
        for charge in charges:
            if charge.request_id not in posted.refused:
                ids.setdefault(charge.account_id, []).append(charge.request_id)
        for account_id, some in ids.items():
            books = posted.books.get(account_id, ())
            for start in range(0, len(some), MAX_IDS):
                self._confirm(account_id, books, some[start : start + MAX_IDS])

    def _confirm(self, account_id: int, books: Sequence[Book], ids: list[bytes]) -> None:
        def done(reply: object) -> None:
            if not isinstance(reply, int):
                # Still counted as pending; the sweeper finds them when their time is up.
                _log.warning(
                    "%d charges of account %d unconfirmed: %s", len(ids), account_id, reply
                )

        self._quota.confirm(account_id, books, ids, done)
