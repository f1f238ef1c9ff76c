"""Every route with the permission that it asks for: the one table, of which areas have their own parts.

A route without a permission stops the start; so does one that was added past this table.
"""

import functools
from collections.abc import Iterable
from typing import Final

from aiohttp import web

from admin_api import answers, describe, status
from admin_api.answers import Nothing
from admin_api.auth import authenticate, authorize
from admin_api.catalog import routes as catalog
from admin_api.console import routes as console
from admin_api.context import CALLER
from admin_api.envelope import Code
from admin_api.logs import routes as logs
from admin_api.people import link_routes as people_links
from admin_api.people import routes as people
from admin_api.route import Handler, Media, Route
from admin_api.state import routes as state
from admin_api.tokens import routes as tokens
from admin_api.wallets import routes as wallets
from admin_api.warnings import routes as warnings
from gateway.domain.roles import Permission

_HTML = Media(("text/html",))

# fmt: off
ROUTES: Final = (
    *tokens.ROUTES,
    *logs.ROUTES,
    *people.ROUTES,
    *warnings.ROUTES,
    *wallets.ROUTES,
    *people_links.ROUTES,
    *catalog.ROUTES,
    *state.ROUTES,
    Route("GET", "/api/status", status.status, Permission.PUBLIC, answers.Installation),
    Route("GET", "/api/openapi.json", describe.document, Permission.PUBLIC,
          Media(("application/json",))),
    Route("GET", "/api/docs", describe.page, Permission.PUBLIC, _HTML),
    Route("GET", "/healthz", status.healthz, Permission.PUBLIC, Nothing),
    Route("GET", "/readyz", status.readyz, Permission.PUBLIC, Nothing,
          declines=(Code.STORE_UNAVAILABLE,)),
    *console.ROUTES,
)
# fmt: on


def add_routes(app: web.Application, routes: Iterable[Route] = ROUTES) -> None:
    """Register the table. Raises `RuntimeError` for a route without a permission."""
    resources = _resources(tuple(routes))
    for resource in resources:
        app.router.register_resource(resource)
    declared = {route for resource in resources for route in resource}
    if strays := [route for route in app.router.routes() if route not in declared]:
        raise RuntimeError(f"routes that stand in no table: {strays}")


@functools.cache
def _resources(routes: tuple[Route, ...]) -> tuple[web.AbstractResource, ...]:
    """What the table is to aiohttp. It knows of no application: those of one process have the same."""
    router = web.UrlDispatcher()
    for route in routes:
        if route.permission is None:
            raise RuntimeError(f"{route.method} {route.path} declares no permission")
        handler = _guarded(route.handler, route.permission)
        for path in {route.path, route.path.rstrip("/") + "/"}:
            resource = router.add_resource(path)
            resource.add_route(route.method, handler)
            if route.method == "GET":
                resource.add_route("HEAD", handler)
    return tuple(router.resources())


def _guarded(handler: Handler, permission: Permission) -> Handler:
    if permission is Permission.PUBLIC:
        return handler

    async def guarded(request: web.Request) -> web.StreamResponse:
        request[CALLER] = await authenticate(request)
        authorize(request[CALLER], permission)
        return await handler(request)

    return guarded
