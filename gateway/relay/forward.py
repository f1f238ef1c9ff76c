"""Forwarding: which upstream, what is sent to it, and when another is tried.

Sent again is what was never sent, what a kept-alive connection swallowed without a byte, and what an upstream declined
by its status. What may have been executed is so only by the operator's leave (`retry_unanswered`).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp.web import StreamResponse

from gateway.domain.errors import Reason, Refusal, StoreUnavailable
from gateway.domain.quota import Hold
from gateway.domain.translation.one_call import Untranslatable
from gateway.relay.allowance import Allowance
from gateway.relay.attempt import Attempt, Verdict
from gateway.relay.call import CLIENT_CLOSED_REQUEST, LET_THROUGH, Call, Outcome, Target
from gateway.relay.delivery import WholeDelivery
from gateway.relay.headers import framing_of, request_head
from gateway.relay.lease import Lease
from gateway.relay.objects import unknown_owner
from gateway.relay.sent import Sent, sent, sent_translated
from gateway.relay.tries import Note, Tries
from gateway.relay.upstream import UpstreamConnection

_log = logging.getLogger(__name__)
_TICK_S = 0.25
# A look that comes later than this: it was us who were stopped. What upstreams sent meanwhile lies unread.
_STOPPED_S = 1.0


HideOthers = Callable[[bytes, int], Awaitable[bytes]]
"""A list of objects without those that other accounts than this one have made. Raises `StoreUnavailable`."""

Extend = Callable[[Call, Hold, bool], Awaitable[Refusal | None]]
"""Lets a call hold what is given, or says why not; True: any part of it is welcome."""


class Forwarder:
    """Carries calls to upstreams. `finish` settles and records a call; only the first time counts.

    A call that `forward` has begun is settled by it, unless a refusal is returned. `extend` takes what a stream needs
    beyond its hold, `step_tokens` at a time. `note` takes the attempts of calls that needed several, `hide_others` what
    others have made out of lists. Callers of streams that are silent for `heartbeat_s` get a sign of life; 0 = none.
    """

    def __init__(
        self,
        finish: Callable[[Call, Outcome], None],
        extend: Extend,
        lease: Lease,
        *,
        step_tokens: int,
        note: Note,
        hide_others: HideOthers,
        heartbeat_s: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._finish = finish
        self._extend = extend
        self._lease = lease
        self._step_tokens = step_tokens
        self._note = note
        self._hide_others = hide_others
        self.heartbeat_s = heartbeat_s
        self._clock = clock
        # Every call from the first look at its targets to its end, with the attempt that is going on.
        self._live: dict[Call, Attempt | None] = {}
        self._last_word: Refusal | None = None

    async def forward(self, call: Call) -> StreamResponse | Refusal:
        """Try the call's targets, the best first, until the caller has an answer."""
        self._live[call] = None
        if call.trace is not None and call.trace.sampled:
            call.attempts = []
        tries = Tries(call, self._clock, self._note)
        try:
            return await self._try_targets(call, tries)
        except (asyncio.CancelledError, ConnectionError):
            if self._live[call] is None and self._last_word is None:
                self._finish(call, Outcome(CLIENT_CLOSED_REQUEST))
            raise
        finally:
            if self._live[call] is None:
                del self._live[call]
                tries.end()

    def live_calls(self) -> list[Call]:
        """The calls that hold a reservation."""
        return [call for call in self._live if call.reservation is not None and not call.finished]

    @property
    def running(self) -> tuple[int, int]:
        """How many calls there are, and how many of them are streams."""
        return len(self._live), sum(call.ask.stream for call in self._live)

    def cut(self, refusal: Refusal) -> None:
        """End every answer in progress, and begin none: we are shutting down and their time is up."""
        self._last_word = refusal
        for attempt in self._attempts():
            attempt.cut(refusal)

    def revoke(self, call: Call, refusal: Refusal) -> bool:
        """End a call whose key opens nothing any more; False where it has not come to an upstream yet."""
        attempt = self._live.get(call)
        if attempt is None:
            return call not in self._live
        call.is_fresh = True  # it was decided on a fresh row already
        attempt.revoke(refusal)
        return True

    def settle_detached(self) -> None:
        """End attempts that go on without their caller; what they produced is charged."""
        for attempt in self._attempts():
            if attempt.detached:
                attempt.expire()
        self._forget_ended()

    async def watch(self) -> None:
        """End attempts whose deadline passed, and keep the others' callers, for ever: a timer per call costs more."""
        last = self._clock()
        while True:
            await asyncio.sleep(_TICK_S)
            now = self._clock()
            late_s = now - last - _TICK_S
            last = now
            for attempt in self._attempts():
                if late_s > _STOPPED_S:
                    attempt.deadlines.put_off(late_s)
                if attempt.deadlines.next < now:
                    attempt.expire()
                elif self.heartbeat_s:
                    attempt.keep_alive(now, self.heartbeat_s)
            self._forget_ended()

    def _attempts(self) -> list[Attempt]:
        return [attempt for attempt in self._live.values() if attempt is not None]

    def _forget_ended(self) -> None:
        """Nobody waits for attempts that went on without their caller."""
        for attempt in self._attempts():
            if attempt.detached and attempt.verdict is not None:
                del self._live[attempt.call]
                attempt.tries.end()

    async def _try_targets(self, call: Call, tries: Tries) -> StreamResponse | Refusal:
        refusal = Refusal(Reason.UPSTREAM_UNAVAILABLE, "No upstream could be reached.")
        while (target := tries.next()) is not None:
            if self._last_word is not None:
                return self._last_word
            if tries.must_wait and not await tries.wait():
                refusal = _busy(call)
                continue
            call.upstream_name = target.upstream.name
            call.served = target.model
            attempt = await self._try_target(call, target, tries)
            if isinstance(attempt, Refusal):
                refusal = attempt
            elif attempt.verdict is Verdict.ANSWERED:
                kept = attempt.kept_list
                refused = None if kept is None else await self._pass_on(kept, call)
                return refused or attempt.response()
            elif attempt.refusal is not None:
                return attempt.refusal
        return refusal

    async def _pass_on(self, kept: WholeDelivery, call: Call) -> Refusal | None:
        """Give the caller a list without what other accounts have made."""
        try:
            body = await self._hide_others(kept.body, call.entry.token.account_id)
        except StoreUnavailable as error:
            return unknown_owner(error)
        kept.pass_on(body)
        return None

    async def _try_target(self, call: Call, target: Target, tries: Tries) -> Attempt | Refusal:
        """An attempt on a kept connection if there is one; on a new one otherwise, or when that one was closed."""
        try:
            if target.upstream.dialect == call.route.dialect:
                put = sent(call, target)
            else:
                put = await sent_translated(call, target)
        except Untranslatable as unsaid:
            tries.unsaid(unsaid.refusal.message)
            return unsaid.refusal
        # What passes through unread can be sent once only: never on a connection that may be closed by now.
        kept = target.pool.take() if call.upload is None else None
        if kept is not None:
            attempt = self._begin(call, target, put, kept, tries)
            await self._see_through(attempt)
            if attempt.verdict is not Verdict.RESEND:
                return attempt
        try:
            connection = await target.pool.connect()
        except (OSError, TimeoutError) as error:
            tries.unreachable(repr(error))
            _log.warning("upstream %s cannot be reached: %r", target.upstream.name, error)
            return _unreachable(call, target, error)
        attempt = self._begin(call, target, put, connection, tries)
        if call.upload is None:
            await self._see_through(attempt)
        else:
            await call.upload.pump_during(self._see_through(attempt), connection, attempt)
        return attempt

    def _begin(
        self, call: Call, target: Target, put: Sent, connection: UpstreamConnection, tries: Tries
    ) -> Attempt:
        attempt = Attempt(
            call,
            target,
            connection,
            self._finish,
            self._clock,
            sent=put,
            allowance=self._allowance(call),
            tries=tries,
        )
        constant = target.pool.constant_head(call.route.method, put.path, tries.seat.api_key)
        upload = call.upload
        framing = framing_of(len(put.body)) if upload is None else upload.framing
        head = request_head(
            constant,
            put.dialect,
            call.request.headers,
            framing,
            tries.traceparent,
            goes_on=call.trace is not None and bool(call.trace.parent_id),
        )
        self._live[call] = attempt
        call.was_sent = True
        if upload is None:
            connection.send(head, put.body, attempt)
        else:
            connection.send_head(head, attempt)
        return attempt

    def _allowance(self, call: Call) -> Allowance | None:
        if not (call.ask.stream and call.terms.strict) or call.reservation is LET_THROUGH:
            return None
        return Allowance(call, self._lease, self._clock, self._step_tokens * call.ask.choices)

    async def _see_through(self, attempt: Attempt) -> None:
        """Until the attempt has a verdict; the caller may leave it."""
        call = attempt.call
        try:
            while True:
                await attempt.changed()
                if attempt.verdict is not None:
                    return
                wanted = attempt.wanted
                if wanted is not None:
                    attempt.go_on(await self._extend(call, wanted, attempt.settles_up))
                    continue
                await call.request.drain()
                attempt.read_on()
        except (asyncio.CancelledError, ConnectionError):
            if attempt.verdict is not None and self._last_word is not None:
                return  # it was cut, and its caller is told
            attempt.leave()
            raise
        except Exception:
            self._live[call] = None  # the handler ends the call
            raise
        finally:
            if attempt.verdict is not None:
                self._live[call] = None


def _busy(call: Call) -> Refusal:
    return Refusal(
        Reason.UPSTREAM_BUSY,
        f"Every upstream of {call.ask.model!r} has as many calls as it may have. Try again shortly.",
        retry_after_s=1,
    )


def _unreachable(call: Call, target: Target, error: Exception) -> Refusal:
    timed_out = isinstance(error, TimeoutError)
    return Refusal(
        Reason.UPSTREAM_TIMEOUT if timed_out else Reason.UPSTREAM_UNAVAILABLE,
        f"The upstream of {call.ask.model!r} could not be reached. Nothing is wrong with your key.",
        cause=f"{target.upstream.name}: {error!r}",
    )
