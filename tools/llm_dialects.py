"""Translation against the real thing: llama.cpp's server speaks three wire forms itself, and is the judge of ours.

The same question is put twice: to the server in the form F, and through the gateway in F to an upstream that is called
in another form. At temperature 0 both answers are the same text; whatever else differs is ours to explain.
"""

import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
QUESTION = "Name three rivers of Europe."
MAX_TOKENS = 24


@dataclass(frozen=True)
class Form:
    """A wire form: its path, the body of a question, and what is compared of an answer, whole and in events."""

    name: str
    path: str
    body: Callable[[str], Json]
    read: Callable[[Json], Json]
    fold: Callable[[list[Json]], Json]


def differences(
    server: str, key: str, gateway: str, caller_key: str, model: str, other: str
) -> Iterator[tuple[str, Json, Json]]:
    """Each comparison: its name, what the server says itself, and what comes through the gateway.

    The gateway calls `model` at the server by OpenAI's chats, and `other` by Anthropic's messages.
    """
    for form, asked in ((MESSAGES, model), (CHAT, other), (RESPONSES, other)):
        for stream in (False, True):
            name = f"{form.name}{', streamed' if stream else ''}"
            own = _ask(server, key, form, model, stream=stream)
            ours = _ask(gateway, caller_key, form, asked, stream=stream)
            yield name, own, ours


def _ask(url: str, key: str, form: Form, model: str, *, stream: bool) -> Json:
    body = {**form.body(model), "stream": stream, "temperature": 0}
    if stream and form is CHAT:
        body["stream_options"] = {"include_usage": True}
    headers = {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
    }
    request = urllib.request.Request(url + form.path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        text = answer.read().decode()
    if not stream:
        return form.read(json.loads(text))
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    return form.fold([json.loads(line) for line in lines if line != "[DONE]"])


def _chat(answer: Json) -> Json:
    (choice,) = answer["choices"]
    usage = answer["usage"]
    return {
        "object": answer["object"],
        "text": choice["message"]["content"],
        "end": choice["finish_reason"],
        "input": usage["prompt_tokens"],
        "output": usage["completion_tokens"],
    }


def _chunks(chunks: list[Json]) -> Json:
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    usage = next(chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage"))
    return {
        "object": chunks[0]["object"],
        "text": "".join(choice["delta"].get("content") or "" for choice in choices),
        "end": choices[-1]["finish_reason"],
        "input": usage["prompt_tokens"],
        "output": usage["completion_tokens"],
    }


def _message(answer: Json) -> Json:
    usage = answer["usage"]
    return {
        "type": answer["type"],
        "role": answer["role"],
        "blocks": [block["type"] for block in answer["content"]],
        "text": "".join(block.get("text", "") for block in answer["content"]),
        "end": answer["stop_reason"],
        "input": usage["input_tokens"] + (usage.get("cache_read_input_tokens") or 0),
        "output": usage["output_tokens"],
    }


def _message_events(events: list[Json]) -> Json:
    by_type: dict[str, list[Json]] = {}
    for event in events:
        by_type.setdefault(event["type"], []).append(event)
    begun = by_type["message_start"][0]["message"]
    end = by_type["message_delta"][-1]
    text = (event["delta"].get("text", "") for event in by_type["content_block_delta"])
    usage = {**begun["usage"], **{k: v for k, v in end["usage"].items() if v is not None}}
    return {
        "type": begun["type"],
        "role": begun["role"],
        "blocks": [event["content_block"]["type"] for event in by_type["content_block_start"]],
        "text": "".join(text),
        "end": end["delta"]["stop_reason"],
        "input": usage["input_tokens"] + (usage.get("cache_read_input_tokens") or 0),
        "output": usage["output_tokens"],
        "order": _order(events, "ping"),
    }


def _response(answer: Json) -> Json:
    usage = answer["usage"]
    parts = [part for item in answer["output"] for part in item.get("content", [])]
    return {
        "object": answer["object"],
        "items": [item["type"] for item in answer["output"]],
        "parts": [part["type"] for part in parts],
        "text": "".join(part.get("text", "") for part in parts),
        "input": usage["input_tokens"],
        "output": usage["output_tokens"],
    }


def _response_events(events: list[Json]) -> Json:
    text = (e["delta"] for e in events if e["type"] == "response.output_text.delta")
    return {
        **_response(events[-1]["response"]),
        "streamed": "".join(text),
    }


def _order(events: list[Json], *left_out: str) -> list[str]:
    """The types of events, those that repeat once."""
    order: list[str] = []
    for event in events:
        if event["type"] not in left_out and order[-1:] != [event["type"]]:
            order.append(event["type"])
    return order


CHAT = Form(
    "chat completions",
    "/v1/chat/completions",
    lambda model: {
        "model": model,
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": QUESTION}],
    },
    _chat,
    _chunks,
)
MESSAGES = Form(
    "messages",
    "/v1/messages",
    lambda model: {
        "model": model,
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": QUESTION}],
    },
    _message,
    _message_events,
)
RESPONSES = Form(
    "responses",
    "/v1/responses",
    lambda model: {"model": model, "max_output_tokens": MAX_TOKENS, "input": QUESTION},
    _response,
    _response_events,
)
