"""Every route with the permission that it asks for: the one table, of which areas have their own parts.

A route without a permission stops the start; so does one that was added past this table.
"""

from collections.abc import Iterable
from typing import Final

from aiohttp import web

from admin_api import (
    answers,
    bodies,
    describe,
    explain,
    explain_answers,
    log_answers,
    log_export,
    logs,
    queries,
    status,
    token_batches,
    token_secrets,
    tokens,
    usage,
)
from admin_api.answers import Nothing
from admin_api.auth import authenticate, authorize
from admin_api.catalog import routes as catalog
from admin_api.context import CALLER
from admin_api.envelope import Code
from admin_api.people import routes as people
from admin_api.route import Handler, Header, Media, Route
from admin_api.warnings import routes as warnings
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission

_ONE = r"/api/token/{id:[0-9]+}"
_CHANGES: Final = (Problem.GROUP_NOT_ALLOWED,)
_ONCE: Final = (Problem.IDEMPOTENCY_KEY_REUSED,)
_REVEALS: Final = (Problem.NOT_FOUND, Code.KEY_NOT_RECOVERABLE, Code.TOO_MANY_ATTEMPTS)
_HTML = Media(("text/html",))

# fmt: off
ROUTES: Final = (
    Route("GET", "/api/token", tokens.list_page, Permission.TOKEN_READ,
          answers.TokenPage, query=queries.ListQuery),
    Route("GET", "/api/token/search", tokens.list_page, Permission.TOKEN_READ,
          answers.TokenPage, query=queries.ListQuery),
    Route("POST", "/api/token", tokens.create, Permission.TOKEN_WRITE,
          answers.CreatedToken | answers.CreatedTokens, bodies.CreateBody,
          headers=(Header.IDEMPOTENCY_KEY,),
          declines=(*_CHANGES, Problem.NOT_FOUND, Problem.TOKEN_LIMIT_REACHED, *_ONCE)),
    Route("PUT", "/api/token", tokens.update_by_body, Permission.TOKEN_WRITE,
          answers.Token, bodies.PutBody, queries.UpdateQuery, (Header.IF_MATCH,),
          declines=(*_CHANGES, Problem.NOT_FOUND, Problem.VERSION_MISMATCH)),
    Route("POST", "/api/token/find", token_secrets.find, Permission.TOKEN_READ,
          answers.TokenWithSecrets, bodies.FindBody, declines=(Problem.NOT_FOUND,)),
    Route("POST", "/api/token/batch", token_batches.delete_batch, Permission.TOKEN_WRITE,
          int, bodies.IdsBody, declines=(Problem.NOT_FOUND,)),
    Route("POST", "/api/token/batch/status", token_batches.set_status, Permission.TOKEN_WRITE,
          int, bodies.BatchStatusBody, declines=(Problem.NOT_FOUND,)),
    Route("POST", "/api/token/batch/keys", token_secrets.reveal_many, Permission.TOKEN_REVEAL,
          answers.Keys, bodies.IdsBody, declines=_REVEALS),
    Route("GET", _ONE, tokens.show, Permission.TOKEN_READ, answers.TokenWithQuota),
    Route("GET", f"{_ONE}/reservations", tokens.list_reservations, Permission.TOKEN_READ,
          list[answers.Reservation]),
    Route("POST", f"{_ONE}/explain", explain.explain, Permission.TOKEN_READ,
          explain_answers.Explanation, bodies.ExplainBody),
    Route("PATCH", _ONE, tokens.update_by_path, Permission.TOKEN_WRITE,
          answers.Token, bodies.UpdateBody, queries.UpdateQuery, (Header.IF_MATCH,),
          declines=(*_CHANGES, Problem.VERSION_MISMATCH)),
    Route("DELETE", _ONE, tokens.delete, Permission.TOKEN_WRITE,
          Nothing, headers=(Header.IF_MATCH,), declines=(Problem.VERSION_MISMATCH,)),
    Route("POST", f"{_ONE}/rotate", token_secrets.rotate, Permission.TOKEN_WRITE,
          answers.RotatedToken, bodies.RotateBody, headers=(Header.IF_MATCH, Header.IDEMPOTENCY_KEY),
          declines=(Problem.VERSION_MISMATCH, Problem.TOO_MANY_SECRETS, *_ONCE)),
    Route("DELETE", f"{_ONE}/rotate", token_secrets.stop_overlap, Permission.TOKEN_WRITE,
          answers.TokenWithSecrets, headers=(Header.IF_MATCH,), declines=(Problem.VERSION_MISMATCH,)),
    Route("POST", f"{_ONE}/key", token_secrets.reveal_one, Permission.TOKEN_REVEAL,
          answers.Key, declines=_REVEALS),
    Route("GET", f"{_ONE}/usage", usage.of_token, Permission.TOKEN_READ,
          log_answers.TokenUsage, query=queries.SeriesQuery),
    Route("GET", "/api/usage", logs.show_usage, Permission.TOKEN_READ,
          log_answers.Usage, query=queries.CallSeriesQuery),
    Route("GET", "/api/log", logs.list_calls, Permission.TOKEN_READ,
          log_answers.CallPart, query=queries.CallListQuery),
    Route("GET", "/api/log/self", logs.list_own, Permission.TOKEN_READ,
          log_answers.OwnCallPart, query=queries.CallListQuery),
    Route("GET", "/api/log/export", log_export.export, Permission.TOKEN_READ,
          Media(("text/csv", "application/jsonl")), query=queries.ExportQuery),
    Route("GET", "/api/log/stat", logs.sum_up, Permission.TOKEN_READ,
          log_answers.Pace, query=queries.CallQuery),
    Route("GET", "/api/log/self/stat", logs.sum_up, Permission.TOKEN_READ,
          log_answers.Pace, query=queries.CallQuery),
    *people.ROUTES,
    *warnings.ROUTES,
    *catalog.ROUTES,
    Route("GET", "/api/status", status.status, Permission.PUBLIC, answers.Installation),
    Route("GET", "/api/openapi.json", describe.document, Permission.PUBLIC,
          Media(("application/json",))),
    Route("GET", "/api/docs", describe.page, Permission.PUBLIC, _HTML),
    Route("GET", "/healthz", status.healthz, Permission.PUBLIC, Nothing),
    Route("GET", "/readyz", status.readyz, Permission.PUBLIC, Nothing,
          declines=(Code.STORE_UNAVAILABLE,)),
    Route("GET", "/console.css", status.style, Permission.PUBLIC, Media(("text/css",))),
    Route("GET", "/", status.page, Permission.PUBLIC, _HTML),
)
# fmt: on


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
