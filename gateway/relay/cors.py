"""Calls of browsers from other origins (https://fetch.spec.whatwg.org/#http-cors-protocol), as providers allow them.

A key travels in a header, never in a cookie: so any origin may call, and none with credentials.
"""

from gateway.relay.request import Request

ANSWER_LINES = (
    b"access-control-allow-origin: *\r\n"
    b"access-control-expose-headers: *, x-request-id, retry-after, retry-after-ms, x-should-retry, "
    b"x-upstream-request-id, x-tollhouse-max-output-tokens, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens\r\n"
)
_PREFLIGHT = (
    b"HTTP/1.1 204 No Content\r\naccess-control-allow-origin: *\r\n"
    b"access-control-allow-methods: GET, POST, PUT, PATCH, DELETE\r\n%baccess-control-max-age: 7200\r\n"
    b"vary: access-control-request-headers\r\n\r\n"
)


def is_preflight(request: Request) -> bool:
    """Whether a browser asks what it may send: before the call, and without a key."""
    headers = request.headers
    return "origin" in headers and "access-control-request-method" in headers


def preflight(request: Request) -> bytes:
    """The whole answer to that: whatever it wants to send."""
    wanted = request.headers.get("access-control-request-headers")
    allowed = f"access-control-allow-headers: {wanted}\r\n" if wanted else ""
    return _PREFLIGHT % allowed.encode("utf-8", "surrogateescape")
