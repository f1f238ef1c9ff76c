"""How every request is answered, whatever happens: with an id, the headers that all answers have, and a log line.

It is the one place where errors are answered.
"""

import logging
import time
import uuid

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from admin_api import record
from admin_api.auth import find_address
from admin_api.bodies import MAX_BODY_BYTES
from admin_api.context import REQUEST_ID, SERVICES
from admin_api.envelope import CODE, Code, Declined, decline
from gateway.domain.errors import StoreUnavailable
from gateway.domain.rejection import Rejected

_log = logging.getLogger(__name__)

# What is no page runs nothing, is framed nowhere and tells no other site where it was read.
EVERYWHERE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_HTTP_CODES = {
    404: (
        Code.UNKNOWN_URL,
        "There is nothing at this address; the token API is at /api/token/, and /api/docs tells more.",
    ),
    405: (
        Code.METHOD_NOT_ALLOWED,
        "This address does not take this method; Allow names those it takes.",
    ),
    413: (Code.BODY_TOO_LARGE, f"The body may be {MAX_BODY_BYTES} bytes at most."),
}


def answer_everything(write_line: record.Write) -> Middleware:
    """The middleware around every handler, and around the router."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        """An id, an answer and a log line for every request, whatever happens."""
        begun = time.perf_counter()
        request[REQUEST_ID] = uuid.uuid4().hex
        find_address(request, request.app[SERVICES])
        response = await _answered(request, handler)
        code = response.get(CODE)
        write_line(record.line(request, response.status, code, time.perf_counter() - begun))
        return response

    return answer


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer has, streamed ones too: it is called before their heads are sent."""
    response.headers["X-Request-Id"] = request[REQUEST_ID]
    response.headers["X-Content-Type-Options"] = "nosniff"
    for name, value in EVERYWHERE.items():
        response.headers.setdefault(name, value)
    if request.app[SERVICES].config.admin.public_url.startswith("https:"):
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    response.headers["Server"] = "tollhouse"  # else aiohttp tells its own and Python's versions


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Declined as declined:
        return decline(declined.code, declined.message, declined.headers)
    except Rejected as rejected:
        return decline(rejected.problem, rejected.message, mistakes=rejected.mistakes)
    except StoreUnavailable as error:
        _log.warning("store unavailable: %s", error)
        message = "The database does not answer; nothing is known to have changed. Try again."
        return decline(Code.STORE_UNAVAILABLE, message, {"Retry-After": "1"})
    except web.HTTPException as error:
        return _of_aiohttp(error)
    except Exception:  # noqa: BLE001 -- the only one of this process; logged with its traceback
        _log.exception("request %s failed", request[REQUEST_ID])
        message = f"This is a fault of Tollhouse; its log has it under {request[REQUEST_ID]}."
        return decline(Code.INTERNAL_ERROR, message)


def _of_aiohttp(error: web.HTTPException) -> web.StreamResponse:
    """What aiohttp's router and body reader raise, in our form."""
    code, message = _HTTP_CODES.get(error.status, (Code.INVALID_REQUEST, error.reason))
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return decline(code, message, allow)
