"""Handlers of one's own webhooks, and of whether warnings come by e-mail."""

from typing import Any

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import CALLER, SERVICES, self_actor
from admin_api.envelope import accept
from admin_api.requests import number_in_path
from admin_api.warnings.bodies import WebhookBody
from gateway.store.webhooks import Webhook, create_webhook, delete_webhook, list_webhooks


async def list_own(request: web.Request) -> web.Response:
    """GET /api/webhook: your webhooks."""
    found = await list_webhooks(request.app[SERVICES].pool, request[CALLER].user.id)
    return accept([_object(each) for each in found])


async def create(request: web.Request) -> web.Response:
    """POST /api/webhook: where warnings are sent that concern you; the answer holds its secret, once.

    Calls are signed as Standard Webhooks have it: `webhook-signature` is made with the secret.
    """
    services, user = request.app[SERVICES], request[CALLER].user
    body = await read_body(request, WebhookBody)
    actor = self_actor(request, user)
    made, secret = await create_webhook(services.pool, actor, user.id, body.url, services.seal)
    return accept(_object(made) | {"secret": secret})


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/webhook/{id}: nothing is sent there any more."""
    user = request[CALLER].user
    actor = self_actor(request, user)
    await delete_webhook(request.app[SERVICES].pool, actor, user.id, number_in_path(request))
    return accept()


def _object(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "created_time": int(webhook.created_at.timestamp()),
    }
