"""The honest answers of a scripted upstream: OpenAI's shapes, one small function per route.

The other dialects' are in `upstream_native`. Knows no sockets: a received call and an `Echo` go in, an `Answer`
comes out.
Shapes: https://platform.openai.com/docs/api-reference.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from tests.upstream_native import model_of
from tests.upstream_native import route as native_route
from tests.upstream_script import Answer, Echo, Headers, refuse

_CREATED = 1_700_000_000  # a constant, so that an answer depends on its call and serial only
_DONE = b"data: [DONE]\n\n"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One received call, read: `ask` is its JSON body, `serial` is unique among all answers."""

    path: str
    ask: Json
    digest: str
    serial: str


def read_ask(body: bytes) -> Json:
    """The JSON object in `body`, or {} where there is none."""
    try:
        ask = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return ask if isinstance(ask, dict) else {}


def render(echo: Echo, path: str, body: bytes, serial: str) -> Answer:
    """The answer that `echo` gives to a call."""
    path, _, query = path.partition("?")
    ask = read_ask(body)
    if (model := model_of(path)) is not None:
        ask |= {"model": model, "stream": "alt=sse" in query}
    call = Call(path, ask, hashlib.sha256(body).hexdigest(), serial)
    route = _ROUTES.get(path) or native_route(path)
    if route is None:
        return refuse(404, f"no route {call.path}", code="unknown_url", headers=_marks(serial))
    if call.path != _MODELS and "model" not in ask:
        return refuse(400, "no model", code="invalid_request", headers=_marks(serial))
    whole, events = route
    if events is not None and ask.get("stream") is True:
        return _stream(echo, call, list(events(echo, call)))
    return _whole(echo, call, orjson.dumps(whole(echo, call)))


def _marks(serial: str) -> Headers:
    """Headers that tell answers apart; `x-echo` is one that a gateway has no reason to pass on."""
    return (
        ("x-request-id", f"req-{serial}"),
        ("openai-processing-ms", "1"),
        ("x-echo", f"echo-{serial}"),
    )


def _whole(echo: Echo, call: Call, body: bytes) -> Answer:
    size = -(-len(body) // (echo.slices if echo.inserted else 1))
    return Answer(
        echo.with_inserted([body[start : start + size] for start in range(0, len(body), size)]),
        headers=_marks(call.serial) + echo.headers,
        content_type=echo.content_type or "application/json",
        framing=echo.framing or "length",
        missing_bytes=echo.missing_bytes,
        bytewise=echo.bytewise,
        steps_before=echo.steps_before,
    )


def _stream(echo: Echo, call: Call, events: list[bytes]) -> Answer:
    return Answer(
        echo.with_inserted(events),
        headers=_marks(call.serial) + echo.headers,
        content_type=echo.content_type or "text/event-stream; charset=utf-8",
        framing=echo.framing or "chunked",
        missing_bytes=echo.missing_bytes,
        bytewise=echo.bytewise,
        steps_before=echo.steps_before,
    )


def _words(value: object) -> int:
    """Whitespace-separated words in all the text of a prompt; a token id counts as one word."""
    match value:
        case str():
            return len(value.split())
        case int():
            return 1
        case list():
            return sum(map(_words, value))
        case dict():
            return _words(value.get("content", value.get("text")))
        case _:
            return 0


def _usage(echo: Echo, call: Call, names: tuple[str, str] | None = None) -> Json:
    """`{"usage": …}` as honest or as false as the echo wants it, or {} for none."""
    if echo.usage is not Echo.HONEST:
        return {} if echo.usage is None else {"usage": echo.usage}
    prompt = sum(_words(call.ask.get(name)) for name in ("messages", "prompt", "input"))
    if names is None:
        return {"usage": {"prompt_tokens": prompt, "total_tokens": prompt}}
    counts = dict(zip(names, (prompt, echo.completion_tokens), strict=True))
    return {"usage": {**counts, "total_tokens": prompt + echo.completion_tokens}}


_CHAT_NAMES = ("prompt_tokens", "completion_tokens")
_RESPONSES_NAMES = ("input_tokens", "output_tokens")


def _texts(echo: Echo, call: Call) -> Iterator[str]:
    size = -(-len(call.digest) // echo.text_events)
    return (call.digest[start : start + size] for start in range(0, len(call.digest), size))


def _completion(call: Call, kind: str, choices: list[Json]) -> Json:
    prefix = "chatcmpl" if kind.startswith("chat") else "cmpl"
    identity = {"id": f"{prefix}-{call.serial}", "object": kind, "created": _CREATED}
    return {**identity, "model": call.ask["model"], "choices": choices}


def _chat(echo: Echo, call: Call) -> Json:
    message = {"role": "assistant", "content": call.digest}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _completion(call, "chat.completion", [choice]) | _usage(echo, call, _CHAT_NAMES)


def _chat_events(echo: Echo, call: Call) -> Iterator[bytes]:
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text} for text in _texts(echo, call)]
    choices: list[Json] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    return _completion_events(echo, call, "chat.completion.chunk", choices)


def _text(echo: Echo, call: Call) -> Json:
    choice = {"index": 0, "text": call.digest, "finish_reason": "stop", "logprobs": None}
    return _completion(call, "text_completion", [choice]) | _usage(echo, call, _CHAT_NAMES)


def _text_events(echo: Echo, call: Call) -> Iterator[bytes]:
    choices: list[Json] = [
        {"index": 0, "text": text, "finish_reason": None} for text in _texts(echo, call)
    ]
    choices.append({"index": 0, "text": "", "finish_reason": "stop"})
    return _completion_events(echo, call, "text_completion", choices)


def _completion_events(echo: Echo, call: Call, kind: str, choices: list[Json]) -> Iterator[bytes]:
    """Events of a stream; usage has its own event, and is null in the others, only where asked."""
    options = call.ask.get("stream_options")
    wanted = isinstance(options, dict) and options.get("include_usage") is True
    usage = _usage(echo, call, _CHAT_NAMES) if wanted else {}
    null: Json = {"usage": None} if usage else {}
    for choice in choices:
        yield _event(_completion(call, kind, [choice]) | null)
    usage_event = _event(_completion(call, kind, []) | usage) if usage else b""
    yield from filter(None, (_DONE, usage_event) if echo.usage_after_done else (usage_event, _DONE))


def _embeddings(echo: Echo, call: Call) -> Json:
    """One vector: the digest's bytes, each divided by 256 (exact in binary)."""
    vector = [byte / 256 for byte in bytes.fromhex(call.digest)]
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    return {"object": "list", "data": data, "model": call.ask["model"]} | _usage(echo, call)


def _response(echo: Echo, call: Call) -> Json:
    part = {"type": "output_text", "text": call.digest, "annotations": []}
    message = {
        "type": "message",
        "id": f"msg-{call.serial}",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    usage = _usage(echo, call, _RESPONSES_NAMES)
    return _open_response(call) | {"status": "completed", "output": [message]} | usage


def _open_response(call: Call) -> Json:
    return {
        "id": f"resp-{call.serial}",
        "object": "response",
        "created_at": _CREATED,
        "status": "in_progress",
        "model": call.ask["model"],
        "output": [],
        "usage": None,
    }


def _response_events(echo: Echo, call: Call) -> Iterator[bytes]:
    place = {"item_id": f"msg-{call.serial}", "output_index": 0, "content_index": 0}
    message = {"type": "message", "id": f"msg-{call.serial}", "role": "assistant", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    events: list[tuple[str, Json]] = [
        ("created", {"response": _open_response(call)}),
        ("output_item.added", {"output_index": 0, "item": message}),
        ("content_part.added", place | {"part": part}),
    ]
    events += [("output_text.delta", place | {"delta": text}) for text in _texts(echo, call)]
    events.append(("completed", {"response": _response(echo, call)}))
    for number, (name, fields) in enumerate(events):
        kind = f"response.{name}"
        yield _event({"type": kind, "sequence_number": number} | fields, kind)


def _models(_echo: Echo, _call: Call) -> Json:
    entry = {"id": "echo", "object": "model", "created": _CREATED, "owned_by": "scripted"}
    return {"object": "list", "data": [entry]}


def _event(data: Json, kind: str = "") -> bytes:
    name = f"event: {kind}\n".encode() if kind else b""
    return name + b"data: " + orjson.dumps(data) + b"\n\n"


_MODELS = "/v1/models"
_Whole = Callable[[Echo, Call], Json]
_Events = Callable[[Echo, Call], Iterator[bytes]]
_ROUTES: dict[str, tuple[_Whole, _Events | None]] = {
    "/v1/chat/completions": (_chat, _chat_events),
    "/v1/completions": (_text, _text_events),
    "/v1/embeddings": (_embeddings, None),
    "/v1/responses": (_response, _response_events),
    _MODELS: (_models, None),
}
