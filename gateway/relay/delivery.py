"""How an answer's body reaches the caller: whole, as events, or as it comes.

Each form meters what it delivers and settles before its last bytes, so that nobody sees the end of an answer whose
charge is not on its way to the store.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.errors import Refusal
from gateway.domain.quota import Hold
from gateway.domain.usage import NOTHING
from gateway.relay import envelopes
from gateway.relay.allowance import Allowance
from gateway.relay.answer import AnswerWriter
from gateway.relay.call import Call, Outcome
from gateway.relay.metering import (
    estimate,
    is_broken,
    metered,
    metered_packed,
    tokens_of,
    unmetered,
)
from gateway.relay.objects import id_in
from gateway.relay.record import uuid_text
from gateway.relay.sse import HEARTBEATS, EventCounts, EventObserver, first_data

WHOLE_BYTES = 1_048_576
"""Answers up to this size are passed on when they are whole."""
_LIST_BYTES = 16_777_216  # lists are looked through; the longest that providers give is far below
# Of a larger one the end is kept: that is where usage stands.
_TAIL_BYTES = 4096
CUT = "upstream_cut"
"""What the ledger calls an answer that is not whole."""
_ERROR = 400

Settle = Callable[[Outcome], None]
"""Charges and records the call; does nothing the second time."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer whose head has come: of which call, where it goes, how it begins there.

    `secret` is the upstream's key: errors are known to quote it.
    """

    call: Call
    writer: AnswerWriter
    settle: Settle
    status: int
    lines: bytes
    secret: str = field(repr=False)


class Delivery(Protocol):
    """One form. After `end` or a `fail` that is True, the caller has all that will come."""

    def feed(self, data: bytes) -> None:
        """Some of the body."""

    def end(self) -> None:
        """The body is whole. Raises `BadAnswer` where it is not, whatever its framing says."""

    def fail(self, refusal: Refusal, anomaly: str = CUT) -> bool:
        """The body will not be whole. False: nothing was written, `refusal` can still be answered."""
        ...

    def outcome(self, status: int, anomaly: str | None = None) -> Outcome:
        """What was produced so far, as the provider says or else as it is estimated."""
        ...


def scrubbed(error: bytes, secret: str) -> bytes:
    """An upstream's error without the operator's key: some quote it."""
    return error.replace(secret.encode(), b"(the operator's key)") if secret else error


def _failed(outcome: Outcome, refusal: Refusal) -> Outcome:
    """An outcome that the caller was told a refusal for."""
    outcome.reason = refusal.reason
    return outcome


class EventDelivery:
    """Events, each passed on when it is whole and held for, the last of them when the charge is made.

    `wanted` is what must be held before what was kept back may be passed on.
    """

    __slots__ = (
        "_allowance",
        "_call",
        "_early_end",
        "_ending",
        "_kept",
        "_may_make",
        "_observer",
        "_passed_events",
        "_passed_text",
        "_secret",
        "_settle",
        "_status",
        "_writer",
        "wanted",
    )

    def __init__(
        self, begun: Begun, *, hide_usage: bool, max_line_bytes: int, allowance: Allowance | None
    ) -> None:
        call = self._call = begun.call
        self._writer = begun.writer
        self._settle = begun.settle
        self._status = begun.status
        self._secret = begun.secret
        self._allowance = allowance
        self._kept = b""
        self._passed_events = self._passed_text = 0
        self._ending = False
        self._may_make = call.makes
        self.wanted: Hold | None = None
        route = call.route
        self._observer = EventObserver(
            route.terminators,
            route.text_members,
            meter=route.meter(),
            hide_usage=hide_usage,
            max_line_bytes=max_line_bytes,
        )
        # Only what is held for in steps is ever ended by us.
        self._early_end = route.early_end() if allowance is not None and route.early_end else None
        begun.writer.begin(begun.status, begun.lines + b"x-accel-buffering: no\r\n")

    @property
    def can_stop(self) -> bool:
        """Whether we can write the stream's last event ourselves."""
        return self._early_end is not None

    @property
    def settles_up(self) -> bool:
        """Whether what is wanted is for a call that has ended: any part of it is welcome."""
        return self._allowance is not None and self._allowance.settles_up

    def feed(self, data: bytes) -> None:
        """Pass whole events on, or keep them. Raises `BadAnswer` and `Overrun`."""
        try:
            data = self._observer.feed(data)
        except BadAnswer as bad:
            if bad.before:
                self._kept += bad.before
                self._advance()
            raise
        if data:
            self._kept += data
            self._advance()

    def release(self) -> None:
        """What was wanted is held. Raises `Overrun`."""
        self.wanted = None
        self._advance()

    def keep_alive(self, now: float, heartbeat_s: float) -> None:
        """Say between two events that more will come, unless the caller has the last already."""
        observer = self._observer
        is_told_all = observer.ended and observer.usage is not None and not self._kept
        if not is_told_all and self._writer.is_silent(now, heartbeat_s):
            self._writer.write(HEARTBEATS[self._call.dialect])

    def let_go(self) -> None:
        """Nobody is there to pass anything on to: what comes is only read."""
        self._allowance = None
        self.release()

    def end(self) -> None:
        """Settle, then pass on what was held back; or want more first."""
        rest = self._observer.rest()
        if not self._observer.is_whole:
            raise BadAnswer("ended the stream before its end")
        self._kept += rest
        self._ending = True
        self._advance()

    def stop(self, anomaly: str) -> None:
        """End the answer before its time, as an upstream ends one that has reached its maximum."""
        assert self._early_end is not None
        assert self._allowance is not None
        # One read may hold more than is held for, and still be the first.
        passed = EventCounts(self._passed_events, self._passed_text)
        covered = self._looked_at(
            self._observer.beginning(self._kept, passed, self._allowance.covers)
        )
        outcome = self.outcome(self._status, anomaly)
        self._settle(outcome)
        if covered:
            self._early_end.passed(covered)
            self._writer.write(covered)
        ask = self._call.ask
        told = outcome.usage if ask.wants_usage else None
        self._writer.write(self._early_end.events(ask.choices, told))
        self._writer.end()

    def fail(self, refusal: Refusal, anomaly: str = CUT) -> bool:
        """Tell the caller in the dialect's own way; no terminator follows."""
        if self._observer.ended:  # everything that the dialect promises was there already
            self._kept += self._observer.rest()
            self._finish()
            return True
        self._settle(_failed(self.outcome(self._status, anomaly), refusal))
        request_id = uuid_text(self._call.request_id)
        self._writer.write(envelopes.event_of(refusal, self._call.dialect, request_id))
        self._writer.end()
        return True

    def outcome(self, status: int, anomaly: str | None = None) -> Outcome:
        """What the provider says, else what its events amount to."""
        observer = self._observer
        if self._call.route.metering != "usage":
            return unmetered(self._call, status, anomaly)
        if observer.usage is not None:
            return Outcome(status, observer.usage, anomaly=anomaly)
        anomaly = anomaly or ("bad_usage" if observer.bad_usage else "no_usage")
        so_far = observer.so_far
        if so_far is None:
            return estimate(self._call, status, observer.output_tokens, anomaly)
        produced = max(so_far.output_tokens, observer.output_tokens)
        usage = so_far._replace(output_tokens=produced)
        return Outcome(status, usage, estimated=True, anomaly=anomaly)

    def _advance(self) -> None:
        if self.wanted is None and self._allowance is not None:
            self.wanted = self._allowance.wanted(self._observer)
        if self.wanted is not None:
            return
        if self._ending:
            self._finish()
            return
        data, self._kept = self._looked_at(self._kept), b""
        self._passed_events, self._passed_text = self._observer.events, self._observer.text_bytes
        if self._passed_text and self._call.first_token_at is None:
            self._call.first_token_at = time.monotonic()
        if self._observer.ended and self._observer.usage is not None:
            self._settle(self.outcome(self._status))
        if self._early_end is not None:
            self._early_end.passed(data)
        self._writer.write(data)

    def _finish(self) -> None:
        last = self._looked_at(self._kept)
        self._settle(self.outcome(self._status))
        if last:
            self._writer.write(last)
        self._writer.end()

    def _looked_at(self, events: bytes) -> bytes:
        """What the caller gets of these events. Notes what the first of all has made."""
        if self._may_make and events:
            self._may_make = False
            self._call.made = id_in(first_data(events))
        return scrubbed(events, self._secret) if b'"error"' in events else events


class WholeDelivery:
    """A body that is passed on when it is whole, so that a cut one becomes a clean error.

    A list is left to be looked through: `is_kept`.
    """

    __slots__ = (
        "_call",
        "_encoding",
        "_pieces",
        "_secret",
        "_settle",
        "_size_bytes",
        "_writer",
        "is_kept",
        "lines",
        "status",
    )

    def __init__(self, begun: Begun, *, encoding: bytes = b"") -> None:
        self._encoding = encoding
        self._call = begun.call
        self._writer = begun.writer
        self._settle = begun.settle
        self.status = begun.status
        self.lines = begun.lines
        self._secret = begun.secret
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self.is_kept = False

    @property
    def too_large(self) -> bool:
        """Whether the body must be passed on before it is whole."""
        return self._size_bytes > WHOLE_BYTES and not self._is_list

    @property
    def body(self) -> bytes:
        """All of it so far."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def feed(self, data: bytes) -> None:
        """Keep it. Raises `BadAnswer` for an endless list."""
        self._pieces.append(data)
        self._size_bytes += len(data)
        if self._is_list and self._size_bytes > _LIST_BYTES:
            raise BadAnswer("sent an endless list")

    def end(self) -> None:
        """Settle, then pass all of it on, unless it is a list."""
        body = self.body
        if self._call.makes and self.status < _ERROR:
            self._call.made = id_in(body)
        outcome = self.outcome(self.status)
        if outcome.anomaly == "bad_usage" and not self._encoding and is_broken(body):
            raise BadAnswer("answered with less than an answer")
        self._settle(outcome)
        if self.status >= _ERROR:
            body = scrubbed(body, self._secret)
        self.is_kept = self._is_list
        if not self.is_kept:
            self.pass_on(body)

    def pass_on(self, body: bytes) -> None:
        """Give the caller this for an answer."""
        self._writer.whole(self.status, self.lines, body)

    @property
    def _is_list(self) -> bool:
        return self._call.route.lists and self.status < _ERROR

    def fail(self, refusal: Refusal, anomaly: str = CUT) -> bool:
        """Nothing was written; what was produced is charged, for the provider may bill it."""
        if self.status < _ERROR:
            outcome = self.outcome(envelopes.status_of(refusal), anomaly)
            self._settle(_failed(outcome, refusal))
        return False

    def outcome(self, status: int, anomaly: str | None = None) -> Outcome:
        """An error costs nothing."""
        if self.status >= _ERROR:
            return Outcome(status, NOTHING, anomaly=anomaly)
        if anomaly is not None:
            return estimate(self._call, status, tokens_of(self._size_bytes), anomaly)
        if self._encoding:
            return metered_packed(self._call, status, self.body, self._encoding)
        return metered(self._call, status, self.body, self._size_bytes)


class LargeDelivery:
    """A body too large to keep whole: passed on as it comes, without the promise that a cut becomes a clean error."""

    __slots__ = ("_call", "_settle", "_size_bytes", "_status", "_tail", "_writer")

    def __init__(
        self, call: Call, writer: AnswerWriter, settle: Settle, begun: WholeDelivery
    ) -> None:
        self._call = call
        self._writer = writer
        self._settle = settle
        self._status = begun.status
        self._tail = b""
        self._size_bytes = 0
        body = begun.body
        if call.makes and begun.status < _ERROR:
            call.made = id_in(body)
        writer.begin(begun.status, begun.lines)
        self.feed(body)

    def feed(self, data: bytes) -> None:
        """Pass it on."""
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        self._size_bytes += len(data)
        self._writer.write(data)

    def end(self) -> None:
        """Settle, then end."""
        self._settle(self.outcome(self._status))
        self._writer.end()

    def fail(self, refusal: Refusal, anomaly: str = CUT) -> bool:
        """Break the answer off: there is no way to tell why."""
        self._settle(_failed(self.outcome(self._status, anomaly), refusal))
        self._writer.break_off()
        return True

    def outcome(self, status: int, anomaly: str | None = None) -> Outcome:
        """Usage is the last member of the answers that grow so large."""
        if self._status >= _ERROR:
            return Outcome(status, NOTHING, anomaly=anomaly)
        if anomaly is not None:
            return estimate(self._call, status, tokens_of(self._size_bytes), anomaly)
        start = self._tail.rfind(self._call.route.meter.member)
        last_members = b"{" + self._tail[start:] if start >= 0 else b"{}"
        return metered(self._call, status, last_members, self._size_bytes)
