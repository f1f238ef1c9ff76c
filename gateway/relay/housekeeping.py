"""What each worker does beside its calls: leases, the store's epoch, and the leavings of workers that are gone.

The reaper and the sweeper are one: a reservation whose lease ended and a charge that nobody confirmed are both written to
Postgres first, which takes each id once, and confirmed then. So two of them, or one and a late owner, cannot disagree.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from gateway.domain.errors import StoreUnavailable
from gateway.domain.token import SHARDS
from gateway.relay.posting import Poster
from gateway.relay.record import instant_text
from gateway.store.books import Overdue, Reservation
from gateway.store.ledger import Charge
from gateway.store.quota import QuotaStore

_log = logging.getLogger(__name__)
_BEAT_S = 1.0


class Housekeeping:
    """`live` gives this worker's own reservations by account; `generation` the catalog's."""

    def __init__(
        self,
        quota: QuotaStore,
        poster: Poster,
        *,
        live: Callable[[], dict[int, list[Reservation]]],
        generation: Callable[[], int],
        lease_s: float,
        sweep_s: float,
    ) -> None:
        self._quota = quota
        self._poster = poster
        self._live = live
        self._generation = generation
        self._lease_s = lease_s
        self._sweep_s = sweep_s

    async def run(self) -> None:
        """Keep house until cancelled."""
        run_id = self._quota.run_id
        next_announcement = next_sweep = 0.0
        # A lease must be renewed before it ends, however short it is set.
        beat_s = min(_BEAT_S, self._lease_s / 3, self._sweep_s)
        while True:
            await asyncio.sleep(beat_s)
            now = time.monotonic()
            try:
                reopened = await self._quota.start(generation=self._generation())
                if reopened or self._quota.run_id != run_id or now >= next_announcement:
                    run_id = self._quota.run_id
                    await self._announce()
                    next_announcement = now + self._lease_s / 3
                if now >= next_sweep:
                    await self._sweep()
                    next_sweep = now + self._sweep_s
            except StoreUnavailable as error:
                _log.warning("housekeeping waits: %s", error)

    async def _announce(self) -> None:
        for account_id, reservations in self._live().items():
            await self._quota.announce(account_id, reservations)

    async def _sweep(self) -> None:
        for shard in range(SHARDS):
            found = await self._quota.overdue(shard)
            if found:
                _log.info("posting %d calls that were left behind", len(found))
                await self._poster.post([_charge(overdue) for overdue in found])


def _charge(overdue: Overdue) -> Charge:
    """The ledger's line of what was left behind: the settled one, or a lost worker's reservation in full."""
    entry = overdue.entry
    request_id = entry.request_id.encode()
    if not isinstance(entry, Reservation):
        return Charge(request_id, overdue.account_id, entry.event)
    *constant, dialect, route, price_version = entry.detail.split(b"\t")
    fields: Iterable[bytes] = (
        request_id,
        b"c",
        *constant,
        b"",
        dialect,
        route,
        b"500",
        instant_text(entry.started_ms / 1000),
        b"\\N",
        b"0",
        b"\\N",
        *(b"0",) * 5,
        b"%d" % entry.amount,
        b"0",
        b"t",
        b"lost_worker",
        price_version,
    )
    return Charge(request_id, overdue.account_id, b"\t".join(fields) + b"\n")
