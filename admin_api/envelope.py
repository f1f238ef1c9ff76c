"""The one form of every answer, and the one home of status codes.

`{"success": bool, "message": str, "code"?: str, "errors"?: […], "data"?: …}` with real HTTP status codes; success
is 200 with an empty message, also where something was made.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import orjson
from aiohttp import web

from gateway.domain.rejection import Mistake, Problem


class Code(StrEnum):
    """Why a call was declined before the store was asked to change anything."""

    NOT_AUTHENTICATED = "not_authenticated"
    INVALID_ACCESS_TOKEN = "invalid_access_token"  # noqa: S105 -- a code
    MODEL_KEY_NOT_ACCEPTED = "model_key_not_accepted"
    USER_MISMATCH = "user_mismatch"
    INVALID_LOGIN = "invalid_login"
    USER_DISABLED = "user_disabled"
    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    FORBIDDEN = "forbidden"
    CROSS_SITE = "cross_site"
    PASSWORD_CHANGE_REQUIRED = "password_change_required"  # noqa: S105 -- a code
    UNKNOWN_URL = "unknown_url"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    INVALID_JSON = "invalid_json"
    REQUEST_TIMEOUT = "request_timeout"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    KEY_NOT_RECOVERABLE = "key_not_recoverable"
    EMAIL_NOT_VERIFIED = "email_not_verified"
    REGISTRATION_CLOSED = "registration_closed"
    INVALID_LINK = "invalid_link"
    INVALID_INVITE = "invalid_invite"
    MAIL_NOT_SET_UP = "mail_not_set_up"
    SIGN_IN_NOT_SET_UP = "sign_in_not_set_up"
    SIGN_IN_FAILED = "sign_in_failed"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    GATEWAY_UNAVAILABLE = "gateway_unavailable"
    INVALID_REQUEST = "invalid_request"
    STORE_UNAVAILABLE = "store_unavailable"
    INTERNAL_ERROR = "internal_error"


STATUS: Final[Mapping[Code | Problem, int]] = {
    Code.NOT_AUTHENTICATED: 401,
    Code.INVALID_ACCESS_TOKEN: 401,
    Code.MODEL_KEY_NOT_ACCEPTED: 401,
    Code.USER_MISMATCH: 401,
    Code.INVALID_LOGIN: 401,
    Code.USER_DISABLED: 403,
    Code.ADDRESS_NOT_ALLOWED: 403,
    Code.FORBIDDEN: 403,
    Code.CROSS_SITE: 403,
    Code.PASSWORD_CHANGE_REQUIRED: 403,
    Code.UNKNOWN_URL: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.INVALID_JSON: 400,
    Code.REQUEST_TIMEOUT: 408,
    Code.BODY_TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.TOO_MANY_ATTEMPTS: 429,
    Code.TOO_MANY_CONNECTIONS: 429,
    Code.KEY_NOT_RECOVERABLE: 410,
    Code.EMAIL_NOT_VERIFIED: 403,
    Code.REGISTRATION_CLOSED: 403,
    Code.INVALID_LINK: 410,
    Code.INVALID_INVITE: 410,
    Code.MAIL_NOT_SET_UP: 409,
    Code.SIGN_IN_NOT_SET_UP: 409,
    Code.SIGN_IN_FAILED: 403,
    Code.PROVIDER_UNAVAILABLE: 503,
    Code.GATEWAY_UNAVAILABLE: 502,
    Code.INVALID_REQUEST: 400,
    Code.STORE_UNAVAILABLE: 503,
    Code.INTERNAL_ERROR: 500,
    Problem.INVALID_FIELD: 422,
    Problem.NOT_FOUND: 404,
    Problem.GROUP_NOT_ALLOWED: 403,
    Problem.VERSION_MISMATCH: 412,
    Problem.TOKEN_LIMIT_REACHED: 409,
    Problem.TOO_MANY_SECRETS: 409,
    Problem.IDEMPOTENCY_KEY_REUSED: 422,
    Problem.NAME_TAKEN: 409,
    Problem.EMAIL_TAKEN: 409,
    Problem.ROLE_NOT_ALLOWED: 403,
    Problem.LAST_OWNER: 409,
    Problem.IN_USE: 409,
    Problem.READ_ONLY: 409,
    Problem.WRONG_PASSWORD: 403,
    Problem.MEMBER_ROLE_REQUIRED: 403,
    Problem.ALREADY_MEMBER: 409,
    Problem.REFERENCE_REUSED: 409,
    Problem.CODE_NOT_USABLE: 409,
}
"""A row per code; a test walks both enums."""

CODE: Final = web.ResponseKey("code", str)
"""The code of an answer that declines, for the log line."""

_SAVED_UNTOLD: Final = (
    "Saved, but the quota store could not be told: running gateways obey within 10 seconds."
)


class Declined(Exception):
    """A call that is not carried out. `message` names rule and remedy."""

    def __init__(self, code: Code, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        super().__init__(message)


def too_many(what: str, retry_after_s: float) -> Declined:
    """What is told of a call that comes too soon."""
    seconds = int(retry_after_s) + 1
    message = f"Too many {what}; try again in {seconds} s."
    return Declined(Code.TOO_MANY_ATTEMPTS, message, {"Retry-After": str(seconds)})


def json_bytes(value: Any) -> bytes:
    """JSON as every answer has it."""
    return orjson.dumps(value)


def accept(data: Any = None, *, told: bool = True, remark: str = "") -> web.Response:
    """Success. `told` false: committed, but running gateways may lag behind (202).

    `remark` says what a caller would not expect of a success.
    """
    message = " ".join(filter(None, (remark, "" if told else _SAVED_UNTOLD)))
    body: dict[str, Any] = {"success": True, "message": message}
    if data is not None:
        body["data"] = data
    return _response(200 if told else 202, body)


def accept_again(data: bytes) -> web.Response:
    """The success of the first time, for a request that is repeated; `data` is JSON."""
    body = {"success": True, "message": "", "data": orjson.Fragment(data)}
    return _response(200, body, {"Idempotency-Replayed": "true"})


def decline(
    code: Code | Problem,
    message: str,
    headers: Mapping[str, str] | None = None,
    mistakes: Sequence[Mistake] = (),
) -> web.Response:
    """Failure, with the status of its code. `mistakes` are told one by one, too."""
    body: dict[str, Any] = {"success": False, "message": message, "code": str(code)}
    if mistakes:
        body["errors"] = [error_object(each) for each in mistakes]
    response = _response(STATUS[code], body, headers)
    response[CODE] = str(code)
    return response


def error_object(mistake: Mistake) -> dict[str, Any]:
    """A mistake, for people and for what says it in another language."""
    return {
        "field": mistake.field,
        "code": str(mistake.rule),
        "message": mistake.message,
        "params": dict(mistake.params),
    }


def _response(
    status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(
        status=status,
        body=json_bytes(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
