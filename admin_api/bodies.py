"""How a body is read, and what bodies are made of. What may be sent stands in each area's `bodies.py`."""

import json
import math
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, NoReturn, TypeVar

from aiohttp import web
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
    ValidationError,
)

from admin_api.arrival import whole_body
from admin_api.envelope import Code, Declined
from admin_api.fields import MAX_LIST
from admin_api.mistakes import Mistakes, json_type, mistakes_of
from gateway.catalog_settings import LimitSettings
from gateway.domain.limits import MAX_EXACT
from gateway.domain.redaction import HIDDEN
from gateway.domain.rejection import BrokenRule, invalid
from gateway.domain.rules import Rule

MAX_BODY_BYTES = 1024**2
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
    try:
        number = None if math.isinf(float(text)) else Decimal(text)
    except InvalidOperation:  # an exponent of more digits than decimals have
        number = None
    if number is None:
        raise ValueError(f"{text[:40]} is beyond the numbers that readers of JSON hold")
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
