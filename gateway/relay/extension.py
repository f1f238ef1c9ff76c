"""What a stream needs beyond its hold: taken from the same scopes as the reservation, before more is passed on."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.domain.errors import Reason, Refusal, StoreUnavailable
from gateway.domain.limits import Metric
from gateway.domain.quota import Hold, Limits, grown, largest_output
from gateway.relay.call import Call
from gateway.relay.waiting import Waiting
from gateway.store.quota import QuotaStore
from gateway.store.quota_refusals import refusal_of
from gateway.store.replies import Again, Extended, Obstacle, Refused, Rule, read_extended

_LOOK_AGAIN_S = 0.1


class Extensions:
    """Lets calls hold more. `clear` removes what keeps the store from deciding."""

    def __init__(
        self,
        quota: QuotaStore,
        *,
        clear: Callable[[Call, Again], Awaitable[None]],
        waiting: Waiting,
        hold_wait_s: float,
    ) -> None:
        self._quota = quota
        self._clear = clear
        self._waiting = waiting
        self._hold_wait_s = hold_wait_s

    async def extend(self, call: Call, wanted: Hold, any_part: bool) -> Refusal | None:  # noqa: FBT001 -- see forward.Extend
        """Let the call hold what is wanted, or with `any_part` what there is of it; the refusal where it may not.

        Holds of others and a store that is away are waited for as a reservation waits.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._hold_wait_s
        while True:
            reply = read_extended(await self._ask(call, wanted, any_part))
            if isinstance(reply, Extended):
                call.hold = wanted._replace(amount_nusd=reply.amount_nusd)
                return None
            if isinstance(reply, Refused):
                part = _part(call, reply)
                if part is not None:
                    wanted = part
                elif reply.held <= call.hold.amount_nusd or not await self._waiting.wait(
                    call.entry.token.account_id, give_up_at
                ):
                    return refusal_of(reply, call)
                continue
            if reply.obstacle is Obstacle.GONE:
                return _TAKEN_OVER
            if loop.time() >= give_up_at:
                return _UNREACHABLE
            await self._get_over(call, reply, give_up_at - loop.time())

    async def _ask(self, call: Call, wanted: Hold, any_part: bool) -> object:  # noqa: FBT001
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def done(reply: object) -> None:
            if not future.done():  # else the caller has left, and is settled for whatever is held
                future.set_result(reply)

        self._quota.extend(
            call.terms.prepared,
            call.request_id,
            wanted.amount_nusd,
            wanted.tokens,
            done,
            fill=any_part,
        )
        return await future

    async def _get_over(self, call: Call, reply: Again, left_s: float) -> None:
        if reply.obstacle in {Obstacle.PAUSE, Obstacle.DOWN}:
            wait_s = reply.value / 1000 if reply.obstacle is Obstacle.PAUSE else _LOOK_AGAIN_S
            await asyncio.sleep(min(wait_s, left_s))
            return
        try:
            await self._clear(call, reply)
        except StoreUnavailable:
            await asyncio.sleep(min(_LOOK_AGAIN_S, left_s))


def _part(call: Call, refused: Refused) -> Hold | None:
    """As much more output as there is room for; None where that is nothing."""
    held, terms = call.hold, call.terms
    if refused.rule is Rule.WINDOW:
        left = refused.limit - refused.used
        if refused.metric is Metric.TOKENS:
            room = Limits(tokens=held.tokens + left)
        else:
            room = Limits(amount_nusd=held.amount_nusd + left)
    else:
        room = Limits(amount_nusd=held.amount_nusd + refused.free)
    fits = largest_output(held, call.ask, terms.model, terms.ratio_ppm, room) * call.ask.choices
    return (
        grown(held, call.ask, terms.model, terms.ratio_ppm, fits)
        if fits > held.output_tokens
        else None
    )


_TAKEN_OVER = Refusal(
    Reason.QUOTA_UNAVAILABLE,
    "The gateway was interrupted for so long that this call was closed. Repeat it.",
    retry_after_s=1,
    cause="the reservation was taken over by another worker",
)
_UNREACHABLE = Refusal(
    Reason.QUOTA_UNAVAILABLE,
    "This key has a cap, and the quota store cannot be asked whether the answer may go on. Try again shortly.",
    retry_after_s=1,
    cause="no extension in time",
)
