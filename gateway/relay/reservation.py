"""The link that takes something: one atomic call to the quota store over all scopes of a token.

The store's answers that decide nothing are dealt with here: a book is loaded from Postgres, a lost epoch opened
again, a catalog or a token's row read anew. Everything it takes is settled by `Settlements.finish`, on every way out.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

from gateway.domain.errors import Reason, Refusal, StoreUnavailable
from gateway.domain.limits import Metric
from gateway.relay.call import Call, Terms
from gateway.store.loads import Loads
from gateway.store.quota import QuotaStore
from gateway.store.replies import Again, Obstacle, Refused, Reply, Reserved, Rule, read_reply

_log = logging.getLogger(__name__)
_TRIES = 5
_NUSD_PER_USD = 1_000_000_000


class StaleRow(Exception):
    """The token's row, or the catalog, changed since the call's checks: they must run again."""


class Reservations:
    """Reserves for calls. `renew_terms` makes a call's terms anew; `renew_catalog` reads the catalog again."""

    def __init__(
        self,
        quota: QuotaStore,
        loads: Loads,
        *,
        renew_terms: Callable[[Call, int | None], Terms],
        renew_catalog: Callable[[], Awaitable[None]],
        release: Callable[[Call], None],
        allow_on_loss: bool,
    ) -> None:
        self._quota = quota
        self._loads = loads
        self._renew_terms = renew_terms
        self._renew_catalog = renew_catalog
        self._release = release
        self._allow_on_loss = allow_on_loss

    async def reserve(self, call: Call) -> Refusal | None:
        """Take what the call may cost, or nothing and say why. Raises `StaleRow`."""
        for _ in range(_TRIES):
            reply = await self._ask(call)
            if isinstance(reply, Reserved):
                call.reservation = reply
                return None
            if isinstance(reply, Refused):
                return _refusal(reply, call)
            if reply.obstacle in {Obstacle.DUPLICATE, Obstacle.DONE}:
                call.reservation = Reserved(None)  # an earlier try of ours was heard after all
                return None
            if reply.obstacle in {Obstacle.PAUSE, Obstacle.DOWN}:
                return self._without_store(call, reply)
            try:
                await self._clear(call, reply)
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
            return read_reply(await future)
        except asyncio.CancelledError:
            if not future.cancelled():  # the reply was there, and this task not yet awake
                self._give_back(call, future.result())
            raise

    def _give_back(self, call: Call, reply: object) -> None:
        """The caller left while the store was deciding."""
        read = read_reply(reply)
        if isinstance(read, Reserved) or read[0] is Obstacle.DUPLICATE:
            self._release(call)

    async def _clear(self, call: Call, reply: Again) -> None:
        """Remove what kept the store from deciding."""
        match reply.obstacle:
            case Obstacle.LOAD:
                if not await self._loads.load(call.terms.prepared, call.entry.token):
                    await self._quota.reopen(generation=call.catalog.generation)
            case Obstacle.EPOCH:
                await self._quota.reopen(generation=call.catalog.generation)
                call.terms = self._renew_terms(call, None)
            case Obstacle.PERIOD:
                call.terms = self._renew_terms(call, reply.value)
            case Obstacle.GENERATION:
                await self._renew_catalog()
                raise StaleRow
            case _:
                raise StaleRow

    def _without_store(self, call: Call, reply: Again) -> Refusal | None:
        """What happens while the store cannot decide: a capped call is refused, unless the operator allows it."""
        if not call.terms.capped or self._allow_on_loss:
            return None
        wait_s = reply.value / 1000 if reply.obstacle is Obstacle.PAUSE else 1.0
        return Refusal(
            Reason.QUOTA_UNAVAILABLE,
            "This key has a cap, and the quota store cannot be asked at the moment. Try again shortly.",
            retry_after_s=wait_s,
            cause=f"{reply.obstacle}: {reply.cause}",
        )


def _refusal(refused: Refused, call: Call) -> Refusal:
    """A store's refusal in words: which scope, how much, when to come back."""
    details: dict[str, int | str | None] = {
        "scope": refused.scope,
        "used": refused.used,
        "held": refused.held,
        "limit": refused.limit,
    }
    scope = refused.scope
    match refused.rule:
        case Rule.QUOTA | Rule.HELD:
            details = {f"{k}_nusd" if k != "scope" else k: v for k, v in details.items()}
            details["needed_nusd"] = call.hold.amount_nusd
            return _quota_refusal(refused, call, details)
        case Rule.CONCURRENCY:
            return Refusal(
                Reason.CONCURRENCY_EXCEEDED,
                f"The {scope} has {refused.used} calls running, and {refused.limit} are allowed at a time. "
                "Try again when one has ended.",
                scope=scope,
                retry_after_s=1,
                details=details,
            )
        case Rule.TOO_BIG:
            return Refusal(
                Reason.INVALID_REQUEST,
                f"This call alone may need {_amount(refused.metric, refused.used)}, and the {scope} is limited to "
                f"{_amount(refused.metric, refused.limit)} {refused.span}: it can never pass. "
                "Ask for less output.",
                scope=scope,
                details=details,
            )
        case Rule.WINDOW:
            wait_s = (refused.retry_ms or 0) / 1000
            return Refusal(
                Reason.RATE_LIMIT_EXCEEDED,
                f"The {scope} is limited to {_amount(refused.metric, refused.limit)} {refused.span}, and "
                f"{_amount(refused.metric, refused.used)} are used. Try again in {math.ceil(wait_s)} s.",
                scope=scope,
                retry_after_s=wait_s,
                details={**details, "metric": refused.metric, "window": refused.window},
            )


def _quota_refusal(refused: Refused, call: Call, details: dict[str, int | str | None]) -> Refusal:
    needed = _usd(call.hold.amount_nusd)
    state = (
        f"The quota of this {refused.scope} is {_usd(refused.limit)}: {_usd(refused.used)} used, "
        f"{_usd(refused.held)} held by running calls. This call may cost up to {needed}."
    )
    if refused.rule is Rule.HELD:
        return Refusal(
            Reason.QUOTA_RESERVED,
            f"{state} Try again when a running call has ended, or ask for less output.",
            scope=refused.scope,
            retry_after_s=1,
            details=details,
        )
    remedy = "Ask for less output, or have the quota raised."
    if refused.used >= refused.limit:
        remedy = "Have the quota raised."
    return Refusal(
        Reason.INSUFFICIENT_QUOTA, f"{state} {remedy}", scope=refused.scope, details=details
    )


def _amount(metric: Metric | None, value: int) -> str:
    return _usd(value) if metric is Metric.USD else f"{value} {metric}"


def _usd(nusd: int) -> str:
    whole, rest = divmod(nusd, _NUSD_PER_USD)
    decimals = f"{rest:09d}".rstrip("0")
    return f"${whole}.{decimals:0<2}"
