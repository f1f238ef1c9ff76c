"""A million pieces of one byte cost their sender's time, not that of others. Ids: docs/threat-model.md (S10)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from tests.integration.rig import Rig, chat
from tests.integration.test_connections import log_lines
from tests.integration.test_streams import STREAM
from tests.upstream import Answer
from tests.wire import request, wire

_PIECES = 1_000_000
_MOST_TURN_S = 0.2
_MOST_IN_ALL_S = 2.0


class Turns:
    """Processor time of the loop's turns: however busy the machine, it is that of this process alone."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.total_s = 0.0


@asynccontextmanager
async def watched() -> AsyncIterator[Turns]:
    turns = Turns()
    begun_s = last_s = time.thread_time()

    async def watch() -> None:
        nonlocal last_s
        while True:
            now_s = time.thread_time()
            turns.longest_s = max(turns.longest_s, now_s - last_s)
            last_s = now_s
            await asyncio.sleep(0)

    task = asyncio.create_task(watch())
    try:
        yield turns
    finally:
        task.cancel()
        turns.total_s = time.thread_time() - begun_s


def in_pieces(data: bytes) -> list[bytes]:
    """Chunks of one byte, several in each write."""
    framed = b"".join(b"1\r\n%c\r\n" % byte for byte in data) + b"0\r\n\r\n"
    return [framed[at : at + 60_000] for at in range(0, len(framed), 60_000)]


async def test_a_body_in_a_million_pieces_keeps_nobody_waiting(rig: Rig):
    token = await rig.token()
    body = orjson.dumps(chat(text="x" * _PIECES))
    pieces = in_pieces(body)
    head = request(token.key, headers=(("transfer-encoding", "chunked"),))
    async with wire(rig.url) as caller, watched() as turns:
        caller.write(head)
        for piece in pieces:
            caller.write(piece)
        answer = await caller.answer()
        assert answer.status == 400
        assert "chunks of a few bytes" in answer.json()["error"]["message"]
        await caller.is_closed()
    assert turns.longest_s < _MOST_TURN_S
    assert turns.total_s < _MOST_IN_ALL_S


async def test_a_body_in_small_chunks_is_a_body(rig: Rig):
    token = await rig.token()
    body = orjson.dumps(chat(text="x" * 50_000))
    head = request(token.key, headers=(("transfer-encoding", "chunked"),))
    async with wire(rig.url) as caller:
        assert (await caller.ask(head + b"".join(in_pieces(body)))).status == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_in_a_million_pieces_keeps_nobody_waiting(rig: Rig, stream: bool):
    token = await rig.token()
    text = b'{"choices":[{"delta":{"content":"%b"}}],"usage":null}' % (b"x" * _PIECES)
    body = b"data: %b\n\ndata: [DONE]\n\n" % text if stream else text
    kind = b"text/event-stream" if stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % kind
    rig.upstream.answer("m", Answer((head, *in_pieces(body)), framing="raw"))
    async with wire(rig.url) as caller, watched() as turns:
        answer = await caller.ask(request(token.key, STREAM if stream else chat()))
    assert answer.status == 200
    assert answer.body == body
    assert turns.longest_s < _MOST_TURN_S / 4
    assert turns.total_s < _MOST_IN_ALL_S


async def test_without_a_key_a_million_pieces_are_not_even_read(rig: Rig):
    head = request("sk-nobody", headers=(("transfer-encoding", "chunked"),))
    pieces = in_pieces(b"x" * _PIECES)
    async with wire(rig.url) as caller, watched() as turns:
        with log_lines() as lines:
            caller.write(head)
            for piece in pieces:
                caller.write(piece)
            answer = await caller.answer()
            await caller.is_closed()
    assert answer.status == 401
    assert turns.longest_s < _MOST_TURN_S
    assert turns.total_s < _MOST_IN_ALL_S
    assert lines.getvalue() == ""


@pytest.mark.parametrize(
    "rest",
    [b"0\r\n" + b"x: a\r\n" * 10_000, b"no size\r\n", b"0\r\nx: " + b"a" * 100_000],
    ids=["trailers without end", "no chunk", "an endless trailer"],
)
async def test_a_body_that_goes_on_as_no_http_is_refused_at_once(rig: Rig, rest: bytes):
    token = await rig.token()
    head = request(
        token.key, headers=(("transfer-encoding", "chunked"), ("expect", "100-continue"))
    )
    async with wire(rig.url) as caller:
        caller.write(head + b"2\r\n{}\r\n")
        assert (await caller.answer()).status == 100  # its handler waits for the body
        caller.write(rest)
        assert (await caller.answer()).status == 400
        await caller.is_closed()
