"""The page that links in e-mails lead to: it asks before it does anything, since some mailboxes follow every link."""

from importlib.resources import files
from typing import Final

from aiohttp import web

from admin_api.status import PAGE_HEADERS

_CONSOLE = files("admin_api").joinpath("console")
_PAGE = _CONSOLE.joinpath("link.html").read_text(encoding="utf-8")
_SCRIPT = _CONSOLE.joinpath("link.js").read_text(encoding="utf-8")

_HEADERS: Final = PAGE_HEADERS | {
    "Content-Security-Policy": PAGE_HEADERS["Content-Security-Policy"]
    + "; script-src 'self'; connect-src 'self'",
    "Cache-Control": "no-store",
}


async def page(request: web.Request) -> web.Response:  # noqa: ARG001 -- a handler
    """GET /link: where links in e-mails lead to, for people."""
    return web.Response(text=_PAGE, content_type="text/html", headers=_HEADERS)


async def script(request: web.Request) -> web.Response:  # noqa: ARG001 -- a handler
    """GET /link.js: what that page does."""
    return web.Response(text=_SCRIPT, content_type="text/javascript", headers=_HEADERS)
