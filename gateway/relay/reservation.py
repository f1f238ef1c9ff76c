"""The link that takes something: one atomic call to the quota store over all scopes of a token.

The store's answers that decide nothing are dealt with here: a book is loaded from Postgres, a lost epoch opened
again, a catalog or a token's row read anew. Everything it takes is settled by `Settlements.finish`, on every way out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.domain.errors import Refusal, StoreUnavailable
from gateway.domain.quota import grown
from gateway.relay.call import LET_THROUGH, Call, Terms
from gateway.relay.waiting import Waiting
from gateway.store.loads import Loads
from gateway.store.quota import QuotaStore
from gateway.store.quota_refusals import may_pass_later, refusal_of, shrink, unavailable
from gateway.store.replies import Again, Obstacle, Refused, Reply, Reserved, Rule, read_reply

_log = logging.getLogger(__name__)
_TRIES = 5


class StaleRow(Exception):
    """The token's row, or the catalog, changed since the call's checks: they must run again."""


class Reservations:
    """Reserves for calls. `renew_terms` makes a call's terms anew; `reach_catalog` reads that of a generation."""

    def __init__(
        self,
        quota: QuotaStore,
        loads: Loads,
        *,
        renew_terms: Callable[[Call, int | None], Terms],
        reach_catalog: Callable[[int], Awaitable[None]],
        release: Callable[[Call], None],
        disown: Callable[[Call], None],
        waiting: Waiting,
        hold_wait_s: float,
        allow_bounded_nusd: int,
    ) -> None:
        self._quota = quota
        self._loads = loads
        self._renew_terms = renew_terms
        self._reach_catalog = reach_catalog
        self._release = release
        self._disown = disown
        self._waiting = waiting
        self._hold_wait_s = hold_wait_s
        self._allow_bounded_nusd = allow_bounded_nusd
        # What capped tokens were let through with since the store last decided for them.
        self._let_through_nusd: dict[int, int] = {}

    async def reserve(self, call: Call) -> Refusal | None:
        """Take what the call may cost, or nothing and say why. Raises `StaleRow`.

        A call that only the holds of others stand in the way of waits for a settlement; one that named no maximum
        takes a smaller one where that fits.
        """
        give_up_at: float | None = None
        while True:
            answer = await self._decide(call)
            if not isinstance(answer, Refused):
                return answer
            if give_up_at is None:
                give_up_at = asyncio.get_running_loop().time() + self._hold_wait_s
            if answer.rule is not Rule.HELD and shrink(call, answer):
                continue
            if may_pass_later(call, answer) and await self._waiting.wait(
                call.entry.token.account_id, give_up_at
            ):
                continue
            if answer.rule is Rule.HELD and shrink(call, answer):
                continue
            return refusal_of(answer, call)

    async def _decide(self, call: Call) -> Refused | Refusal | None:
        """The store's decision, once nothing keeps it from deciding."""
        for _ in range(_TRIES):
            reply = await self._ask(call)
            if isinstance(reply, Reserved):
                call.reservation = reply
                return None
            if isinstance(reply, Refused):
                return reply
            if reply.obstacle in {Obstacle.DUPLICATE, Obstacle.DONE}:
                call.reservation = Reserved(None)  # an earlier try of ours was heard after all
                return None
            if reply.obstacle in {Obstacle.PAUSE, Obstacle.DOWN, Obstacle.UNKNOWN}:
                return self._without_store(call, reply)
            try:
                await self.clear(call, reply)
            except StoreUnavailable as error:
                return self._without_store(call, Again(Obstacle.DOWN, cause=str(error)))
        return self._without_store(call, Again(Obstacle.DOWN, cause="no decision after retries"))

    async def _ask(self, call: Call) -> Reply:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def done(reply: object) -> None:
            if future.cancelled():
                self._give_back(call, reply)
            elif not future.done():
                future.set_result(reply)

        self._quota.reserve(
            call.terms.prepared,
            call.request_id,
            call.hold.amount_nusd,
            call.hold.tokens,
            call.detail,
            done,
        )
        try:
            reply = read_reply(await future)
        except asyncio.CancelledError:
            if not future.cancelled():  # the reply was there, and this task not yet awake
                self._give_back(call, future.result())
            raise
        if self._let_through_nusd and not isinstance(reply, Again):
            self._let_through_nusd.pop(call.entry.token.id, None)
        return reply

    def _give_back(self, call: Call, reply: object) -> None:
        """The caller left while the store was deciding."""
        read = read_reply(reply)
        if isinstance(read, Reserved):
            call.reservation = read
            self._release(call)
        elif read[0] is Obstacle.DUPLICATE:
            self._release(call)
        elif read[0] is Obstacle.UNKNOWN:
            self._disown(call)

    async def clear(self, call: Call, reply: Again) -> None:
        """Remove what kept the store from deciding."""
        match reply.obstacle:
            case Obstacle.LOAD:
                if not await self._loads.load(call.terms.prepared, call.entry.token):
                    await self._reopen(call)
            case Obstacle.EPOCH:
                await self._reopen(call)
                call.terms = self._renew_terms(call, None)
            case Obstacle.PERIOD:
                call.terms = self._renew_terms(call, reply.value)
            case Obstacle.GENERATION:
                await self._reach_catalog(reply.value)
                raise StaleRow
            case _:
                raise StaleRow

    async def _reopen(self, call: Call) -> None:
        await self._quota.reopen(call.terms.prepared.shard, generation=call.catalog.generation)

    def _without_store(self, call: Call, reply: Again) -> Refusal | None:
        """What happens while the store cannot decide: a capped call is refused, unless the operator allows it."""
        if not call.terms.capped or self._may_pass(call):
            call.reservation = LET_THROUGH
            return None
        if reply.obstacle is Obstacle.UNKNOWN:
            self._disown(call)
        return unavailable(reply)

    def _may_pass(self, call: Call) -> bool:
        """Whether the call fits, whole, into what its token may spend unasked; if so, it is counted."""
        terms, token_id = call.terms, call.entry.token.id
        most = call.hold.most_output_tokens
        call.hold = grown(call.hold, call.ask, terms.model, terms.ratio_ppm, most)
        passed_nusd = self._let_through_nusd.get(token_id, 0) + call.hold.amount_nusd
        if not self._allow_bounded_nusd or passed_nusd > self._allow_bounded_nusd:
            return False
        self._let_through_nusd[token_id] = passed_nusd
        return True
