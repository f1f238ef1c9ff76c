"""The demo upstream: honest about being one, exact in its counts, and quick to start and end."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient

from gateway.demo.answers import count_tokens
from gateway.demo.app import build_app

Client = TestClient[web.Request, web.Application]
CHAT = "/v1/chat/completions"
ASK = {"model": "demo", "messages": [{"role": "user", "content": "Wie geht es dir, Señor?"}]}
RESPONSE = {"model": "demo", "input": "hello there"}


@pytest.fixture
async def client(aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> Client:
    return await aiohttp_client(build_app())


async def events(client: Client, path: str, ask: dict[str, Any]) -> list[Any]:
    async with client.post(path, json=ask | {"stream": True}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        parts = (await answer.read()).split(b"\n\n")
    assert parts.pop() == b""
    data = [part.rpartition(b"data: ")[2] for part in parts]
    return [entry.decode() if entry == b"[DONE]" else orjson.loads(entry) for entry in data]


async def test_it_says_that_it_is_a_demo_and_how_to_connect_a_model(client: Client) -> None:
    async with client.post(CHAT, json=ASK) as answer:
        body = await answer.json()
    text = body["choices"][0]["message"]["content"]
    for said in ("demo upstream", "no model", "OPENAI_API_KEY", "[[upstreams]]", "Señor?"):
        assert said in text
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": count_tokens(text),
        "total_tokens": 5 + count_tokens(text),
    }


@pytest.mark.parametrize(
    ("path", "ask"), [(CHAT, ASK), ("/v1/completions", {"model": "demo", "prompt": "a b"})]
)
async def test_a_stream_adds_up_to_the_whole_answer(
    client: Client, path: str, ask: dict[str, Any]
) -> None:
    async with client.post(path, json=ask) as answer:
        whole = await answer.json()
    *chunks, usage, done = await events(
        client, path, ask | {"stream_options": {"include_usage": True}}
    )
    choices = [chunk["choices"][0] for chunk in chunks]
    texts = [choice.get("text", choice.get("delta", {}).get("content", "")) for choice in choices]
    first = whole["choices"][0]
    assert "".join(texts) == (first["text"] if "text" in first else first["message"]["content"])
    assert [choice["finish_reason"] for choice in choices[-2:]] == [None, "stop"]
    assert {repr(chunk["usage"]) for chunk in chunks} == {"None"}
    assert (usage["choices"], usage["usage"], done) == ([], whole["usage"], "[DONE]")


async def test_usage_is_not_streamed_unasked(client: Client) -> None:
    *chunks, done = await events(client, CHAT, ASK)
    assert done == "[DONE]"
    assert not [chunk for chunk in chunks if "usage" in chunk]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_maximum_is_obeyed_and_told(client: Client, name: str) -> None:
    async with client.post(CHAT, json=ASK | {name: 3}) as answer:
        body = await answer.json()
    text = body["choices"][0]["message"]["content"]
    assert (text, body["choices"][0]["finish_reason"]) == ("This is Tollho", "length")
    assert body["usage"]["completion_tokens"] == 3
    *_, last, _done = await events(client, CHAT, ASK | {name: 3})
    assert last["choices"][0]["finish_reason"] == "length"


async def test_a_response_is_whole_or_incomplete(client: Client) -> None:
    async with client.post("/v1/responses", json=RESPONSE) as answer:
        whole = await answer.json()
    assert (whole["status"], whole["usage"]["input_tokens"]) == ("completed", 2)
    streamed = await events(client, "/v1/responses", RESPONSE)
    deltas = [event["delta"] for event in streamed if event["type"].endswith("text.delta")]
    assert "".join(deltas) == whole["output"][0]["content"][0]["text"]
    assert [event["sequence_number"] for event in streamed] == list(range(len(streamed)))
    assert streamed[-1]["type"] == "response.completed"
    assert streamed[-1]["response"]["usage"] == whole["usage"]
    cut = await events(client, "/v1/responses", RESPONSE | {"max_output_tokens": 2})
    assert cut[-1]["type"] == "response.incomplete"
    assert cut[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert cut[-1]["response"]["usage"]["output_tokens"] == 2


async def test_embeddings_are_the_same_for_the_same_text(client: Client) -> None:
    ask = {"model": "demo-embedding", "input": ["one two", "three", "one two"], "dimensions": 8}
    async with client.post("/v1/embeddings", json=ask) as answer:
        body = await answer.json()
    one, three, again = (entry["embedding"] for entry in body["data"])
    assert (len(one), one) == (8, again)
    assert one != three
    assert sum(number * number for number in one) == pytest.approx(1)
    assert body["usage"] == {"prompt_tokens": 5, "total_tokens": 5}


async def test_the_models_are_listed(client: Client) -> None:
    async with client.get("/v1/models") as answer:
        body = await answer.json()
    assert [model["id"] for model in body["data"]] == ["demo", "demo-embedding"]


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        (CHAT, b"{", 400, None),
        (CHAT, b"[]", 400, None),
        (CHAT, b'{"model": "gpt-4"}', 404, "model"),
        (CHAT, b'{"model": "demo"}', 400, "messages"),
        (CHAT, b'{"model": "demo", "messages": []}', 400, "messages"),
        (CHAT, orjson.dumps(ASK | {"max_tokens": 0}), 400, "max_tokens"),
        (CHAT, orjson.dumps(ASK | {"max_tokens": "9"}), 400, "max_tokens"),
        (CHAT, orjson.dumps(ASK | {"n": 2}), 400, "n"),
        ("/v1/embeddings", b'{"model": "demo-embedding", "input": [[1]]}', 400, "input"),
        ("/v1/nothing", b"{}", 404, None),
        ("/v1/models", b"{}", 405, None),
    ],
)
async def test_a_bad_ask_is_declined_in_openai_shape(
    client: Client, path: str, body: bytes, status: int, param: str | None
) -> None:
    async with client.post(path, data=body) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
    assert error["message"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


async def test_a_hostile_depth_is_no_fault(client: Client) -> None:
    nested = b"[" * 900 + b"]" * 900
    async with client.post(CHAT, data=b'{"model":"demo","messages":' + nested + b"}") as answer:
        assert answer.status == 200


async def test_the_process_says_where_it_is_and_ends_at_once() -> None:
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.demo", "--listen", "127.0.0.1:0"),
        pass_fds=[writing],
        env=os.environ | {"TOLLHOUSE_READY_FD": str(writing)},
        cwd=Path(__file__).parents[2],
    )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as ready:
            line = await asyncio.to_thread(ready.read)  # to its end: the fd was closed
        assert line.endswith(b"}\n")
        url = orjson.loads(line)["url"]
        async with ClientSession() as session, session.get(f"{url}/models") as answer:
            assert answer.status == 200
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
