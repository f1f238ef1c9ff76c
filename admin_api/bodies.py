"""The bodies of the admin API: what may be sent, with types and bounds.

Absent and `null` mean the same, except for rules that a group gives defaults for: there `null` and
an empty text leave the rule to the group and an empty list means none of its own. Meaning across
fields is `admin_api/tokens/edits.py`'s.
"""

import json
import math
from decimal import Decimal
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from aiohttp import web
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)

from admin_api.arrival import whole_body
from admin_api.envelope import Code, Declined
from admin_api.fields import MAX_LIST
from admin_api.mistakes import Mistakes, json_type, mistakes_of
from gateway.catalog_settings import LimitSettings
from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.limits import MAX_EXACT
from gateway.domain.redaction import HIDDEN
from gateway.domain.rejection import BrokenRule, invalid
from gateway.domain.rules import Rule

MAX_BODY_BYTES = 1024**2
MAX_AT_ONCE = 100
"""How many tokens one call makes, changes or tells the keys of."""
MAX_OVERLAP_S = 7 * 86_400
_MAX_DAYS = 36_500
_MAX_INPUT_TOKENS = 100_000_000
_MAX_DEPTH = 32
_MAX_DIGITS = 19


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BrokenRule(Rule.WRONG_TYPE, expected=["number"], given=json_type(value))
    return value


def _text_or_list(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise BrokenRule(Rule.WRONG_TYPE, expected=["string", "array"], given=json_type(value))
    if len(value) > MAX_LIST:
        raise BrokenRule(Rule.TOO_MANY, most=MAX_LIST, given=len(value))
    for number, each in enumerate(value, start=1):
        if not isinstance(each, str):
            raise BrokenRule(Rule.ENTRY_NOT_TEXT, entry=number, given=json_type(each))
    return value


def _text_or_object(value: Any) -> Any:
    if value is not None and not isinstance(value, str | dict):
        raise BrokenRule(Rule.WRONG_TYPE, expected=["string", "object"], given=json_type(value))
    return value


class Body(BaseModel):
    """What every body is: unknown fields are refused, and each field says what it means."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    def __repr_str__(self, join_str: str) -> str:
        """Which fields were sent: what they hold may be a password, a key or a prompt."""
        return join_str.join(f"{name}={HIDDEN}" for name in sorted(self.model_fields_set))


IsNumber = BeforeValidator(_number)  # behind the bounds: those are the number's
Amount = Annotated[Decimal, IsNumber]
Lines = Annotated[
    StrictStr | Annotated[list[StrictStr], Field(max_length=MAX_LIST)],
    BeforeValidator(_text_or_list),
]
# What a schema can say of `fields.parse_name`.
Name = Annotated[
    StrictStr,
    Field(
        json_schema_extra={
            "minLength": 1,
            "maxLength": 100,
            "pattern": r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
        }
    ),
]


class LimitBody(LimitSettings):
    """One limit of a token; `limit` and `burst` in dollars for `usd`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    limit: Annotated[Decimal, Field(gt=0, lt=MAX_EXACT), IsNumber]
    """How much may pass in a window."""
    burst: (
        Annotated[Decimal, Field(lt=MAX_EXACT, json_schema_extra={"exclusiveMinimum": 0}), IsNumber]
        | None
    ) = None
    """How much passes at once; for a sliding `1m` only."""
    bound: Amount | None = None
    """Shown, and ignored."""
    models: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=MAX_LIST)] | None = None
    """The models that are counted, all together; absent or `*`: all of them."""


class TokenFields(Body):
    """What can be said of a token, both when it is made and when it is changed."""

    remain_quota: StrictInt | None = None
    """Quota units left from now on; with `used_quota`, a part of the grant."""
    unlimited_quota: StrictBool | None = None
    """No cap on this token."""
    quota_usd: (
        Annotated[Decimal, Field(ge=0, le=Decimal(MAX_EXACT - 1) / NUSD_PER_USD), IsNumber] | None
    ) = None
    """The grant in dollars; 0 is unlimited."""
    expired_time: Annotated[StrictInt, Field(ge=-1)] | None = None
    """Unix seconds, in the future; -1 or 0 is never."""
    expires_in_days: Annotated[StrictInt, Field(ge=0, le=_MAX_DAYS)] | None = None
    """Counted from the call; 0 is never."""
    model_limits_enabled: StrictBool | None = None
    """Whether `model_limits` is in force; on by itself where it names models."""
    model_limits: Lines | None = None
    """Names of models: a list, a JSON array in a text, or by commas or lines."""
    allow_ips: Lines | None = None
    """Addresses and CIDR blocks, IPv4 and IPv6: a list, or by lines or commas."""
    deny_ips: Lines | None = None
    """Likewise; they go before `allow_ips`."""
    group: Annotated[StrictStr, Field(max_length=100)] | None = None
    """Empty: your own group."""
    limits: list[LimitBody] | None = None
    """How much may pass in a time; 20 at most."""
    max_concurrency: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None
    """Calls at once; 0 is no limit of its own."""
    reserve: Literal["strict", "estimate"] | None = None
    """How much a call is held for; `estimate` is for administrators to set."""
    metadata: dict[str, Any] | None = None
    """Yours, up to 16 KiB."""


class CreateBody(TokenFields):
    """A token to be made. Without any quota field there is nothing on it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "my app", "quota_usd": 5, "expires_in_days": 30},
                {
                    "name": "Production",
                    "remain_quota": 100_000,
                    "unlimited_quota": False,
                    "expired_time": -1,
                    "model_limits_enabled": True,
                    "model_limits": '["gpt-5.4", "claude-sonnet-4-6"]',
                    "allow_ips": "203.0.113.10",
                },
            ]
        }
    )

    name: Name
    """May repeat."""
    count: Annotated[StrictInt, Field(ge=1, le=MAX_AT_ONCE)] = 1
    """So many tokens; above 1 the answer has `items`."""
    user_id: Annotated[StrictInt, Field(ge=1, le=2**63 - 1)] | None = None
    """Whose it is, for administrators: a user whom they may manage; else yours."""
    account_id: Annotated[StrictInt, Field(ge=1, le=2**63 - 1)] | None = None
    """The account that pays, one that you are a member of; without it, your own choice in your profile."""


class UpdateBody(TokenFields):
    """What is to change: absent fields stay. What is read-only in GET's object is ignored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": 1, "name": "my app, renamed"}]}
    )

    id: StrictInt | None = None
    """Only as the path says."""
    version: StrictInt | None = None
    """The version that is to be changed: 412 if it is another by now. `If-Match` goes before it."""
    name: Name | None = None
    """May repeat."""
    status: Annotated[StrictInt, Field(ge=1, le=4)] | None = None
    """1 enabled, 2 disabled; 3 and 4 may be sent back, and change nothing."""
    add_quota: StrictInt | None = None
    """Quota units to add to the grant; negative takes away."""
    add_quota_usd: Amount | None = None
    """Likewise, in dollars."""
    held_quota: Any = None
    """Ignored."""
    quota: Any = None
    """Ignored."""
    used_quota: Annotated[StrictInt, Field(ge=0)] | None = None
    """What `remain_quota` was read with."""
    key: StrictStr | None = None
    """Only as it is shown: keys cannot be set."""
    user_id: Any = None
    """Ignored."""
    username: Any = None
    """Ignored."""
    account_id: Any = None
    """Ignored."""
    created_time: Any = None
    """Ignored."""
    accessed_time: Any = None
    """Ignored."""
    inherited: Any = None
    """Ignored."""
    effective: Any = None
    """Ignored."""
    warnings: Any = None
    """Ignored."""
    recoverable: Any = None
    """Ignored."""
    overlap_until: Any = None
    """Ignored."""
    secrets: Any = None
    """Ignored."""


class PutBody(UpdateBody):
    """As for PATCH, with the token's `id`. GET's object may be sent back whole."""

    id: StrictInt
    """The token."""


class RotateBody(Body):
    """For how long the present secret goes on; an empty body ends it at once."""

    overlap_seconds: Annotated[StrictInt, Field(ge=0, le=MAX_OVERLAP_S)] = 0
    """So long the present secret still opens the token."""
    version: StrictInt | None = None
    """The version that is to be changed: 412 if it is another by now."""


class FindBody(Body):
    """A secret as it was pasted."""

    key: Annotated[StrictStr, Field(min_length=1, max_length=4096)]
    """The whole secret."""


TokenId = Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]
Ids = Annotated[list[TokenId], Field(min_length=1, max_length=MAX_AT_ONCE)]


class IdsBody(Body):
    """The tokens that are meant."""

    ids: Ids
    """Ids of tokens."""


class BatchStatusBody(Body):
    """The tokens that are meant, and their new status."""

    ids: Ids
    """Ids of tokens."""
    status: Annotated[StrictInt, Field(ge=1, le=2)]
    """1 enables, 2 disables."""


class ExplainBody(Body):
    """A call that is not made. What it asks for is said by `body`, or by the fields before it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "gpt-5.4", "ip": "203.0.113.10", "max_tokens": 1000}]
        }
    )

    ip: Annotated[StrictStr, Field(max_length=100)] | None = None
    """Where it comes from; left out, the network is not checked."""
    method: Literal["POST", "GET", "PUT", "PATCH", "DELETE"] = "POST"
    """Its method."""
    path: Annotated[StrictStr, Field(max_length=2048, json_schema_extra={"pattern": "^/"})] = (
        "/v1/chat/completions"
    )
    """Its path, with its query if it has one."""
    model: StrictStr | None = None
    """The model that it names."""
    stream: StrictBool | None = None
    """Whether it asks for a stream."""
    max_tokens: StrictInt | None = None
    """The maximum of output that it names."""
    input_tokens: Annotated[StrictInt, Field(ge=0, le=_MAX_INPUT_TOKENS)] | None = None
    """About how long its input is."""
    body: Annotated[StrictStr | dict[str, Any] | None, BeforeValidator(_text_or_object)] = None
    """All of its body, as a text or as JSON."""


class LoginBody(Body):
    """A user's name and password."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"username": "admin", "password": "three plain words"}]}
    )

    username: Annotated[StrictStr, Field(max_length=256)]
    """As the user was made with; case does not matter."""
    password: Annotated[StrictStr, Field(max_length=1024)]
    """The password, a one-time one or their own."""


class SelfBody(Body):
    """What is to change of yourself: at least one of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"display_name": "Ada"}],
            "anyOf": [
                {"required": ["display_name"]},
                {"required": ["password"]},
                {"required": ["account_id"]},
                {"required": ["email"]},
                {"required": ["mail_warnings"]},
            ],
            "dependentRequired": {
                "password": ["original_password"],
                "email": ["original_password"],
            },
        }
    )

    display_name: Annotated[StrictStr, Field(max_length=100)] | None = None
    """How you are shown."""
    original_password: Annotated[StrictStr, Field(max_length=1024)] | None = None
    """Your present password; required with `password` and `email`."""
    password: Annotated[StrictStr, Field(max_length=1024)] | None = None
    """A new password. It ends all other sessions."""
    account_id: Annotated[StrictInt, Field(ge=1, le=2**63 - 1)] | None = None
    """The account that your new tokens belong to, one that you are a member of."""
    email: Annotated[StrictStr, Field(max_length=254)] | None = None
    """Another address of yours, or none (empty). It has to be verified."""
    mail_warnings: StrictBool | None = None
    """Whether you want warnings by e-mail."""


BodyT = TypeVar("BodyT", bound=Body)


async def read_body(request: web.Request, model: type[BodyT], *, optional: bool = False) -> BodyT:
    """The request's body as `model`; where it is `optional`, an empty one says nothing.

    Raises `Declined` (not JSON, encoded, too slow) and `Rejected` with all mistakes of its form.
    """
    if "Content-Encoding" in request.headers:
        raise Declined(
            Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as it is, without Content-Encoding."
        )
    body = await whole_body(request)
    document = {} if optional and not body else _parse(body)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        mistakes_of(error, model).raise_any(model.model_fields)
        raise


def _parse(body: bytes) -> dict[str, Any]:
    """A JSON object. Numbers become integers and decimals: no float touches money."""
    try:
        document = json.loads(
            body,
            parse_float=_number_of,
            parse_constant=_refuse_constant,
            object_pairs_hook=_members,
        )
    except RecursionError:
        raise Declined(Code.INVALID_JSON, "The body is nested too deeply.") from None
    except ValueError as error:  # JSON, UTF-8, a number of thousands of digits, a name given twice
        message = "The body is empty" if not body else f"The body is not JSON: {error}"
        raise Declined(Code.INVALID_JSON, f"{message}; send a JSON object.") from None
    if not isinstance(document, dict):
        raise Declined(Code.INVALID_JSON, "The body is JSON but no object; send a JSON object.")
    found = Mistakes()
    for name, value in document.items():
        found.reading(_check_storable, name, value)
    found.raise_any()
    return document


def _number_of(text: str) -> int | Decimal:
    """JSON has one kind of number: 2.0 is 2. What readers take for infinite is none."""
    if math.isinf(float(text)):
        raise ValueError(f"{text[:40]} is beyond the numbers that readers of JSON hold")
    number = Decimal(text)
    small = number.adjusted() < _MAX_DIGITS  # else 1e300 would be written out
    return int(number) if small and number == number.to_integral_value() else number


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!a} is given twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _check_storable(name: str, value: Any) -> None:
    """Refuse text that Postgres cannot store, and nesting that JSON writers refuse."""
    waiting = [(name, 0), (value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise invalid(name, Rule.NESTED_TOO_DEEPLY, most=_MAX_DEPTH)
        if isinstance(each, str):
            if "\0" in each or any("\ud800" <= character <= "\udfff" for character in each):
                raise invalid(name, Rule.UNSTORABLE_TEXT)
        elif isinstance(each, dict):
            waiting += [(part, depth + 1) for item in each.items() for part in item]
        elif isinstance(each, list):
            waiting += [(part, depth + 1) for part in each]
