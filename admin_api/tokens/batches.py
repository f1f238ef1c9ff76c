"""Handlers of several tokens at once: all of a batch is done, or nothing. Tokens of others are passed over."""

from collections.abc import Sequence

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import SERVICES, actor_of
from admin_api.envelope import accept
from admin_api.tokens.bodies import BatchStatusBody, IdsBody
from admin_api.tokens.requests import publish
from gateway.domain.edit import TokenChange
from gateway.store.editing import Edited
from gateway.store.tokens import delete_tokens, update_tokens


async def delete_batch(request: web.Request) -> web.Response:
    """POST /api/token/batch: revoke tokens for good; the answer is how many."""
    body = await read_body(request, IdsBody)
    edits = await delete_tokens(request.app[SERVICES].pool, actor_of(request), body.ids)
    return await _answer(request, body.ids, edits)


async def set_status(request: web.Request) -> web.Response:
    """POST /api/token/batch/status: enable (1) or disable (2) tokens; the answer is how many."""
    body = await read_body(request, BatchStatusBody)
    change = TokenChange(status=body.status)
    edits = await update_tokens(request.app[SERVICES].pool, actor_of(request), body.ids, change)
    return await _answer(request, body.ids, edits)


async def _answer(
    request: web.Request, ids: Sequence[int], edits: Sequence[Edited]
) -> web.Response:
    told = await publish(request.app[SERVICES], edits)
    missing = sorted(set(ids) - {each.row.id for each in edits})
    remark = ""
    if missing:
        remark = f"Not among your tokens: {', '.join(map(str, missing))}."
    return accept(len(edits), told=told, remark=remark)
