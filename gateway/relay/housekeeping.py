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
from gateway.relay.announcing import Announcer
from gateway.relay.lease import Lease
from gateway.relay.posting import Poster
from gateway.relay.record import instant_text
from gateway.relay.unheard import Unheard
from gateway.store.books import Overdue, Reservation
from gateway.store.charges import LOST_WORKER, NOTHING_TOLD, Charge
from gateway.store.quota import QuotaStore

_log = logging.getLogger(__name__)
_BEAT_S = 1.0
_FIELDS_OF_DETAIL = 8  # before what the caller told, if anything (`Call.detail`)


class Housekeeping:
    """`announcer` tells of this worker's own calls and charges; `generation` is the catalog's.

    `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        quota: QuotaStore,
        poster: Poster,
        announcer: Announcer,
        unheard: Unheard,
        *,
        generation: Callable[[], int],
        lease: Lease,
        sweep_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quota = quota
        self._poster = poster
        self._announcer = announcer
        self._unheard = unheard
        self._generation = generation
        self._lease = lease
        self._sweep_s = sweep_s
        self._clock = clock
        self._told: int | None = None
        self._renew_at = 0.0

    async def run(self) -> None:
        """Keep house until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hold_on(), name="leases")
            group.create_task(self._sweep_up(), name="sweeper")

    async def sweep(self) -> None:
        """Post everything whose time is up. Raises `StoreUnavailable`."""
        away: StoreUnavailable | None = None
        for shard in range(SHARDS):
            try:
                await self._sweep(shard)
            except StoreUnavailable as error:
                away = error  # perhaps one node of several: the others are swept
        if away is not None:
            raise away

    async def _sweep(self, shard: int) -> None:
        known: set[str] = set()
        while found := await self._quota.overdue(shard):
            ids = {overdue.entry.request_id for overdue in found}
            if ids <= known:
                break  # what Postgres cannot take stays
            known |= ids
            _log.info("posting %d calls that were left behind", len(found))
            await self._poster.post([_charge(overdue) for overdue in found])

    async def beat(self) -> None:
        """Leases in time, everything within the pause of a new opening, what was not heard.

        Of a cluster, what can be asked. Raises `StoreUnavailable`; the next beat does what this one could not.
        """
        if not self._quota.connected:
            return
        found = await self._quota.look_round()
        if None in found.values() or self._generation() != self._told:
            generation = self._generation()
            await self._quota.start(generation=generation, shards=found)
            self._told = generation
            found = await self._quota.look_round()
        openings = {shard: opening for shard, opening in found.items() if opening is not None}
        if not openings:
            return  # lost again just now
        now, lease_s = self._clock(), self._lease.lease_s
        if now >= self._renew_at or self._announcer.is_new_in(openings):
            await self._announcer.tell(openings)
            self._renew_at = now + lease_s / 3
            self._lease.until = now + lease_s
        self._poster.confirm_again()
        self._unheard.void()

    async def _hold_on(self) -> None:
        beat_s = min(_BEAT_S, self._lease.lease_s / 3, self._quota.pause_s / 3)
        while True:
            await asyncio.sleep(beat_s)
            try:
                await self.beat()
            except StoreUnavailable as error:
                _log.warning("leases wait: %s", error)

    async def _sweep_up(self) -> None:
        while True:
            try:
                await self._unheard.correct()
                await self.sweep()
                await self._unheard.correct()
            except StoreUnavailable as error:
                _log.warning("the sweeper waits: %s", error)
            await asyncio.sleep(self._sweep_s)


def _charge(overdue: Overdue) -> Charge:
    """The ledger's line of what was left behind: the settled one, or a lost worker's reservation in full."""
    entry = overdue.entry
    request_id = entry.request_id.encode()
    if not isinstance(entry, Reservation):
        return Charge(request_id, overdue.account_id, entry.event)
    fields = entry.detail.split(b"\t", _FIELDS_OF_DETAIL)
    *constant, dialect, route, price_version = fields[:_FIELDS_OF_DETAIL]
    told = fields[_FIELDS_OF_DETAIL:] or [NOTHING_TOLD]
    line: Iterable[bytes] = (
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
        b"%d" % entry.tokens,  # the whole hold, as the amount is; what was output is not known
        *(b"0",) * 10,
        b"%d" % entry.amount,
        b"0",
        b"t",
        LOST_WORKER.encode(),
        price_version,
        *told,
    )
    return Charge(request_id, overdue.account_id, b"\t".join(line) + b"\n")
