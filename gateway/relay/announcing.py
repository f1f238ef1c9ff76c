"""What this worker tells the quota store of its own accord: its running calls, and after a loss its charges too.

While the store was lost, this memory is the only place where they are. Whoever may reserve before it has been told may
spend the same money again; that is what the pause after a loss is for.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping

from gateway.domain.token import SHARDS
from gateway.relay.call import LET_THROUGH, Call
from gateway.relay.posting import Poster
from gateway.store.books import Reservation
from gateway.store.openings import Opening
from gateway.store.quota import QuotaStore
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
        self._told: dict[int, bytes] = {}
        self.known: dict[int, bytes] = {}
        """By shard: the opening in which everything has been told."""

    def is_new_in(self, openings: Mapping[int, Opening]) -> bool:
        """Whether not everything has been told in one of these openings, which are by shard."""
        return any(self.known.get(shard) != opening.name for shard, opening in openings.items())

    async def tell(self, openings: Mapping[int, Opening]) -> None:
        """Renew the leases in these shards, and in a new opening make anew what the store may have lost.

        A call whose reservation somebody else has ended is marked as fenced: its money is no longer held.
        Raises `StoreUnavailable`.
        """
        new = {
            shard for shard, opening in openings.items() if self.known.get(shard) != opening.name
        }
        self._paused_at = self._clock()
        at_stake_nusd = await self._announce(openings)
        if new:
            at_stake_nusd += await self._restate(new)
        for shard, opening in openings.items():
            self.known[shard] = opening.name
            self._told[shard] = opening.mark
        late_nusd = 0
        for shard in new & at_stake_nusd.keys():
            if not await self._is_pausing(shard, openings[shard]):
                late_nusd += at_stake_nusd[shard]
        if not late_nusd:
            return
        self._quota.double_faults += 1
        self._quota.double_fault_nusd += late_nusd
        _log.error(
            "double fault: the quota store was lost, and heard of %d nano-dollars only after its pause",
            late_nusd,
        )

    async def _is_pausing(self, shard: int, opening: Opening) -> bool:
        """Whether what was told came in time."""
        if opening.pause_left_s <= 0:
            return False
        now = await self._quota.opening(shard)
        return now is not None and now.pause_left_s > 0

    async def _restate(self, shards: Container[int]) -> Counter[int]:
        """Tell of all charges that Postgres does not have; by shard what those were that the store did not know."""
        unknown_nusd = Counter[int]()
        for by_account in self._poster.settlements():
            some = {
                account_id: settlements
                for account_id, settlements in by_account.items()
                if account_id % SHARDS in shards
            }
            created = await asyncio.gather(*(self._quota.restate(*each) for each in some.items()))
            for count, (account_id, settlements) in zip(created, some.items(), strict=True):
                if count:
                    unknown_nusd[account_id % SHARDS] += sum(each.amount for each in settlements)
            await self._keep_pausing(shards)
        return unknown_nusd

    async def _keep_pausing(self, shards: Container[int]) -> None:
        """Prolong the pause for as long as there is something to tell."""
        if self._clock() - self._paused_at > self._quota.pause_s / 3:
            self._paused_at = self._clock()
            await self._quota.prolong([shard for shard in range(SHARDS) if shard in shards])

    async def _announce(self, shards: Container[int]) -> Counter[int]:
        """Announce every running call of these shards at once.

        Answers by shard what those accounts hold of which any was made anew.
        """
        calls: dict[int, dict[str, Call]] = {}
        for call in self._live():
            token = call.entry.token
            if not call.fenced and token.shard in shards:
                calls.setdefault(token.account_id, {})[call.request_id.decode()] = call
        of_account = {
            account_id: [_reservation(call) for call in some.values()]
            for account_id, some in calls.items()
        }
        answers = await asyncio.gather(
            *(
                self._quota.announce(*each, self._told.get(each[0] % SHARDS, b""))
                for each in of_account.items()
            )
        )
        made_anew_nusd = Counter[int]()
        for (account_id, reservations), answer in zip(of_account.items(), answers, strict=True):
            some = calls[account_id]
            for request_id in answer.gone:
                some[request_id.decode()].fenced = True
            for call in some.values():
                if call.reservation is LET_THROUGH:
                    call.reservation = _TOLD
            if answer.created:
                made_anew_nusd[account_id % SHARDS] += sum(each.amount for each in reservations)
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
