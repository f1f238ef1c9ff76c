"""A caller of one form and an upstream of another: what each of them sees of a whole call."""

import json
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from gateway.domain.translation import chat, contents, messages, responses
from gateway.domain.translation.codec import Codec, Losses
from tests.unit.translation.streams import events

GEMINI, CLAUDE = "gemini-3-pro", "claude-sonnet-4-5"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
NOW = 7


class Pair(NamedTuple):
    """`drop`: what the operator lets be left out; `named`: what is told to have been.

    `sent` and `told` are as the upstream sees and says them.
    """

    caller: Codec
    upstream: Codec
    model: str
    asked: dict[str, Any]
    sent: dict[str, Any]
    told: dict[str, Any]
    answered: dict[str, Any]
    drop: str = ""
    named: str = ""


GEMINIS_ANSWER = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Hm.", "thought": True},
                    {"text": "It rains."},
                    {
                        "functionCall": {"id": "x1", "name": "look", "args": {"city": "Ulm"}},
                        "thoughtSignature": "c2ln",
                    },
                ],
            },
            "finishReason": "STOP",
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 30,
        "cachedContentTokenCount": 20,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 36,
    },
    "modelVersion": GEMINI,
    "responseId": "r1",
}
SIGNED = {"google": {"thought_signature": "c2ln"}}
ARGUMENTS = '{"city": "Ulm"}'

CHAT_TO_GEMINI = Pair(
    chat,
    contents,
    GEMINI,
    asked={
        "model": "weather",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "And in Ulm?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "look", "arguments": ARGUMENTS},
                        "extra_content": SIGNED,
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": WEATHER}}],
        "reasoning_effort": "low",
        "max_completion_tokens": 50,
    },
    sent={
        "contents": [
            {"role": "user", "parts": [{"text": "And in Ulm?"}]},
            {
                "role": "model",
                "parts": [
                    {
                        "functionCall": {"id": "c1", "name": "look", "args": {"city": "Ulm"}},
                        "thoughtSignature": "c2ln",
                    }
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "id": "c1",
                            "name": "look",
                            "response": {"output": "rain"},
                        }
                    }
                ],
            },
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": WEATHER}]}],
        "generationConfig": {"maxOutputTokens": 50, "thinkingConfig": {"thinkingLevel": "LOW"}},
    },
    told=GEMINIS_ANSWER,
    answered={
        "id": "r1",
        "object": "chat.completion",
        "created": NOW,
        "model": "weather",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "It rains.",
                    "refusal": None,
                    "reasoning_content": "Hm.",
                    "tool_calls": [
                        {
                            "id": "x1",
                            "type": "function",
                            "function": {"name": "look", "arguments": ARGUMENTS},
                            "extra_content": SIGNED,
                        }
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 30,
            "completion_tokens": 6,
            "total_tokens": 36,
            "prompt_tokens_details": {"cached_tokens": 20},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    },
)

MESSAGES_TO_GEMINI = Pair(
    messages,
    contents,
    GEMINI,
    asked={
        "model": "weather",
        "max_tokens": 4000,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [
            {"role": "user", "content": "And in Ulm?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "of another"},
                    {"type": "tool_use", "id": "c1", "name": "look", "input": {"city": "Ulm"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": "no sight",
                        "is_error": True,
                    },
                    {"type": "text", "text": "Well?"},
                ],
            },
        ],
        "tools": [{"name": "look", "input_schema": WEATHER}],
        "metadata": {"user_id": "u"},
    },
    sent={
        "contents": [
            {"role": "user", "parts": [{"text": "And in Ulm?"}]},
            {
                "role": "model",
                "parts": [
                    {
                        "functionCall": {"id": "c1", "name": "look", "args": {"city": "Ulm"}},
                        "thoughtSignature": "skip_thought_signature_validator",
                    }
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "id": "c1",
                            "name": "look",
                            "response": {"error": "no sight"},
                        }
                    },
                    {"text": "Well?"},
                ],
            },
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": WEATHER}]}],
        "generationConfig": {
            "maxOutputTokens": 4000,
            "thinkingConfig": {"thinkingBudget": 2000},
        },
    },
    told=GEMINIS_ANSWER,
    answered={
        "id": "r1",
        "type": "message",
        "role": "assistant",
        "model": "weather",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": ""},
            {"type": "text", "text": "It rains."},
            {"type": "tool_use", "id": "x1", "name": "look", "input": {"city": "Ulm"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 20,
            "output_tokens": 6,
            "output_tokens_details": {"thinking_tokens": 2},
        },
    },
    drop="end_user",
    named="metadata.user_id cache_control messages.thinking",
)

GOOGLE_TO_CLAUDE = Pair(
    contents,
    messages,
    CLAUDE,
    asked={
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "And here?"},
                    {"inlineData": {"mime_type": "image/png", "data": "-_8="}},
                ],
            },
            {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "look", "response": {"output": "rain"}}}],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "look",
                        "parameters": {
                            "type": "OBJECT",
                            "properties": {"city": {"type": "STRING"}},
                        },
                    }
                ]
            }
        ],
        "generationConfig": {"maxOutputTokens": 50, "temperature": 0.5, "stopSequences": ["a"]},
    },
    sent={
        "model": CLAUDE,
        "max_tokens": 50,
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "And here?"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "+/8="},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "tool_use",
                        "id": "call_contents_1_parts_0",
                        "name": "look",
                        "input": {},
                    }
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_contents_1_parts_0",
                        "content": "rain",
                    }
                ],
            },
        ],
        "tools": [{"name": "look", "input_schema": WEATHER}],
        "temperature": 0.5,
        "stop_sequences": ["a"],
    },
    told={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": CLAUDE,
        "content": [{"type": "text", "text": "It rains."}],
        "stop_reason": "max_tokens",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": 20,
            "output_tokens": 6,
        },
    },
    answered={
        "candidates": [
            {
                "content": {"parts": [{"text": "It rains."}], "role": "model"},
                "finishReason": "MAX_TOKENS",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 35,
            "candidatesTokenCount": 6,
            "totalTokenCount": 41,
            "cachedContentTokenCount": 20,
            "cacheWriteTokenCount": 5,
        },
        "modelVersion": "weather",
        "responseId": "msg_1",
    },
)
PAIRS = {
    "chat to Gemini": CHAT_TO_GEMINI,
    "Messages to Gemini": MESSAGES_TO_GEMINI,
    "Google's SDK to Claude": GOOGLE_TO_CLAUDE,
}
every_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())


@every_pair
def test_each_sees_a_call_in_its_own_form(pair: Pair):
    losses = Losses(frozenset(pair.drop.split()), pair.caller.PARAMS)
    body = json.dumps(pair.asked).encode()
    asked = pair.caller.read_request(body, losses, model="weather", stream=False)
    sent = pair.upstream.write_request(replace(asked, model=pair.model), losses)
    assert json.loads(sent) == pair.sent
    assert " ".join(losses.dropped) == pair.named
    answer = pair.upstream.read_answer(json.dumps(pair.told).encode())
    assert json.loads(pair.caller.write_answer(answer, model="weather", now=NOW)) == pair.answered


def test_a_stream_of_geminis_is_one_of_typed_events_for_callers_of_responses():
    reader = contents.reader()
    writer = responses.writer(model="weather", now=NOW)
    told = json.dumps(GEMINIS_ANSWER).encode()
    written = writer.write(reader.event(b"", told)) + writer.write(reader.end())
    found = [json.loads(data) for _, data in events(written)]
    assert [each["sequence_number"] for each in found] == list(range(len(found)))
    last = found[-1]["response"]
    assert (last["status"], last["model"]) == ("completed", "weather")
    assert [item["type"] for item in last["output"]] == ["reasoning", "message", "function_call"]
    assert last["output"][2]["extra_content"] == SIGNED
    assert last["usage"] == {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 0},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 36,
    }
