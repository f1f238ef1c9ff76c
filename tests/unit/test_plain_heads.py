"""What is read as a plain head says the same to both of aiohttp's parsers, and nothing else is taken for one."""

import asyncio
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.relay.plain import MOST_HEAD_BYTES, may_be_head, read_head

HEAD = (
    b"POST /v1/chat/completions?a=1 HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer sk-1\r\n"
    b"Content-Type: application/json\r\nX-Stainless-Lang: python\r\nContent-Length: 12"
)
# What has been used to make two readers of one request disagree: https://portswigger.net/research/http1-must-die
_ODD = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b"\x0b", b":", b"\xa0", b"\xff", b"%", b"#", b"?",
    b"\r\n ", b"\r\n\t", b" :", b"\r\nTransfer-Encoding: chunked", b"\r\nContent-Length: 13",
    b"\r\nContent-Length : 13", b"\r\ncontent_length: 3", b"\r\nExpect: 100-continue", b"\r\nUpgrade: h2c",
    b"\r\nConnection: close", b"\r\nConnection: keep-alive", b"\r\nHost: other", b"+12", b"-1", b"0x1", b"1_2",
    b"HTTP/1.0", b"HTTP/1.1", b"POST ", b"GET ", b"/", b"http://other/", b"\r\nTE: trailers", b"0", b"\x7f",
)  # fmt: skip


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """The head, with a few places changed."""
    head = bytearray(HEAD)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(head)))
        end = min(len(head), at + draw(st.sampled_from((0, 0, 1, 2, 9))))
        head[at:end] = draw(st.one_of(st.sampled_from(_ODD), st.binary(max_size=3)))
    return bytes(head)


def parsed(parser_class: Any, head: bytes, body_bytes: int) -> tuple[Any, bytes]:
    """What one of aiohttp's parsers makes of a head with a body, and what it leaves."""
    loop = asyncio.new_event_loop()
    try:
        protocol = BaseProtocol(loop)
        parser = parser_class(protocol, loop, 2**16)
        messages, upgraded, tail = parser.feed_data(head + b"\r\n\r\n" + b"x" * body_bytes)
        assert not upgraded
        ((message, payload),) = messages
        assert payload.is_eof() or not body_bytes
        return message, tail
    finally:
        loop.close()


@pytest.mark.parametrize("parser_class", [HttpRequestParser, HttpRequestParserPy])
@settings(max_examples=500)
@given(head=heads())
@example(head=HEAD)
def test_a_plain_head_says_the_same_to_both_of_aiohttps_parsers(parser_class: Any, head: bytes):
    found = read_head(head)
    if found is None or found.body_bytes > 10_000:
        return
    message, tail = parsed(parser_class, head, found.body_bytes)
    assert (message.method, message.version, tail) == ("POST", (1, 1), b"")
    assert message.path == found.path + ("?" + found.query if found.query else "") or (
        message.path == found.path + "?"
    )
    assert {name.lower(): value for name, value in message.headers.items()} == found.fields
    assert len(message.headers) == len(found.fields)
    assert (message.chunked, message.upgrade, message.should_close) == (False, False, False)
    assert message.compression is None or "content-encoding" in found.fields


@given(head=heads())
def test_what_aiohttp_refuses_is_never_plain(head: bytes):
    try:
        parsed(HttpRequestParser, head, 0)
    except BadHttpMessage:
        assert read_head(head) is None
    except (AssertionError, ValueError):
        pass  # no request, or more than one


def test_what_an_sdk_sends_is_plain():
    found = read_head(HEAD)
    assert found is not None
    assert (found.path, found.query, found.body_bytes) == ("/v1/chat/completions", "a=1", 12)
    assert found.fields["authorization"] == "Bearer sk-1"
    assert found.fields.getall("host") == ("gateway",)
    assert found.fields.getall("accept") == ()


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        (b"POST ", b"GET "),
        (b"POST ", b"post "),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"/v1", b"http://gateway/v1"),
        (b"chat", b"ch%61t"),
        (b"a=1", b"a=1#b"),
        (b"a=1", b"a= 1"),
        (b"Host: gateway\r\n", b""),
        (b"Host: gateway", b"Host : gateway"),
        (b"Host: gateway", b"Host gateway"),
        (b"Host: gateway", b"Host: gateway\r\n folded"),
        (b"Host: gateway", b"Host: gateway\r\nhost: other"),
        (b"Host: gateway", b"Host: gateway\nX: 1"),
        (b"Host: gateway", b"Host: gate\x00way"),
        (b"Host: gateway", "Host: gatewäy".encode()),
        (b"Length: 12", b"Length: 1 2"),
        (b"Length: 12", b"Length: +12"),
        (b"Length: 12", b"Length: 12, 12"),
        (b"Length: 12", b"Length: 12345678901"),
        (b"Length: 12", b"Length: "),
        (b"X-Stainless-Lang: python", b"Transfer-Encoding: chunked"),
        (b"X-Stainless-Lang: python", b"Transfer-Encoding: identity"),
        (b"X-Stainless-Lang: python", b"Expect: 100-continue"),
        (b"X-Stainless-Lang: python", b"Upgrade: websocket"),
        (b"X-Stainless-Lang: python", b"Connection: close"),
        (b"X-Stainless-Lang: python", b"Connection: keep-alive, x"),
        (b"X-Stainless-Lang: python", b"\r\n".join(b"x-%d: 1" % n for n in range(101))),
    ],
)
def test_anything_out_of_the_ordinary_is_not(what: bytes, instead: bytes):
    assert what in HEAD
    assert read_head(HEAD.replace(what, instead)) is None


def test_a_head_is_waited_for_where_it_may_be_one():
    for size in range(1, len(HEAD)):
        assert may_be_head(HEAD[:size])
    assert may_be_head(b"DELETE /v1/files/1 HTTP/1.1\r\nHost: g")
    for other in (
        b"g",
        b"P0",
        b" POST",
        b"\x16\x03\x01",
        b"\r\n",
        b"GET / HTTP/1.1\n\n",
        b"A" * 21,
    ):
        assert not may_be_head(other)
    assert len(HEAD) < MOST_HEAD_BYTES
