"""What arrives is what was sent, to the byte: random bodies in random pieces, by every framing and both ways."""

import io
import random
from collections.abc import Iterator

import orjson
import pytest

from tests.integration.rig import USD, Rig, chat
from tests.upstream import Answer

CASES = 60
FRAMINGS = ("length", "chunked", "close")
SIZES = (0, 1, 2, 100, 4096, 65_536, 300_000, 1_048_576, 1_048_577, 2_500_000)


def pieces(chance: random.Random, body: bytes) -> tuple[bytes, ...]:
    """The body cut anywhere, also within characters and line ends."""
    count = chance.choice((0, 1, 2, 7, 40))
    edges = sorted({0, len(body), *(chance.randrange(len(body) + 1) for _ in range(count))})
    return tuple(
        body[start:end]
        for start, end in zip(edges, [*edges[1:], len(body)], strict=True)
        if end > start
    )


def files(chance: random.Random) -> Iterator[tuple[bytes, str]]:
    for _ in range(CASES):
        size = chance.choice(SIZES) + chance.randrange(3)
        kind = chance.choice(("application/octet-stream", "audio/mpeg", "text/plain"))
        yield chance.randbytes(size), kind


def event_streams(chance: random.Random) -> Iterator[bytes]:
    for _ in range(CASES):
        end = chance.choice((b"\n", b"\r\n", b"\r"))
        events = []
        for _ in range(chance.randrange(1, 30)):
            text = "".join(chance.choices('aé€😀"\\\r\n data: [DONE]', k=chance.randrange(60)))
            chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
            lines = [b"data: " + orjson.dumps(chunk)]
            if chance.random() < 0.2:
                lines.insert(
                    0, chance.choice((b": ping", b"id: 7", b"event: message", b"retry: 9"))
                )
            events.append(end.join(lines) + end * 2)
        usage = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
        events += [b"data: " + orjson.dumps(usage) + end * 2, b"data: [DONE]" + end * 2]
        yield b"".join(events)


@pytest.mark.parametrize("seed", range(3))
async def test_a_file_arrives_as_the_bytes_that_it_is(rig: Rig, seed: int):
    chance = random.Random(seed)
    token = await rig.token(USD)
    headers = {"authorization": f"Bearer {token.key}"}
    url = f"{rig.url}/v1/files/file-1/content"
    for body, kind in files(chance):
        framing = chance.choice(FRAMINGS)
        rig.upstream.answer("", Answer(pieces(chance, body), content_type=kind, framing=framing))
        async with rig.session.get(url, headers=headers) as answer:
            assert answer.status == 200
            assert await answer.read() == body, f"{len(body)} bytes, {framing}"
            assert answer.headers["content-type"] == kind


@pytest.mark.parametrize("seed", range(3))
async def test_a_stream_arrives_as_the_events_that_it_is(rig: Rig, seed: int):
    chance = random.Random(seed)
    token = await rig.token(USD)
    body = chat(stream=True, stream_options={"include_usage": True}, max_tokens=100)
    for events in event_streams(chance):
        framing = chance.choice(("chunked", "close"))
        script = Answer(pieces(chance, events), content_type="text/event-stream", framing=framing)
        rig.upstream.answer("m", script)
        async with rig.post(token.key, body) as answer:
            assert await answer.read() == events
    assert {row["output_tokens"] for row in await rig.ledger()} == {2}


@pytest.mark.parametrize("seed", range(3))
async def test_a_body_reaches_the_upstream_as_the_bytes_that_it_is(rig: Rig, seed: int):
    chance = random.Random(seed)
    token = await rig.token()
    headers = {"authorization": f"Bearer {token.key}", "content-type": "application/octet-stream"}
    for body, _ in files(chance):
        rig.upstream.requests.clear()
        path = chance.choice(("/v1/files", "/v1/uploads/upload_1/parts"))
        rig.upstream.answer("", Answer((b"{}",)))
        async with rig.session.post(
            rig.url + path, data=io.BytesIO(body), headers=headers
        ) as answer:
            assert answer.status == 200
            await answer.read()
        (received,) = rig.upstream.requests
        assert received.body == body
