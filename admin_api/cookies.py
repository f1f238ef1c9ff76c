"""The session's cookie: one that browsers keep over https alone, or, where the operator says so, a plain one.

Over plain http from another machine browsers drop a `__Host-` cookie, and with it the session. `admin.insecure_http`
lets callers on private networks have one without `Secure`; nobody else, and nobody who comes over https.
"""

from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from admin_api.context import ADDRESS, SERVICES
from gateway.domain.network import is_private, parse_address

COOKIE: Final = "__Host-tollhouse"
PLAIN_COOKIE: Final = "tollhouse"

_FORWARDED: Final = ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded")


def may_be_plain(request: web.Request) -> bool:
    """Whether this caller's session may be in a plain cookie. In doubt it may not."""
    services = request.app[SERVICES]
    if not services.config.admin.insecure_http or ADDRESS not in request:
        return False
    return is_private(request[ADDRESS]) and not _is_https(request) and not _is_unclear(request)


def session_in(request: web.Request) -> str:
    """The session that the caller's cookie names; empty where there is none."""
    plain = request.cookies.get(PLAIN_COOKIE, "") if may_be_plain(request) else ""
    return plain or request.cookies.get(COOKIE, "")


def set_session(request: web.Request, response: web.Response, value: str, max_age_s: int) -> None:
    """Give the caller's browser the session; with an age of 0, take it away."""
    plain = may_be_plain(request)
    response.set_cookie(
        PLAIN_COOKIE if plain else COOKIE,
        value,
        max_age=max_age_s,
        path="/",
        secure=not plain,
        httponly=True,
        samesite="Lax",
    )


def _is_https(request: web.Request) -> bool:
    """Whether anything says so: whoever lies gets a stricter cookie than they need."""
    headers = request.headers
    told = headers.get("X-Forwarded-Proto", "").lower()
    told += headers.get("Forwarded", "").lower().replace('"', "").partition("proto=")[2]
    origin = urlsplit(headers.get("Origin", "")).scheme
    return request.secure or "https" in told or origin == "https"


def _is_unclear(request: web.Request) -> bool:
    """Whether a proxy that nobody trusts stands between: then the address may be the proxy's own."""
    told = (*_FORWARDED, request.app[SERVICES].config.admin.client_header)
    if not any(name in request.headers for name in told):
        return False
    return parse_address(request.remote or "") not in request.app[SERVICES].proxies
