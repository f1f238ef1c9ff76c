"""The bodies of the admin API: what may be sent, with types and bounds.

Absent and `null` mean the same, except for rules that a group gives defaults for: there `null` and
an empty text leave the rule to the group and an empty list means none of its own. Meaning across
fields is `admin_api/token_edits.py`'s.
"""

import json
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

from admin_api.envelope import Code, Declined
from admin_api.fields import MAX_LIST
from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.limits import MAX_EXACT
from gateway.domain.rejection import Problem, Rejected
from gateway.settings import LimitSettings

MAX_BODY_BYTES = 1024**2
MAX_AT_ONCE = 100
"""How many tokens one call makes, changes or tells the keys of."""
MAX_OVERLAP_S = 7 * 86_400
_MAX_DAYS = 36_500
_MAX_PROBLEMS = 10
_MAX_DEPTH = 32


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004 -- pydantic reports ValueError
    return value


def _text_or_list(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("must be a text or a list of texts")
    if len(value) > MAX_LIST:
        raise ValueError(f"may have {MAX_LIST} entries at most, it has {len(value)}")
    return value


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Amount = Annotated[Decimal, BeforeValidator(_number)]
Lines = Annotated[str | list[str], BeforeValidator(_text_or_list)]


class LimitBody(LimitSettings):
    """One limit of a token; `limit` and `burst` in dollars for `usd`. `bound` is shown, and ignored."""

    limit: Annotated[Amount, Field(gt=0, lt=MAX_EXACT)]
    burst: Annotated[Amount, Field(lt=MAX_EXACT)] | None = None
    bound: Amount | None = None
    models: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=MAX_LIST)] | None = None


class TokenFields(_Body):
    """What can be said of a token, both when it is made and when it is changed."""

    remain_quota: StrictInt | None = None
    unlimited_quota: StrictBool | None = None
    quota_usd: Annotated[Amount, Field(ge=0, le=Decimal(MAX_EXACT - 1) / NUSD_PER_USD)] | None = (
        None
    )
    expired_time: Annotated[StrictInt, Field(ge=-1)] | None = None
    expires_in_days: Annotated[StrictInt, Field(ge=0, le=_MAX_DAYS)] | None = None
    model_limits_enabled: StrictBool | None = None
    model_limits: Lines | None = None
    allow_ips: Lines | None = None
    deny_ips: Lines | None = None
    group: Annotated[StrictStr, Field(max_length=100)] | None = None
    limits: list[LimitBody] | None = None
    max_concurrency: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None
    reserve: Literal["strict", "estimate"] | None = None
    metadata: dict[str, Any] | None = None


class CreateBody(TokenFields):
    """POST /api/token/."""

    name: StrictStr
    count: Annotated[StrictInt, Field(ge=1, le=MAX_AT_ONCE)] = 1


class UpdateBody(TokenFields):
    """PUT and PATCH; as GET's object is one too, what is read-only is taken and ignored."""

    id: StrictInt | None = None
    version: StrictInt | None = None
    name: StrictStr | None = None
    status: Annotated[StrictInt, Field(ge=1, le=4)] | None = None
    add_quota: StrictInt | None = None
    add_quota_usd: Amount | None = None
    held_quota: Any = None
    quota: Any = None
    used_quota: Annotated[StrictInt, Field(ge=0)] | None = None
    key: StrictStr | None = None
    user_id: Any = None
    account_id: Any = None
    created_time: Any = None
    accessed_time: Any = None
    inherited: Any = None
    effective: Any = None
    warnings: Any = None
    recoverable: Any = None
    secrets: Any = None


class RotateBody(_Body):
    """POST /api/token/{id}/rotate: for how long the present secret goes on."""

    overlap_seconds: Annotated[StrictInt, Field(ge=0, le=MAX_OVERLAP_S)] = 0
    version: StrictInt | None = None


class FindBody(_Body):
    """POST /api/token/find: a secret as it was pasted."""

    key: Annotated[StrictStr, Field(min_length=1, max_length=4096)]


Ids = Annotated[list[StrictInt], Field(min_length=1, max_length=MAX_AT_ONCE)]


class IdsBody(_Body):
    """POST /api/token/batch and /api/token/batch/keys."""

    ids: Ids


class BatchStatusBody(_Body):
    """POST /api/token/batch/status."""

    ids: Ids
    status: Annotated[StrictInt, Field(ge=1, le=2)]


class LoginBody(_Body):
    """POST /api/user/login."""

    username: Annotated[StrictStr, Field(max_length=256)]
    password: Annotated[StrictStr, Field(max_length=1024)]


class SelfBody(_Body):
    """PUT /api/user/self. A new `password` needs the present one in `original_password`."""

    display_name: Annotated[StrictStr, Field(max_length=100)] | None = None
    original_password: Annotated[StrictStr, Field(max_length=1024)] | None = None
    password: Annotated[StrictStr, Field(max_length=1024)] | None = None


BodyT = TypeVar("BodyT", bound=_Body)


async def read_body(request: web.Request, model: type[BodyT], *, optional: bool = False) -> BodyT:
    """The request's body as `model`; where it is `optional`, an empty one says nothing.

    Raises `Declined` (not JSON, encoded) and `Rejected` naming every field at fault.
    """
    if "Content-Encoding" in request.headers:
        raise Declined(
            Code.UNSUPPORTED_MEDIA_TYPE, "Send the body as it is, without Content-Encoding."
        )
    body = await request.read()
    document = {} if optional and not body else _parse(body)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        known = ", ".join(model.model_fields)
        problems = [_problem(detail, known) for detail in error.errors()[:_MAX_PROBLEMS]]
        field = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else None
        raise Rejected(Problem.INVALID_FIELD, "; ".join(problems), field) from None


def _parse(body: bytes) -> dict[str, Any]:
    """A JSON object. Numbers with a point become decimals: no float touches money."""
    try:
        document = json.loads(
            body,
            parse_float=Decimal,
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
    for name, value in document.items():
        _check_storable(name, value)
    return document


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
            raise Rejected(
                Problem.INVALID_FIELD, f"{name!a}: is nested deeper than {_MAX_DEPTH} levels.", name
            )
        if isinstance(each, str):
            if "\0" in each or any("\ud800" <= character <= "\udfff" for character in each):
                rule = "text may hold neither U+0000 nor half a surrogate pair."
                raise Rejected(Problem.INVALID_FIELD, f"{name!a}: {rule}", name)
        elif isinstance(each, dict):
            waiting += [(part, depth + 1) for item in each.items() for part in item]
        elif isinstance(each, list):
            waiting += [(part, depth + 1) for part in each]


def _problem(detail: Any, known: str) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "body"
    if detail["type"] == "extra_forbidden":
        return f"{place}: there is no such field; known are {known}"
    if detail["type"] == "missing":
        return f"{place}: is required"
    return f"{place}: {detail['msg'].removeprefix('Value error, ')}"
