"""The end of a forwarded call: what it costs, told to the quota store, the ledger and the log at once.

`finish` never awaits, so that no cancelled call can lose its charge, and does nothing the second time.
"""

import time
from collections.abc import Callable
from functools import lru_cache

from gateway.domain.usage import NOTHING, Usage
from gateway.relay.call import CLIENT_CLOSED_REQUEST, Call, Outcome
from gateway.relay.counters import CallCounters
from gateway.relay.objects import Objects
from gateway.relay.posting import Poster
from gateway.relay.record import AccessLog, instant_text
from gateway.relay.shadow_counts import ShadowCounts, log_member
from gateway.relay.spans import Tracer
from gateway.relay.unheard import Unheard
from gateway.relay.waiting import Waiting
from gateway.store.charges import Charge, copy_text
from gateway.store.objects import Made
from gateway.store.quota import QuotaStore
from gateway.store.replies import Reserved

_HEARD = Reserved(None)
_UNAVAILABLE = 503


class Settlements:
    """Ends forwarded calls. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        quota: QuotaStore,
        poster: Poster,
        log: AccessLog,
        unheard: Unheard,
        waiting: Waiting,
        objects: Objects,
        shadows: ShadowCounts,
        counters: CallCounters,
        tracer: Tracer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quota = quota
        self._poster = poster
        self._log = log
        self._unheard = unheard
        self._waiting = waiting
        self._objects = objects
        self._shadows = shadows
        self._counters = counters
        self._tracer = tracer
        self._clock = clock

    def finish(self, call: Call, outcome: Outcome) -> None:
        """Charge and record a call that was reserved."""
        if call.finished:
            return
        call.finished = True
        terms = call.terms
        usage = outcome.usage
        # What produced nothing costs nothing, whatever a request costs.
        cost = 0 if usage is NOTHING else call.cost_nusd(usage)
        amount, unbilled, anomaly = cost, 0, outcome.anomaly
        if terms.strict and cost > call.hold.amount_nusd:
            # Never more than was held: the rest is on record, and the upstream's to explain.
            amount = call.hold.amount_nusd
            unbilled = cost - amount
            anomaly = anomaly or "over_hold"
        now = self._clock()
        duration_ms = int((now - call.started) * 1000)
        line = _ledger_line(call, outcome, usage, duration_ms, amount, unbilled, anomaly)
        self._quota.settle(
            terms.prepared,
            call.request_id,
            amount,
            usage.total_tokens,
            line,
            keep_request=call.was_sent,
        )
        if call.made is not None and call.made not in call.path:
            self._objects.note(Made(call.made, call.entry.token.account_id, call.upstream_name))
        if call.shadows:
            self._shadows.add(call.entry.token.id, call.shadows)
        self._waiting.wake(call.entry.token.account_id)
        self._poster.add(Charge(call.request_id, call.entry.token.account_id, line))
        self._log.add_call(_log_line(call, outcome, usage, duration_ms, amount, anomaly))
        reason = outcome.reason or anomaly or ""
        self._counters.count(call, outcome, usage, now, amount, reason)
        if call.trace is not None and call.trace.sampled:
            self._tracer.add(call, outcome, usage, now - call.started, amount, reason)

    def release(self, call: Call) -> None:
        """End a call that was reserved after its caller had left: nothing was sent, nothing is charged."""
        call.reservation = call.reservation or _HEARD
        self.finish(call, Outcome(CLIENT_CLOSED_REQUEST))

    def disown(self, call: Call) -> None:
        """End a call that did not go on because nobody knows whether it was reserved."""
        call.finished = True
        outcome = Outcome(_UNAVAILABLE, anomaly="void")
        line = _ledger_line(call, outcome, NOTHING, 0, 0, 0, outcome.anomaly)
        self._unheard.add(
            call.terms.prepared, Charge(call.request_id, call.entry.token.account_id, line)
        )


def _ledger_line(
    call: Call,
    outcome: Outcome,
    usage: Usage,
    duration_ms: int,
    amount: int,
    unbilled: int,
    anomaly: str | None,
) -> bytes:
    """The ledger's row in COPY's text format, in the order of `store.ledger.COLUMNS`."""
    return b"%b\tc\t%b\t%b\t%b\t%b\t%d\t%b\t%b\t%d\t%b\t%b\t%d\t%d\t%b\t%b\t%d\t%b\n" % (
        call.request_id,
        call.terms.ledger_constant,
        _name_text(call.upstream_name) if call.was_sent else b"",
        call.dialect.encode(),
        call.route.name.encode(),
        outcome.status,
        instant_text(call.started_at),
        b"\\N" if call.ttfb_ms is None else b"%d" % call.ttfb_ms,
        duration_ms,
        b"\\N" if call.address is None else call.address.text.encode(),
        _counts_text(usage),
        amount,
        unbilled,
        b"t" if outcome.estimated else b"f",
        b"\\N" if anomaly is None else anomaly.encode(),
        call.price_version,
        call.told,
    )


def _counts_text(usage: Usage) -> bytes:
    """The ledger's counts. Nearly all calls have only two: a number costs more than all else of its field."""
    if not any(usage[2:]):
        return b"%d\t0\t0\t0\t0\t0\t%d\t0\t0\t0\t0" % usage[:2]
    return b"%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d" % (
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.cache_write_1h_tokens or 0,
        usage.audio_input_tokens,
        usage.image_input_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.audio_output_tokens or 0,
        usage.image_output_tokens or 0,
        usage.rejected_prediction_tokens,
    )


def _optional_members(call: Call, outcome: Outcome) -> bytes:
    """What few calls have: a refusal that ended them, a trace, limits in the shadow."""
    members = b""
    if outcome.reason:
        members += b',"reason":"%b"' % outcome.reason.encode()
    if call.trace is not None:
        members += b',"trace_id":"%b"' % call.trace.trace_id.encode()
    if call.shadows:
        members += log_member(call.shadows)
    return members


_name_text = lru_cache(maxsize=1024)(copy_text)


def _peer_member(call: Call) -> bytes:
    """Whose socket it was, where another address is the caller's: a proxy that is believed."""
    if call.address is None or call.address is call.peer:
        return b""
    return b',"peer":"%b"' % call.peer.text.encode()


def _log_line(
    call: Call,
    outcome: Outcome,
    usage: Usage,
    duration_ms: int,
    amount: int,
    anomaly: str | None,
) -> bytes:
    return (
        b'{"ts":%.3f,"level":"info","event":"call","request_id":"%b",%b,"upstream":"%b","dialect":"%b","route":"%b",'
        b'"stream":%b,"status":%d,"ttfb_ms":%b,"duration_ms":%d,"address":"%b","input_tokens":%d,"output_tokens":%d,'
        b'"amount_nusd":%d,"estimated":%b,"anomaly":%b%b%b}\n'
        % (
            call.started_at,
            call.request_id,
            call.terms.log_constant,
            call.upstream_name.encode(),
            call.dialect.encode(),
            call.route.name.encode(),
            b"true" if call.ask.stream else b"false",
            outcome.status,
            b"null" if call.ttfb_ms is None else b"%d" % call.ttfb_ms,
            duration_ms,
            b"" if call.address is None else call.address.text.encode(),
            usage.input_tokens,
            usage.output_tokens,
            amount,
            b"true" if outcome.estimated else b"false",
            b"null" if anomaly is None else b'"%b"' % anomaly.encode(),
            _optional_members(call, outcome),
            _peer_member(call),
        )
    )
