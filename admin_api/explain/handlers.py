"""POST /api/token/{id}/explain: what would become of a call, check by check. Nothing is taken, nothing spent."""

import json
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import SERVICES, actor_of
from admin_api.envelope import accept
from admin_api.explain.bodies import ExplainBody
from admin_api.explain.objects import explanation_object
from admin_api.mistakes import Mistakes
from admin_api.requests import number_in_path
from gateway.domain.network import Address, parse_address
from gateway.domain.rejection import invalid, mistake
from gateway.domain.rules import Rule
from gateway.explain.question import Question
from gateway.store.token_rows import get_token, no_such_token

_SAID_BY_A_BODY = ("model", "stream", "max_tokens", "input_tokens")


async def explain(request: web.Request) -> web.Response:
    """POST /api/token/{id}/explain: what would become of a call; nothing is sent, taken or spent.

    The decision, every check, what would be held, and what is left of each limit.
    """
    services = request.app[SERVICES]
    actor, token_id = actor_of(request, writes=False), number_in_path(request)
    row = await get_token(services.pool, actor, token_id)
    question = question_of(await read_body(request, ExplainBody))
    found = await services.explainer.explain(token_id, question, services.clock())
    if found is None:
        raise no_such_token(token_id)
    return accept(explanation_object(found, question, row, services.units))


def question_of(body: ExplainBody) -> Question:
    """The call that is asked about. Raises `Rejected` with all mistakes."""
    found = Mistakes()
    if body.body is not None:
        for name in _SAID_BY_A_BODY:
            if getattr(body, name) is not None:
                found.add(mistake(name, Rule.SAID_BY_BODY))
    path, _, query = body.path.partition("?")
    if not path.startswith("/"):
        found.add(mistake("path", Rule.NO_PATH))
    address = None if body.ip is None else found.reading(_address, body.ip)
    found.raise_any(ExplainBody.model_fields)
    return Question(
        method=body.method,
        path=unquote(path),
        query=query,
        address=address,
        body=None if body.body is None else _bytes(body.body),
        model=body.model or "",
        stream=body.stream or False,
        max_output_tokens=body.max_tokens,
        input_tokens=body.input_tokens or 0,
    )


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError:
        raise invalid("ip", Rule.NO_ADDRESS, given=text) from None


def _bytes(body: str | dict[str, Any]) -> bytes:
    """A text is sent as it is, an object as JSON without spaces, as SDKs write it."""
    if isinstance(body, str):
        return body.encode()
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False, default=float)
    return text.encode()
