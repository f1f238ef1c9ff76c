"""`GET /v1/models`: the models that a key can call, in OpenAI's shape.

https://platform.openai.com/docs/api-reference/models
"""

from urllib.parse import unquote

import orjson
from aiohttp.web import StreamResponse

from gateway.domain.checks import require_model
from gateway.domain.errors import Refusal
from gateway.relay.answer import send_json, written
from gateway.relay.call import Call

_PREFIX = "/v1/models/"


def answer_models(call: Call) -> StreamResponse | Refusal:
    """The list, or one model by its id."""
    token = call.entry.token
    if call.path.startswith(_PREFIX):
        name = unquote(call.path[len(_PREFIX) :])
        refusal = require_model(token, name, call.catalog)
        if refusal is not None:
            return refusal
        members = _model(call, name)
    else:
        names = call.catalog.names(token.group)
        allowed = [name for name in names if token.models is None or name in token.models]
        members = {"object": "list", "data": [_model(call, name) for name in allowed]}
    send_json(call, 200, orjson.dumps(members))
    return written(call.request)


def _model(call: Call, name: str) -> dict[str, object]:
    upstreams = call.catalog.candidates(call.entry.token.group, name)
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": upstreams[0].name if upstreams else "tollhouse",
    }
