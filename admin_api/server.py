"""The admin app's server: what bounds its connections, and what is told on one whose request no handler has seen."""

import uuid
from http import HTTPStatus
from typing import Final, cast

from aiohttp import web

from admin_api.answering import EVERYWHERE
from admin_api.envelope import STATUS, Code, decline
from gateway.admin_settings import AdminSettings
from gateway.bounded_server import BoundedServer, Bounds, Unfit
from gateway.crowd import Crowd
from gateway.domain.network import Blocks

_KEEPALIVE_S: Final = 75.0
_SLOW_READER_S: Final = 60.0
_TOLD: Final = {
    Unfit.NO_REQUEST: (
        Code.INVALID_REQUEST,
        "What came is no HTTP request that can be read here, or its head is too large.",
    ),
    Unfit.NO_HOST: (
        Code.INVALID_REQUEST,
        "The header 'Host' is missing; a request names it once.",
    ),
    Unfit.TOO_SLOW: (
        Code.REQUEST_TIMEOUT,
        "The request did not come to its end in time: it has a minute.",
    ),
    Unfit.TOO_MANY: (
        Code.TOO_MANY_CONNECTIONS,
        (
            "More connections are open from your address than it may have (the operator's "
            "admin.max_connections_per_address). Use open ones again; a proxy belongs in admin.trusted_proxies."
        ),
    ),
    Unfit.FAULT: (Code.INTERNAL_ERROR, "This is a fault of Tollhouse; its log has it."),
}


class Runner(web.AppRunner):
    """Serves the app within bounds."""

    def __init__(self, app: web.Application, settings: AdminSettings, shutdown_s: float) -> None:
        super().__init__(
            app,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_KEEPALIVE_S,
            shutdown_timeout=shutdown_s,
        )
        crowd = Crowd(
            settings.max_connections_per_address,
            Blocks.of(settings.trusted_proxies),
            lambda _begun: unread(Unfit.TOO_MANY),
        )
        self._bounds = Bounds(crowd, unread, _SLOW_READER_S)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return BoundedServer(
            made.request_handler,
            self._bounds,
            request_factory=made.request_factory,
            **self._kwargs,
        )


def unread(unfit: Unfit) -> bytes:
    """The whole answer, after which the connection is closed; it quotes nothing of what came."""
    code, message = _TOLD[unfit]
    status = HTTPStatus(STATUS[code])
    body = cast("bytes", decline(code, message).body)
    lines = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-request-id": uuid.uuid4().hex,
        "x-content-type-options": "nosniff",
        **EVERYWHERE,
        "server": "tollhouse",
        "connection": "close",
    }
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        lines["retry-after"] = "1"
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + body
