"""What upstreams of each dialect answer, as their providers document it: the same answer in three forms.

https://platform.openai.com/docs/api-reference/chat/object, https://docs.claude.com/en/api/messages,
https://ai.google.dev/api/generate-content.
"""

import json
from typing import Any

import orjson

from tests.upstream import Answer

Json = dict[str, Any]

INPUT, CACHED, OUTPUT, THOUGHTS = 12, 3, 9, 4
"""What each says was used: of the input so many were cached, of the output so many were thoughts."""
TEXT = 'He said "7 °C",\nand left.'
CALL = ("weather", {"city": "Bern"})


def _openai(delta: Json, finish: str | None, usage: Json | None, kind: str, member: str) -> Json:
    choices = (
        []
        if usage and kind.endswith("chunk")
        else [{"index": 0, member: delta, "finish_reason": finish}]
    )
    common = {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": "real"}
    return {**common, "choices": choices, **({"usage": usage} if usage else {})}


_OPENAI_USAGE = {
    "prompt_tokens": INPUT,
    "completion_tokens": OUTPUT,
    "total_tokens": INPUT + OUTPUT,
    "prompt_tokens_details": {"cached_tokens": CACHED},
    "completion_tokens_details": {"reasoning_tokens": THOUGHTS},
}
_ANTHROPIC_USAGE = {
    "input_tokens": INPUT - CACHED,
    "cache_read_input_tokens": CACHED,
    "cache_creation_input_tokens": 0,
    "output_tokens": OUTPUT,
    "output_tokens_details": {"thinking_tokens": THOUGHTS},
}
_GEMINI_USAGE = {
    "promptTokenCount": INPUT,
    "cachedContentTokenCount": CACHED,
    "candidatesTokenCount": OUTPUT - THOUGHTS,
    "thoughtsTokenCount": THOUGHTS,
    "totalTokenCount": INPUT + OUTPUT,
}


def whole(dialect: str, *, calls: bool = False) -> Answer:
    """The text, or the call of a tool, in one."""
    name, arguments = CALL
    if dialect == "openai":
        message: Json = {"role": "assistant", "content": None if calls else TEXT}
        if calls:
            function = {"name": name, "arguments": json.dumps(arguments)}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        body = _openai(
            message, "tool_calls" if calls else "stop", _OPENAI_USAGE, "chat.completion", "message"
        )
    elif dialect == "anthropic":
        block: Json = {"type": "text", "text": TEXT}
        if calls:
            block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}
        body = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "real",
            "content": [block],
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": _ANTHROPIC_USAGE,
        }
    else:
        part: Json = (
            {"functionCall": {"name": name, "args": arguments}} if calls else {"text": TEXT}
        )
        body = _candidate(part, finishReason="STOP") | {"usageMetadata": _GEMINI_USAGE}
    return Answer((orjson.dumps(body),))


def events(dialect: str, *, calls: bool = False) -> Answer:
    """The same as a stream."""
    made = {"openai": _openai_events, "anthropic": _anthropic_events, "gemini": _gemini_events}
    return Answer(
        tuple(made[dialect](calls=calls)), content_type="text/event-stream", framing="chunked"
    )


def fault(dialect: str) -> Answer:
    """A call that the provider finds wrong."""
    message = "that is no picture"
    bodies: dict[str, Json] = {
        "openai": {
            "error": {
                "message": message,
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }
        },
        "anthropic": {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": message},
        },
        "gemini": {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}},
    }
    return Answer((orjson.dumps(bodies[dialect]),), status=400)


def _halves(text: str) -> tuple[str, str]:
    return text[:5], text[5:]


def _openai_events(*, calls: bool) -> list[bytes]:
    deltas: list[Json] = [{"role": "assistant", "content": "" if not calls else None}]
    if calls:
        name, arguments = CALL
        first, rest = _halves(json.dumps(arguments))
        call = {"index": 0, "id": "call_1", "type": "function"}
        deltas += [
            {"tool_calls": [{**call, "function": {"name": name, "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": first}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": rest}}]},
        ]
    else:
        deltas += [{"content": half} for half in _halves(TEXT)]
    kind = "chat.completion.chunk"
    chunks = [_openai(delta, None, None, kind, "delta") for delta in deltas]
    chunks.append(_openai({}, "tool_calls" if calls else "stop", None, kind, "delta"))
    chunks.append(_openai({}, None, _OPENAI_USAGE, kind, "delta"))
    return [b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks] + [b"data: [DONE]\n\n"]


def _anthropic_events(*, calls: bool) -> list[bytes]:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "real",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_ANTHROPIC_USAGE, "output_tokens": 1, "output_tokens_details": None},
    }
    block: Json = {"type": "text", "text": ""}
    deltas: list[Json] = [{"type": "text_delta", "text": half} for half in _halves(TEXT)]
    if calls:
        name, arguments = CALL
        block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
        deltas = [
            {"type": "input_json_delta", "partial_json": half}
            for half in _halves(json.dumps(arguments))
        ]
    told: list[Json] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None},
            "usage": _ANTHROPIC_USAGE,
        },
        {"type": "message_stop"},
    ]
    return [
        b"event: %b\ndata: %b\n\n" % (each["type"].encode(), orjson.dumps(each)) for each in told
    ]


def _gemini_events(*, calls: bool) -> list[bytes]:
    name, arguments = CALL
    parts: list[Json] = [{"text": half} for half in _halves(TEXT)]
    if calls:
        parts = [{"functionCall": {"name": name, "args": arguments}}]
    told = [_candidate(part) for part in parts]
    told[-1]["candidates"][0]["finishReason"] = "STOP"
    told[-1]["usageMetadata"] = _GEMINI_USAGE
    return [b"data: %b\r\n\r\n" % orjson.dumps(each) for each in told]


def _candidate(part: Json, **members: Any) -> Json:
    content = {"role": "model", "parts": [part]}
    return {
        "candidates": [{"content": content, "index": 0, **members}],
        "modelVersion": "real",
        "responseId": "r1",
    }
