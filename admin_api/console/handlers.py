"""Handlers of the console's pages and files: the same for everybody, so they need no caller."""

from html import escape
from typing import Final

from aiohttp import web

from admin_api.console.files import CONSOLE
from admin_api.context import SERVICES
from admin_api.envelope import CODE, STATUS, Code, Declined
from gateway.domain.rejection import Problem

PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
}

# A picture may have styles of its own, and nothing else: opened by itself it runs nothing and loads nothing.
_PICTURE_HEADERS: Final = PAGE_HEADERS | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; "
    "frame-ancestors 'none'",
    "Cache-Control": "public, max-age=86400",
}

_INDEX = CONSOLE.page("index.html")


async def page(request: web.Request) -> web.Response:  # noqa: ARG001 -- a handler
    """GET /: the console, for people."""
    headers = PAGE_HEADERS | {"Cache-Control": "no-cache"}
    return web.Response(text=_INDEX, content_type="text/html", headers=headers)


async def link(request: web.Request) -> web.Response:  # noqa: ARG001 -- a handler
    """GET /link: where links in e-mails lead to, for people.

    It is the console, which asks before it does anything, since some mailboxes follow every link.
    """
    headers = PAGE_HEADERS | {"Cache-Control": "no-store"}
    return web.Response(text=_INDEX, content_type="text/html", headers=headers)


def page_after(code: Code | Problem, message: str) -> web.Response:
    """The console for somebody whose browser was led here and refused: it says why before anything else."""
    why = f'<meta name="refused" content="{escape(code)}" data-message="{escape(message)}">'
    response = web.Response(
        text=_INDEX.replace("</head>", f"{why}\n</head>"),
        status=STATUS[code],
        content_type="text/html",
        headers=PAGE_HEADERS | {"Cache-Control": "no-store"},
    )
    response[CODE] = str(code)
    return response


async def file(request: web.Request) -> web.Response:
    """GET /console/{release}/{path}: what the console is made of; `/` names the release."""
    found = CONSOLE.files.get(request.match_info["path"])
    if found is None or request.match_info["release"] != CONSOLE.release:
        raise Declined(
            Code.UNKNOWN_URL, "The console has no such file (any more): reload its page."
        )
    headers = PAGE_HEADERS | {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }
    body = found.content
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = found.compressed
    return web.Response(
        body=body, content_type=found.content_type, charset="utf-8", headers=headers
    )


async def logo(request: web.Request) -> web.Response:
    """GET /console/logo: the operator's logo, where they have set one."""
    found = request.app[SERVICES].logo
    if found is None:
        raise Declined(Code.UNKNOWN_URL, "This installation has no logo (console.logo).")
    return web.Response(
        body=found.content, content_type=found.content_type, headers=_PICTURE_HEADERS
    )
