"""How much of a stream may be passed on: what is held for it, and for as long as it is held."""

import math
from collections.abc import Callable

from gateway.domain.quota import Hold, grown
from gateway.relay.call import Call
from gateway.relay.lease import Lease
from gateway.relay.sse import EventCounts, EventObserver

# Roles, ends and pings are events, too.
_SPARE_EVENTS = 16


class Overrun(Exception):
    """The upstream sends more than the maximum that it was given."""


class Allowance:
    """What a strictly held call may still be given. `clock` is monotonic, in seconds."""

    __slots__ = (
        "_call",
        "_clock",
        "_lease",
        "_most_events",
        "_renewed_until",
        "_settled_up",
        "_step",
    )

    def __init__(self, call: Call, lease: Lease, clock: Callable[[], float], step: int) -> None:
        self._call = call
        self._lease = lease
        self._clock = clock
        self._step = step
        # Where we cannot write the last event, the answer is not ours to end.
        spare = _SPARE_EVENTS * call.ask.choices if call.route.early_end else math.inf
        self._most_events = call.hold.most_output_tokens + spare
        self._renewed_until = 0.0
        self._settled_up = False

    def wanted(self, observer: EventObserver) -> Hold | None:
        """What must be held before what `observer` has seen may be passed on; None where it is already.

        Raises `Overrun` when there is no more to be had for this call.
        """
        if self._call.fenced or self._lease.is_over(self._clock()):
            renewal = self._renewal()
            if renewal is not None:
                return renewal
        if observer.usage is not None:
            return self._the_rest(observer)
        if self.covers(observer):
            return None
        held, terms = self._call.hold, self._call.terms
        if not held.grows:
            raise Overrun
        need = max(observer.output_tokens, held.output_tokens + self._step)
        return grown(held, self._call.ask, terms.model, terms.ratio_ppm, need)

    def covers(self, counts: EventCounts) -> bool:
        """Whether so much of the stream is held for."""
        held = self._call.hold
        if counts.output_tokens <= held.output_tokens:
            return True
        return not held.grows and counts.events <= self._most_events

    @property
    def settles_up(self) -> bool:
        """Whether the last `wanted` was of a call that has ended: any part of it is welcome."""
        return self._settled_up

    def _the_rest(self, observer: EventObserver) -> Hold | None:
        """The exact cost, where the steps so far do not cover it: output that was not to be seen costs, too."""
        held, terms, usage = self._call.hold, self._call.terms, observer.usage
        assert usage is not None
        if self._settled_up or not held.grows:
            return None
        cost = self._call.cost_nusd(usage)
        if cost <= held.amount_nusd:
            return None
        self._settled_up = True
        whole = grown(held, self._call.ask, terms.model, terms.ratio_ppm, held.most_output_tokens)
        return whole._replace(amount_nusd=min(cost, whole.amount_nusd))

    def _renewal(self) -> Hold | None:
        now = self._clock()
        if now < self._renewed_until:
            return None
        self._renewed_until = now + self._lease.lease_s
        return self._call.hold
