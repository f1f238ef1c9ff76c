"""Gemini's errors: of an upstream read, for a caller written. Pure.

https://ai.google.dev/gemini-api/docs/troubleshooting and https://google.aip.dev/193
"""

from http import HTTPStatus
from typing import Any

import msgspec
import orjson

from gateway.domain.translation.answers import Fault, FaultKind
from gateway.domain.translation.faults import bare, kind_of


class _Violation(msgspec.Struct):
    field: str = ""


class _Detail(msgspec.Struct, rename="camel"):
    """Of `ErrorInfo` the reason, of `BadRequest` the violations."""

    reason: str = ""
    field_violations: list[_Violation] = []


class Error(msgspec.Struct):
    """What stands in the member `error` of an answer or of a stream's event."""

    code: int = 0
    message: str = ""
    status: str = ""
    details: list[_Detail] = []


class _Body(msgspec.Struct):
    error: Error


# A stream that is no SSE stream is a list, of errors as well.
_decode = msgspec.json.Decoder(_Body | list[_Body]).decode
_BY_STATUS: dict[str, FaultKind] = {
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "invalid_request",
    "OUT_OF_RANGE": "invalid_request",
    "UNIMPLEMENTED": "invalid_request",
    "UNAUTHENTICATED": "authentication",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "not_found",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
    "INTERNAL": "internal",
}
# A key that is none is answered with 400 and INVALID_ARGUMENT; only its reason tells it from a bad body.
_NO_KEY = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED"})
_WRITTEN: dict[FaultKind, tuple[int, str]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "authentication": (401, "UNAUTHENTICATED"),
    "permission": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "overloaded": (503, "UNAVAILABLE"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
    "internal": (500, "INTERNAL"),
}


def read_fault(status: int, body: bytes) -> Fault:
    """An error of an upstream; of a body that is none of its dialect's, what the status says."""
    try:
        found: Any = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bare(status)
    bodies = found if isinstance(found, list) else [found]
    return fault_of(bodies[0].error if bodies else Error(), status)


def fault_of(error: Error, status: int = 0) -> Fault:
    """The fault that an `error` tells; `status` is HTTP's, where there is one."""
    reason = next((detail.reason for detail in error.details if detail.reason), "")
    field = next(
        (each.field for detail in error.details for each in detail.field_violations if each.field),
        "",
    )
    code = status or error.code
    kind = _BY_STATUS.get(error.status) or kind_of(code)
    if reason in _NO_KEY:
        kind = "authentication"
    elif code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        kind = "too_large"
    return Fault(kind, error.message or bare(code).message, reason or error.status, field)


def write_fault(fault: Fault) -> bytes:
    """The event that ends a stream in its middle."""
    code, status = _WRITTEN[fault.kind]
    error = {"error": {"code": code, "message": fault.message, "status": status}}
    return b"data: %b\n\n" % orjson.dumps(error)
