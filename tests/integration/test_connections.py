"""What bounds strangers' connections: how many, how slow, how much lies untaken. Ids: docs/threat-model.md."""

import asyncio
import io
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest

from gateway.bounded_server import BoundedConnection
from gateway.log import sink
from gateway.relay.caller import CallerConnection
from gateway.slowness import WHOLE_WITHIN_S
from tests.integration.rig import USD, Rig, chat, running, until
from tests.integration.test_streams import STREAM, gone, held_up, megabytes, the_row
from tests.upstream import Answer, ScriptedUpstream
from tests.wire import Wire, request, wire

_GET = request(None, method="GET", path="/healthz")
_BAD = request("no-key", chat())


@asynccontextmanager
async def bounded(dsn: str, valkey_url: str, **settings: Any) -> AsyncIterator[Rig]:
    """A gateway with other settings of its own."""

    def configure(members: dict[str, Any]) -> None:
        members["gateway"].update(settings)

    async with ScriptedUpstream() as upstream, running(dsn, valkey_url, upstream, configure) as rig:
        yield rig


@contextmanager
def log_lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = sink(stream)
    logging.getLogger().addHandler(handler)
    try:
        yield stream
    finally:
        logging.getLogger().removeHandler(handler)


async def connections(rig: Rig, count: int, stack: AsyncExitStack, source: str) -> list[Wire]:
    """So many of one address, all of which the gateway has seen."""
    crowd = rig.gateway.crowd
    seen = crowd.open + crowd.refused
    made = [await stack.enter_async_context(wire(rig.url, source=source)) for _ in range(count)]
    await until(lambda: crowd.open + crowd.refused == seen + count)
    return made


# How many (N22).


async def test_an_address_has_so_many_connections_and_others_are_served(postgres_dsn, valkey_url):
    async with (
        bounded(postgres_dsn, valkey_url, max_connections_per_address=100) as rig,
        AsyncExitStack() as stack,
    ):
        token = await rig.token()
        made = await connections(rig, 200, stack, "127.0.0.2")
        crowd = rig.gateway.crowd
        assert (crowd.open, crowd.refused) == (100, 100)
        async with wire(rig.url, source="127.0.0.3") as other:
            assert (await other.ask(request(token.key, chat()))).status == 200
        first, last = made[0], made[-1]
        assert (await first.ask(request(token.key, chat()))).status == 200
        answer = await last.ask(request(token.key, chat()))
        assert answer.status == 429
        assert answer.json()["error"]["code"] == "too_many_connections"
        assert (answer.header("retry-after"), answer.header("connection")) == ("1", "close")
        await last.is_closed()
        first.leave()
        await until(lambda: crowd.open == 99)
        async with wire(rig.url, source="127.0.0.2") as again:
            assert (await again.ask(request(token.key, chat()))).status == 200
    assert crowd.open == 0


async def test_one_too_many_is_told_in_its_dialect(postgres_dsn, valkey_url):
    async with (
        bounded(postgres_dsn, valkey_url, max_connections_per_address=1) as rig,
        wire(rig.url, source="127.0.0.2") as first,
    ):
        assert (await first.ask(_GET)).status == 200
        shapes = {
            "/v1/messages?beta=true": lambda body: body["type"] == "error",
            "/v1beta/models/m:generateContent": lambda body: body["error"]["code"] == 429,
            "/v1/responses": lambda body: body["error"]["code"] == "too_many_connections",
        }
        for path, is_right in shapes.items():
            async with wire(rig.url, source="127.0.0.2") as other:
                answer = await other.ask(request(None, chat(), path=path))
            assert answer.status == 429
            assert is_right(answer.json())


async def test_one_too_many_that_asks_nothing_is_not_kept(postgres_dsn, valkey_url):
    async with (
        bounded(postgres_dsn, valkey_url, max_connections_per_address=1) as rig,
        AsyncExitStack() as stack,
    ):
        first, *others = await connections(rig, 301, stack, "127.0.0.2")
        crowd = rig.gateway.crowd
        # The first are waited for, the rest is closed at once.
        await until(lambda: sum(each.closed for each in others) >= 300 - 256)
        crowd.look(time.monotonic() + 2)
        for each in others:
            await each.is_closed()
        assert not first.closed
        assert not crowd._refused


async def test_a_proxy_has_as_many_as_it_needs(postgres_dsn, valkey_url):
    settings = {"max_connections_per_address": 1, "trusted_proxies": ["127.0.0.2"]}
    async with (
        bounded(postgres_dsn, valkey_url, **settings) as rig,
        AsyncExitStack() as stack,
    ):
        made = await connections(rig, 5, stack, "127.0.0.2")
        assert [(await each.ask(_GET)).status for each in made] == [200] * 5


async def test_a_connection_that_changes_readers_counts_once(postgres_dsn, valkey_url):
    async with bounded(postgres_dsn, valkey_url, max_connections_per_address=1) as rig:
        for _ in range(3):
            async with wire(rig.url) as caller:
                assert (await caller.ask(_BAD)).status == 401
                assert (await caller.ask(_GET)).status == 200
            await until(lambda: rig.gateway.crowd.open == 0)


# How slow a head may be.


def bounded_connection(rig: Rig) -> BoundedConnection:
    """The one that aiohttp reads."""
    (connection,) = rig.gateway.server.connections
    assert isinstance(connection, BoundedConnection)
    return connection


@pytest.mark.parametrize("begun", [b"POST /v1/chat/completions HTTP/1.1\r\nx: ", b"G"])
async def test_a_head_that_aiohttp_reads_has_its_minute_from_its_first_byte(rig: Rig, begun: bytes):
    async with wire(rig.url) as caller:
        assert (await caller.ask(_GET)).status == 200  # what follows is aiohttp's
        connection = bounded_connection(rig)
        before = time.monotonic()
        for byte in (begun + b"x" * 8100 if begun.endswith(b"x: ") else begun)[-9000:], b"x":
            caller.write(byte)
            await until(lambda: connection._head_since is not None)
        connection.look(before + WHOLE_WITHIN_S)
        assert not caller.closed
        connection.look(time.monotonic() + WHOLE_WITHIN_S + 0.1)
        answer = await caller.answer()
        assert (answer.status, answer.json()["error"]["code"]) == (408, "request_timeout")
        await caller.is_closed()


async def test_a_large_head_keeps_the_time_at_which_it_began(rig: Rig):
    callers = rig.gateway.server._callers  # type: ignore[attr-defined]
    async with wire(rig.url) as caller:
        caller.write(b"POST /v1/chat/completions HTTP/1.1\r\nx: " + b"x" * 4000)
        await until(lambda: any(each._ahead for each in callers._all))
        (ours,) = callers._all
        begun_at = ours._since
        caller.write(b"x" * 4100)
        await until(lambda: bool(rig.gateway.server.connections))
        assert bounded_connection(rig)._head_since == begun_at


async def test_a_call_that_runs_is_not_taken_for_a_slow_head(rig: Rig):
    async with wire(rig.url) as caller:
        await caller.ask(_GET)
        connection = bounded_connection(rig)
        caller.write(_GET[:10])
        await until(lambda: connection._head_since is not None)
        caller.write(_GET[10:])
        assert (await caller.answer()).status == 200
        connection.look(time.monotonic() + 2 * WHOLE_WITHIN_S)
        assert (await caller.ask(_GET)).status == 200


# What cannot be read (N20, N24).


async def test_what_cannot_be_read_is_told_in_one_form_that_quotes_nothing(rig: Rig):
    broken = (
        b"GET /v1/models HTTP/1.1\r\nhost: g\r\ncanary-line\r\n\r\n",
        b"CANARY-METHOD\x00 / HTTP/1.1\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: g\r\nx: canary" + b"a" * 9000 + b"\r\n\r\n",
        b"GET /canary HTTP/canary\r\n\r\n",
        b"\x16\x03\x01canary",
    )
    broken_bodies = (b"canary", b"5;canary=\x00\r\nhello\r\n0\r\n\r\n", b"0\r\ncanary\r\n\r\n")
    head = request((await rig.token()).key, headers=(("transfer-encoding", "chunked"),))
    with log_lines() as lines:
        for body in broken_bodies:
            async with wire(rig.url) as caller:
                caller.write(head)
                answer = await caller.ask(body + b"\r\n\r\n")
                assert answer.status == 400
                assert b"canary" not in bytes(caller.raw).lower()
        told = set()
        for data in broken:
            async with wire(rig.url) as caller:
                answer = await caller.ask(data)
                await caller.is_closed()
            assert b"canary" not in bytes(caller.raw).lower()
            assert (answer.status, answer.header("server")) == (400, None)
            error = answer.json()["error"]
            assert error.pop("request_id") == answer.header("x-request-id")
            told.add(repr(error))
    assert len(told) == 1
    assert lines.getvalue() == ""


async def test_a_request_without_a_host_is_refused(rig: Rig):
    async with wire(rig.url) as caller:
        answer = await caller.ask(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_request")
        await caller.is_closed()
    async with wire(rig.url) as caller:
        assert (await caller.ask(b"GET /healthz HTTP/1.0\r\n\r\n")).status == 200
    for host in (b"g:8080", b"user:word@g", b"[::1]", b""):
        async with wire(rig.url) as caller:
            answer = await caller.ask(b"GET /healthz HTTP/1.1\r\nhost: %b\r\n\r\n" % host)
            assert answer.status in {200, 400}


# What lies untaken (N12, S11).


@pytest.mark.parametrize("before", [b"", _GET], ids=["ours", "aiohttp's"])
async def test_whoever_takes_no_answers_is_not_answered_without_end(rig: Rig, before: bytes):
    async with wire(rig.url, receive_buffer=65_536) as caller:
        caller.write(before + _BAD)
        for _ in range(2 if before else 1):
            await caller.answer()
        caller.transport.pause_reading()
        connection: Any = bounded_connection(rig) if before else only_caller(rig)
        transport = connection._socket if before else connection.transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        sent = 2000  # of which the answers are far more than the buffers of both ends hold
        caller.write(_BAD * sent)
        await until(lambda: connection._backlog is not None)
        for _ in range(2000):
            await asyncio.sleep(0)
        assert transport.get_write_buffer_size() < 100_000
        caller.transport.resume_reading()
        await until(lambda: len(caller.answers) == sent)


def only_caller(rig: Rig) -> CallerConnection:
    """The one that we read."""
    (connection,) = rig.gateway.server._callers._all  # type: ignore[attr-defined]
    return connection


def looks(rig: Rig, *, is_ours: bool) -> Callable[[float], None]:
    """How the connection is looked at, as if it were later."""
    if is_ours:
        caller = only_caller(rig)
        return lambda later_s: caller.look(time.monotonic() + later_s, 75)
    streamed = bounded_connection(rig)
    return lambda later_s: streamed.look(time.monotonic() + later_s)


@pytest.mark.parametrize("is_ours", [True, False])
async def test_whoever_takes_an_answer_too_slowly_is_cut_off_and_pays(rig: Rig, is_ours: bool):
    token = await rig.token(USD)
    rig.upstream.answer(
        "m", Answer(tuple(megabytes(64)), framing="chunked", content_type="text/event-stream")
    )
    async with wire(rig.url, receive_buffer=65_536) as caller:
        if not is_ours:
            await caller.ask(_GET)
        caller.write(request(token.key, STREAM))
        await caller.sees(b"200 OK")
        caller.transport.pause_reading()
        sent = await held_up(rig)
        look = looks(rig, is_ours=is_ours)
        for later_s in (0, 59):
            look(later_s)
        assert not sent.gone.is_set()
        look(61)
        await gone(sent)
    row = await the_row(rig)
    assert (row["status"], row["anomaly"]) == (499, "client_closed")
    assert row["amount"] > 0
    await until(lambda: rig.gateway.crowd.open == 0)


async def test_a_steady_reader_has_another_minute_however_long_it_takes(rig: Rig):
    token = await rig.token()
    rig.upstream.answer(
        "m", Answer(tuple(megabytes(64)), framing="chunked", content_type="text/event-stream")
    )
    async with wire(rig.url, receive_buffer=65_536) as caller:
        caller.write(request(token.key, STREAM))
        await caller.sees(b"200 OK")
        caller.transport.pause_reading()
        sent = await held_up(rig)
        connection = only_caller(rig)
        backlog = connection._backlog
        assert backlog is not None
        assert not backlog.is_stuck(time.monotonic(), 60)
        # Not so much that our own buffer empties: what the kernel has given shows that it reads.
        taken = len(caller.raw)
        caller.transport.resume_reading()
        await until(lambda: len(caller.raw) > taken + 200_000)
        caller.transport.pause_reading()
        await held_up(rig)
        assert connection._backlog is not None
        now = time.monotonic()
        if connection._backlog is backlog:
            assert not backlog.is_stuck(now + 61, 60)
            assert not backlog.is_stuck(now + 120, 60)
            assert backlog.is_stuck(now + 122, 60)
        for later_s in (200, 300):
            connection.look(now + later_s, 75)
        await gone(sent)


async def test_a_closed_connection_whose_last_answer_nobody_takes_ends(rig: Rig):
    """Closing waits for what was written to be taken: without a bound, for ever."""
    async with wire(rig.url, receive_buffer=65_536) as caller:
        await caller.ask(_BAD)
        caller.transport.pause_reading()
        connection = only_caller(rig)
        while connection.transport.get_write_buffer_size() == 0:
            connection.transport.write(b"x" * 60_000)
            await asyncio.sleep(0)
        connection.transport.close()
        for later_s in (0, 1, 59):
            connection.look(time.monotonic() + later_s, 75)
        assert rig.gateway.crowd.open == 1
        connection.look(time.monotonic() + 62, 75)
        await until(lambda: rig.gateway.crowd.open == 0)
