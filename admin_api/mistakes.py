"""All mistakes of one request: what reads its fields goes on after one, and they are told in one order (pure)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, ParamSpec, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from gateway.domain.rejection import BrokenRule, Mistake, Problem, Rejected, mistake
from gateway.domain.rules import Param, Rule

MOST_TOLD: Final = 20
"""Of more mistakes, the first so many are told."""

_MOST_READ = 100  # a body has room for a hundred thousand
_MAX_POSITION_DIGITS = 6
_BOUNDS: Final = {
    "greater_than_equal": (Rule.TOO_SMALL, "ge", "least"),
    "less_than_equal": (Rule.TOO_LARGE, "le", "most"),
    "greater_than": (Rule.NOT_ABOVE, "gt", "bound"),
    "less_than": (Rule.NOT_BELOW, "lt", "bound"),
}
_LENGTHS: Final = {
    "string_too_short": (Rule.TOO_SHORT, "min_length", "least"),
    "string_too_long": (Rule.TOO_LONG, "max_length", "most"),
    "too_short": (Rule.TOO_FEW, "min_length", "least"),
    "too_long": (Rule.TOO_MANY, "max_length", "most"),
}
_TYPES: Final = {
    "string_type": "string",
    "int_type": "integer",
    "bool_type": "boolean",
    "list_type": "array",
    "tuple_type": "array",
    "dict_type": "object",
    "model_type": "object",
}

P = ParamSpec("P")
T = TypeVar("T")


class Mistakes:
    """Those that were found until now."""

    def __init__(self) -> None:
        self._found: list[Mistake] = []

    def reading(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `read` reads. Where it is rejected there is nothing, and `raise_any` has to come before any use."""
        try:
            return read(*args, **kwargs)
        except Rejected as rejected:
            if rejected.problem is not Problem.INVALID_FIELD:
                raise
            for each in rejected.mistakes:
                self.add(each)
        return cast("T", None)

    def add(self, found: Mistake) -> None:
        """Note one more. Raises `Rejected` where there are so many that no more are looked for."""
        self._found.append(found)
        if len(self._found) >= _MOST_READ:
            self.raise_any()

    def raise_any(self, order: Iterable[str] = ()) -> None:
        """Raises `Rejected` if there are any: in the order of the fields, and of positions within."""
        if self._found:
            places = {name: place for place, name in enumerate(order)}
            told = sorted(self._found, key=lambda each: _place(each.field or "", places))
            raise Rejected(Problem.INVALID_FIELD, *told[:MOST_TOLD])


def mistakes_of(error: ValidationError, model: type[BaseModel]) -> Mistakes:
    """What a body's type found, as mistakes."""
    found = Mistakes()
    for detail in error.errors(include_url=False)[: _MOST_READ - 1]:
        found.add(_mistake(detail, model))
    return found


def json_type(value: Any) -> str:
    """What JSON calls the type of a value."""
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((str, "string"), (int, "integer"), (list, "array"), (Mapping, "object")):
        if isinstance(value, kind):
            return name
    return "null" if value is None else "number"


def _place(field: str, places: Mapping[str, int]) -> tuple[int, list[int], str]:
    """Fields that the type has come first, the others by their names."""
    name, *within = field.split(".")
    positions = [int(p) for p in within if p.isdecimal() and len(p) <= _MAX_POSITION_DIGITS]
    return places.get(name, len(places)), positions, "" if name in places else name


def _mistake(detail: Mapping[str, Any], model: type[BaseModel]) -> Mistake:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    field = ".".join(str(part) for part in detail["loc"]) or "body"
    if isinstance(broken := context.get("error"), BrokenRule):
        return broken.at(field)
    if kind == "missing":
        return mistake(field, Rule.REQUIRED)
    if kind == "extra_forbidden":
        return mistake(
            field, Rule.UNKNOWN_FIELD, known=[*_within(model, detail["loc"]).model_fields]
        )
    if kind == "literal_error":
        return _not_one_of(field, context["expected"], given)
    if kind in _TYPES:
        return mistake(field, Rule.WRONG_TYPE, expected=[_TYPES[kind]], given=json_type(given))
    return _beyond(field, detail)


def _beyond(field: str, detail: Mapping[str, Any]) -> Mistake:
    """A bound or a length that is not kept."""
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in _BOUNDS:
        rule, key, name = _BOUNDS[kind]
        return mistake(field, rule, **{name: _number(context[key]), "given": _number(given)})
    if kind in _LENGTHS:
        rule, key, name = _LENGTHS[kind]
        return mistake(field, rule, **{name: context[key], "given": len(given)})
    return mistake(field, Rule.UNREADABLE, why=detail["msg"])


def _number(value: Any) -> Param:
    """A whole number, or a text that says it exactly."""
    return int(value) if value == int(value) else str(value)


def _not_one_of(field: str, expected: str, given: Any) -> Mistake:
    """`expected` is pydantic's: `'a', 'b' or 'c'`."""
    choices = expected.replace(" or ", ", ").replace("'", "").split(", ")
    if not isinstance(given, str):
        return mistake(field, Rule.WRONG_TYPE, expected=["string"], given=json_type(given))
    return mistake(field, Rule.NOT_ONE_OF, choices=choices, given=given)


def _within(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """The model that the last part of a place is a field of."""
    for part in place[:-1]:
        if isinstance(part, str):
            model = _models_in(model.model_fields[part].annotation)[0]
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for each in get_args(annotation) for found in _models_in(each)]
