"""Anthropic's and Gemini's own SDKs and wires: the same checks and ledger, answers and errors in their own shape."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import orjson
import pytest
from google import genai
from google.genai import types

from tests.integration.rig import PRICED, USD, Rig, running_rig
from tests.upstream import CUT, Answer, Echo, refuse

# Google's own client does so.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")

INPUT, OUTPUT = 1_000, 10_000  # nano-dollars a token


def configure(members: dict[str, Any]) -> None:
    url = members["upstreams"][0]["base_url"]
    cache = {
        "cached_input_usd_per_mtok": 0.1,
        "cache_write_usd_per_mtok": 1.25,
        "cache_write_1h_usd_per_mtok": 2,
    }
    members["models"] += [{"name": "claude", **PRICED, **cache}, {"name": "gem", **PRICED}]
    members["upstreams"] = [
        {"name": "openai", "base_url": url, "models": ["m"]},
        {
            "name": "anthropic",
            "dialect": "anthropic",
            "base_url": url,
            "models": {"claude": "claude-real", "cheap*": "cheap*"},
            "api_key_env": "PROVIDER_KEY",
        },
        {
            "name": "google",
            "dialect": "gemini",
            "base_url": url.removesuffix("/v1") + "/v1beta",
            "models": {"gem": "gem-real"},
            "api_key_env": "PROVIDER_KEY",
        },
    ]
    for upstream in members["upstreams"]:
        upstream["translate"] = False


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    environment = {"PROVIDER_KEY": "provider-secret"}
    async with running_rig(postgres_dsn, valkey_url, configure, environment) as rig:
        yield rig


@pytest.fixture
async def claude(rig: Rig) -> AsyncIterator[anthropic.AsyncAnthropic]:
    token = await rig.token(USD)
    async with anthropic.AsyncAnthropic(
        api_key=token.key, base_url=rig.url, max_retries=0
    ) as client:
        yield client


@pytest.fixture
async def gemini(rig: Rig) -> genai.Client:
    token = await rig.token(USD)
    return genai.Client(api_key=token.key, http_options=types.HttpOptions(base_url=rig.url))


HELLO: Any = [{"role": "user", "content": "Hello there"}]


# Anthropic


async def test_a_message_is_answered_and_booked(rig: Rig, claude):
    answer = await claude.messages.create(model="claude", max_tokens=50, messages=HELLO)
    (received,) = rig.upstream.requests
    sent = json.loads(received.body)
    assert (sent["model"], sent["max_tokens"]) == ("claude-real", 50)
    assert answer.content[0].text
    assert answer.usage.output_tokens == 7
    headers = {name.lower(): value for name, value in received.headers}
    assert headers["x-api-key"] == "provider-secret"
    assert headers["anthropic-version"] == claude.default_headers["anthropic-version"]
    assert "authorization" not in headers
    row = await rig.only_row()
    assert (row["dialect"], row["route"], row["upstream"]) == ("anthropic", "messages", "anthropic")
    assert (row["input_tokens"], row["output_tokens"]) == (2, 7)
    assert row["amount"] == 2 * INPUT + 7 * OUTPUT
    assert (row["estimated"], row["anomaly"]) == (False, None)


async def test_a_messages_stream_passes_byte_for_byte_and_is_booked(rig: Rig, claude):
    async with claude.messages.stream(model="claude", max_tokens=50, messages=HELLO) as stream:
        text = "".join([part async for part in stream.text_stream])
        final = await stream.get_final_message()
    assert len(text) == 64
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 7)
    row = await rig.only_row()
    assert (row["amount"], row["estimated"]) == (2 * INPUT + 7 * OUTPUT, False)


async def test_counting_tokens_costs_nothing_and_needs_no_price(rig: Rig, claude):
    found = await claude.messages.count_tokens(model="cheap-unpriced", messages=HELLO)
    assert found.input_tokens == 2
    row = await rig.only_row()
    assert (row["route"], row["amount"], row["anomaly"]) == ("count_tokens", 0, None)
    with pytest.raises(anthropic.BadRequestError, match="has no price"):
        await claude.messages.create(model="cheap-unpriced", max_tokens=5, messages=HELLO)


async def test_cached_input_has_its_own_price(rig: Rig, claude):
    counts = {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 10,
        "cache_creation_input_tokens": 7,
        "cache_creation": {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 4},
    }
    rig.upstream.answer("claude-real", Echo(usage=counts))
    await claude.messages.create(model="claude", max_tokens=50, messages=HELLO)
    row = await rig.only_row()
    assert (row["input_tokens"], row["cached_input_tokens"]) == (18, 10)
    assert (row["cache_write_tokens"], row["cache_write_1h_tokens"]) == (7, 3)
    assert row["amount"] == 1 * INPUT + 10 * 100 + 4 * 1_250 + 3 * 2_000 + 2 * OUTPUT


async def test_refusals_are_errors_of_anthropics_kind(rig: Rig, claude):
    with pytest.raises(anthropic.NotFoundError) as missing:
        await claude.messages.create(model="nothing", max_tokens=5, messages=HELLO)
    assert missing.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.NotFoundError, match="/v1/chat/completions"):
        await claude.messages.create(model="m", max_tokens=5, messages=HELLO)
    stranger = claude.copy(api_key="sk-wrong")
    with pytest.raises(anthropic.AuthenticationError):
        await stranger.messages.create(model="claude", max_tokens=5, messages=HELLO)
    poor = claude.copy(api_key=(await rig.token(1)).key)
    with pytest.raises(anthropic.RateLimitError, match="quota"):
        await poor.messages.create(model="claude", max_tokens=50, messages=HELLO)
    assert not rig.upstream.requests


async def test_a_key_may_come_as_bearer(rig: Rig):
    token = await rig.token(USD)
    async with anthropic.AsyncAnthropic(auth_token=token.key, base_url=rig.url) as client:
        assert await client.messages.create(model="claude", max_tokens=5, messages=HELLO)


async def test_an_error_of_the_provider_is_passed_on(rig: Rig, claude):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    rig.upstream.answer("claude-real", Answer((orjson.dumps(error),), status=529))
    with pytest.raises(anthropic.APIStatusError, match="busy") as caught:
        await claude.messages.create(model="claude", max_tokens=5, messages=HELLO)
    assert caught.value.status_code == 529
    assert (await rig.only_row())["amount"] == 0


async def test_a_messages_stream_that_breaks_off_ends_in_an_error_and_no_terminator(
    rig: Rig, claude
):
    rig.upstream.answer("claude-real", Echo().after(5, CUT))
    async with claude.messages.stream(model="claude", max_tokens=50, messages=HELLO) as stream:
        with pytest.raises(anthropic.APIStatusError, match="upstream"):
            await stream.until_done()
    row = await rig.only_row()
    assert (row["estimated"], row["anomaly"]) == (True, "upstream_cut")
    assert row["input_tokens"] == 2, "the stream's beginning told it"
    assert 0 < row["output_tokens"] <= 7


@pytest.mark.parametrize("in_one_piece", [False, True])
async def test_a_message_that_may_not_grow_ends_as_one_that_reached_its_maximum(
    rig: Rig, in_one_piece: bool
):
    """The upstream sends more, in many reads or in one."""
    token = await rig.token(500 * OUTPUT)
    events = [
        {
            "type": "message_start",
            "message": {"id": "1", "usage": {"input_tokens": 0, "output_tokens": 1}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    delta = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "wo"},
    }

    def text(*some: dict[str, Any]) -> bytes:
        return b"".join(
            b"event: %b\ndata: %b\n\n" % (each["type"].encode(), orjson.dumps(each))
            for each in some
        )

    pieces = (text(*events), *(text(delta) for _ in range(900)), text({"type": "message_stop"}))
    if in_one_piece:
        pieces = (b"".join(pieces),)
    rig.upstream.answer(
        "claude-real", Answer(pieces, framing="chunked", content_type="text/event-stream")
    )
    body = {"model": "claude", "messages": HELLO, "stream": True}
    async with rig.post(token.key, body, "/v1/messages") as answer:
        assert answer.status == 200
        most = int(answer.headers["x-tollhouse-max-output-tokens"])
        lines = (await answer.read()).decode().splitlines()
    first, begun, *texts, stopped, ended, last = (
        json.loads(line[6:]) for line in lines if line.startswith("data:")
    )
    assert [each["type"] for each in (first, begun, stopped, ended, last)] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert ended["delta"]["stop_reason"] == "max_tokens"
    row = await rig.only_row()
    assert len(texts) * OUTPUT < row["amount"] <= 500 * OUTPUT
    assert most <= len(texts) <= most + 16, (
        "all that is held for is passed on; roles and ends are spared"
    )


async def test_models_have_the_shape_of_who_asks(rig: Rig, claude, gemini):
    listed = await claude.models.list()
    assert [model.id for model in listed.data] == ["claude"]
    assert (await claude.models.retrieve("claude")).type == "model"
    names = [model.name async for model in await gemini.aio.models.list()]
    assert names == ["models/gem"]
    assert (await gemini.aio.models.get(model="gem")).name == "models/gem"
    token = await rig.token()
    headers = {"authorization": f"Bearer {token.key}"}
    async with rig.session.get(rig.url + "/v1/models", headers=headers) as answer:
        assert [model["id"] for model in (await answer.json())["data"]] == ["m"]


# Gemini


async def test_contents_are_answered_and_booked(rig: Rig, gemini):
    config = types.GenerateContentConfig(max_output_tokens=50)
    answer = await gemini.aio.models.generate_content(
        model="gem", contents="Hello there", config=config
    )
    assert answer.text is not None
    assert answer.usage_metadata.candidates_token_count == 7
    (received,) = rig.upstream.requests
    assert received.path == "/v1beta/models/gem-real:generateContent"
    headers = {name.lower(): value for name, value in received.headers}
    assert headers["x-goog-api-key"] == "provider-secret"
    row = await rig.only_row()
    assert (row["dialect"], row["route"], row["model"]) == ("gemini", "generate_content", "gem")
    assert row["amount"] == 2 * INPUT + 7 * OUTPUT


async def test_a_stream_of_contents_is_booked(rig: Rig, gemini):
    stream = await gemini.aio.models.generate_content_stream(model="gem", contents="Hello there")
    texts = [part.text async for part in stream]
    assert len("".join(filter(None, texts))) == 64
    (received,) = rig.upstream.requests
    assert received.path == "/v1beta/models/gem-real:streamGenerateContent?alt=sse"
    written = json.loads(received.body)["generationConfig"]["maxOutputTokens"]
    assert written == PRICED["default_output_tokens"]
    row = await rig.only_row()
    assert (row["amount"], row["estimated"]) == (2 * INPUT + 7 * OUTPUT, False)


async def test_a_key_in_the_query_opens_and_is_not_passed_on(rig: Rig):
    token = await rig.token(USD)
    path = f"/v1beta/models/gem:streamGenerateContent?key={token.key}&alt=sse"
    body = {"contents": [{"parts": [{"text": "Hello there"}]}]}
    async with rig.session.post(rig.url + path, json=body) as answer:
        assert answer.status == 200
        await answer.read()
    (received,) = rig.upstream.requests
    assert received.path == "/v1beta/models/gem-real:streamGenerateContent?alt=sse"
    assert token.key.encode() not in received.body


async def test_a_list_of_contents_is_no_stream_and_is_booked(rig: Rig):
    """Without `alt=sse` the answer is one array, of which only the end tells the usage."""
    token = await rig.token(USD)
    part = {"candidates": [{"content": {}}], "usageMetadata": {"promptTokenCount": 2}}
    last = {
        "candidates": [{"finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 9},
    }
    whole = b"[" + orjson.dumps(part) + b"\n,\r\n" + orjson.dumps(last) + b"]"
    rig.upstream.answer("gem-real", Answer((whole,)))
    headers = {"x-goog-api-key": token.key}
    body = {"contents": [{"parts": [{"text": "Hello there"}]}]}
    url = rig.url + "/v1beta/models/gem:streamGenerateContent"
    async with rig.session.post(url, json=body, headers=headers) as answer:
        assert await answer.read() == whole
    assert (await rig.only_row())["amount"] == 2 * INPUT + 9 * OUTPUT


async def test_counting_and_embedding(rig: Rig, gemini):
    counted = await gemini.aio.models.count_tokens(model="gem", contents="Hello there")
    assert counted.total_tokens == 2
    embedded = await gemini.aio.models.embed_content(model="gem", contents="Hello there")
    assert embedded.embeddings[0].values == [0.5, 0.25]
    free, paid = await rig.ledger()
    assert (free["route"], free["amount"]) == ("count_tokens", 0)
    assert (paid["route"], paid["estimated"], paid["anomaly"]) == (
        "embed_content",
        True,
        "no_usage",
    )
    assert paid["amount"] > 0


async def test_refusals_are_errors_of_googles_kind(rig: Rig, gemini):
    with pytest.raises(genai.errors.ClientError) as missing:
        await gemini.aio.models.generate_content(model="nothing", contents="Hello")
    assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")
    rig.upstream.answer("gem-real", refuse(503))
    with pytest.raises(genai.errors.ServerError):
        await gemini.aio.models.generate_content(model="gem", contents="Hello")
    path = "/v1/models/gem:generateContent"
    async with rig.session.post(rig.url + path, json={}) as answer:
        assert (await answer.json())["error"]["status"] == "UNAUTHENTICATED"


async def test_a_gemini_stream_that_breaks_off_ends_in_an_error(rig: Rig, gemini):
    rig.upstream.answer("gem-real", Echo().after(2, CUT))
    with pytest.raises(genai.errors.APIError):
        async for _ in await gemini.aio.models.generate_content_stream(
            model="gem", contents="Hello there"
        ):
            pass
    row = await rig.only_row()
    assert (row["estimated"], row["anomaly"]) == (True, "upstream_cut")
    assert row["input_tokens"] == 2
