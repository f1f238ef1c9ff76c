"""What each worker does beside its calls: leases, the store's epoch, and the leavings of workers that are gone.

The reaper and the sweeper are one: a reservation whose lease ended and a charge that nobody confirmed are both written
to Postgres first, which takes each id once, and confirmed then. So two of them, or one and a late owner, cannot
disagree.
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
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hold_on(), name="leases")
            group.create_task(self._sweep_up(), name="sweeper")

    async def sweep(self) -> None:
        """Post everything whose time is up. Raises `StoreUnavailable`."""
        for shard in range(SHARDS):
            known: set[str] = set()
            while found := await self._quota.overdue(shard):
                ids = {overdue.entry.request_id for overdue in found}
                if ids <= known:
                    break  # what Postgres cannot take stays
                known |= ids
                _log.info("posting %d calls that were left behind", len(found))
                await self._poster.post([_charge(overdue) for overdue in found])

    async def _hold_on(self) -> None:
        """Renew leases in time, and announce what is held as soon as the store was lost: within its pause."""
        seen = told = None
        renew_at = 0.0
        beat_s = min(_BEAT_S, self._lease_s / 3, self._quota.pause_s / 3)
        while True:
            await asyncio.sleep(beat_s)
            try:
                opening = await self._quota.opening()
                if opening is None or self._generation() != told:
                    told = self._generation()
                    await self._quota.start(generation=told)
                    opening = await self._quota.opening()
                if opening != seen or time.monotonic() >= renew_at:
                    await self._announce()
                    renew_at = time.monotonic() + self._lease_s / 3
                    seen = opening
            except StoreUnavailable as error:
                _log.warning("leases wait: %s", error)

    async def _announce(self) -> None:
        for account_id, reservations in self._live().items():
            await self._quota.announce(account_id, reservations)

    async def _sweep_up(self) -> None:
        while True:
            try:
                await self.sweep()
            except StoreUnavailable as error:
                _log.warning("the sweeper waits: %s", error)
            await asyncio.sleep(self._sweep_s)


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
        *(b"0",) * 10,
        b"%d" % entry.amount,
        b"0",
        b"t",
        b"lost_worker",
        price_version,
    )
    return Charge(request_id, overdue.account_id, b"\t".join(fields) + b"\n")
