"""One attempt at an upstream: what its answer means, how long it may take, and how the exchange ends.

Callbacks of the connection drive it; a delivery writes to the caller and settles before the last bytes. The handler
only waits: for the end, for a slow caller to read on, or for the quota store to hold more.
"""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from functools import partial

from aiohttp.web import StreamResponse

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.errors import Reason, Refusal
from gateway.domain.quota import Hold
from gateway.relay.allowance import Allowance, Overrun
from gateway.relay.answer import AnswerWriter
from gateway.relay.call import CLIENT_CLOSED_REQUEST, Call, Outcome, Target
from gateway.relay.deadlines import Deadlines
from gateway.relay.delivery import CUT, Delivery, EventDelivery, LargeDelivery, WholeDelivery
from gateway.relay.envelopes import status_of
from gateway.relay.forms import delivery_of
from gateway.relay.metering import estimate
from gateway.relay.sent import Sent
from gateway.relay.tries import Tries
from gateway.relay.upstream import Fields, UpstreamConnection

_log = logging.getLogger(__name__)

# Refusals of more money or tokens: the answer ends there, as one that has reached its maximum.
_SPENT = frozenset({Reason.INSUFFICIENT_QUOTA, Reason.QUOTA_RESERVED, Reason.RATE_LIMIT_EXCEEDED})

_REVOKED = "revoked"


class Verdict(Enum):
    """What the forwarder does after an attempt."""

    ANSWERED = auto()  # the caller has an answer, or has left
    RESEND = auto()  # a kept-alive connection closed without a byte: the request was not taken
    NEXT = auto()  # it was not for the caller, and there is something else to try
    REFUSED = auto()  # nothing was written; `refusal` says what to tell


class Attempt:
    """An exchange with one upstream on behalf of a call. With its verdict it has let go of the connection.

    `expire` is due at the next of its `deadlines`, by `clock`. `detached`: it goes on without its caller.
    """

    __slots__ = (
        "_allowance",
        "_clock",
        "_connection",
        "_crash",
        "_delivery",
        "_events",
        "_failure",
        "_is_read",
        "_is_sent",
        "_sent",
        "_settle",
        "_waiter",
        "_writer",
        "call",
        "congested",
        "deadlines",
        "detached",
        "refusal",
        "target",
        "tries",
        "verdict",
    )

    def __init__(
        self,
        call: Call,
        target: Target,
        connection: UpstreamConnection,
        finish: Callable[[Call, Outcome], None],
        clock: Callable[[], float],
        *,
        sent: Sent,
        allowance: Allowance | None,
        tries: Tries,
    ) -> None:
        self.call = call
        self.tries = tries
        self.target = target
        self._connection = connection
        self._settle = partial(finish, call)
        self._clock = clock
        self._allowance = allowance
        self._is_read = False  # the connection has told the end: it may serve another by now
        self._failure: Refusal | None = None  # told when what came before it is passed on
        self._is_sent = call.upload is None
        self._sent = sent
        self._writer = AnswerWriter(call)
        self._crash: Exception | None = None
        self._delivery: Delivery | None = None
        self._events: EventDelivery | None = None  # the same, where it is one
        self._waiter: asyncio.Future[None] | None = None
        now = clock()
        call.asked_at = now
        if not call.was_sent:
            call.sent_at = now
        self.deadlines = Deadlines(target.upstream, now)
        self.congested = False
        self.detached = False
        self.verdict: Verdict | None = None
        self.refusal: Refusal | None = None

    # What the handler does.

    async def changed(self) -> None:
        """Wait until the attempt has a verdict, more must be held, or the caller is too slow to write to.

        Raises what went wrong in here.
        """
        self._raise_crash()
        if self.verdict is None and not self.congested and self.wanted is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._raise_crash()

    def _raise_crash(self) -> None:
        if self._crash is not None:
            raise self._crash

    @property
    def wanted(self) -> Hold | None:
        """What must be held before the answer goes on."""
        return None if self._events is None else self._events.wanted

    @property
    def settles_up(self) -> bool:
        """Whether any part of what is wanted is welcome, because the call has ended."""
        return self._events is not None and self._events.settles_up

    def go_on(self, refusal: Refusal | None) -> None:
        """What was wanted is held, or refused."""
        delivery = self._events
        if self.verdict is not None or delivery is None:
            return
        if refusal is not None:
            if refusal.reason in _SPENT and delivery.can_stop:
                self._end_early("quota_cut")
            else:
                self.cut(refusal)
            return
        try:
            delivery.release()
        except Overrun:
            self._end_early("over_hold")
            return
        if delivery.wanted is not None:
            return
        if self._failure is not None:
            self._break_off(self._failure)
        elif self._is_read:
            self._conclude(Verdict.ANSWERED)
        elif not self.congested:
            self.read_on()

    def read_on(self) -> None:
        """The caller has caught up."""
        self.congested = False
        if self.verdict is None:
            self.deadlines.more_from(self._clock())
            if not self._is_read:
                self._connection.resume()

    @property
    def kept_list(self) -> WholeDelivery | None:
        """The answer, where it is a list that was not passed on yet."""
        delivery = self._delivery
        return delivery if isinstance(delivery, WholeDelivery) and delivery.is_kept else None

    def response(self) -> StreamResponse:
        """What the handler returns after an answer."""
        return self._writer.response()

    def leave(self) -> None:
        """The caller has left: give up, or with `drain` read on for the exact usage."""
        self._writer.leave()
        if self.verdict is not None:
            return
        if self.target.upstream.on_disconnect == "drain" and self._is_sent:
            self.detached = True
            self._allowance = None
            if self._events is not None:
                self._events.let_go()
            self._connection.resume()
            return
        self._abort()
        self._conclude_unheard()

    def sent_some(self) -> None:
        """Some of a body that passes through was taken: it may take as long as it moves."""
        if self.verdict is None and self._delivery is None:
            self.deadlines.upload_from(self._clock())

    def sent_all(self) -> None:
        """The whole body was taken: now the answer is waited for."""
        self._is_sent = True
        if self.verdict is None and self._delivery is None:
            self.deadlines.answer_from(self._clock())

    def give_up(self, problem: str) -> None:
        """The caller's own body cannot be passed on to its end."""
        self.cut(Refusal(Reason.INVALID_REQUEST, problem))

    def keep_alive(self, now: float, heartbeat_s: float) -> None:
        """Give the caller of a stream that is silent for `heartbeat_s` a sign of life. It is none of the upstream's."""
        if self.verdict is None and self._events is not None:
            self._events.keep_alive(now, heartbeat_s)

    def expire(self) -> None:
        """The next deadline passed."""
        if self.verdict is not None:
            return
        problem = "did not answer in time" if self._delivery is None else "stopped answering"
        # Where the time for the whole is up, the silence before it may have been the caller's.
        if self.deadlines.blames_upstream and self._goes_on_after(
            problem, answered=self._connection.answered
        ):
            self._abort()
            self._conclude(Verdict.NEXT)
        else:
            self.cut(self._refusal(Reason.UPSTREAM_TIMEOUT, problem))

    def cut(self, refusal: Refusal) -> None:
        """End the exchange now, and the answer with a refusal."""
        if self.verdict is None:
            self._abort()
            self._break_off(refusal)

    def revoke(self, refusal: Refusal) -> None:
        """The key opens nothing any more: as `cut`, and whoever had the answer made pays for what is known of it."""
        if self.verdict is not None or self.detached:
            return
        self._abort()
        if self._delivery is None:
            outcome = estimate(self.call, status_of(refusal), 0, _REVOKED)
            outcome.reason = refusal.reason
            self._settle(outcome)
        self._break_off(refusal, _REVOKED)

    # Exchange

    def on_head(self, status: int, headers: Fields) -> None:
        """Decide what the head means; a stream of events begins at once."""
        call = self.call
        now = self._clock()
        call.ttfb_ms = int((now - call.started) * 1000)
        self.deadlines.more_from(now)
        if self.tries.answered(status, headers):
            self._connection.abort()
            self._conclude(Verdict.NEXT)
        elif status in {401, 403}:
            self._decline("refused the gateway's own credentials")
        elif not (200 <= status < 300 or 400 <= status < 600):  # noqa: PLR2004
            self._decline(f"answered with status {status}")
        else:
            self._begin(status, headers)

    def _begin(self, status: int, headers: Fields) -> None:
        """Choose the form in which the body is passed on."""
        form = delivery_of(
            self.call,
            self._sent,
            self._writer,
            self._settle,
            status=status,
            headers=headers,
            upstream=self.target.upstream,
            secret=self.tries.seat.api_key,
            allowance=self._allowance,
        )
        if isinstance(form, str):
            self._decline(form)
            return
        self._delivery = form
        if isinstance(form, EventDelivery):
            self._events = form

    def on_body(self, data: bytes) -> None:
        """Deliver it; where the caller does not keep up, read no more."""
        delivery = self._delivery
        assert delivery is not None
        self.deadlines.more_from(self._clock())
        try:
            delivery.feed(data)
        except BadAnswer as bad:
            self._abort()
            self._fail(bad.problem)
            return
        except Overrun:
            self._end_early("over_hold")
            return
        if self._events is not None:
            if self._events.wanted is not None:
                self._wait_for_hold()
        elif isinstance(delivery, WholeDelivery):
            if not delivery.too_large:
                return
            self._delivery = LargeDelivery(self.call, self._writer, self._settle, delivery)
        if self._writer.congested:
            self.congested = True
            self.deadlines.blame_nobody()
            self._connection.pause()
            self._wake()

    def on_end(self) -> None:
        """The answer is whole."""
        assert self._delivery is not None
        self._is_read = True
        try:
            self._delivery.end()
        except BadAnswer as bad:
            self._fail(bad.problem)
            return
        if self.wanted is None:
            self._conclude(Verdict.ANSWERED)
        else:
            self._wait_for_hold()

    def on_failure(self, problem: str, *, answered: bool) -> None:
        """The answer will not be whole."""
        self._is_read = True
        if not answered and self._connection.reused:
            self._conclude(Verdict.RESEND)
        elif self._goes_on_after(problem, answered=answered):
            self._conclude(Verdict.NEXT)
        else:
            self._fail(problem)

    def on_crash(self, error: Exception) -> None:
        """Something of ours is wrong: the handler that waits is told, and an answer that has begun is broken off."""
        _log.error("an answer could not be handled", exc_info=error)
        if not isinstance(self._delivery, WholeDelivery | None):
            self._writer.break_off()
        self._crash = error
        self._wake()

    # Ends

    def _goes_on_after(self, problem: str, *, answered: bool) -> bool:
        return self.tries.lost(problem, answered=answered) and not self.detached

    def _fail(self, problem: str) -> None:
        """The upstream's answer ends here and is not whole; what came before is passed on first."""
        self._is_read = True
        refusal = self._refusal(Reason.UPSTREAM_ERROR, problem)
        if self.wanted is None:
            self._break_off(refusal)
        else:
            self._failure = refusal
            self._wait_for_hold()

    def _wait_for_hold(self) -> None:
        self.deadlines.blame_nobody()
        if not self._is_read:
            self._connection.pause()
        self._wake()

    def _end_early(self, anomaly: str) -> None:
        assert self._events is not None
        self._abort()
        self._events.stop(anomaly)
        self._conclude(Verdict.ANSWERED)

    def _abort(self) -> None:
        if not self._is_read:
            self._connection.abort()

    def _decline(self, problem: str) -> None:
        self._abort()
        self._refuse(self._refusal(Reason.UPSTREAM_ERROR, problem))

    def _break_off(self, refusal: Refusal, anomaly: str = CUT) -> None:
        """Tell the caller as well as can be told at this point, and settle what was produced."""
        if self.detached:
            self._conclude_unheard()
        elif self._delivery is not None and self._delivery.fail(refusal, anomaly):
            if refusal.cause:
                _log.warning("an answer broke off: %s", refusal.cause)
            self._conclude(Verdict.ANSWERED)
        else:
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        """Nothing was written. The upstream was reached, so the call counts, at no cost unless settled already."""
        self._settle(Outcome(status_of(refusal), reason=refusal.reason))
        self.refusal = refusal
        self._conclude(Verdict.REFUSED)

    def _conclude_unheard(self) -> None:
        """Charge what was produced for a caller who has left; of a request that was sent, at least its input."""
        if self._delivery is not None:
            outcome = self._delivery.outcome(CLIENT_CLOSED_REQUEST, "client_closed")
        else:
            outcome = estimate(self.call, CLIENT_CLOSED_REQUEST, 0, "client_closed")
        self._settle(outcome)
        self._conclude(Verdict.ANSWERED)

    def _refusal(self, reason: Reason, problem: str) -> Refusal:
        return Refusal(
            reason,
            f"The upstream of {self.call.ask.model!r} {problem.partition(':')[0]}. Nothing is wrong with your key.",
            cause=f"{self.target.upstream.name}: {problem}",
        )

    def _conclude(self, verdict: Verdict) -> None:
        if self.detached and verdict in {Verdict.RESEND, Verdict.NEXT}:
            # Nobody is there to try again for, and nothing was produced.
            self._settle(Outcome(CLIENT_CLOSED_REQUEST))
            verdict = Verdict.ANSWERED
        self.verdict = verdict
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
