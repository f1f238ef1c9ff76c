"""OpenAI's own SDK against the gateway: streams, tools, errors and retries, as if it spoke to the provider."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import orjson
import pytest

from tests.integration.rig import USD, Rig
from tests.upstream import CUT, Answer, Echo, Turns, refuse

HELLO: Any = [{"role": "user", "content": "Hello there"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
async def client(rig: Rig) -> AsyncIterator[openai.AsyncOpenAI]:
    token = await rig.token(USD)
    async with openai.AsyncOpenAI(
        api_key=token.key, base_url=f"{rig.url}/v1", max_retries=0
    ) as made:
        yield made


async def test_a_chat_is_answered_with_its_headers(rig: Rig, client):
    raw = await client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
    answer = raw.parse()
    assert len(answer.choices[0].message.content) == 64
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 7)
    (row,) = await rig.ledger()
    assert raw.headers["x-request-id"] == str(row["request_id"])
    assert answer._request_id == str(row["request_id"])


async def test_a_stream_is_read_to_its_end(client):
    stream = await client.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert len(text) == 64
    assert chunks[-1].usage.total_tokens == 9


async def test_tools_are_called_and_answered(rig: Rig, client):
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11},
    }
    rig.upstream.answer("m", Turns((Answer((orjson.dumps(answer),)), Echo())))
    first = await client.chat.completions.create(model="m", messages=HELLO, tools=[WEATHER])
    (tool_call,) = first.choices[0].message.tool_calls
    assert tool_call.function.name == "weather"
    messages = [
        *HELLO,
        first.choices[0].message,
        {"role": "tool", "tool_call_id": tool_call.id, "content": "7 °C"},
    ]
    second = await client.chat.completions.create(model="m", messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content


async def test_responses_are_answered_and_streamed(client):
    answer = await client.responses.create(model="m", input="Hello there", max_output_tokens=50)
    assert len(answer.output_text) == 64
    async with client.responses.stream(model="m", input="Hello", max_output_tokens=50) as stream:
        kinds = [event.type async for event in stream]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


async def test_embeddings_and_models(client):
    answer = await client.embeddings.create(model="m", input=["one", "two"])
    assert len(answer.data[0].embedding) == 32
    assert [model.id async for model in client.models.list()] == ["m", "unpriced"]


@pytest.mark.parametrize(
    ("fields", "error", "code"),
    [
        ({"api_key": "sk-wrong"}, openai.AuthenticationError, "invalid_api_key"),
        ({"model": "none", "models": True}, openai.PermissionDeniedError, "model_not_allowed"),
        ({"max_tokens": -1}, openai.BadRequestError, "invalid_request"),
        ({"max_tokens": 10_000_000}, openai.RateLimitError, "insufficient_quota"),
    ],
)
async def test_refusals_are_the_errors_that_it_knows(rig: Rig, fields, error, code):
    own = {"models": ("m",), "models_enabled": True} if fields.pop("models", False) else {}
    token = await rig.token(1000, **own)
    key = fields.pop("api_key", token.key)
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{rig.url}/v1", max_retries=0) as client:
        with pytest.raises(error) as caught:
            await client.chat.completions.create(
                **{"model": "m", "messages": HELLO, "max_tokens": 10, **fields}
            )
    assert caught.value.code == code
    assert caught.value.request_id


async def test_it_repeats_what_an_upstream_declines_and_not_an_empty_quota(rig: Rig):
    token, poor = await rig.token(USD), await rig.token(0)
    declined = refuse(503, headers=(("retry-after-ms", "1"),))
    rig.upstream.answer("m", Turns((declined, declined, Echo())))
    async with openai.AsyncOpenAI(api_key=token.key, base_url=f"{rig.url}/v1") as client:
        assert (await client.chat.completions.create(model="m", messages=HELLO)).id
        assert len(rig.upstream.requests) == 3
        with pytest.raises(openai.RateLimitError):
            await client.copy(api_key=poor.key).chat.completions.create(model="m", messages=HELLO)
    counted = await _refusals(rig, poor.row.id)
    assert counted == 1, "x-should-retry: false is obeyed"


async def _refusals(rig: Rig, token_id: int) -> int:
    await rig.gateway.refusals.write()
    return await rig.database.fetchval("SELECT n FROM refusal WHERE token_id = $1", token_id)


async def test_a_stream_that_breaks_off_is_an_error_to_it(rig: Rig, client):
    rig.upstream.answer("m", Echo().after(3, CUT))
    stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="upstream"):
        [chunk async for chunk in stream]
