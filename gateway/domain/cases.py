"""The sentences of refusals: each a word for programs, what it rests on, and English.

As `rules.py` is for mistakes, this table is all that a translation needs: a sentence is filled with the refusal's
`params`. It has whatever `explain` can tell; what only a running call meets is told where it happens.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from gateway.domain.errors import Ground, Reason, Refusal
from gateway.domain.rules import Param

_NOTHING: Mapping[str, Param] = MappingProxyType({})
_INVALID = Reason.INVALID_REQUEST
_UNSUPPORTED = Reason.UNSUPPORTED_PARAMETER
_QUOTA = (
    "The quota of this {scope} is {limit}: {used} used, {held} held by running calls. "
    "This call may cost up to {needed}."
)
_LESS = "At most {fits} tokens of output fit now."
_NEVER = "it can never pass. Ask for less output."


class Case(StrEnum):
    """How a refusal is told. The value is the `case` that owners see; lists are filled in with "or"."""

    reason: Reason
    ground: Ground
    template: str

    def __new__(
        cls,
        case: str,
        template: str,
        reason: Reason = Reason.INVALID_REQUEST,
        ground: Ground = Ground.CALL,
    ) -> Self:
        """A row of the table."""
        row = str.__new__(cls, case)
        row._value_ = case
        row.reason, row.ground, row.template = reason, ground, template
        return row

    def sentence(self, params: Mapping[str, Param]) -> str:
        """It in English."""
        return self.template.format_map(
            {k: " or ".join(v) if isinstance(v, list) else v for k, v in params.items()}
        )

    # Token, owner, network

    KEY_DISABLED = (
        "key_disabled",
        "This key is disabled. Its owner can enable it again.",
        Reason.KEY_DISABLED,
        Ground.STATUS,
    )
    KEY_EXPIRED = (
        "key_expired",
        "This key expired at {at}. Its owner can move the expiry.",
        Reason.KEY_EXPIRED,
        Ground.EXPIRY,
    )
    SECRET_ENDED = (
        "secret_ended",
        "This secret was rotated and ended at {at}. Use the new one.",
        Reason.KEY_EXPIRED,
        Ground.ROTATION,
    )
    ACCOUNT_DISABLED = (
        "account_disabled",
        "The account of this key is disabled.",
        Reason.ACCOUNT_DISABLED,
        Ground.ACCOUNT,
    )
    USER_DISABLED = (
        "user_disabled",
        "The user who owns this key is disabled.",
        Reason.ACCOUNT_DISABLED,
        Ground.USER,
    )
    MEMBER_GONE = (
        "member_gone",
        "The user who owns this key is no member of its account any more.",
        Reason.ACCOUNT_DISABLED,
        Ground.MEMBER,
    )
    SUBSCRIPTION_TO_COME = (
        "subscription_to_come",
        "The account's subscription to the group {group!r} of this key begins at {at}.",
        Reason.GROUP_NOT_ALLOWED,
        Ground.SUBSCRIPTION,
    )
    SUBSCRIPTION_ENDED = (
        "subscription_ended",
        "The account's subscription to the group {group!r} of this key ended at {at}.",
        Reason.GROUP_NOT_ALLOWED,
        Ground.SUBSCRIPTION,
    )
    ADDRESS_UNKNOWN = (
        "address_unknown",
        (
            "This key is limited to some addresses and yours could not be determined "
            "(what the proxy says of it is unreadable)."
        ),
        Reason.IP_NOT_ALLOWED,
        Ground.ALLOW,
    )
    ADDRESS_DENIED = (
        "address_denied",
        "This key may not be used from {address}: it is denied.",
        Reason.IP_NOT_ALLOWED,
        Ground.DENY,
    )
    ADDRESS_NOT_ALLOWED = (
        "address_not_allowed",
        "This key may not be used from {address}: it is not among the key's allowed addresses.",
        Reason.IP_NOT_ALLOWED,
        Ground.ALLOW,
    )

    # Models and prices

    MODEL_NOT_LISTED = (
        "model_not_listed",
        "This key's own model list does not allow {model!r}. GET /v1/models lists what it can call.",
        Reason.MODEL_NOT_ALLOWED,
        Ground.OWN_MODELS,
    )
    MODEL_NOT_IN_GROUP = (
        "model_not_in_group",
        "The group {group!r} of this key does not allow {model!r}. GET /v1/models lists what it can call.",
        Reason.MODEL_NOT_ALLOWED,
        Ground.GROUP_MODELS,
    )
    MODEL_ELSEWHERE = (
        "model_elsewhere",
        (
            "The model {model!r} is not served on this path: no upstream of the group {group!r} serves it in this "
            "dialect. Call it by {paths}."
        ),
        Reason.MODEL_NOT_FOUND,
        Ground.GROUP_UPSTREAMS,
    )
    MODEL_NOT_SERVED = (
        "model_not_served",
        (
            "The model {model!r} does not exist here: no upstream of the group {group!r} serves it. "
            "GET /v1/models lists what this key can call."
        ),
        Reason.MODEL_NOT_FOUND,
        Ground.GROUP_UPSTREAMS,
    )
    MODEL_NOT_PRICED = (
        "model_not_priced",
        (
            "The model {model!r} has no price here, and this key has a cap. The operator can set one in [[models]], or "
            "the key can be made uncapped."
        ),
        Reason.MODEL_NOT_PRICED,
        Ground.PRICE,
    )
    BACKGROUND = (
        "background",
        "'background' work cannot be bounded in cost; leave it out, or use an uncapped key.",
        _UNSUPPORTED,
        Ground.UNBOUNDED,
    )
    DEARER = (
        "dearer",
        (
            "{member!r} asks for something that may cost more than the model's price here, and this key has a cap. "
            "Leave it out, or use an uncapped key."
        ),
        _UNSUPPORTED,
        Ground.UNBOUNDED,
    )
    INPUT_UNBOUNDED = (
        "input_unbounded",
        (
            "{member!r} brings in input whose size cannot be seen in the body, and {model!r} has no max_input_tokens "
            "here to bound it. Send text, images or inline audio instead, use an uncapped key, or ask the operator to "
            "set max_input_tokens in [[models]]."
        ),
        _UNSUPPORTED,
        Ground.INPUT_BOUND,
    )

    UNCARRIED = (
        "uncarried",
        (
            "{member!r} cannot be sent to {model!r}, which is served in the dialect {dialect!r}: {why}. Change it or "
            "leave it out, or ask the operator for an upstream of the dialect that you call in."
        ),
        _UNSUPPORTED,
        Ground.CALL,
    )

    # Paths and objects

    COST_UNKNOWN = (
        "cost_unknown",
        (
            "What {method} {path} costs is not known here, and this key has a cap. The operator can set a price for "
            "each call in [[routes]], or the key can be made uncapped."
        ),
        Reason.ROUTE_NOT_METERED,
        Ground.ROUTES,
    )
    COST_AND_PATH_UNKNOWN = (
        "cost_and_path_unknown",
        f"{COST_UNKNOWN[1]} Is the path right? It is none that is known here.",
        Reason.ROUTE_NOT_METERED,
        Ground.ROUTES,
    )
    NO_UPSTREAM = (
        "no_upstream",
        "{path} cannot be called here: the group {group!r} of this key has no upstream that speaks {dialect}.",
        Reason.UNKNOWN_URL,
        Ground.GROUP_UPSTREAMS,
    )
    WRONG_METHOD = (
        "wrong_method",
        "{path} takes {right}, not {method}.",
        Reason.METHOD_NOT_ALLOWED,
    )
    NO_PAGE = (
        "no_page",
        "This is a Tollhouse gateway; it has no page here. The base URL is {base_url}",
        Reason.UNKNOWN_URL,
    )
    PATH_LACKS_BASE = (
        "path_lacks_base",
        "Unknown URL ({method} {path}). The base URL is {base_url} — the path lacks {lacks}.",
        Reason.UNKNOWN_URL,
    )
    PATH_HAS_BASE_TWICE = (
        "path_has_base_twice",
        (
            "Unknown URL ({method} {path}). The right one is {right}; SDKs that add the version themselves take "
            "{origin} as base URL."
        ),
        Reason.UNKNOWN_URL,
    )
    SLASH_AT_END = (
        "slash_at_end",
        "Unknown URL ({method} {path}). The base URL is {base_url}; write the path without the slash at its end.",
        Reason.UNKNOWN_URL,
    )
    UNKNOWN_PATH = (
        "unknown_path",
        "Unknown URL ({method} {path}). The base URL is {base_url}",
        Reason.UNKNOWN_URL,
    )
    OBJECT_NOT_YOURS = (
        "object_not_yours",
        "There is no {id!r} here, or it is not yours.",
        Reason.OBJECT_NOT_FOUND,
        Ground.OWNER,
    )

    # Bodies

    BODY_TOO_LARGE = (
        "body_too_large",
        "The body is larger than {most} bytes (the operator's gateway.{setting}).",
        Reason.BODY_TOO_LARGE,
        Ground.BODY_SIZE,
    )
    NO_JSON = ("no_json", "The body is not JSON: {why}")
    NESTED_TOO_DEEPLY = ("nested_too_deeply", "The body is nested too deeply.")
    MEMBER_UNREADABLE = ("member_unreadable", "{why}")
    MEMBER_TWICE = ("member_twice", "{member!r} occurs twice in the body; send it once.")
    SAME_MEMBERS = ("same_members", "{member!r} and {other!r} are the same; send one.")
    MODEL_MISSING = (
        "model_missing",
        "'model' is missing; name one. GET /v1/models lists what this key can call.",
    )
    MODEL_EMPTY = ("model_empty", "'model' is empty; name a model. GET /v1/models lists them.")
    MODEL_TOO_LONG = ("model_too_long", "'model' is longer than {most} characters.")
    NO_COUNT = ("no_count", "{member!r} must be a whole number from 1 to {most}.")
    NO_ID = ("no_id", "{member!r} must be an id.")
    NO_OBJECT = ("no_object", "{member!r} must be an object.")
    TOO_MANY_OBJECTS = ("too_many_objects", "The body names more than {most} objects.")
    FORM_WITHOUT_PARTS = (
        "form_without_parts",
        "The form has no part: its boundary does not occur.",
    )
    TOO_MANY_PARTS = ("too_many_parts", "The form has more than {most} parts.")
    MODEL_TWICE_IN_FORM = ("model_twice_in_form", "'model' occurs twice in the form; send it once.")
    PART_WITHOUT_NAME = (
        "part_without_name",
        'A part of the form has no plain name: send name="…" once in each part.',
    )

    # Money, limits, calls at once

    QUOTA_RESERVED = (
        "quota_reserved",
        f"{_QUOTA} Try again when a running call has ended, or ask for less output.",
        Reason.QUOTA_RESERVED,
        Ground.QUOTA,
    )
    QUOTA_RESERVED_IN_PART = (
        "quota_reserved_in_part",
        f"{QUOTA_RESERVED[1]} {_LESS}",
        Reason.QUOTA_RESERVED,
        Ground.QUOTA,
    )
    QUOTA_TOO_SMALL = (
        "quota_too_small",
        f"{_QUOTA} Ask for less output, or have the quota raised.",
        Reason.INSUFFICIENT_QUOTA,
        Ground.QUOTA,
    )
    QUOTA_FOR_LESS = (
        "quota_for_less",
        f"{QUOTA_TOO_SMALL[1]} {_LESS}",
        Reason.INSUFFICIENT_QUOTA,
        Ground.QUOTA,
    )
    QUOTA_USED_UP = (
        "quota_used_up",
        f"{_QUOTA} Have the quota raised.",
        Reason.INSUFFICIENT_QUOTA,
        Ground.QUOTA,
    )
    TOO_MANY_AT_ONCE = (
        "too_many_at_once",
        "The {scope} has {used} calls running, and {limit} are allowed at a time. Try again when one has ended.",
        Reason.CONCURRENCY_EXCEEDED,
        Ground.CONCURRENCY,
    )
    LIMIT_REACHED = (
        "limit_reached",
        (
            "The {scope} is limited to {limit} {metric} per {window}, and {used} {metric} are used. "
            "Try again in {seconds} s."
        ),
        Reason.RATE_LIMIT_EXCEEDED,
        Ground.LIMITS,
    )
    BURST_REACHED = (
        "burst_reached",
        "The {scope} is limited to {limit} {metric} at once, and {used} {metric} are used. Try again in {seconds} s.",
        Reason.RATE_LIMIT_EXCEEDED,
        Ground.LIMITS,
    )
    USD_LIMIT_REACHED = (
        "usd_limit_reached",
        "The {scope} is limited to {limit} per {window}, and {used} are used. Try again in {seconds} s.",
        Reason.RATE_LIMIT_EXCEEDED,
        Ground.LIMITS,
    )
    USD_BURST_REACHED = (
        "usd_burst_reached",
        "The {scope} is limited to {limit} at once, and {used} are used. Try again in {seconds} s.",
        Reason.RATE_LIMIT_EXCEEDED,
        Ground.LIMITS,
    )
    ABOVE_LIMIT = (
        "above_limit",
        "This call alone may need {used} {metric}, and the {scope} is limited to {limit} {metric} per {window}: "
        + _NEVER,
        _INVALID,
        Ground.LIMITS,
    )
    ABOVE_BURST = (
        "above_burst",
        "This call alone may need {used} {metric}, and the {scope} is limited to {limit} {metric} at once: "
        + _NEVER,
        _INVALID,
        Ground.LIMITS,
    )
    ABOVE_USD_LIMIT = (
        "above_usd_limit",
        "This call alone may need {used}, and the {scope} is limited to {limit} per {window}: "
        + _NEVER,
        _INVALID,
        Ground.LIMITS,
    )
    ABOVE_USD_BURST = (
        "above_usd_burst",
        "This call alone may need {used}, and the {scope} is limited to {limit} at once: " + _NEVER,
        _INVALID,
        Ground.LIMITS,
    )
    QUOTA_STORE_SILENT = (
        "quota_store_silent",
        "This key has a cap, and the quota store cannot be asked at the moment. Try again shortly.",
        Reason.QUOTA_UNAVAILABLE,
        Ground.STORE,
    )


def refusal(
    case: Case,
    params: Mapping[str, Param] = _NOTHING,
    *,
    param: str | None = None,
    scope: str | None = None,
    retry_after_s: float | None = None,
    cause: str = "",
    details: dict[str, int | str | None] | None = None,
    ground: Ground | None = None,
) -> Refusal:
    """The refusal that a case is, its sentence filled with `params`. `ground` where it rests on another rule."""
    return Refusal(
        case.reason,
        case.sentence(params),
        param=param,
        scope=scope,
        retry_after_s=retry_after_s,
        cause=cause,
        details={} if details is None else details,
        ground=case.ground if ground is None else ground,
        case=case,
        params=params,
    )
