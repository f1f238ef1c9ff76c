"""Callers' connections: who reads a request makes no difference to its answer, however it comes.

A POST that is plain is read by ours (`gateway/relay/caller.py`); the first request that is not leaves its connection
to aiohttp. The same bytes sent behind a GET are therefore the same call on the other way.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp.web import StreamResponse

from gateway.bounded_server import Bounds
from gateway.crowd import Crowd
from gateway.domain.network import Blocks
from gateway.relay import chain
from gateway.relay.caller import MOST_BODY_BYTES, Callers
from gateway.relay.load import LoadWatch
from gateway.relay.request import PlainRequest, StreamedRequest
from gateway.relay.unread import one_too_many, unread
from gateway.slowness import WHOLE_WITHIN_S
from tests.integration.rig import USD, Rig, chat, until
from tests.upstream import Answer as Script
from tests.upstream import Gate, refuse
from tests.wire import Answer, Wire, request, wire

USAGE = b'{"usage":{"prompt_tokens":1,"completion_tokens":1}}'
_GET = request(None, method="GET", path="/healthz")
_OF_THE_CALL = frozenset({"x-request-id", "date", "x-upstream-request-id"})


def comparable(answer: Answer) -> tuple[int, dict[str, str], Any]:
    """An answer without what no two calls have in common."""
    headers = {name: value for name, value in answer.headers if name not in _OF_THE_CALL}
    body: Any = re.sub(rb'id": ?"[^"]*"', b'id":"x"', answer.body)
    if "event-stream" not in headers.get("content-type", ""):
        body = orjson.loads(body)
        if "error" in body:
            headers.pop("content-length")
    return answer.status, headers, body


async def both(rig: Rig, sent: bytes) -> tuple[Answer, Answer]:
    """The answers to a request that is read by us, and by aiohttp."""
    async with wire(rig.url) as ours, wire(rig.url) as other:
        await other.ask(_GET)
        return await ours.ask(sent), await other.ask(sent)


@pytest.fixture
def readers(rig: Rig) -> list[type]:
    """Which kind of request each call of the handler was, in order."""
    seen: list[type] = []
    handle = rig.gateway.handler._handle

    async def noting(request: Any) -> StreamResponse:
        seen.append(type(request))
        return await handle(request)

    rig.gateway.handler._handle = noting  # type: ignore[method-assign]
    return seen


CALLS: dict[str, dict[str, Any]] = {
    "a call": {"body": chat()},
    "a stream": {"body": chat(stream=True)},
    "an embedding": {"body": {"model": "m", "input": "x"}, "path": "/v1/embeddings"},
    "a query": {"body": chat(), "path": "/v1/chat/completions?api-version=1"},
    "no json": {"body": b"{"},
    "no body": {"body": b""},
    "a repeated member": {"body": b'{"model":"m","model":"n","messages":[]}'},
    "an unknown model": {"body": chat("nobody")},
    "a message to another dialect": {
        "body": {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]},
        "path": "/v1/messages",
    },
    "a compressed body": {"body": chat(), "headers": (("content-encoding", "gzip"),)},
    "a browser": {"body": chat(), "headers": (("Origin", "https://example.com"),)},
    "headers of many kinds": {
        "body": chat(),
        "headers": (("ACCEPT", "a, b"), ("traceparent", "00-1-2-03"), ("Cookie", "a=b"), ("X-Empty", "")),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.interpreted
async def test_the_same_call_is_answered_alike_whoever_reads_it(
    rig: Rig, readers: list[type], name: str
):
    token = await rig.token()
    ours, other = await both(rig, request(token.key, **CALLS[name]))
    assert comparable(ours) == comparable(other)
    assert readers == [StreamedRequest, PlainRequest, StreamedRequest]  # the first is the GET
    sent = rig.upstream.requests
    if sent:
        first, second = sent
        assert (first.headers, first.body) == (second.headers, second.body)
    rows = [dict(row) for row in await rig.ledger()]
    for row in rows:
        for of_the_call in ("request_id", "started_at", "duration_ms", "ttfb_ms", "posted_at"):
            row.pop(of_the_call, None)
    assert rows[: len(rows) // 2] == rows[len(rows) // 2 :]


@pytest.mark.parametrize("name", ["wrong", "sk-wrong", None])
async def test_a_key_that_opens_nothing_is_refused_alike(rig: Rig, name: str | None):
    ours, other = await both(rig, request(name, chat()))
    assert ours.status == 401
    assert comparable(ours) == comparable(other)


async def test_a_denied_address_is_refused_alike(rig: Rig):
    token = await rig.token(allow_ips=("10.0.0.0/8",))
    ours, other = await both(rig, request(token.key, chat()))
    assert ours.status == 403
    assert comparable(ours) == comparable(other)


async def test_an_upstreams_error_is_passed_on_alike(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("m", refuse(400))
    ours, other = await both(rig, request(token.key, chat()))
    assert ours.status == 400
    assert comparable(ours) == comparable(other)


@pytest.mark.interpreted
async def test_a_request_may_come_byte_by_byte(rig: Rig, readers: list[type]):
    token = await rig.token()
    async with wire(rig.url) as caller:
        for byte in request(token.key, chat()):
            caller.write(bytes((byte,)))
            await asyncio.sleep(0)  # so that it is written by itself
        assert (await caller.answer()).status == 200
    assert readers == [PlainRequest]


@pytest.mark.interpreted
async def test_requests_that_come_at_once_are_answered_in_their_order(
    rig: Rig, readers: list[type]
):
    token = await rig.token()
    async with wire(rig.url) as caller:
        texts = [f"text {number}" for number in range(20)]
        caller.write(b"".join(request(token.key, chat(text=text)) for text in texts))
        answers = [await caller.answer() for _ in texts]
    assert [answer.status for answer in answers] == [200] * len(texts)
    sent = [
        orjson.loads(received.body)["messages"][0]["content"] for received in rig.upstream.requests
    ]
    assert sent == texts
    assert readers == [PlainRequest] * len(texts)


@pytest.mark.interpreted
async def test_what_is_not_plain_is_answered_behind_what_was(rig: Rig, readers: list[type]):
    token = await rig.token()
    plain = request(token.key, chat())
    async with wire(rig.url) as caller:
        caller.write(plain + _GET + plain)
        answers = [await caller.answer() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert readers == [PlainRequest, StreamedRequest, StreamedRequest]


@pytest.mark.interpreted
async def test_a_large_body_is_aiohttps_to_read(rig: Rig, readers: list[type]):
    token = await rig.token()
    async with wire(rig.url) as caller:
        answer = await caller.ask(request(token.key, chat(text="x" * MOST_BODY_BYTES)))
    assert answer.status == 200
    assert readers == [StreamedRequest]


async def test_whoever_sends_ahead_without_end_is_not_read_without_end(rig: Rig):
    """The bytes of later requests stay with the sender until the first is answered."""
    token = await rig.token()
    gate = Gate()
    rig.upstream.answer("m", Script((gate, USAGE)))
    async with wire(rig.url) as caller:
        caller.write(request(token.key, chat()))
        await gate.waiting()
        caller.write(b"x" * 50_000_000)
        (connection,) = rig.gateway.server._callers._all
        await asyncio.wait_for(_stands_still(caller), 10)
        assert len(connection._ahead) < 1_000_000
        gate.release()
        assert (await caller.answer()).status == 200


async def test_nor_where_each_of_many_requests_is_answered(rig: Rig):
    """An answer lets in no more than the next requests need, or a stream of small ones would fill the memory."""
    token = await rig.token()
    sent = 600
    most = 0
    async with wire(rig.url) as caller:
        caller.write(request(token.key, chat(text="x" * 1000)) * sent)
        await until(lambda: bool(rig.gateway.server._callers._all))
        (connection,) = rig.gateway.server._callers._all
        for _ in range(sent):
            assert (await caller.answer()).status == 200
            most = max(most, len(connection._ahead))
    # What one read brings, at most, beside what was waited for.
    assert most < 600_000


@pytest.mark.interpreted
async def test_a_large_request_behind_much_is_read_to_its_end(rig: Rig, readers: list[type]):
    token = await rig.token()
    large = request(token.key, chat(text="x" * (MOST_BODY_BYTES - 10_000)))
    async with wire(rig.url) as caller, asyncio.timeout(30):
        caller.write(request(token.key, chat()) + large + large + _GET)
        statuses = [(await caller.answer()).status for _ in range(4)]
    assert statuses == [200, 200, 200, 200]
    assert readers == [PlainRequest, PlainRequest, PlainRequest, StreamedRequest]


async def _stands_still(caller: Wire) -> None:
    """Until the transport takes no more."""
    before = -1
    while (left := caller.transport.get_write_buffer_size()) != before:
        before = left
        await asyncio.sleep(0.2)


@asynccontextmanager
async def serving(callers: Callers) -> AsyncIterator[str]:
    """A server of these connections alone."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(callers, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
    finally:
        server.close()
        await callers.shutdown(1)


def made_by(clock: list[float]) -> Callers:
    """Connections whose calls never end."""

    async def handle(_request: PlainRequest) -> StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    def hand_over(transport: asyncio.Transport, _data: bytes, _begun_at: float) -> None:
        transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    return Callers(
        handle,
        hand_over,
        bounds=Bounds(Crowd(0, Blocks(), one_too_many), unread, 60),
        load=LoadWatch(delay_s=0, descriptors_percent=100),
        max_body_bytes=1000,
        keepalive_timeout_s=75,
        clock=lambda: clock[0],
    )


@pytest.mark.parametrize(
    ("sent", "patience_s"),
    [
        (b"", 75),
        (b"POST /v1/cha", WHOLE_WITHIN_S),
        (b"GET /v1/models HTTP/1.1\r\nHost: gat", WHOLE_WITHIN_S),
        (request("sk-1", chat(), send_body=False), WHOLE_WITHIN_S),
        (request("sk-1", chat())[:-1], WHOLE_WITHIN_S),
    ],
)
async def test_what_does_not_come_to_its_end_is_not_waited_for_without_end(
    sent: bytes, patience_s: float
):
    clock = [1000.0]
    callers = made_by(clock)
    async with serving(callers) as url, wire(url) as caller, asyncio.timeout(20):
        caller.write(sent)
        await until(lambda: any(c._ahead or c._head or not sent for c in callers._all))
        clock[0] += patience_s
        callers._look()
        assert not caller.closed
        clock[0] += 1
        callers._look()
        await caller.is_closed()
        assert [answer.status for answer in caller.answers] == ([408] if sent else [])


@pytest.mark.parametrize("framing", ["content-length: 1000000", "transfer-encoding: chunked"])
@pytest.mark.interpreted
async def test_nor_is_a_body_that_aiohttp_reads(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, framing: str
):
    monkeypatch.setattr(chain, "WHOLE_WITHIN_S", 0.1)
    monkeypatch.setattr(chain, "_SLOWEST_BYTES_PER_S", 10**12)
    token = await rig.token()
    name, _, value = framing.partition(": ")
    async with wire(rig.url) as caller, asyncio.timeout(20):
        answer = await caller.ask(request(token.key, headers=((name, value),)))
        assert answer.status == 408
        assert answer.json()["error"]["code"] == "request_timeout"
        await caller.is_closed()


async def test_a_call_may_take_as_long_as_it_takes():
    clock = [1000.0]
    callers = made_by(clock)
    async with serving(callers) as url, wire(url) as caller, asyncio.timeout(20):
        caller.write(request("sk-1", chat()))
        await until(lambda: any(connection.task for connection in callers._all))
        clock[0] += 100_000
        callers._look()
        await asyncio.sleep(0.05)
        assert not caller.closed


async def test_at_the_end_idle_connections_are_closed_and_calls_are_given_their_time(rig: Rig):
    token = await rig.token()
    gate = Gate()
    rig.upstream.answer("m", Script((gate, USAGE)))
    async with wire(rig.url) as idle, wire(rig.url) as busy, asyncio.timeout(20):
        busy.write(request(token.key, chat()))
        await gate.waiting()
        rig.gateway.server.pre_shutdown()
        await idle.is_closed()
        gate.release()
        answer = await busy.answer()
        assert answer.status == 200
        assert answer.header("connection") == "close"
        await busy.is_closed()
