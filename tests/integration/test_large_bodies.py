"""Bodies of megabytes: they arrive as they were sent, and other calls go on meanwhile."""

import asyncio
import base64
import io
import json
import random
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from gateway.domain.ask import Path, read_ask
from gateway.domain.routes import Route, find_route
from gateway.relay.large_body import read_large_ask
from tests.integration.rig import USD, Rig, chat, running

IMAGE = base64.b64encode(random.Random(1).randbytes(2_000_000)).decode()


def images(count: int, **members: Any) -> dict[str, Any]:
    """A chat about so many images."""
    address = {"url": f"data:image/png;base64,{IMAGE}"}
    parts = [{"type": "image_url", "image_url": address}] * count
    content = [*parts, {"type": "text", "text": 'What is "this"?'}]
    return {"model": "m", "messages": [{"role": "user", "content": content}], **members}


def post(rig: Rig, key: str, body: bytes):
    """A call; aiohttp wants large bodies as files."""
    url, headers = f"{rig.url}/v1/chat/completions", {"Authorization": f"Bearer {key}"}
    return rig.session.post(url, data=io.BytesIO(body), headers=headers)


async def test_a_large_body_arrives_as_the_bytes_that_it_is(rig: Rig):
    token = await rig.token(USD)
    body = json.dumps(images(4, max_tokens=10)).encode()
    for _ in range(2):  # on a new connection, and on the one that was kept
        async with post(rig, token.key, body) as answer:
            assert answer.status == 200
    assert [call.body == body for call in await rig.upstream.received(2)] == [True, True]
    assert rig.upstream.accepted == 1


async def test_a_large_body_arrives_with_its_changes_and_nothing_else(rig: Rig):
    token = await rig.token(USD)
    body = json.dumps(images(3, stream=True)).encode()
    async with post(rig, token.key, body) as answer:
        assert answer.status == 200
        await answer.read()
    (received,) = await rig.upstream.received(1)
    added = b',"max_tokens":100,"stream_options":{"include_usage":true}}'
    assert received.body == body[:-1] + added


async def test_a_large_text_is_held_for_to_its_last_byte(rig: Rig):
    poor, rich = await rig.token(2 * USD), await rig.token(10 * USD)
    body = json.dumps(chat(text=IMAGE)).encode()  # 2.7 million bytes, each of which may be a token
    async with post(rig, poor.key, body) as answer:
        assert (await answer.json())["error"]["code"] == "insufficient_quota"
    async with post(rig, rich.key, body) as answer:
        assert answer.status == 200


async def test_other_calls_go_on_while_a_large_body_is_read():
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    route = find_route("POST", "/v1/chat/completions", lambda: "", ())
    assert isinstance(route, Route)
    body = json.dumps(images(10)).encode()
    counting = asyncio.create_task(count())
    found = await read_large_ask(body, route.form, Path())
    counting.cancel()
    assert found == read_ask(body, route.form)
    assert turns > len(body) // 200_000


class Hasty(NamedTuple):
    """An upstream that answers at the sight of a head, and reads the body only when it may."""

    base_url: str
    may_read: asyncio.Event
    closed: asyncio.Event


@pytest.fixture
async def hasty() -> AsyncIterator[Hasty]:
    answer = (
        b"HTTP/1.1 413 Too Large\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    )
    may_read, closed = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await may_read.wait()
        while await reader.read(65_536):
            pass
        writer.close()
        closed.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Hasty(f"http://127.0.0.1:{port}/v1", may_read, closed)
        may_read.set()


async def test_a_connection_is_not_used_again_whose_upstream_answered_before_it_had_the_body(
    hasty, postgres_dsn, valkey_url
):
    body = json.dumps(images(8, max_tokens=10)).encode()
    async with running(postgres_dsn, valkey_url, hasty) as rig:
        token = await rig.token(USD)
        async with post(rig, token.key, body) as answer:
            assert answer.status == 413
        assert [len(each.pool._idle) for each in rig.gateway._terms.upstreams] == [0]
        hasty.may_read.set()
        await asyncio.wait_for(hasty.closed.wait(), 10)
