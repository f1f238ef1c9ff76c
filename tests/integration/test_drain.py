"""A worker that is told to stop: who is answered, what streams and waiting calls are told, and that all is settled."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from yarl import URL

from gateway.drain import drain
from tests.integration.rig import USD, Rig, chat, running, until
from tests.integration.test_native_dialects import configure as all_dialects
from tests.upstream import Answer as Script
from tests.upstream import Echo, Gate, ScriptedUpstream
from tests.wire import Answer, request, wire

USAGE = b'{"usage":{"prompt_tokens":1,"completion_tokens":1}}'
LONG_S = 60  # nothing waits so long
SHORT_S = 0.05  # what is still running then is running at a gate
HELLO = [{"role": "user", "content": "Hello there"}]
STREAMS: dict[str, tuple[dict[str, Any], str, bytes]] = {
    "openai": (chat(stream=True), "/v1/chat/completions", b"[DONE]"),
    "anthropic": (
        {"model": "claude", "max_tokens": 50, "messages": HELLO, "stream": True},
        "/v1/messages",
        b"message_stop",
    ),
    "gemini": (
        {"contents": [{"role": "user", "parts": [{"text": "Hello there"}]}]},
        "/v1beta/models/gem:streamGenerateContent?alt=sse",
        b"finishReason",
    ),
}


@asynccontextmanager
async def gateway(
    postgres_dsn: str, valkey_url: str, *, upstream: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Rig]:
    """One with these settings of [gateway]; with settings of its `upstream`, that one alone."""

    def configure(members: dict[str, Any]) -> None:
        members["gateway"].update(settings)
        if upstream is None:
            all_dialects(members)
        else:
            members["upstreams"][0].update(upstream)

    async with (
        asyncio.timeout(30),
        ScriptedUpstream() as scripted,
        running(
            postgres_dsn, valkey_url, scripted, configure, {"PROVIDER_KEY": "provider-secret"}
        ) as rig,
    ):
        yield rig


Make = Callable[..., contextlib.AbstractAsyncContextManager[Rig]]


@pytest.fixture
def make(postgres_dsn: str, valkey_url: str) -> Make:
    return lambda **settings: gateway(postgres_dsn, valkey_url, **settings)


@asynccontextmanager
async def draining(rig: Rig) -> AsyncIterator["asyncio.Task[None]"]:
    """Its drain, from the moment on in which the port is closed."""
    closed = asyncio.Event()

    async def close_port() -> None:
        await rig.site.stop()
        closed.set()

    task = asyncio.create_task(drain(rig.gateway, close_port))
    await closed.wait()
    yield task
    await task


async def nothing_is_held(rig: Rig) -> None:
    """That all calls are settled, and every book is even."""
    assert not rig.gateway.forwarder.live_calls()
    await rig.posted()
    for token in await rig.database.fetch("SELECT id, account_id, used FROM token"):
        book = await rig.gateway.quota.book(token["account_id"], f"t{token['id']}")
        if book is not None:
            assert (book.reserved, book.live, book.used) == (0, 0, token["used"])


def get(path: str = "/readyz") -> bytes:
    return request(None, method="GET", path=path)


def closes(answer: Answer, status: int = 200) -> bool:
    return (answer.status, answer.header("connection")) == (status, "close")


# Before the port is closed


async def test_readiness_turns_first_while_all_else_goes_on(make: Make):
    async with make(lame_duck_s=LONG_S, drain_s=LONG_S) as rig, wire(rig.url) as kept:
        token = await rig.token(USD)
        assert (await kept.ask(request(token.key, chat()))).header("connection") is None
        stopping = asyncio.create_task(drain(rig.gateway, rig.site.stop))
        async with wire(rig.url) as balancer, wire(rig.url) as caller:
            answer = await balancer.ask(get())
            assert closes(answer, 503)
            assert answer.json() == {"status": "draining"}
            assert closes(await caller.ask(get("/healthz")))
        async with wire(rig.url) as caller:
            assert closes(await caller.ask(request(token.key, chat())))
            await caller.is_closed()
        assert not kept.closed
        assert closes(await kept.ask(request(token.key, chat())))
        await kept.is_closed()
        stopping.cancel()
        await asyncio.wait({stopping})


@pytest.mark.parametrize("first", [b"", get("/healthz")], ids=["ours", "aiohttp's"])
async def test_a_connection_whose_answer_had_begun_has_one_more_which_says_that_it_is_the_last(
    make: Make, first: bytes
):
    async with make(lame_duck_s=LONG_S, drain_s=LONG_S) as rig, wire(rig.url) as caller:
        token = await rig.token(USD)
        gate = Gate()
        rig.upstream.answer("m", Echo().after(2, gate))
        if first:
            await caller.ask(first)
        caller.write(request(token.key, chat(stream=True)))
        await gate.waiting()
        await caller.sees(b"role")  # and its head, and with it the promise
        stopping = asyncio.create_task(drain(rig.gateway, rig.site.stop))
        await until(lambda: rig.gateway.server.is_ending)
        gate.release()
        answer = await caller.answer()
        assert (answer.whole, answer.header("connection")) == (True, None)
        rig.upstream.answer("m", Echo())
        assert closes(await caller.ask(request(token.key, chat())))
        await caller.is_closed()
        stopping.cancel()
        await asyncio.wait({stopping})
        await nothing_is_held(rig)


# What has come is answered


async def test_nobody_new_is_let_in_and_idle_connections_are_closed(make: Make):
    async with make(drain_s=LONG_S) as rig, wire(rig.url) as idle, wire(rig.url) as streamed:
        await streamed.ask(get("/healthz"))  # it is aiohttp's now
        async with draining(rig):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", URL(rig.url).port)
            await idle.is_closed()
            await streamed.is_closed()


async def test_a_call_that_is_running_is_answered_and_its_connection_closed(make: Make):
    async with make(drain_s=LONG_S) as rig, wire(rig.url) as caller:
        token = await rig.token(USD)
        gate = Gate()
        rig.upstream.answer("m", Script((gate, USAGE)))
        caller.write(request(token.key, chat()))
        await gate.waiting()
        async with draining(rig):
            gate.release()
            assert closes(await caller.answer())
            await caller.is_closed()
        await nothing_is_held(rig)


@pytest.mark.parametrize("first", [b"", get("/healthz")], ids=["ours", "aiohttp's"])
async def test_a_call_that_was_sent_before_the_close_was_seen_is_answered(make: Make, first: bytes):
    async with make(drain_s=LONG_S) as rig, wire(rig.url) as caller:
        token = await rig.token(USD)
        if first:
            await caller.ask(first)
        async with draining(rig):
            assert closes(await caller.ask(request(token.key, chat())))
            await caller.is_closed()


@pytest.mark.parametrize("cut_at", [20, -5], ids=["head", "body"])
async def test_a_call_of_which_half_has_come_is_answered(make: Make, cut_at: int):
    async with make(drain_s=LONG_S) as rig, wire(rig.url) as caller:
        token = await rig.token(USD)
        sent = request(token.key, chat())
        caller.write(sent[:cut_at])
        (connection,) = rig.gateway.server._callers._all
        await until(lambda: connection._ahead or connection._head)
        async with draining(rig) as task:
            await until(
                lambda: rig.gateway.server._callers._keepalive_timeout_s < 1
            )  # idle ones go
            caller.write(sent[cut_at:])
            answer = await caller.answer()
            assert closes(answer)
            assert answer.whole
            await task


async def test_a_caller_who_is_slow_to_read_gets_the_whole_of_an_answer(make: Make):
    text = "x" * 900_000
    async with make(drain_s=LONG_S) as rig, wire(rig.url, receive_buffer=4096) as caller:
        token = await rig.token(USD)
        body = orjson.dumps({"text": text, "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
        rig.upstream.answer("m", Script((body,)))
        caller.transport.pause_reading()
        caller.write(request(token.key, chat()))
        await rig.upstream.received(1)
        await rig.gateway.handler.drain(LONG_S)
        async with draining(rig):
            caller.transport.resume_reading()
            answer = await caller.answer()
            assert answer.whole
            assert answer.json()["text"] == text


@pytest.mark.parametrize("dialect", STREAMS)
async def test_a_stream_ends_whole_within_its_time(make: Make, dialect: str):
    body, path, terminator = STREAMS[dialect]
    async with make(drain_s=LONG_S) as rig, wire(rig.url) as caller:
        token = await rig.token(USD)
        gate = Gate()
        for model in ("m", "claude-real", "gem-real"):
            rig.upstream.answer(model, Echo().after(2, gate))
        caller.write(request(token.key, body, path=path))
        await gate.waiting()
        async with draining(rig):
            gate.release()
            answer = await caller.answer()
            assert answer.whole
            assert terminator in answer.body
            await caller.is_closed()
        (row,) = await rig.ledger()
        assert (row["status"], row["estimated"], row["output_tokens"]) == (200, False, 7)
        await nothing_is_held(rig)


# What does not end in time is told


@pytest.mark.parametrize("dialect", STREAMS)
async def test_a_stream_that_outlasts_its_time_ends_in_the_dialects_error_and_no_terminator(
    make: Make, dialect: str
):
    body, path, terminator = STREAMS[dialect]
    async with make(drain_s=SHORT_S) as rig, wire(rig.url) as caller:
        token = await rig.token(USD)
        gate = Gate()
        for model in ("m", "claude-real", "gem-real"):
            rig.upstream.answer(model, Echo().after(2, gate))
        caller.write(request(token.key, body, path=path))
        await gate.waiting()
        async with draining(rig):
            answer = await caller.answer()
            assert answer.whole, "the framing is"
            await caller.is_closed()
        assert terminator not in answer.body
        before, _, last = answer.body.rpartition(b"data: ")
        assert before.endswith(b"event: error\n") == (dialect == "anthropic")
        assert "shutting down" in orjson.loads(last)["error"]["message"]
        (row,) = await rig.ledger()
        assert (row["anomaly"], row["estimated"]) == ("upstream_cut", True)
        assert row["amount"] > 0
        await nothing_is_held(rig)


async def test_a_call_that_has_no_answer_yet_is_told_to_repeat_it(make: Make):
    async with make(drain_s=SHORT_S) as rig, wire(rig.url) as caller:
        token = await rig.token(USD)
        gate = Gate()
        rig.upstream.answer("m", Echo().first(gate))
        caller.write(request(token.key, chat()))
        await gate.waiting()
        async with draining(rig):
            answer = await caller.answer()
            assert closes(answer, 503)
            assert answer.json()["error"]["code"] == "shutting_down"
            assert answer.header("retry-after") == "1"
        (row,) = await rig.ledger()
        assert row["status"] == 503
        await nothing_is_held(rig)


async def test_a_call_that_waits_for_its_turn_is_told_so_and_costs_nothing(make: Make):
    settings = {"max_connections": 1}
    async with (
        make(drain_s=SHORT_S, upstream=settings) as rig,
        wire(rig.url) as first,
        wire(rig.url) as waiting,
    ):
        token = await rig.token(USD)
        gate = Gate()
        rig.upstream.answer("m", Echo().first(gate))
        first.write(request(token.key, chat()))
        await gate.waiting()
        waiting.write(request(token.key, chat(text="another")))
        (state,) = rig.gateway._terms.upstreams
        await until(lambda: state.waiting == 1)
        async with draining(rig):
            for caller in (first, waiting):
                assert closes(await caller.answer(), 503)
        rows = await rig.ledger()
        assert [(row["status"], bool(row["upstream"])) for row in rows] == [
            (503, True),
            (503, False),
        ]
        assert rows[1]["amount"] == 0
        await nothing_is_held(rig)


async def test_a_call_whose_body_does_not_come_to_its_end_is_told_so(make: Make):
    async with make(drain_s=SHORT_S) as rig, wire(rig.url) as caller:
        token = await rig.token(USD)
        caller.write(
            request(token.key, headers=(("transfer-encoding", "chunked"),)) + b"2\r\n{ \r\n"
        )
        await until(lambda: rig.gateway.handler._running)
        async with draining(rig):
            answer = await caller.answer()
            assert closes(answer, 503)
            assert answer.json()["error"]["code"] == "shutting_down"
        assert await rig.ledger() == []


async def test_a_caller_who_never_reads_keeps_nobody_from_ending(make: Make):
    async with make(drain_s=SHORT_S) as rig, wire(rig.url, receive_buffer=4096) as caller:
        token = await rig.token(USD)
        piece = b"data: " + orjson.dumps({"x": "y" * 60_000}) + b"\n\n"
        rig.upstream.answer(
            "m",
            Script((piece,) * 200, content_type="text/event-stream", framing="chunked"),
        )
        caller.transport.pause_reading()
        caller.write(request(token.key, chat(stream=True)))
        await until(lambda: any(each.congested for each in rig.gateway.forwarder._attempts()))
        async with draining(rig):
            pass
        (row,) = await rig.ledger()
        assert (row["anomaly"], row["estimated"]) == ("upstream_cut", True)
        await nothing_is_held(rig)
