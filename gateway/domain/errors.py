"""How Tollhouse says no: one closed set of reasons and one value that carries them.

Knows nothing of HTTP: status codes and bodies are `gateway/relay/envelopes.py`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.domain.rules import Param


class Reason(StrEnum):
    """Why a call was declined. The value is the `code` that callers see and that is counted."""

    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    MODEL_NOT_PRICED = "model_not_priced"
    INVALID_API_KEY = "invalid_api_key"
    KEY_DISABLED = "key_disabled"
    KEY_EXPIRED = "key_expired"
    ACCOUNT_DISABLED = "account_disabled"
    EMAIL_NOT_VERIFIED = "email_not_verified"
    IP_NOT_ALLOWED = "ip_not_allowed"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    GROUP_NOT_ALLOWED = "group_not_allowed"
    ROUTE_NOT_METERED = "route_not_metered"
    UNKNOWN_URL = "unknown_url"
    MODEL_NOT_FOUND = "model_not_found"
    OBJECT_NOT_FOUND = "object_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    CONCURRENCY_EXCEEDED = "concurrency_exceeded"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    QUOTA_RESERVED = "quota_reserved"
    INSUFFICIENT_QUOTA = "insufficient_quota"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    UPSTREAM_BUSY = "upstream_busy"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    QUOTA_UNAVAILABLE = "quota_unavailable"
    KEY_STORE_UNAVAILABLE = "key_store_unavailable"
    OVERLOADED = "overloaded"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL_ERROR = "internal_error"


FAILURES: Final = frozenset(
    {
        Reason.UPSTREAM_ERROR,
        Reason.UPSTREAM_UNAVAILABLE,
        Reason.UPSTREAM_BUSY,
        Reason.UPSTREAM_TIMEOUT,
    }
)
"""Those of calls that were let pass and failed at an upstream: the ledger has them, too."""


class Ground(StrEnum):
    """Which rule a refusal rests on: whose it is and its name. Callers are not told it, owners are, by `explain`.

    Those of a scope stand for any of the four: `Refusal.scope` says which.
    """

    CALL = "call"
    STATUS = "token.status"
    EXPIRY = "token.expired_time"
    ROTATION = "secret.expired_time"
    ACCOUNT = "account.status"
    USER = "user.status"
    MEMBER = "member.account_id"
    SUBSCRIPTION = "subscription.dates"
    DENY = "token.deny_ips"
    ALLOW = "token.allow_ips"
    BODY_SIZE = "gateway.max_body_bytes"
    OWN_MODELS = "token.model_limits"
    GROUP_MODELS = "group.models"
    GROUP_UPSTREAMS = "group.upstreams"
    OWNER = "object.account"
    ROUTES = "routes.metering"
    PRICE = "model.price"
    INPUT_BOUND = "model.max_input_tokens"
    UNBOUNDED = "call.unbounded"
    QUOTA = "scope.quota"
    CONCURRENCY = "scope.max_concurrency"
    LIMITS = "scope.limits"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision against a call.

    `message` is for the caller and names rule and remedy; `cause` is for our log only. `param` is the
    body's member at fault. `scope` names the scope of quota that refused; `details` are further
    facts for the caller (used, held, limit, …). `ground` is the rule that decided. `case` names the sentence that
    `message` is, and `params` what it is filled with (`cases.py`); empty where no owner can ask for it.
    """

    reason: Reason
    message: str
    param: str | None = None
    scope: str | None = None
    retry_after_s: float | None = None
    cause: str = ""
    details: dict[str, int | str | None] = field(default_factory=dict)
    ground: Ground = Ground.CALL
    case: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)


class StoreUnavailable(Exception):
    """A store did not answer, or answered with a fault of its own."""


class StoreNotAsked(StoreUnavailable):
    """Nothing was sent to the store, so nothing was done there."""
