"""The API's own description: the document for programs, and the page for people."""

import functools
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from admin_api.console.files import CONSOLE
from admin_api.console.handlers import PAGE_HEADERS
from admin_api.context import SERVICES
from admin_api.envelope import json_bytes
from admin_api.openapi import document_of
from admin_api.page import page_of
from admin_api.route import Route
from admin_api.status import base_urls
from gateway import __version__

DOCUMENT: Final = web.AppKey("document", bytes)
PAGE: Final = web.AppKey("page", str)


def describe(app: web.Application, routes: tuple[Route, ...]) -> None:
    """Make both once, from the table of routes."""
    _, admin_url = base_urls(app[SERVICES].config)
    app[DOCUMENT], app[PAGE] = _document_bytes(routes), _page(routes, admin_url)


@functools.cache
def _document(routes: tuple[Route, ...]) -> Mapping[str, Any]:
    # It depends on nothing else: of the applications of one process each may have the same.
    return document_of(routes, __version__)


@functools.cache
def _document_bytes(routes: tuple[Route, ...]) -> bytes:
    return json_bytes(_document(routes))


@functools.cache
def _page(routes: tuple[Route, ...], admin_url: str) -> str:
    return page_of(_document(routes), admin_url, CONSOLE.address("plain.css"))


async def document(request: web.Request) -> web.Response:
    """GET /api/openapi.json: this API in OpenAPI 3.1, for programs."""
    return web.Response(body=request.app[DOCUMENT], content_type="application/json")


async def page(request: web.Request) -> web.Response:
    """GET /api/docs: the same for people, as a page."""
    return web.Response(text=request.app[PAGE], content_type="text/html", headers=PAGE_HEADERS)
