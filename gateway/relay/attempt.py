"""One attempt at an upstream: the answer's bytes on their way to the caller.

Callbacks of the connection drive it; it writes to the caller's transport itself and settles before the last bytes. The
handler only waits: for the end, or for a slow caller to read on.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from gateway.domain.errors import Reason, Refusal
from gateway.domain.usage import Usage
from gateway.relay import envelopes
from gateway.relay.answer import HTTP_1_1, own_lines, status_line
from gateway.relay.call import CLIENT_CLOSED_REQUEST, Call, Outcome, Target
from gateway.relay.dialects import BadUsage, read_usage
from gateway.relay.headers import answer_lines, is_event_stream
from gateway.relay.record import uuid_text
from gateway.relay.sse import EventObserver, EventTooLong
from gateway.relay.upstream import UpstreamConnection

# Answers up to this size are passed on when they are whole, so that a cut one becomes a clean error.
_WHOLE_BYTES = 1_048_576
_CONGESTED_BYTES = 65_536
# Of a larger one the end is kept: that is where usage stands.
_TAIL_BYTES = 4096
_RETRYABLE = frozenset({408, 429, 500, 502, 503, 504, 529})


class Verdict(Enum):
    """What the forwarder does after an attempt."""

    ANSWERED = auto()  # the caller has an answer, or has left
    RESEND = auto()  # a kept-alive connection closed without a byte: the request was not taken
    NEXT = auto()  # the upstream declined; another may not
    REFUSED = auto()  # nothing was written; `refusal` says what to tell


class Attempt:
    """An exchange with one upstream on behalf of a call."""

    __slots__ = (
        "_buffered",
        "_buffered_bytes",
        "_connection",
        "_finish",
        "_has_more_targets",
        "_held_end",
        "_is_events",
        "_lines",
        "_observer",
        "_status",
        "_streaming",
        "_tail",
        "_total_deadline",
        "_waiter",
        "call",
        "congested",
        "deadline",
        "detached",
        "refusal",
        "target",
        "verdict",
    )

    def __init__(
        self,
        call: Call,
        target: Target,
        connection: UpstreamConnection,
        finish: Callable[[Call, Outcome], None],
        *,
        now: float,
        hide_usage: bool,
        has_more_targets: bool,
    ) -> None:
        self.call = call
        self.target = target
        self._connection = connection
        self._finish = finish
        self._has_more_targets = has_more_targets
        self._observer = EventObserver(call.route.terminators, hide_usage=hide_usage)
        self._waiter: asyncio.Future[None] | None = None
        self._status = 0
        self._lines = b""
        self._buffered: list[bytes] = []
        self._buffered_bytes = 0
        self._streaming = False
        self._is_events = False
        self._tail = b""
        self._held_end = b""
        self._total_deadline = now + target.upstream.total_timeout_s
        self.deadline = min(now + target.upstream.first_byte_timeout_s, self._total_deadline)
        self.congested = False
        self.detached = False
        self.verdict: Verdict | None = None
        self.refusal: Refusal | None = None

    # What the handler does.

    async def changed(self) -> None:
        """Wait until the attempt has a verdict, or the caller is too slow to write to."""
        if self.verdict is None and not self.congested:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def read_on(self) -> None:
        """The caller has caught up."""
        self.congested = False
        self._connection.resume()

    def leave(self) -> None:
        """The caller has left: give up, or with `drain` read on for the exact usage."""
        if self.verdict is not None:
            return
        self.detached = True
        if self.target.upstream.on_disconnect == "drain":
            self._connection.resume()
            return
        self._connection.abort()
        self._end(self._estimated(CLIENT_CLOSED_REQUEST, "client_closed"))

    def expire(self) -> None:
        """The deadline passed."""
        self._connection.abort()
        if self._status == 0:
            self._broken(Reason.UPSTREAM_TIMEOUT, "did not answer in time")
        else:
            self._broken(Reason.UPSTREAM_TIMEOUT, "stopped answering")

    def cut(self, refusal: Refusal) -> None:
        """End the answer with a refusal."""
        self._connection.abort()
        self._tell_broken(refusal)

    # Exchange

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Decide what the head means; a stream of events begins at once."""
        self._status = status
        now = asyncio.get_running_loop().time()
        self.call.ttfb_ms = int((now - self.call.started) * 1000)
        if status in _RETRYABLE and self._has_more_targets:
            self._connection.abort()
            self._conclude(Verdict.NEXT)
        elif status in {401, 403}:
            self._decline("refused the gateway's own credentials")
        elif not 200 <= status < 600 or 300 <= status < 400:  # noqa: PLR2004
            self._decline(f"answered with status {status}")
        else:
            self._lines = answer_lines(headers)
            if status < 300 and is_event_stream(headers):  # noqa: PLR2004
                self._is_events = True
                self._begin()

    def on_body(self, data: bytes) -> None:
        """Pass data on, or keep it until the answer is whole."""
        now = asyncio.get_running_loop().time()
        self.deadline = min(now + self.target.upstream.idle_timeout_s, self._total_deadline)
        if self._is_events:
            self._pass_on(data)
            return
        if self._streaming:
            self._tail = (self._tail + data)[-_TAIL_BYTES:]
            self._write_chunk(data)
            return
        self._buffered.append(data)
        self._buffered_bytes += len(data)
        if self._buffered_bytes > _WHOLE_BYTES:
            self._pass_on_large()

    def on_end(self) -> None:
        """The answer is whole: settle, then write its last bytes."""
        if self._streaming:
            self._end_stream()
            return
        body = self._buffered[0] if len(self._buffered) == 1 else b"".join(self._buffered)
        self._settle_whole(body)
        self._write(
            b"%b%bcontent-length: %d\r\n%b\r\n%b"
            % (status_line(self._status), self._lines, len(body), own_lines(self.call), body)
        )
        self._conclude(Verdict.ANSWERED)

    def on_failure(self, problem: str, *, answered: bool) -> None:
        """The answer will not be whole."""
        if not answered and self._connection.reused and self._status == 0:
            self._conclude(Verdict.RESEND)
            return
        self._broken(Reason.UPSTREAM_ERROR, problem)

    # Streams

    def _begin(self) -> None:
        self._streaming = True
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._write(
            b"%b%bx-accel-buffering: no\r\n%b%b\r\n"
            % (status_line(self._status), self._lines, framing, own_lines(self.call))
        )

    def _pass_on(self, data: bytes) -> None:
        observer = self._observer
        try:
            data = observer.feed(data)
        except EventTooLong:
            self._connection.abort()
            self._broken(Reason.UPSTREAM_ERROR, "sent an endless event")
            return
        if not data:
            return
        if observer.ended and not self.call.finished:
            if observer.usage is None:
                self._held_end += (
                    data  # usage may still come; the terminator waits for the end of the answer
                )
                return
            self._settle_stream()
        self._write_chunk(data)

    def _pass_on_large(self) -> None:
        """Too large to keep whole: pass on from here, without the promise that a cut becomes a clean error."""
        data = b"".join(self._buffered)
        self._buffered = []
        self._tail = data[-_TAIL_BYTES:]
        self._begin()
        self._write_chunk(data)

    def _end_stream(self) -> None:
        rest = self._held_end + self._observer.rest()
        if not self.call.finished:
            self._settle_stream()
        if rest:
            self._write_chunk(rest)
        self._write_last_chunk()
        self._conclude(Verdict.ANSWERED)

    def _settle_stream(self) -> None:
        if not self._is_events:
            start = self._tail.rfind(b'"usage"')
            self._settle_whole(b"{" + self._tail[start:] if start >= 0 else b"{}")
            return
        usage = self._observer.usage
        if usage is not None:
            self._finish(self.call, Outcome(self._status, usage))
            return
        anomaly = "bad_usage" if self._observer.bad_usage else "no_usage"
        self._finish(self.call, self._estimated(self._status, anomaly))

    def _settle_whole(self, body: bytes) -> None:
        if self._status >= 400:  # noqa: PLR2004
            self._finish(self.call, Outcome(self._status))
            return
        try:
            usage = read_usage(body)
        except BadUsage:
            usage = None
            anomaly = "bad_usage"
        else:
            anomaly = "no_usage"
        if usage is not None:
            self._finish(self.call, Outcome(self._status, usage))
        else:
            tokens = -(-self._buffered_bytes // 4)
            self._finish(self.call, self._estimated(self._status, anomaly, output_tokens=tokens))

    def _estimated(self, status: int, anomaly: str, output_tokens: int | None = None) -> Outcome:
        """What was produced so far: an event carries about a token, four bytes of a prompt are about one."""
        if self._status == 0:
            usage = Usage(input_tokens=-(-len(self.call.body) // 4))
        else:
            events = self._observer.events if output_tokens is None else output_tokens
            usage = Usage(-(-len(self.call.body) // 4), events)
        exact = self._observer.usage
        if exact is not None:
            return Outcome(status, exact, anomaly=anomaly)
        return Outcome(status, usage, estimated=True, anomaly=anomaly)

    # Ends

    def _decline(self, problem: str) -> None:
        self._connection.abort()
        self.refusal = self._refusal(Reason.UPSTREAM_ERROR, problem)
        self._conclude(Verdict.REFUSED)

    def _broken(self, reason: Reason, problem: str) -> None:
        """Tell the caller as well as can be told at this point, and settle what was produced."""
        self._tell_broken(self._refusal(reason, problem))

    def _tell_broken(self, refusal: Refusal) -> None:
        if self.verdict is not None:
            return
        if self.detached:
            self._end(self._estimated(CLIENT_CLOSED_REQUEST, "client_closed"))
            return
        if not self._streaming:
            if 200 <= self._status < 300:  # noqa: PLR2004 -- it was working on the answer, and may bill it
                tokens = -(-self._buffered_bytes // 4)
                status = envelopes.status_of(refusal)
                self._finish(self.call, self._estimated(status, "upstream_cut", tokens))
            self.refusal = refusal
            self._conclude(Verdict.REFUSED)
            return
        if self._observer.ended:
            self._end_stream()  # everything that the dialect promises was there already
            return
        if not self.call.finished:
            self._finish(self.call, self._estimated(self._status, "upstream_cut"))
        if self._is_events:
            request_id = uuid_text(self.call.request_id)
            self._write_chunk(envelopes.event_of(refusal, self.call.dialect, request_id))
            self._write_last_chunk()
        elif (transport := self.call.request.transport) is not None:
            transport.abort()  # a body that is no event stream can only be broken off
        self._conclude(Verdict.ANSWERED)

    def _refusal(self, reason: Reason, problem: str) -> Refusal:
        return Refusal(
            reason,
            f"The upstream of {self.call.ask.model!r} {problem.partition(':')[0]}. Nothing is wrong with your key.",
            cause=f"{self.target.upstream.name}: {problem}",
        )

    def _end(self, outcome: Outcome) -> None:
        if not self.call.finished:
            self._finish(self.call, outcome)
        self._conclude(Verdict.ANSWERED)

    def _conclude(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Writing

    @property
    def _chunked(self) -> bool:
        return self.call.request.version >= HTTP_1_1

    def _write_chunk(self, data: bytes) -> None:
        self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        transport = self.call.request.transport
        if transport is not None and transport.get_write_buffer_size() > _CONGESTED_BYTES:
            self.congested = True
            self._connection.pause()
            self._wake()

    def _write_last_chunk(self) -> None:
        if self._chunked:
            self._write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        transport = self.call.request.transport
        if transport is not None and not self.detached and not transport.is_closing():
            transport.write(data)
