"""`GET /v1/models` and `GET /v1beta/models`: the models that a key can call, in the shape of the caller's dialect.

A dialect's list has what can be called in that dialect. https://platform.openai.com/docs/api-reference/models,
https://docs.claude.com/en/api/models-list, https://ai.google.dev/api/models
"""

from collections.abc import Callable, Sequence
from urllib.parse import unquote

import orjson
from aiohttp.web import StreamResponse

from gateway.domain.catalog import Dialect, Model
from gateway.domain.checks import require_model
from gateway.domain.errors import Refusal
from gateway.domain.routes import dialects_called
from gateway.relay.answer import send_json, written
from gateway.relay.call import Call

_Members = dict[str, object]
_THE_BEGINNING = "1970-01-01T00:00:00Z"  # when a model came out is not known here


def answer_models(call: Call) -> StreamResponse | Refusal:
    """The list, or one model by its id."""
    token, dialect = call.entry.token, call.dialect
    one, many = _SHAPES[dialect]
    _, _, name = call.path.partition("/models")
    if name:
        name = unquote(name[1:])
        # Whoever asks for a model by its name may be of another dialect than calls it.
        refusal = require_model(token, name, call.catalog)
        if refusal is not None:
            return refusal
        members = one(call, call.catalog.model(name))
    else:
        names = call.catalog.names(token.group, dialects_called(dialect))
        allowed = [name for name in names if token.models is None or name in token.models]
        members = many([one(call, call.catalog.model(name)) for name in allowed])
    send_json(call, 200, orjson.dumps(members))
    return written(call.request)


def _openai(call: Call, model: Model) -> _Members:
    upstreams = call.catalog.candidates(call.entry.token.group, model.name)
    owner = upstreams[0].name if upstreams else "tollhouse"
    return {"id": model.name, "object": "model", "created": 0, "owned_by": owner}


def _openai_list(models: Sequence[_Members]) -> _Members:
    return {"object": "list", "data": models}


def _anthropic(_call: Call, model: Model) -> _Members:
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": _THE_BEGINNING,
    }


def _anthropic_list(models: Sequence[_Members]) -> _Members:
    ends = {"first_id": models[0]["id"], "last_id": models[-1]["id"]} if models else {}
    return {"data": models, "has_more": False, "first_id": None, "last_id": None, **ends}


def _gemini(_call: Call, model: Model) -> _Members:
    members: _Members = {
        "name": f"models/{model.name}",
        "displayName": model.name,
        "supportedGenerationMethods": [
            "generateContent",
            "streamGenerateContent",
            "countTokens",
            "embedContent",
        ],
    }
    if model.max_input_tokens is not None:
        members["inputTokenLimit"] = model.max_input_tokens
    if model.max_output_tokens is not None:
        members["outputTokenLimit"] = model.max_output_tokens
    return members


def _gemini_list(models: Sequence[_Members]) -> _Members:
    return {"models": models}


_SHAPES: dict[
    Dialect, tuple[Callable[[Call, Model], _Members], Callable[[Sequence[_Members]], _Members]]
] = {
    "openai": (_openai, _openai_list),
    "anthropic": (_anthropic, _anthropic_list),
    "gemini": (_gemini, _gemini_list),
}
