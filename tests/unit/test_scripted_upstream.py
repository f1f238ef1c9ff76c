"""The scripted upstream does on the wire what its scripts say, seen with bare sockets."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httptools
import orjson
import pytest

from tests.upstream import (
    CUT,
    MALFORMED_EVENT,
    NO_ANSWER,
    RESET,
    Answer,
    Echo,
    Gate,
    ScriptedUpstream,
    Turns,
    refuse,
)

CHAT = "/v1/chat/completions"
ASK = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}
STREAMED = ASK | {"stream": True}
METERED = STREAMED | {"stream_options": {"include_usage": True}}


class Heard:
    """One answer, parsed by httptools; `whole` only where its framing was completed."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""
        self.status = 0
        self.whole = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole = True
        self.status = self.parser.get_status_code()

    def json(self) -> Any:
        return orjson.loads(self.body)

    def events(self) -> Iterator[Any]:
        for event in self.body.split(b"\n\n")[:-1]:
            data = event.rpartition(b"data: ")[2]
            yield data.decode() if data == b"[DONE]" else orjson.loads(data)


class Caller:
    """A keep-alive connection to the upstream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, body: bytes, path: str = CHAT) -> None:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)

    async def hear(self) -> Heard:
        """The next answer, whole or as far as the peer sent it."""
        heard = Heard()
        while not heard.whole and (data := await self.reader.read(65536)):
            heard.parser.feed_data(data)
        return heard

    async def ask(self, ask: dict[str, Any], path: str = CHAT) -> Heard:
        self.send(orjson.dumps(ask), path)
        return await self.hear()


@asynccontextmanager
async def calling(upstream: ScriptedUpstream) -> AsyncIterator[Caller]:
    port = int(upstream.base_url.split(":")[2].removesuffix("/v1"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
async def caller(upstream: ScriptedUpstream) -> AsyncIterator[Caller]:
    async with calling(upstream) as caller:
        yield caller


async def test_the_echo_proves_which_body_it_answers(
    upstream: ScriptedUpstream, caller: Caller
) -> None:
    body = orjson.dumps(ASK, option=orjson.OPT_INDENT_2)
    caller.send(body)
    heard = await caller.hear()
    answer = heard.json()
    assert answer["choices"][0]["message"]["content"] == hashlib.sha256(body).hexdigest()
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10}
    serial = answer["id"].removeprefix("chatcmpl-")
    assert heard.headers["x-request-id"] == f"req-{serial}"
    assert heard.headers["x-echo"] == f"echo-{serial}"
    assert (await caller.ask(ASK)).json()["id"] != answer["id"]
    assert upstream.accepted == 1
    first = upstream.requests[0]
    assert (first.method, first.path, first.body) == ("POST", CHAT, body)
    assert first.header("Content-Length") == str(len(body))
    assert not first.gone.is_set()


async def test_a_stream_has_usage_only_where_it_is_asked_for(caller: Caller) -> None:
    digest = hashlib.sha256(orjson.dumps(METERED)).hexdigest()
    heard = await caller.ask(METERED)
    *events, usage, done = heard.events()
    texts = [event["choices"][0]["delta"].get("content", "") for event in events]
    assert heard.headers["transfer-encoding"] == "chunked"
    assert "".join(texts) == digest
    assert (usage["choices"], usage["usage"]["completion_tokens"], done) == ([], 7, "[DONE]")
    assert all("usage" not in event for event in list((await caller.ask(STREAMED)).events())[:-1])


@pytest.mark.parametrize(
    ("path", "prompt", "usage"),
    [
        ("/v1/completions", {"prompt": "a b"}, {"prompt_tokens": 2, "completion_tokens": 7}),
        ("/v1/embeddings", {"input": ["a b", "c"]}, {"prompt_tokens": 3}),
        ("/v1/responses", {"input": "a b c d"}, {"input_tokens": 4, "output_tokens": 7}),
    ],
)
async def test_each_route_counts_in_its_own_words(
    caller: Caller, path: str, prompt: dict[str, Any], usage: dict[str, int]
) -> None:
    answer = (await caller.ask({"model": "m"} | prompt, path)).json()
    assert answer["usage"] == usage | {"total_tokens": sum(usage.values())}


async def test_a_response_stream_ends_in_its_completed_event(caller: Caller) -> None:
    heard = await caller.ask({"model": "m", "input": "a b", "stream": True}, "/v1/responses")
    *_, last = heard.events()
    assert last["type"] == "response.completed"
    assert last["response"]["usage"]["input_tokens"] == 2
    assert heard.body.rpartition(b"event: ")[2].startswith(b"response.completed\ndata: ")


async def test_a_gate_holds_every_answer_until_it_is_released(upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer("m", Echo().first(gate))
    async with calling(upstream) as one, calling(upstream) as other:
        answers = [asyncio.create_task(caller.ask(ASK)) for caller in (one, other)]
        await gate.waiting(2)
        assert [received.sent_bytes for received in await upstream.received(2)] == [0, 0]
        gate.release()
        assert [heard.status for heard in await asyncio.gather(*answers)] == [200, 200]


async def test_a_stalled_stream_knows_when_its_peer_goes(
    upstream: ScriptedUpstream, caller: Caller
) -> None:
    stall = Gate()
    upstream.answer("m", Echo().after(2, stall))
    caller.send(orjson.dumps(STREAMED))
    await stall.waiting()
    head = await caller.reader.readuntil(b"\r\n\r\n")
    two_chunks = await caller.reader.readexactly(upstream.requests[0].sent_bytes - len(head))
    assert two_chunks.count(b"data: ") == 2
    caller.writer.close()
    await upstream.requests[0].gone.wait()


async def test_a_cut_ends_without_a_terminator(upstream: ScriptedUpstream, caller: Caller) -> None:
    upstream.answer("m", Echo().after(3, CUT))
    heard = await caller.ask(STREAMED)
    assert len(list(heard.events())) == 3
    assert not heard.whole
    assert not upstream.requests[0].gone.is_set()


async def test_a_reset_is_a_reset(upstream: ScriptedUpstream, caller: Caller) -> None:
    upstream.answer("m", Echo().after(1, RESET))
    with pytest.raises(ConnectionResetError):
        await caller.ask(STREAMED)


class Sizes(asyncio.Protocol):
    """Keeps what each read brought."""

    def __init__(self) -> None:
        self.reads: list[bytes] = []
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.reads.append(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self.ended.set()


async def test_bytewise_is_one_read_for_every_byte(upstream: ScriptedUpstream) -> None:
    upstream.answer("", Answer((b"abc", b"def", CUT), framing="chunked", bytewise=True))
    port = int(upstream.base_url.split(":")[2].removesuffix("/v1"))
    transport, sizes = await asyncio.get_running_loop().create_connection(Sizes, "127.0.0.1", port)
    transport.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    await sizes.ended.wait()
    assert {len(data) for data in sizes.reads} == {1}
    assert b"".join(sizes.reads).endswith(b"\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n")


@pytest.mark.parametrize("lie", [-1, "many", {"prompt_tokens": 1e308}, [], False])
async def test_usage_may_be_any_lie(upstream: ScriptedUpstream, caller: Caller, lie: Any) -> None:
    upstream.answer("m", Echo(usage=lie))
    assert (await caller.ask(ASK)).json()["usage"] == lie
    assert list((await caller.ask(METERED)).events())[-2]["usage"] == lie


async def test_usage_may_be_missing_or_late(upstream: ScriptedUpstream, caller: Caller) -> None:
    upstream.answer("m", Turns((Echo(usage=None), Echo(usage_after_done=True))))
    assert "usage" not in (await caller.ask(ASK)).json()
    *_, done, late = (await caller.ask(METERED)).events()
    assert (done, late["usage"]["prompt_tokens"]) == ("[DONE]", 3)


async def test_a_malformed_event_stands_where_it_was_put(
    upstream: ScriptedUpstream, caller: Caller
) -> None:
    upstream.answer("m", Echo().after(1, MALFORMED_EVENT))
    heard = await caller.ask(STREAMED)
    assert heard.body.split(b"\n\n")[1] + b"\n\n" == MALFORMED_EVENT
    assert heard.body.endswith(b"data: [DONE]\n\n")


async def test_missing_bytes_are_promised_and_never_come(
    upstream: ScriptedUpstream, caller: Caller
) -> None:
    upstream.answer("m", Answer((b"half",), missing_bytes=4))
    heard = await caller.ask(ASK)
    assert (heard.headers["content-length"], heard.body, heard.whole) == ("8", b"half", False)


async def test_turns_close_without_an_answer_then_refuse_then_answer(
    upstream: ScriptedUpstream,
) -> None:
    limited = refuse(429, "slow down", headers=(("retry-after", "3"),))
    upstream.answer("m", Turns((NO_ANSWER, limited, Echo(content_type="text/html"))))
    async with calling(upstream) as caller:
        heard = await caller.ask(ASK)
        assert (heard.headers, heard.body, heard.whole) == ({}, b"", False)
    async with calling(upstream) as caller:
        heard = await caller.ask(ASK)
        assert (heard.status, heard.headers["retry-after"]) == (429, "3")
        assert heard.json()["error"]["message"] == "slow down"
        for _ in range(2):
            assert (await caller.ask(ASK)).headers["content-type"] == "text/html"


async def test_idle_connections_can_be_closed(upstream: ScriptedUpstream, caller: Caller) -> None:
    await caller.ask(ASK)
    upstream.close_idle()
    assert await caller.reader.read() == b""
    assert upstream.open_connections == 0


async def test_a_script_that_cannot_happen_fails_the_test() -> None:
    upstream = ScriptedUpstream(default=Echo().after(99, CUT))
    await upstream.__aenter__()
    async with calling(upstream) as caller:
        assert not (await caller.ask(ASK)).whole
    with pytest.raises(ExceptionGroup, match="scripts failed") as failure:
        await upstream.__aexit__(None, None, None)
    assert "only 4 pieces" in str(failure.value.exceptions[0])
