"""The demo upstream's routes: an ask is read strictly, answered, or declined in OpenAI's shape.

Ordinary aiohttp: it stands outside the gateway, as any provider does, and knows nothing of it.
"""

from collections.abc import Awaitable, Callable, Iterable

import orjson
from aiohttp import web

from gateway.demo import answers
from gateway.demo.answers import EMBEDDING_MODEL, MODEL, Json

_DIMENSIONS = 64
_MAX_DIMENSIONS = 4096
_MAX_BODY_BYTES = 33_554_432
_MAX_PROMPT_DEPTH = 4  # a list of messages, a message, its list of parts, a part
_DONE = b"data: [DONE]\n\n"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app() -> web.Application:
    """The application with every route of the demo upstream."""
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_speak_errors])
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_post("/v1/completions", _completion)
    app.router.add_post("/v1/responses", _responses)
    app.router.add_post("/v1/embeddings", _embeddings)
    app.router.add_get("/v1/models", _models)
    return app


class _Declined(Exception):
    """An ask that is answered with a 4xx in OpenAI's shape."""

    def __init__(self, status: int, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


@web.middleware
async def _speak_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _Declined as declined:
        return _error(declined.status, str(declined), declined.code, declined.param)
    except web.HTTPException as error:
        code = error.reason.lower().replace(" ", "_")
        message = f"{error.status} {error.reason}: {request.method} {request.path}"
        answer = _error(error.status, message, code)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer


def _error(status: int, message: str, code: str, param: str | None = None) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return _json({"error": error}, status)


async def _read_ask(request: web.Request, model: str) -> Json:
    try:
        ask = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise _Declined(400, f"The body is not JSON: {error}.", "invalid_json") from error
    if not isinstance(ask, dict):
        raise _Declined(400, "The body is not a JSON object.", "invalid_json")
    if ask.get("model") != model:
        message = f"This route of the demo upstream has one model, {model!r}."
        raise _Declined(404, message, "model_not_found", "model")
    if ask.get("n") not in (None, 1):
        raise _Declined(400, "The demo upstream gives one choice; leave out n.", "unsupported", "n")
    return ask


def _read_maximum(ask: Json, *names: str) -> int | None:
    for name in names:
        value = ask.get(name)
        if value is None:
            continue
        if type(value) is not int or value < 1:
            raise _Declined(400, f"{name} must be a whole number from 1.", "invalid_value", name)
        return value
    return None


def _read_text(ask: Json, name: str) -> str:
    """All the text of a prompt: a string, a list of strings, or of messages with text parts."""
    value = ask.get(name)
    if not isinstance(value, str | list) or not value:
        raise _Declined(400, f"{name} must be a non-empty string or list.", "invalid_value", name)
    return _text_of(value)


def _is_streamed(ask: Json) -> bool:
    return ask.get("stream") is True


def _is_metered(ask: Json) -> bool:
    options = ask.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _text_of(value: object, depth: int = _MAX_PROMPT_DEPTH) -> str:
    match value:
        case str():
            return value
        case list() if depth:
            return " ".join(filter(None, (_text_of(entry, depth - 1) for entry in value)))
        case dict() if depth:
            return _text_of(value.get("content", value.get("text")), depth - 1)
        case _:
            return ""


def _json(data: Json, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


async def _stream(
    request: web.Request, events: Iterable[Json], terminator: bytes = b""
) -> web.StreamResponse:
    """Send each event as it is made, under its own name where it has a type."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    for event in events:
        name = f"event: {event['type']}\n".encode() if "type" in event else b""
        await response.write(name + b"data: " + orjson.dumps(event) + b"\n\n")
    await response.write(terminator)
    await response.write_eof()
    return response


async def _chat(request: web.Request) -> web.StreamResponse:
    ask = await _read_ask(request, MODEL)
    maximum = _read_maximum(ask, "max_completion_tokens", "max_tokens")
    reply = answers.reply_to(_read_text(ask, "messages"), maximum)
    if _is_streamed(ask):
        return await _stream(request, answers.chat_events(reply, metered=_is_metered(ask)), _DONE)
    return _json(answers.chat(reply))


async def _completion(request: web.Request) -> web.StreamResponse:
    ask = await _read_ask(request, MODEL)
    reply = answers.reply_to(_read_text(ask, "prompt"), _read_maximum(ask, "max_tokens"))
    if _is_streamed(ask):
        events = answers.completion_events(reply, metered=_is_metered(ask))
        return await _stream(request, events, _DONE)
    return _json(answers.completion(reply))


async def _responses(request: web.Request) -> web.StreamResponse:
    ask = await _read_ask(request, MODEL)
    prompt = f"{_text_of(ask.get('instructions'))} {_read_text(ask, 'input')}".strip()
    reply = answers.reply_to(prompt, _read_maximum(ask, "max_output_tokens"))
    if _is_streamed(ask):
        return await _stream(request, answers.response_events(reply))
    return _json(answers.response(reply))


async def _embeddings(request: web.Request) -> web.StreamResponse:
    ask = await _read_ask(request, EMBEDDING_MODEL)
    _read_text(ask, "input")
    texts = [ask["input"]] if isinstance(ask["input"], str) else ask["input"]
    if not all(isinstance(text, str) for text in texts):
        message = "input must be a string or a list of strings."
        raise _Declined(400, message, "invalid_value", "input")
    dimensions = _read_maximum(ask, "dimensions") or _DIMENSIONS
    if dimensions > _MAX_DIMENSIONS:
        message = f"dimensions must be at most {_MAX_DIMENSIONS}."
        raise _Declined(400, message, "invalid_value", "dimensions")
    as_base64 = ask.get("encoding_format") == "base64"
    return _json(answers.embeddings(texts, dimensions, as_base64=as_base64))


async def _models(_request: web.Request) -> web.StreamResponse:
    return _json(answers.models())
