"""One line per request: JSON, where `log.access` says. No bodies, no query strings, no secrets."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

from aiohttp import web

from admin_api.context import ADDRESS, CALLER, REQUEST_ID
from admin_api.envelope import json_bytes
from gateway.domain.redaction import redact

Write = Callable[[str], object]


def access_log(target: str) -> AbstractContextManager[TextIO]:
    """Where lines go: `-` is standard output, else a file that is appended to."""
    if target == "-":
        return nullcontext(sys.stdout)
    return Path(target).open("a", encoding="utf-8", buffering=1)


def line(request: web.Request, status: int, code: str | None, duration_s: float) -> str:
    """The line of a request that was answered."""
    caller, address = request.get(CALLER), request.get(ADDRESS)
    document = {
        "ts": round(time.time(), 3),
        "app": "admin",
        "request_id": request[REQUEST_ID],
        "method": request.method,
        "path": request.path,
        "status": status,
        "code": code,
        "duration_ms": round(duration_s * 1000, 1),
        "user_id": None if caller is None else caller.user.id,
        "address": None if address is None else address.text,
    }
    return redact(json_bytes(document).decode()) + "\n"
