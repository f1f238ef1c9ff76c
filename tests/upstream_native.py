"""The honest answers of a scripted upstream in Anthropic's and Gemini's own dialects.

Shapes: https://docs.claude.com/en/api/messages, https://ai.google.dev/api/generate-content.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from tests.upstream_script import Echo

Json = dict[str, Any]
_ACTION = re.compile(r"/v1beta/models/([^/:]+):(\w+)")


def model_of(path: str) -> str | None:
    """The model that a path names."""
    found = _ACTION.match(path)
    return found[1] if found else None


def route(path: str) -> "tuple[Whole, Events | None] | None":
    """What answers a path whole, and in events."""
    found = _ACTION.fullmatch(path)
    return _ROUTES.get(f":{found[2]}" if found else path)


def _pieces(echo: Echo, digest: str) -> Iterator[str]:
    size = -(-len(digest) // echo.text_events)
    return (digest[start : start + size] for start in range(0, len(digest), size))


def _words(value: object) -> int:
    match value:
        case str():
            return len(value.split())
        case list():
            return sum(map(_words, value))
        case dict():
            return sum(
                _words(each)
                for name, each in value.items()
                if name in {"content", "text", "parts", "contents", "messages"}
            )
        case _:
            return 0


def _counts(echo: Echo, call: Any) -> Json:
    if echo.usage is not Echo.HONEST:
        return {} if echo.usage is None else {"usage": echo.usage}
    return {
        "usage": {
            "input_tokens": _words(call.ask),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": echo.completion_tokens,
        }
    }


def _message(echo: Echo, call: Any) -> Json:
    return {
        "id": f"msg_{call.serial}",
        "type": "message",
        "role": "assistant",
        "model": call.ask["model"],
        "content": [{"type": "text", "text": call.digest}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
    } | _counts(echo, call)


def _message_events(echo: Echo, call: Any) -> Iterator[bytes]:
    message = _message(echo, call) | {"content": [], "stop_reason": None}
    usage = message.get("usage")
    if isinstance(usage, dict):
        message["usage"] = {**usage, "output_tokens": 1}
    yield _named("message_start", message=message)
    yield _named("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield _named("ping")
    for text in _pieces(echo, call.digest):
        yield _named("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    yield _named("content_block_stop", index=0)
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    counts = _counts(echo, call)
    if echo.usage is Echo.HONEST:
        counts = {"usage": {"output_tokens": echo.completion_tokens}}
    yield _named("message_delta", delta=delta, **counts)
    yield _named("message_stop")


def _named(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + orjson.dumps({"type": kind, **members}) + b"\n\n"


def _counted(_echo: Echo, call: Any) -> Json:
    return {"input_tokens": _words(call.ask)}


def _metadata(echo: Echo, call: Any) -> Json:
    if echo.usage is not Echo.HONEST:
        return {} if echo.usage is None else {"usageMetadata": echo.usage}
    prompt = _words(call.ask)
    return {
        "usageMetadata": {
            "promptTokenCount": prompt,
            "candidatesTokenCount": echo.completion_tokens,
            "totalTokenCount": prompt + echo.completion_tokens,
        }
    }


def _candidate(text: str, **members: Any) -> Json:
    content = {"role": "model", "parts": [{"text": text}]}
    return {"candidates": [{"content": content, "index": 0, **members}]}


def _contents(echo: Echo, call: Any) -> Json:
    common = {"modelVersion": "echo", "responseId": call.serial}
    return _candidate(call.digest, finishReason="STOP") | _metadata(echo, call) | common


def _contents_events(echo: Echo, call: Any) -> Iterator[bytes]:
    texts = list(_pieces(echo, call.digest))
    for number, text in enumerate(texts):
        is_last = number == len(texts) - 1
        ends = {"finishReason": "STOP"} if is_last else {}
        yield (
            b"data: " + orjson.dumps(_candidate(text, **ends) | _metadata(echo, call)) + b"\r\n\r\n"
        )


def _total(_echo: Echo, call: Any) -> Json:
    return {"totalTokens": _words(call.ask)}


def _embedded(_echo: Echo, call: Any) -> Json:
    return {"embeddings": [{"values": [0.5, 0.25]} for _ in call.ask.get("requests", [0])]}


Whole = Callable[[Echo, Any], Json]
Events = Callable[[Echo, Any], Iterator[bytes]]
_ROUTES: dict[str, tuple[Whole, Events | None]] = {
    "/v1/messages": (_message, _message_events),
    "/v1/messages/count_tokens": (_counted, None),
    ":generateContent": (_contents, None),
    ":streamGenerateContent": (_contents, _contents_events),
    ":countTokens": (_total, None),
    ":batchEmbedContents": (_embedded, None),
}
