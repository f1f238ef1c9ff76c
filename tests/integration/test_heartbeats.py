"""Signs of life: the caller of a silent stream gets one between two events, and nothing else changes by it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anthropic
import openai
import orjson
import pytest
from google import genai
from google.genai import types

from gateway.relay.sse import HEARTBEATS
from tests.integration.rig import PRICED, USD, Rig, chat, running_rig, until
from tests.upstream import Answer, Echo, Gate
from tests.wire import request, wire

# Google's own client does so.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")

STREAM = chat(stream=True, max_tokens=100)
BEAT = HEARTBEATS["openai"]


@asynccontextmanager
async def beating(
    postgres_dsn: str, valkey_url: str, heartbeat_s: float = 0.01, **settings: Any
) -> AsyncIterator[Rig]:
    """A gateway with an upstream for each dialect, at one address, that looks after its callers at each tick."""

    def configure(members: dict[str, Any]) -> None:
        members["gateway"]["heartbeat_s"] = heartbeat_s
        members["quota"] |= {"reserve_step_tokens": 256, "hold_wait_s": 30}
        members["models"] += [{"name": "claude", **PRICED}, {"name": "gem", **PRICED}]
        (scripted,) = members["upstreams"]
        url, scripted["models"] = scripted["base_url"], ["m"]
        members["upstreams"] += [
            {"name": "a", "dialect": "anthropic", "base_url": url, "models": ["claude"]},
            {
                "name": "g",
                "dialect": "gemini",
                "base_url": url.removesuffix("/v1") + "/v1beta",
                "models": ["gem"],
            },
        ]
        for upstream in members["upstreams"]:
            upstream.update(settings)

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        yield rig


class Tap:
    """Passes bytes on between a client and a gateway, and keeps what the gateway says."""

    def __init__(self) -> None:
        self.url = ""
        self.said = b""

    @asynccontextmanager
    async def before(self, gateway: str) -> AsyncIterator["Tap"]:
        to = urlsplit(gateway)
        pumps: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection(to.hostname, to.port)
            pumps.add(asyncio.create_task(self._pump(reader, back, keep=False)))
            pumps.add(asyncio.create_task(self._pump(there, writer, keep=True)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for pump in pumps:
                pump.cancel()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if keep:
                    self.said += data
                writer.write(data)
        writer.close()


# What clients make of it.


async def text_of_openai(url: str, key: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        return "".join([event.choices[0].delta.content or "" async for event in stream])


async def text_of_anthropic(url: str, key: str) -> str:
    hello: Any = [{"role": "user", "content": "Hello"}]
    async with (
        anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as client,
        client.messages.stream(model="claude", max_tokens=50, messages=hello) as stream,
    ):
        return "".join([text async for text in stream.text_stream])


async def text_of_gemini(url: str, key: str) -> str:
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
    stream = await client.aio.models.generate_content_stream(model="gem", contents="Hello")
    return "".join([part.text or "" async for part in stream])


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize(
    ("read", "model", "dialect"),
    [
        (text_of_openai, "m", "openai"),
        (text_of_anthropic, "claude", "anthropic"),
        (text_of_gemini, "gem", "gemini"),
    ],
)
async def test_the_official_clients_read_on_over_heartbeats(
    postgres_dsn, valkey_url, read, model, dialect, after
):
    async with beating(postgres_dsn, valkey_url) as rig, Tap().before(rig.url) as tap:
        token = await rig.token(USD)
        gate = Gate()
        rig.upstream.answer(model, Echo().after(after, gate))
        chunk = b"\r\n%x\r\n%b\r\n" % (len(HEARTBEATS[dialect]), HEARTBEATS[dialect])
        async with asyncio.timeout(20):
            reading = asyncio.ensure_future(read(tap.url, token.key))
            await until(lambda: tap.said.count(chunk) >= 2 or reading.done())
            gate.release()
            assert len(await reading) == 64
        (row,) = await rig.ledger()
        assert (row["output_tokens"], row["estimated"], row["anomaly"]) == (7, False, None)


# Where they stand.


async def test_heartbeats_stand_between_events_and_cost_nothing(postgres_dsn, valkey_url):
    first, second = b'data: {"choices":[{"i":1}]}\n\n', b'data: {"choices":[{"i":2}]}\n\n'
    end = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
    done = b"data: [DONE]\n\n"
    gate = Gate()
    pieces = (first, second[:9], gate, second[9:], end, done)
    async with beating(postgres_dsn, valkey_url) as rig, wire(rig.url) as caller:
        token = await rig.token(USD)
        script = Answer(pieces, framing="chunked", content_type="text/event-stream")
        rig.upstream.answer("m", script)
        async with asyncio.timeout(20):
            caller.write(request(token.key, STREAM))
            await caller.until(lambda: caller.raw.count(BEAT) >= 2)
            gate.release()
            answer = await caller.answer()
        assert answer.body.replace(BEAT, b"") == first + second + done
        assert answer.body.startswith(first + BEAT + BEAT)
        assert answer.body.endswith(second + done)
        (row,) = await rig.ledger()
        assert (row["input_tokens"], row["output_tokens"], row["estimated"]) == (3, 4, False)


@pytest.mark.parametrize("heartbeat_s", [0.01, 0])
async def test_a_heartbeat_is_no_progress_of_the_upstream(postgres_dsn, valkey_url, heartbeat_s):
    async with (
        beating(postgres_dsn, valkey_url, heartbeat_s, idle_timeout_s=1) as rig,
        wire(rig.url) as caller,
    ):
        token = await rig.token(USD)
        rig.upstream.answer("m", Echo().after(2, Gate()))
        async with asyncio.timeout(20):
            answer = await caller.ask(request(token.key, STREAM))
        assert answer.body.count(BEAT) > 1 if heartbeat_s else BEAT not in answer.body
        last = orjson.loads(answer.body.rpartition(b"data: ")[2])
        assert last["error"]["code"] == "upstream_timeout"
        assert b"[DONE]" not in answer.body


async def test_none_comes_after_the_end_though_the_upstream_goes_on(postgres_dsn, valkey_url):
    async with (
        beating(postgres_dsn, valkey_url, idle_timeout_s=1) as rig,
        wire(rig.url) as caller,
    ):
        token = await rig.token(USD)
        rig.upstream.answer("m", Echo().after(8, Gate()))
        async with asyncio.timeout(20):
            answer = await caller.ask(request(token.key, STREAM))
        assert answer.whole
        assert answer.body.endswith(b"data: [DONE]\n\n")
        (row,) = await rig.ledger()
        assert (row["estimated"], row["anomaly"]) == (False, None)


async def test_a_caller_whose_stream_waits_for_its_hold_gets_them(postgres_dsn, valkey_url):
    """Another call holds what it needs to go on."""
    event = b'data: {"choices":[{"delta":{"content":"wo"}}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":300}}\n\n'
    gate = Gate()
    body = (event * 300, gate, usage, b"data: [DONE]\n\n")
    async with (
        beating(postgres_dsn, valkey_url) as rig,
        wire(rig.url) as caller,
        wire(rig.url) as other,
    ):
        token = await rig.token(8_000_000)
        async with asyncio.timeout(20):
            rig.upstream.answer("m", Echo().first(gate))
            other.write(request(token.key, chat(max_tokens=500)))
            await gate.waiting()
            script = Answer(body, framing="chunked", content_type="text/event-stream")
            rig.upstream.answer("m", script)
            caller.write(request(token.key, chat(stream=True, max_tokens=400)))
            await caller.until(lambda: caller.raw.count(BEAT) >= 2)
            assert event not in caller.raw
            gate.release()
            answer = await caller.answer()
        assert answer.body.replace(BEAT, b"") == event * 300 + b"data: [DONE]\n\n"


async def test_a_caller_who_does_not_read_gets_none(postgres_dsn, valkey_url):
    events = [b"data: " + b"x" * 65_528 + b"\n\n"] * 512
    async with (
        # Of its own accord the gateway gives none here: whoever reads again may be silent for a moment, and is due one.
        beating(postgres_dsn, valkey_url, heartbeat_s=60) as rig,
        wire(rig.url, receive_buffer=65_536) as caller,
    ):
        token = await rig.token()
        pieces = (*events, b"data: [DONE]\n\n")
        script = Answer(pieces, framing="chunked", content_type="text/event-stream")
        rig.upstream.answer("m", script)
        async with asyncio.timeout(20):
            caller.write(request(token.key, STREAM))
            await caller.sees(b"200 OK")
            caller.transport.pause_reading()
            (attempt,) = rig.gateway.forwarder._live.values()
            assert attempt is not None
            await until(lambda: attempt.congested)
            waiting = attempt.call.request.transport.get_write_buffer_size
            before = waiting()
            for later_s in (0, 100, 200):
                attempt.keep_alive(attempt._clock() + later_s, 15)
            assert 0 < waiting() <= before
            caller.transport.resume_reading()
            answer = await caller.answer()
        assert answer.body == b"".join(pieces)
