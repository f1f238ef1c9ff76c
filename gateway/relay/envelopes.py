"""The one table of refusals: a row per reason, a column per dialect. The only home of status codes and error bodies.

Shapes: https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors,
https://ai.google.dev/gemini-api/docs/troubleshooting
"""

from dataclasses import dataclass
from http import HTTPStatus

import orjson

from gateway.domain.catalog import Dialect
from gateway.domain.errors import Reason, Refusal


@dataclass(frozen=True, slots=True)
class Wire:
    """How a reason is told: the HTTP status, and each dialect's own type. `retry` None says nothing about it."""

    status: int
    openai: str
    anthropic: str
    gemini: str
    retry: bool | None = None


_I, _A, _P, _R = (
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "rate_limit_error",
)

# fmt: off
WIRE: dict[Reason, Wire] = {
    Reason.INVALID_REQUEST:        Wire(400, _I, _I, "INVALID_ARGUMENT"),
    Reason.UNSUPPORTED_PARAMETER:  Wire(400, _I, _I, "INVALID_ARGUMENT"),
    Reason.MODEL_NOT_PRICED:       Wire(400, _I, _I, "FAILED_PRECONDITION"),
    Reason.INVALID_API_KEY:        Wire(401, _I, _A, "UNAUTHENTICATED"),
    Reason.KEY_DISABLED:           Wire(401, _I, _A, "UNAUTHENTICATED"),
    Reason.KEY_EXPIRED:            Wire(401, _I, _A, "UNAUTHENTICATED"),
    Reason.ACCOUNT_DISABLED:       Wire(403, _P, _P, "PERMISSION_DENIED"),
    Reason.EMAIL_NOT_VERIFIED:     Wire(403, _P, _P, "PERMISSION_DENIED"),
    Reason.IP_NOT_ALLOWED:         Wire(403, _P, _P, "PERMISSION_DENIED"),
    Reason.MODEL_NOT_ALLOWED:      Wire(403, _P, _P, "PERMISSION_DENIED"),
    Reason.GROUP_NOT_ALLOWED:      Wire(403, _P, _P, "PERMISSION_DENIED"),
    Reason.ROUTE_NOT_METERED:      Wire(403, _P, _P, "PERMISSION_DENIED"),
    Reason.UNKNOWN_URL:            Wire(404, _I, "not_found_error", "NOT_FOUND"),
    Reason.MODEL_NOT_FOUND:        Wire(404, _I, "not_found_error", "NOT_FOUND"),
    Reason.OBJECT_NOT_FOUND:       Wire(404, _I, "not_found_error", "NOT_FOUND"),
    Reason.METHOD_NOT_ALLOWED:     Wire(405, _I, _I, "INVALID_ARGUMENT"),
    Reason.REQUEST_TIMEOUT:        Wire(408, _I, _I, "DEADLINE_EXCEEDED"),
    Reason.BODY_TOO_LARGE:         Wire(413, _I, "request_too_large", "INVALID_ARGUMENT"),
    Reason.UNSUPPORTED_MEDIA_TYPE: Wire(415, _I, _I, "INVALID_ARGUMENT"),
    Reason.RATE_LIMIT_EXCEEDED:    Wire(429, _R, _R, "RESOURCE_EXHAUSTED"),
    Reason.CONCURRENCY_EXCEEDED:   Wire(429, _R, _R, "RESOURCE_EXHAUSTED"),
    Reason.TOO_MANY_CONNECTIONS:   Wire(429, _R, _R, "RESOURCE_EXHAUSTED"),
    Reason.QUOTA_RESERVED:         Wire(429, _R, _R, "RESOURCE_EXHAUSTED"),
    Reason.INSUFFICIENT_QUOTA:     Wire(429, "insufficient_quota", _R, "RESOURCE_EXHAUSTED", retry=False),
    Reason.INTERNAL_ERROR:         Wire(500, "server_error", "api_error", "INTERNAL"),
    Reason.UPSTREAM_ERROR:         Wire(502, "server_error", "api_error", "UNAVAILABLE"),
    Reason.UPSTREAM_UNAVAILABLE:   Wire(502, "server_error", "api_error", "UNAVAILABLE"),
    Reason.UPSTREAM_BUSY:          Wire(503, "service_unavailable_error", "overloaded_error", "UNAVAILABLE"),
    Reason.QUOTA_UNAVAILABLE:      Wire(503, "service_unavailable_error", "overloaded_error", "UNAVAILABLE"),
    Reason.KEY_STORE_UNAVAILABLE:  Wire(503, "service_unavailable_error", "overloaded_error", "UNAVAILABLE"),
    Reason.OVERLOADED:             Wire(503, "service_unavailable_error", "overloaded_error", "UNAVAILABLE"),
    Reason.SHUTTING_DOWN:          Wire(503, "service_unavailable_error", "overloaded_error", "UNAVAILABLE"),
    Reason.UPSTREAM_TIMEOUT:       Wire(504, "server_error", "timeout_error", "DEADLINE_EXCEEDED"),
}
# fmt: on


def status_of(refusal: Refusal, exhausted_status: int = 429) -> int:
    """The HTTP status of a refusal; `exhausted_status` is the operator's choice of 429 or 402."""
    if refusal.reason is Reason.INSUFFICIENT_QUOTA:
        return exhausted_status
    return WIRE[refusal.reason].status


def body_of(refusal: Refusal, dialect: Dialect, request_id: str) -> bytes:
    """The error body in the caller's dialect."""
    return orjson.dumps(_RENDER[dialect](refusal, request_id))


def event_of(refusal: Refusal, dialect: Dialect, request_id: str) -> bytes:
    """The error as the last event of a stream that cannot be finished; no terminator follows it."""
    name = b"event: error\n" if dialect == "anthropic" else b""
    return b"%bdata: %b\n\n" % (name, body_of(refusal, dialect, request_id))


def headers_of(refusal: Refusal) -> bytes:
    """What a refusal adds to the head of its answer."""
    lines = []
    retry = WIRE[refusal.reason].retry
    if retry is not None:
        lines.append(b"x-should-retry: true\r\n" if retry else b"x-should-retry: false\r\n")
    if refusal.retry_after_s is not None:
        milliseconds = max(1, round(refusal.retry_after_s * 1000))
        lines.append(b"retry-after: %d\r\n" % -(-milliseconds // 1000))
        lines.append(b"retry-after-ms: %d\r\n" % milliseconds)
    if refusal.reason is Reason.METHOD_NOT_ALLOWED:
        lines.append(b"allow: %b\r\n" % str(refusal.details["allow"]).encode())
    if WIRE[refusal.reason].status == HTTPStatus.UNAUTHORIZED:
        lines.append(b'www-authenticate: Bearer realm="tollhouse"\r\n')
    return b"".join(lines)


def _openai(refusal: Refusal, request_id: str) -> dict[str, object]:
    error: dict[str, object] = {
        "message": refusal.message,
        "type": WIRE[refusal.reason].openai,
        "param": refusal.param,
        "code": refusal.reason.value,
        "request_id": request_id,
    }
    if refusal.scope is not None:
        error["scope"] = refusal.scope
    if refusal.details:
        error["details"] = refusal.details
    return {"error": error}


def _anthropic(refusal: Refusal, request_id: str) -> dict[str, object]:
    error = {"type": WIRE[refusal.reason].anthropic, "message": refusal.message}
    return {"type": "error", "error": error, "request_id": request_id}


def _gemini(refusal: Refusal, request_id: str) -> dict[str, object]:
    wire = WIRE[refusal.reason]
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": refusal.reason.value.upper(),
        "metadata": {"request_id": request_id},
    }
    return {
        "error": {
            "code": wire.status,
            "message": refusal.message,
            "status": wire.gemini,
            "details": [info],
        }
    }


_RENDER = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}
