"""What this worker tells the quota store of its own accord: its running calls, and after a loss its charges too.

While the store was lost, this memory is the only place where they are. Whoever may reserve before it has been told may
spend the same money again; that is what the pause after a loss is for.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from gateway.relay.call import LET_THROUGH, Call
from gateway.relay.posting import Poster
from gateway.store.books import Reservation
from gateway.store.quota import Opening, QuotaStore
from gateway.store.replies import Reserved

_log = logging.getLogger(__name__)
_TOLD = Reserved(None)


class Announcer:
    """`live` gives the calls that hold a reservation. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        quota: QuotaStore,
        poster: Poster,
        live: Callable[[], Iterable[Call]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quota = quota
        self._poster = poster
        self._live = live
        self._clock = clock
        self._paused_at = 0.0
        self._told = b""
        self.known = b""
        """The opening in which everything has been told."""

    async def tell(self, opening: Opening) -> None:
        """Renew all leases, and in a new opening make anew what the store may have lost. Raises `StoreUnavailable`.

        A call whose reservation somebody else has ended is marked as fenced: its money is no longer held.
        """
        if opening.name == self.known:
            await self._announce()
            self._told = opening.mark
            return
        self._paused_at = self._clock()
        at_stake_nusd = await self._announce() + await self._restate()
        self.known = opening.name
        self._told = opening.mark
        if not at_stake_nusd:
            return
        if opening.pause_left_s > 0:
            now = await self._quota.opening()
            if now is not None and now.pause_left_s > 0:
                return
        self._quota.double_faults += 1
        self._quota.double_fault_nusd += at_stake_nusd
        _log.error(
            "double fault: the quota store was lost, and heard of %d nano-dollars only after its pause",
            at_stake_nusd,
        )

    async def _restate(self) -> int:
        """Tell of all charges that Postgres does not have; what those were that the store did not know."""
        unknown_nusd = 0
        for by_account in self._poster.settlements():
            created = await asyncio.gather(
                *(self._quota.restate(*each) for each in by_account.items())
            )
            for count, some in zip(created, by_account.values(), strict=True):
                unknown_nusd += sum(each.amount for each in some) if count else 0
            await self._keep_pausing()
        return unknown_nusd

    async def _keep_pausing(self) -> None:
        """Prolong the pause for as long as there is something to tell."""
        if self._clock() - self._paused_at > self._quota.pause_s / 3:
            self._paused_at = self._clock()
            await self._quota.prolong()

    async def _announce(self) -> int:
        """Announce every running call at once; what those accounts hold of which any was made anew."""
        calls: dict[int, dict[str, Call]] = {}
        for call in self._live():
            if not call.fenced:
                account_id = call.entry.token.account_id
                calls.setdefault(account_id, {})[call.request_id.decode()] = call
        of_account = {
            account_id: [_reservation(call) for call in some.values()]
            for account_id, some in calls.items()
        }
        answers = await asyncio.gather(
            *(self._quota.announce(*each, self._told) for each in of_account.items())
        )
        made_anew_nusd = 0
        for (account_id, reservations), answer in zip(of_account.items(), answers, strict=True):
            some = calls[account_id]
            for request_id in answer.gone:
                some[request_id.decode()].fenced = True
            for call in some.values():
                if call.reservation is LET_THROUGH:
                    call.reservation = _TOLD
            if answer.created:
                made_anew_nusd += sum(each.amount for each in reservations)
        return made_anew_nusd


def _reservation(call: Call) -> Reservation:
    """A call's reservation, as the store keeps it."""
    return Reservation(
        call.request_id.decode(),
        call.entry.token.scope_ids,
        call.hold.amount_nusd,
        call.hold.tokens,
        int(call.started_at * 1000),
        call.detail,
        heard=call.reservation is not LET_THROUGH,
    )
