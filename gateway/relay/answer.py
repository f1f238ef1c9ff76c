"""Writing to the caller: heads, frames and refusals, straight to the transport.

aiohttp's response objects cost more than everything else of a call together; what `written` gives tells it that the
answer stands already.
"""

import time
from http import HTTPStatus

from aiohttp.web import StreamResponse

from gateway.bounded_server import Written
from gateway.domain.errors import Refusal
from gateway.relay import envelopes
from gateway.relay.call import Call
from gateway.relay.cors import ANSWER_LINES
from gateway.relay.record import uuid_text
from gateway.relay.request import Request

_CONGESTED_BYTES = 65_536
_STATUS_LINES = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_HTTP_1_1 = (1, 1)
_KEEP = Written(keep_alive=True)
_CLOSE = Written(keep_alive=False)


def written(request: Request) -> StreamResponse:
    """What a handler returns after it has written a delimited answer to the transport."""
    return _KEEP if request.stays_open else _CLOSE


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def _own_lines(call: Call, *, delimited: bool = True) -> bytes:
    """The lines that every answer of ours carries: the call's id, the state of its limits, the connection's fate."""
    lines = [b"x-request-id: %b\r\n" % uuid_text(call.request_id).encode()]
    if call.is_foreign:
        lines.append(ANSWER_LINES)
    reservation = call.reservation
    if reservation is not None:
        lines.append(_limit_lines(b"requests", reservation.requests))
        lines.append(_limit_lines(b"tokens", reservation.tokens))
        if call.hold.write_max_output is not None:
            lines.append(b"x-tollhouse-max-output-tokens: %d\r\n" % call.hold.write_max_output)
    request = call.request
    if not (delimited and request.stays_open):
        lines.append(b"connection: close\r\n")
    elif request.version < _HTTP_1_1:
        lines.append(b"connection: keep-alive\r\n")
    return b"".join(lines)


def _limit_lines(name: bytes, state: tuple[int, int, int] | None) -> bytes:
    """The headers of one limit, as OpenAI has them.

    https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
    """
    if state is None:
        return b""
    limit, remaining, reset_ms = state
    return (
        b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n"
        % (name, limit, name, max(0, remaining), name, _duration(reset_ms))
    )


def _duration(milliseconds: int) -> bytes:
    """A duration as OpenAI writes it: `120ms`, `1.5s`, `6m0s`, `2h3m0s`."""
    if milliseconds < 1000:  # noqa: PLR2004
        return b"%dms" % milliseconds
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, seconds)
    if minutes:
        return b"%dm%ds" % (minutes, seconds)
    return b"%d.%03ds" % (seconds, rest) if rest else b"%ds" % seconds


def refuse(call: Call, refusal: Refusal, exhausted_status: int) -> int:
    """Write a refusal in the caller's dialect; answers the status written."""
    status = envelopes.status_of(refusal, exhausted_status)
    body = envelopes.body_of(refusal, call.dialect, uuid_text(call.request_id))
    send_json(call, status, body, envelopes.headers_of(refusal))
    return status


def send_json(call: Call, status: int, body: bytes, lines: bytes = b"") -> None:
    """Write a whole JSON answer of our own."""
    transport = call.request.transport
    if transport is None or transport.is_closing():
        return
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(call.started_at))
    head = b"%bcontent-type: application/json\r\ndate: %b\r\ncontent-length: %d\r\n%b%b\r\n" % (
        status_line(status),
        date.encode(),
        len(body),
        lines,
        _own_lines(call),
    )
    transport.write(head if call.method == "HEAD" else head + body)


class AnswerWriter:
    """A forwarded answer on its way to the caller: `whole`, or `begin`, `write` …, `end`.

    It frames the answer itself. Nothing is written to a caller who has left.
    """

    __slots__ = ("_call", "_chunked", "_delimited", "_silent_since", "_transport")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._transport = call.request.transport
        self._chunked = call.request.version >= _HTTP_1_1
        self._delimited = True
        self._silent_since: float | None = None

    @property
    def congested(self) -> bool:
        """Whether more waits to be sent than a caller who reads would leave."""
        transport = self._transport
        return transport is not None and transport.get_write_buffer_size() > _CONGESTED_BYTES

    def is_silent(self, now: float, for_s: float) -> bool:
        """Whether nothing was written for so long, as far as looks at it can tell, and nothing waits to be sent."""
        if self._silent_since is None:
            self._silent_since = now
        transport = self._transport
        return (
            now - self._silent_since >= for_s
            and transport is not None
            and transport.get_write_buffer_size() == 0
        )

    def whole(self, status: int, lines: bytes, body: bytes) -> None:
        """An answer of known length, at once."""
        # https://www.rfc-editor.org/rfc/rfc9110#section-8.6: no length where there is no content by definition
        length = b"" if status == HTTPStatus.NO_CONTENT else b"content-length: %d\r\n" % len(body)
        self._send(
            b"%b%b%b%b\r\n%b" % (status_line(status), lines, length, _own_lines(self._call), body)
        )

    def begin(self, status: int, lines: bytes) -> None:
        """The head of an answer of unknown length. For HTTP/1.0 it ends with the connection."""
        self._delimited = self._chunked
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        own = _own_lines(self._call, delimited=self._delimited)
        self._send(b"%b%b%b%b\r\n" % (status_line(status), lines, framing, own))

    def write(self, data: bytes) -> None:
        """A piece of the body."""
        self._silent_since = None
        self._send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """The answer is whole."""
        if self._chunked:
            self._send(b"0\r\n\r\n")

    def break_off(self) -> None:
        """The answer will not be whole, and its form has no way to say so."""
        if self._transport is not None:
            self._transport.abort()
        self.leave()

    def leave(self) -> None:
        """The caller has left."""
        self._transport = None

    def response(self) -> StreamResponse:
        """What the handler returns after this answer."""
        if self._transport is None or not self._delimited:
            return _CLOSE
        return written(self._call.request)

    def _send(self, data: bytes) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)
