"""Handlers of tests: a call of a webhook now, so that one sees whether warnings would get there."""

import time
from typing import Any, Final

from aiohttp import web

from admin_api.brake import Braked
from admin_api.context import CALLER, SERVICES, Services
from admin_api.delivery.courier import NotSent
from admin_api.delivery.webhooks import is_taken
from admin_api.envelope import accept, too_many
from admin_api.requests import number_in_path
from admin_api.warnings.objects import host_of
from gateway.domain.rejection import Problem, rejected
from gateway.domain.rules import Rule
from gateway.store.seal import Unsealable
from gateway.store.webhooks import open_webhook

TEST: Final = "warning.test"


async def show_operator(request: web.Request) -> web.Response:
    """GET /api/warning/operator: where the operator is told of everything."""
    services = request.app[SERVICES]
    settings = services.config.warnings
    return accept(
        {
            "mail": [*settings.mail],
            "webhook": host_of(settings.webhook_url) if settings.webhook_url else None,
            "sends_mail": services.dispatch.has_mail,
        }
    )


async def try_operator(request: web.Request) -> web.Response:
    """POST /api/warning/operator/test: calls the operator's webhook now, with an event of the type `warning.test`.

    It is called once, signed as all calls are, and noted nowhere; ten tests in ten minutes for each user.
    """
    services = request.app[SERVICES]
    url = services.config.warnings.webhook_url
    if not url:
        raise rejected(Problem.NOT_FOUND, None, Rule.NO_OPERATOR_WEBHOOK)
    _take(request)
    return accept(await _call(services, url, services.warnings_secret))


async def try_own(request: web.Request) -> web.Response:
    """POST /api/webhook/{id}/test: calls one of your webhooks now, with an event of the type `warning.test`.

    It is called once, signed as all calls are, and noted nowhere; ten tests in ten minutes for each user.
    """
    services, user = request.app[SERVICES], request[CALLER].user
    try:
        url, secret = await open_webhook(
            services.pool, user.id, number_in_path(request), services.seal
        )
    except Unsealable as error:
        return accept(_outcome(None, f"its secret cannot be opened: {error}", 0))
    _take(request)
    return accept(await _call(services, url, secret))


def _take(request: web.Request) -> None:
    try:
        request.app[SERVICES].throttles.webhook_tests.take(request[CALLER].user.id)
    except Braked as braked:
        raise too_many("tests of webhooks", braked.retry_after_s) from None


async def _call(services: Services, url: str, secret: str) -> dict[str, Any]:
    event = {
        "type": TEST,
        "timestamp": services.now().isoformat(timespec="seconds"),
        "data": {"message": "A test: nothing has happened."},
    }
    begun = time.perf_counter()
    status, error = None, None
    try:
        status = await services.dispatch.call_now(url, event, secret)
    except NotSent as problem:
        error = str(problem)
    return _outcome(status, error, round((time.perf_counter() - begun) * 1000))


def _outcome(status: int | None, error: str | None, took_ms: int) -> dict[str, Any]:
    works = status is not None and is_taken(status)
    return {"works": works, "status": status, "error": error, "took_ms": took_ms}
