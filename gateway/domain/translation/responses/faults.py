"""OpenAI's errors, of an upstream read. Pure. https://platform.openai.com/docs/guides/error-codes."""

import msgspec

from gateway.domain.translation.answers import Fault, FaultKind
from gateway.domain.translation.faults import bare, kind_of
from gateway.domain.translation.responses.answers_in import Error

_BY_CODE: dict[str, FaultKind] = {
    "server_error": "internal",
    "rate_limit_exceeded": "rate_limit",
    "insufficient_quota": "rate_limit",
    "invalid_prompt": "invalid_request",
    "invalid_request_error": "invalid_request",
    "context_length_exceeded": "invalid_request",
    "model_not_found": "not_found",
    "invalid_api_key": "authentication",
    "authentication_error": "authentication",
    "permission_error": "permission",
    "rate_limit_error": "rate_limit",
    "service_unavailable_error": "overloaded",
}


class _Body(msgspec.Struct):
    error: Error


_decode = msgspec.json.Decoder(_Body).decode


def read_fault(status: int, body: bytes) -> Fault:
    """An error of an upstream; of a body that is none of its dialect's, what the status says."""
    try:
        error = _decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bare(status)
    message = error.message or bare(status).message
    return Fault(kind_of(status), message, _code(error), error.param or "")


def fault_of(error: Error) -> Fault:
    """The fault that an error in the middle of a stream tells."""
    code = _code(error)
    kind = _BY_CODE.get(code) or _BY_CODE.get(error.type or "") or "internal"
    return Fault(kind, error.message or "The upstream failed.", code, error.param or "")


def _code(error: Error) -> str:
    return "" if error.code is None else str(error.code)
