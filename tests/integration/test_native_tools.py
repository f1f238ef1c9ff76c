"""Tools and retries by Anthropic's and Google's own SDKs, as if they spoke to the provider."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import orjson
import pytest
from google import genai
from google.genai import types

from tests.integration.rig import PRICED, USD, Rig, running_rig
from tests.upstream import Answer, Echo, Turns

# Google's own client does so.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")

ASKED: Any = {"role": "user", "content": "How is the weather in Bern?"}
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TOOL_USE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}}
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 5},
}
FUNCTION_CALL = {
    "candidates": [
        {
            "index": 0,
            "finishReason": "STOP",
            "content": {
                "role": "model",
                "parts": [{"functionCall": {"name": "weather", "args": {"city": "Bern"}}}],
            },
        }
    ],
    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14},
}
BUSY = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
UNAVAILABLE = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}


def configure(members: dict[str, Any]) -> None:
    url = members["upstreams"][0]["base_url"]
    members["models"] += [{"name": name, **PRICED} for name in ("claude", "gem")]
    members["upstreams"] = [
        {"name": "a", "dialect": "anthropic", "base_url": url, "models": ["claude"]},
        {
            "name": "g",
            "dialect": "gemini",
            "base_url": url.removesuffix("/v1") + "/v1beta",
            "models": ["gem"],
        },
    ]


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        yield rig


def told(body: dict[str, Any], status: int = 200, **headers: str) -> Answer:
    return Answer((orjson.dumps(body),), status=status, headers=tuple(headers.items()))


async def test_claude_calls_tools_and_is_answered(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("claude", Turns((told(TOOL_USE), Echo())))
    async with anthropic.AsyncAnthropic(api_key=token.key, base_url=rig.url) as client:
        common: Any = {"model": "claude", "max_tokens": 50, "tools": [WEATHER]}
        first = await client.messages.create(messages=[ASKED], **common)
        (use,) = first.content
        assert (first.stop_reason, use.name, use.input) == ("tool_use", "weather", {"city": "Bern"})
        result = {"type": "tool_result", "tool_use_id": use.id, "content": "7 °C"}
        messages: Any = [
            ASKED,
            {"role": "assistant", "content": [use.model_dump()]},
            {"role": "user", "content": [result]},
        ]
        async with client.messages.stream(messages=messages, **common) as stream:
            assert (await stream.get_final_message()).stop_reason == "end_turn"
    assert [row["estimated"] for row in await rig.ledger()] == [False, False]


async def test_the_anthropic_sdk_repeats_what_is_declined(rig: Rig):
    token = await rig.token(USD)
    busy = Answer((orjson.dumps(BUSY),), status=529, headers=(("retry-after-ms", "1"),))
    rig.upstream.answer("claude", Turns((busy, busy, Echo())))
    async with anthropic.AsyncAnthropic(
        api_key=token.key, base_url=rig.url, max_retries=2
    ) as client:
        answer = await client.messages.create(model="claude", max_tokens=9, messages=[ASKED])
    assert answer.content
    amounts = [row["amount"] for row in await rig.ledger()]
    assert amounts[:-1] == [0] * (len(amounts) - 1)
    assert amounts[-1] > 0


async def test_gemini_calls_functions_and_is_answered(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("gem", Turns((told(FUNCTION_CALL), Echo())))
    client = genai.Client(api_key=token.key, http_options=types.HttpOptions(base_url=rig.url))
    city = types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")})
    weather = types.FunctionDeclaration(name="weather", parameters=city)
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[weather])])
    asked = types.Content(role="user", parts=[types.Part(text="How is the weather in Bern?")])
    first = await client.aio.models.generate_content(model="gem", contents=[asked], config=config)
    (called,) = first.function_calls
    assert (called.name, called.args) == ("weather", {"city": "Bern"})
    answer = types.Part.from_function_response(name="weather", response={"celsius": 7})
    contents = [asked, first.candidates[0].content, types.Content(role="user", parts=[answer])]
    second = await client.aio.models.generate_content(model="gem", contents=contents, config=config)
    assert second.text
    sent = json.loads(rig.upstream.requests[-1].body)
    assert "functionResponse" in json.dumps(sent)
    assert [row["estimated"] for row in await rig.ledger()] == [False, False]


async def test_the_google_sdk_repeats_what_is_declined(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("gem", Turns((told(UNAVAILABLE, 503), Echo())))
    patient = types.HttpRetryOptions(attempts=3, initial_delay=0.001, max_delay=0.002)
    client = genai.Client(
        api_key=token.key,
        http_options=types.HttpOptions(base_url=rig.url, retry_options=patient),
    )
    answer = await client.aio.models.generate_content(model="gem", contents="Hello")
    assert answer.text
    assert [row["amount"] > 0 for row in await rig.ledger()] == [False, True]
