"""Every route with the permission that it asks for: the one table.

A route without a permission stops the start; so does one that was added past this table.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from aiohttp import web

from admin_api import (
    log_export,
    logs,
    status,
    token_batches,
    token_secrets,
    tokens,
    usage,
    users,
)
from admin_api.auth import authenticate, authorize
from admin_api.context import CALLER, Permission

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """A path is answered with and without a slash at its end, without redirect."""

    method: str
    path: str
    handler: Handler
    permission: Permission | None


ROUTES: Final = (
    Route("GET", "/api/token", tokens.list_page, Permission.TOKEN_READ),
    Route("GET", "/api/token/search", tokens.list_page, Permission.TOKEN_READ),
    Route("POST", "/api/token", tokens.create, Permission.TOKEN_WRITE),
    Route("PUT", "/api/token", tokens.update_by_body, Permission.TOKEN_WRITE),
    Route("POST", "/api/token/find", token_secrets.find, Permission.TOKEN_READ),
    Route("POST", "/api/token/batch", token_batches.delete_batch, Permission.TOKEN_WRITE),
    Route("POST", "/api/token/batch/status", token_batches.set_status, Permission.TOKEN_WRITE),
    Route("POST", "/api/token/batch/keys", token_secrets.reveal_many, Permission.TOKEN_REVEAL),
    Route("GET", r"/api/token/{id:[0-9]+}", tokens.show, Permission.TOKEN_READ),
    Route(
        "GET",
        r"/api/token/{id:[0-9]+}/reservations",
        tokens.list_reservations,
        Permission.TOKEN_READ,
    ),
    Route("PATCH", r"/api/token/{id:[0-9]+}", tokens.update_by_path, Permission.TOKEN_WRITE),
    Route("DELETE", r"/api/token/{id:[0-9]+}", tokens.delete, Permission.TOKEN_WRITE),
    Route("POST", r"/api/token/{id:[0-9]+}/rotate", token_secrets.rotate, Permission.TOKEN_WRITE),
    Route(
        "DELETE",
        r"/api/token/{id:[0-9]+}/rotate",
        token_secrets.stop_overlap,
        Permission.TOKEN_WRITE,
    ),
    Route("POST", r"/api/token/{id:[0-9]+}/key", token_secrets.reveal_one, Permission.TOKEN_REVEAL),
    Route("GET", r"/api/token/{id:[0-9]+}/usage", usage.of_token, Permission.TOKEN_READ),
    Route("GET", "/api/usage", logs.show_usage, Permission.TOKEN_READ),
    Route("GET", "/api/log", logs.list_calls, Permission.TOKEN_READ),
    Route("GET", "/api/log/self", logs.list_own, Permission.TOKEN_READ),
    Route("GET", "/api/log/export", log_export.export, Permission.TOKEN_READ),
    Route("GET", "/api/log/stat", logs.sum_up, Permission.TOKEN_READ),
    Route("GET", "/api/log/self/stat", logs.sum_up, Permission.TOKEN_READ),
    Route("POST", "/api/user/login", users.login, Permission.PUBLIC),
    Route("POST", "/api/user/logout", users.logout, Permission.SELF),
    Route("GET", "/api/user/self", users.show_self, Permission.SELF),
    Route("PUT", "/api/user/self", users.update_self, Permission.SELF),
    Route("GET", "/api/status", status.status, Permission.PUBLIC),
    Route("GET", "/healthz", status.healthz, Permission.PUBLIC),
    Route("GET", "/readyz", status.readyz, Permission.PUBLIC),
    Route("GET", "/console.css", status.style, Permission.PUBLIC),
    Route("GET", "/", status.page, Permission.PUBLIC),
)


def add_routes(app: web.Application, routes: Iterable[Route] = ROUTES) -> None:
    """Register the table. Raises `RuntimeError` for a route without a permission."""
    declared = set()
    for route in routes:
        if route.permission is None:
            raise RuntimeError(f"{route.method} {route.path} declares no permission")
        handler = _guarded(route.handler, route.permission)
        for path in {route.path, route.path.rstrip("/") + "/"}:
            resource = app.router.add_resource(path)
            declared.add(resource.add_route(route.method, handler))
            if route.method == "GET":
                declared.add(resource.add_route("HEAD", handler))
    if strays := [route for route in app.router.routes() if route not in declared]:
        raise RuntimeError(f"routes that stand in no table: {strays}")


def _guarded(handler: Handler, permission: Permission) -> Handler:
    if permission is Permission.PUBLIC:
        return handler

    async def guarded(request: web.Request) -> web.StreamResponse:
        request[CALLER] = await authenticate(request)
        authorize(request[CALLER], permission)
        return await handler(request)

    return guarded
