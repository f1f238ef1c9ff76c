"""Charges on their way to Postgres: kept here until it has them, then confirmed to the quota store."""

import asyncio
import logging
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.domain.errors import Reason, Refusal, StoreUnavailable
from gateway.domain.families import LAG_S
from gateway.relay.call import Call
from gateway.store.books import Book, Settlement
from gateway.store.charges import Charge, settlement
from gateway.store.contents import MAX_IDS
from gateway.store.ledger import LedgerStore, Posted
from gateway.store.quota import QuotaStore

_log = logging.getLogger(__name__)
BATCH: Final = 4000
"""Charges of one transaction."""
_RETRY_S: Final = 0.5
_LAST_TRIES_S: Final = 10.0
_OVERHEAD_BYTES: Final = 200
"""Of a charge beside its line."""
_MAX_UNTOLD_IDS: Final = 100_000
_ROOM_S: Final = 5.0
"""How long a caller is asked to wait for room: a backlog is posted in about that."""


class Lag:
    """How long charges took from the end of their call until Postgres had them: counts by upper bound, in seconds."""

    BOUNDS_S: Final = (*LAG_S, float("inf"))

    def __init__(self) -> None:
        self.counts = [0] * len(self.BOUNDS_S)
        self.total_s = 0.0

    def count(self, added_at: Sequence[float], now: float) -> None:
        """Count charges by when they were added, in order."""
        left = len(added_at)
        self.total_s += left * now - sum(added_at)
        for n, bound_s in enumerate(self.BOUNDS_S):
            older = bisect_left(added_at, now - bound_s, 0, left)
            self.counts[n] += left - older
            left = older

    def quantile_s(self, share: float) -> float:
        """The bound that this share of all charges did not exceed; 0 where there were none."""
        sought, seen = share * sum(self.counts), 0
        for bound_s, n in zip(self.BOUNDS_S, self.counts, strict=True):
            seen += n
            if n and seen >= sought:
                return bound_s
        return 0.0


class Poster:
    """Posts what was added, every `interval_s`. Nothing leaves it before Postgres answered that it is written.

    `buffer_bytes` bounds what waits: beyond it `room` refuses calls, and still nothing is dropped.
    """

    def __init__(
        self,
        ledger: LedgerStore,
        quota: QuotaStore,
        *,
        interval_s: float,
        buffer_bytes: int = 67_108_864,
    ) -> None:
        self._ledger = ledger
        self._quota = quota
        self._interval_s = interval_s
        self._buffer_bytes = buffer_bytes
        self._charges: list[Charge] = []
        self._added_at = array("d")
        self._closing = asyncio.Event()
        self._is_full = False
        self._posted = 0
        self.waiting_bytes = 0
        """Of the charges that Postgres does not have yet."""
        self.refused = 0
        """Calls that there was no room for."""
        self.lag = Lag()
        # What the quota store was not told: the books of each account, and ids.
        self._untold: dict[int, tuple[dict[str, Book], list[bytes]]] = {}
        self._untold_ids = 0

    @property
    def waiting(self) -> int:
        """How many charges Postgres does not have yet."""
        return len(self._charges)

    def add(self, charge: Charge) -> None:
        """Take a charge. Never awaits, so that no cancelled call can lose one."""
        self._charges.append(charge)
        self._added_at.append(time.monotonic())
        self.waiting_bytes += len(charge.line) + _OVERHEAD_BYTES

    def require_room(self, _call: Call) -> Refusal | None:
        """Refuse a call, before it takes anything, whose charge there would be no room for."""
        if self.waiting_bytes < self._buffer_bytes:
            return None
        if not self._is_full:
            self._is_full = True
            _log.error("no room for charges: %d wait for Postgres", len(self._charges))
        self.refused += 1
        return Refusal(
            Reason.QUOTA_UNAVAILABLE,
            "The ledger cannot be written at the moment, and too many calls wait for it. Try again shortly.",
            retry_after_s=_ROOM_S,
            cause=f"{self.waiting_bytes} bytes of charges wait for Postgres",
        )

    def settlements(self) -> Iterator[dict[int, list[Settlement]]]:
        """Every charge that Postgres does not have, by account, a few at a time.

        What it has by the time of a step, and what the step before told, is left out.
        """
        next_number = self._posted
        while (start := max(next_number - self._posted, 0)) < len(self._charges):
            some = self._charges[start : start + MAX_IDS]
            next_number = self._posted + start + len(some)
            by_account: dict[int, list[Settlement]] = {}
            for charge in some:
                by_account.setdefault(charge.account_id, []).append(settlement(charge))
            yield by_account

    async def run(self) -> None:
        """Post until `close`, then post the rest.

        Where Postgres stays away, what is left is given up: it is on record in the quota store as settled, and the next
        sweeper posts it.
        """
        while not self._closing.is_set():
            await self._pause(self._interval_s)
            await self._post_waiting()
        give_up_at = time.monotonic() + _LAST_TRIES_S
        while self._charges:
            if await self._post_waiting():
                continue
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
        """Post what waits, and of what comes meanwhile whole batches; False where Postgres stays away.

        The rest has time: a transaction of few charges costs nearly as much as one of hundreds, here and in Postgres.
        """
        is_whole = True
        while self._charges and is_whole:
            batch = self._charges[:BATCH]
            is_whole = len(batch) == BATCH
            try:
                self._confirm_all(batch, await self._ledger.post_new(batch))
            except StoreUnavailable as error:
                _log.warning("the ledger waits with %d charges: %s", len(self._charges), error)
                break
            self._forget(len(batch))
        else:
            return True
        await self._pause(_RETRY_S)
        return False

    def _forget(self, count: int) -> None:
        """Postgres has the oldest of them."""
        self.lag.count(self._added_at[:count], time.monotonic())
        self.waiting_bytes -= sum(len(charge.line) for charge in self._charges[:count])
        self.waiting_bytes -= count * _OVERHEAD_BYTES
        del self._charges[:count]
        del self._added_at[:count]
        self._posted += count
        if self._is_full and self.waiting_bytes < self._buffer_bytes:
            self._is_full = False
            _log.warning("there is room for charges again; %d calls were refused", self.refused)

    async def post(self, charges: Sequence[Charge]) -> None:
        """Write charges to Postgres, then tell the quota store that they are final. Raises `StoreUnavailable`.

        A charge that Postgres cannot take stays on record in the quota store, as spent.
        """
        self._confirm_all(charges, await self._ledger.post(charges))

    async def correct(self, charges: Sequence[Charge]) -> None:
        """Give back what a reaper charged for calls that were never made. Raises `StoreUnavailable`."""
        self._confirm_all(charges, await self._ledger.correct(charges))

    def _confirm_all(self, charges: Sequence[Charge], posted: Posted) -> None:
        ids: dict[int, list[bytes]] = {}
        for charge in charges:
            if charge.request_id not in posted.refused:
                ids.setdefault(charge.account_id, []).append(charge.request_id)
        for account_id, some in ids.items():
            self._confirm_some(account_id, [*posted.books.get(account_id, {}).values()], some)

    def confirm_again(self) -> None:
        """Tell the quota store what it could not be told while it was away."""
        untold, self._untold, self._untold_ids = self._untold, {}, 0
        for account_id, (books, ids) in untold.items():
            self._confirm_some(account_id, [*books.values()], ids)

    def _confirm_some(self, account_id: int, rows: list[Book], ids: list[bytes]) -> None:
        """No more in a command than a script takes; books come first: a charge may count twice so long, never not."""
        while len(rows) > MAX_IDS:
            self._confirm(account_id, rows[:MAX_IDS], [])
            rows = rows[MAX_IDS:]
        for start in range(0, max(len(ids), 1), MAX_IDS):
            self._confirm(account_id, [] if start else rows, ids[start : start + MAX_IDS])

    def _confirm(self, account_id: int, rows: list[Book], ids: list[bytes]) -> None:
        def done(reply: object) -> None:
            if isinstance(reply, int):
                return
            if isinstance(reply, StoreUnavailable):
                self._remember(account_id, rows, ids)
            else:
                # Still counted as pending; the sweeper finds them when their time is up.
                _log.warning(
                    "%d charges of account %d unconfirmed: %s", len(ids), account_id, reply
                )

        self._quota.confirm(account_id, rows, ids, done)

    def _remember(self, account_id: int, rows: Iterable[Book], ids: list[bytes]) -> None:
        books, kept = self._untold.setdefault(account_id, ({}, []))
        for book in rows:
            known = books.get(book.scope_id)
            if known is None or (known.used, known.gver) <= (book.used, book.gver):
                books[book.scope_id] = book
        if self._untold_ids < _MAX_UNTOLD_IDS:  # the others are found by the sweeper
            kept += ids
            self._untold_ids += len(ids)
