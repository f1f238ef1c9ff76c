"""Writing to the caller: heads, frames and refusals, straight to the transport.

aiohttp's response objects cost more than everything else of a call together; it is told by `WRITTEN` that the answer
stands already.
"""

import time
from http import HTTPStatus

from aiohttp.abc import AbstractStreamWriter
from aiohttp.web import BaseRequest, StreamResponse

from gateway.domain.errors import Refusal
from gateway.relay import envelopes
from gateway.relay.call import Call
from gateway.relay.record import uuid_text

_STATUS_LINES = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode() for status in HTTPStatus
}
HTTP_1_1 = (1, 1)


class _Written(StreamResponse):
    """The answer is written already: aiohttp has nothing left to do but to keep the connection, or not."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keep_alive

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Do nothing."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing."""


_KEEP = _Written(keep_alive=True)
_CLOSE = _Written(keep_alive=False)


def written(request: BaseRequest) -> StreamResponse:
    """What a handler returns after it has written to the transport."""
    return _KEEP if request.keep_alive else _CLOSE


def closing() -> StreamResponse:
    """The same, where the connection must not be used again."""
    return _CLOSE


def status_line(status: int) -> bytes:
    """The first line of an answer."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def own_lines(call: Call) -> bytes:
    """The lines that every answer of ours carries: the call's id, the state of its limits, the connection's fate."""
    lines = [b"x-request-id: %b\r\n" % uuid_text(call.request_id).encode()]
    reservation = call.reservation
    if reservation is not None:
        lines.append(_limit_lines(b"requests", reservation.requests))
        lines.append(_limit_lines(b"tokens", reservation.tokens))
    request = call.request
    if not request.keep_alive:
        lines.append(b"connection: close\r\n")
    elif request.version < HTTP_1_1:
        lines.append(b"connection: keep-alive\r\n")
    return b"".join(lines)


def _limit_lines(name: bytes, state: tuple[int, int, int] | None) -> bytes:
    """OpenAI's headers of one limit: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers"""
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
        own_lines(call),
    )
    transport.write(head if call.method == "HEAD" else head + body)
