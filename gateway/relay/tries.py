"""One call's way through its upstreams: which it tries next, and whether what one said is the end of it.

An attempt tells what it met, and hears whether to go on. The upstreams' states, which all calls share, hear of it too.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from gateway.domain.affinity import beginning_of, rank
from gateway.domain.catalog import PPM
from gateway.domain.choice import Fitness, Load, best
from gateway.domain.trace import traceparent
from gateway.domain.usage import cost_nusd
from gateway.relay.call import AttemptSpan, Call, Target
from gateway.relay.metering import estimate
from gateway.relay.record import new_span_id
from gateway.relay.retry_after import retry_after_s
from gateway.relay.upstream import Fields
from gateway.relay.upstream_state import Seat
from gateway.store.attempts import AttemptRow

# Declines of the upstream: another may not. Of these, some are of the key, and some name a time after which to ask.
_ELSEWHERE = frozenset({401, 403, 408, 429, 500, 502, 503, 504, 529})
_OF_THE_KEY = frozenset({401, 403, 429})
_REFUSED = frozenset({401, 403})
_LATER = frozenset({429, 503})
_ERROR = 400
_FAULT = 500

Note = Callable[[Sequence[AttemptRow]], None]
"""Takes the attempts of a call that needed several."""


class Tries:
    """The targets of a call, one after the other. `clock` is monotonic, in seconds.

    `next` takes a place at an upstream; `end` gives back what is still taken, and may be called at any time.
    """

    __slots__ = (
        "_again",
        "_call",
        "_clock",
        "_cost_estimate_nusd",
        "_error",
        "_has_paused",
        "_has_place",
        "_has_stood",
        "_is_begun",
        "_is_probe",
        "_is_sent_once",
        "_left",
        "_note",
        "_pause_s",
        "_rows",
        "_span",
        "_status",
        "_target",
        "_tried",
        "must_wait",
        "seat",
    )

    seat: Seat
    """The key to send."""
    _status: int | None
    _error: str | None
    _cost_estimate_nusd: int

    def __init__(self, call: Call, clock: Callable[[], float], note: Note) -> None:
        self._call = call
        self._clock = clock
        self._note = note
        self._left = call.targets
        self._is_sent_once = call.upload is not None  # nothing of its body is kept
        self._target: Target | None = None
        self._tried: tuple[Seat, ...] = ()  # of the target
        self._again = False  # the same target comes next, with another key or after a pause
        self._pause_s: float | None = None
        self._has_paused = False
        self._has_stood = False
        self._has_place = False
        self._is_begun = False
        self._is_probe = False
        self._rows: list[AttemptRow] = []
        self._span: AttemptSpan | None = None
        self.must_wait = False

    def next(self) -> Target | None:
        """The target to try, None when there is none left. Where it leaves `must_wait`, `wait` comes first."""
        self._close()
        if self._again:
            self._again = False
            self.must_wait = self._pause_s is not None
            if not self.must_wait:
                self._begin()
            return self._target
        self._vacate()
        while self._left:
            self._target = target = self._choose()
            self._tried = ()
            self._has_place = target.state.occupy()
            self.must_wait = not self._has_place
            if self._has_place:
                self._begin()
            if self._has_place or not self._has_stood:
                return target
        return None

    async def wait(self) -> bool:
        """Wait as long as the upstream asked, or in line for a place; False: none came free in time.

        A call stands in line once.
        """
        assert self._target is not None
        pause_s, self._pause_s = self._pause_s, None
        if pause_s is not None:
            await asyncio.sleep(pause_s)
        else:
            self._has_stood = True
            self._has_place = await self._target.state.stand_in_line()
            if not self._has_place:
                return False
        self._begin()
        return True

    def end(self) -> None:
        """Nothing more is tried, or to come."""
        if self._rows:
            self._close()
            if len(self._rows) > 1:
                self._note(self._rows)
            self._rows = []
        self._end_span()
        self._take_back()
        self._vacate()

    # What an attempt met.

    def unreachable(self, problem: str) -> None:
        """No connection could be made."""
        self._fail(problem)

    def unsaid(self, problem: str) -> None:
        """The call has no form in the upstream's dialect."""
        self._error = problem

    def lost(self, problem: str, *, answered: bool) -> bool:
        """The upstream broke off, or was silent for too long. True: there is something else to try."""
        self._fail(problem)
        assert self._target is not None
        if answered:
            return False
        self._cost_estimate_nusd = _bill_nusd(self._call)
        return (
            self._target.upstream.retry_unanswered and bool(self._left) and not self._is_sent_once
        )

    def answered(self, status: int, headers: Fields) -> bool:
        """An answer's head came. True: it is not for the caller, there is something else to try."""
        assert self._target is not None
        self._status = status
        if status < _FAULT:
            self._is_probe = False
            self._target.state.succeeded()
            if status < _ERROR:
                return False
        else:
            self._fail(f"status {status}")
        return status in _ELSEWHERE and self._declined(status, headers)

    def _declined(self, status: int, headers: Fields) -> bool:
        assert self._target is not None
        state, now = self._target.state, self._clock()
        asks_s = retry_after_s(headers, time.time())
        if status in _OF_THE_KEY:
            state.set_aside(self.seat, status, asks_s, now)
        if self._is_sent_once:
            return False
        if status in _OF_THE_KEY:
            self._tried += (self.seat,)
            self._again = state.has_seat_beside(self._tried, now)
            if self._again:
                return True
        if status in _REFUSED:
            return bool(self._left)
        # Who failed lately is spared: there is an answer, even if it is none to be glad of.
        if any(target.load(now).fitness is not Fitness.UNWELL for target in self._left):
            return True
        budget_s = self._target.upstream.retry_after_budget_s
        if status not in _LATER or self._has_paused or asks_s is None or not budget_s:
            return False
        if asks_s <= budget_s:
            self._has_paused = self._again = True
            self._pause_s = asks_s
            self._tried = ()
        return self._again

    # Its own

    def _choose(self) -> Target:
        left = self._left
        if len(left) == 1:
            chosen, self._left = left[0], ()
        else:
            chosen = left[best(self._loads(self._clock()))]
            self._left = tuple([target for target in left if target is not chosen])
        chosen.state.choose()
        return chosen

    def _loads(self, now: float) -> list[Load]:
        """Those of the targets that are left; where a conversation keeps to one, by it and not by what is under way."""
        loads = []
        for target in self._left:
            load = target.load(now)
            if target.upstream.affinity:
                turn = rank(self._beginning, target.upstream.name)
                load = load._replace(weight=1, outstanding=0, chosen=turn)
            loads.append(load)
        return loads

    @property
    def _beginning(self) -> int:
        return beginning_of(self._call.body, self._call.entry.token.id)

    def _begin(self) -> None:
        assert self._target is not None
        state, now = self._target.state, self._clock()
        beginning = self._beginning if state.upstream.affinity and state.has_seats else None
        self.seat = state.seat(now, self._tried, beginning)
        self._is_probe = state.admit(now)
        self._is_begun = True
        self._status = None
        self._error = None
        self._cost_estimate_nusd = 0
        if self._call.attempts is not None:
            self._span = AttemptSpan(new_span_id(), self._target, time.time())
            self._call.attempts.append(self._span)

    @property
    def traceparent(self) -> str:
        """What the upstream is told of the trace; empty where the call is in none that is kept."""
        trace, span = self._call.trace, self._span
        return "" if trace is None or span is None else traceparent(trace.trace_id, span.span_id)

    def _end_span(self) -> None:
        if self._span is not None:
            self._span.end(time.time(), self._status, self._error)
            self._span = None

    def _close(self) -> None:
        """Put the attempt on record, where it was one."""
        if self._is_begun:
            self._is_begun = False
            self._end_span()
            self._take_back()
            self._rows.append(self._row())

    def _row(self) -> AttemptRow:
        assert self._target is not None
        return AttemptRow(
            self._call.request_id.decode(),
            len(self._rows) + 1,
            self._target.upstream.name,
            self._status,
            self._error,
            self._cost_estimate_nusd,
            time.time(),
        )

    def _fail(self, problem: str) -> None:
        assert self._target is not None
        self._error = problem
        self._target.state.failed(self._clock(), problem, is_probe=self._is_probe)
        self._is_probe = False

    def _take_back(self) -> None:
        if self._is_probe and self._target is not None:
            self._is_probe = False
            self._target.state.breaker.take_back()

    def _vacate(self) -> None:
        if self._has_place and self._target is not None:
            self._has_place = False
            self._target.state.vacate()


def _bill_nusd(call: Call) -> int:
    """What an upstream may bill for a call that was sent and not answered: its input, whatever the caller's ratio."""
    price, ask = call.terms.model.price, call.ask
    if price is None:
        return 0
    usage = estimate(call, 0, 0, "").usage
    return cost_nusd(usage, price, PPM, has_audio=ask.has_audio, has_images=ask.has_images)
