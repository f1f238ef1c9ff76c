"""A worker's accounting, wired: how a call's money is taken, how it is settled, and what tells the stores of both.

It knows no callers and no upstreams. What proves the cap (docs/proof/machine.md) works with the same object.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from gateway.relay.announcing import Announcer
from gateway.relay.call import Call, Terms
from gateway.relay.counters import CallCounters
from gateway.relay.extension import Extensions
from gateway.relay.housekeeping import Housekeeping
from gateway.relay.lease import Lease
from gateway.relay.objects import Objects
from gateway.relay.posting import Poster
from gateway.relay.record import AccessLog
from gateway.relay.reservation import Reservations
from gateway.relay.settlements import Settlements
from gateway.relay.shadow_counts import ShadowCounts
from gateway.relay.spans import Tracer
from gateway.relay.unheard import Unheard
from gateway.relay.waiting import Waiting
from gateway.settings import QuotaSettings
from gateway.store.ledger import LedgerStore
from gateway.store.loads import Loads
from gateway.store.quota import QuotaStore


@dataclass(frozen=True, slots=True)
class Records:
    """Where what is written of a settled call goes, beside the ledger."""

    log: AccessLog
    objects: Objects
    shadows: ShadowCounts
    counters: CallCounters
    tracer: Tracer


class Accounting:
    """Over open stores. `live` gives the calls that hold a reservation; `clock` is monotonic, in seconds.

    `renew_terms` and `reach_catalog` are as for `Reservations`, `generation` is the catalog's.
    """

    def __init__(
        self,
        quota: QuotaStore,
        ledger: LedgerStore,
        loads: Loads,
        settings: QuotaSettings,
        records: Records,
        *,
        renew_terms: Callable[[Call, int | None], Terms],
        reach_catalog: Callable[[int], Awaitable[None]],
        generation: Callable[[], int],
        live: Callable[[], Iterable[Call]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waiting = Waiting()
        self.poster = Poster(
            ledger,
            quota,
            interval_s=settings.post_interval_s,
            buffer_bytes=settings.post_buffer_bytes,
        )
        self.unheard = Unheard(quota, self.poster, lease_s=settings.lease_s, clock=clock)
        self.settlements = Settlements(
            quota,
            self.poster,
            records.log,
            self.unheard,
            self.waiting,
            records.objects,
            records.shadows,
            records.counters,
            records.tracer,
            clock,
        )
        self.reservations = Reservations(
            quota,
            loads,
            renew_terms=renew_terms,
            reach_catalog=reach_catalog,
            release=self.settlements.release,
            disown=self.settlements.disown,
            waiting=self.waiting,
            hold_wait_s=settings.hold_wait_s,
            allow_bounded_nusd=(
                settings.allow_bounded_nusd if settings.on_store_loss == "allow" else 0
            ),
        )
        self.extensions = Extensions(
            quota,
            clear=self.reservations.clear,
            waiting=self.waiting,
            hold_wait_s=settings.hold_wait_s,
        )
        self.lease = Lease(settings.lease_s, lambda: quota.connected)
        self.announcer = Announcer(quota, self.poster, live, clock)
        self.housekeeping = Housekeeping(
            quota,
            self.poster,
            self.announcer,
            self.unheard,
            generation=generation,
            lease=self.lease,
            sweep_s=settings.sweep_s,
            clock=clock,
        )
