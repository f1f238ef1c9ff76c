"""JSON Schemas for providers that keep to some of its keywords alone. Pure.

What a provider does not keep to is put into the words of the description beside it, where the model reads it, as
Anthropic's own SDKs do, and is named: https://docs.claude.com/en/docs/build-with-claude/structured-outputs. What says
of which parts a value consists cannot be put so: it is refused, unless the operator lets it be left out by its name.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from gateway.domain.translation.codec import Losses

Json = dict[str, Any]

_SHAPES: Final = frozenset(
    {
        *("allOf", "oneOf", "not", "if", "then", "else", "prefixItems", "items", "additionalItems"),
        *("additionalProperties", "patternProperties", "propertyNames", "contains"),
        *("dependentRequired", "dependentSchemas", "dependencies"),
        *("unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"),
    }
)
# They say something about the schema, and nothing about what keeps to it.
_OF_THE_SCHEMA: Final = frozenset({"$schema", "$id", "$comment", "$anchor", "$vocabulary"})
_MAPS: Final = ("properties", "$defs", "definitions")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_OLD_PLACE, _PLACE = "#/definitions/", "#/$defs/"


class Subset(NamedTuple):
    """What a provider keeps to; `whose` is how a sentence begins with it.

    `formats` are those of texts, None: any. `most_min_items`: a longer list cannot be asked for. `is_closed`: objects
    have no members but those that are named.
    """

    whose: str
    keywords: frozenset[str]
    formats: frozenset[str] | None = None
    most_min_items: int | None = None
    is_closed: bool = False


def fitted(schema: str, subset: Subset, losses: Losses, member: str) -> str:
    """The JSON of a schema as the provider keeps to it, unchanged where it does. `member` holds it. Raises `Uncarried`.

    An object that says nothing of further members is closed where all have to be: what keeps to the closed one keeps to
    the open one, too.
    """
    try:
        document = msgspec.json.decode(schema)
        fitting = _Fitting(subset, losses, member)
        fitting.fit(document, (), is_closed=subset.is_closed)
        return msgspec.json.encode(document).decode() if fitting.has_changed else schema
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return schema  # the provider will say what is wrong with it


class _Fitting:
    """Changes one schema in its place."""

    def __init__(self, subset: Subset, losses: Losses, member: str) -> None:
        self._subset = subset
        self._losses = losses
        self._member = member
        self.has_changed = False

    def fit(self, schema: Any, at: tuple[str, ...], *, is_closed: bool) -> None:
        """Fit it and all that it consists of; `at` is where it stands."""
        if not isinstance(schema, dict):
            return
        self._say_otherwise(schema)
        words = {name: schema[name] for name in schema if not self._keeps(name, schema[name])}
        if "$ref" in schema:  # it stands alone, and nothing can be described beside it
            words |= {name: schema[name] for name in schema if not name.startswith("$")}
        for name in words:
            self._lose(name, at)
            del schema[name]
        words = {name: words[name] for name in words if name not in _OF_THE_SCHEMA}
        if words and "$ref" not in schema:
            _describe(schema, words)
        if is_closed and _is_object(schema) and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
            self.has_changed = True
        for name, inner in _within(schema):
            # An object that is closed in one of several schemas that all hold would be empty.
            self.fit(inner, (*at, name), is_closed=is_closed and not name.startswith("allOf"))

    def _say_otherwise(self, schema: Json) -> None:
        """Put what the provider does not know in keywords that it knows, where these say the same."""
        known = self._subset.keywords
        while (inner := _only_one(schema)) is not None:
            del schema["allOf"]
            schema.update({**inner, **schema})
            self.has_changed = True
        if "const" in schema and "const" not in known and _is_plain(schema["const"]):
            schema["enum"] = [schema.pop("const")]
            self.has_changed = True
        if "definitions" in schema and "definitions" not in known and "$defs" not in schema:
            schema["$defs"] = schema.pop("definitions")
            self.has_changed = True
        ref = schema.get("$ref")
        if isinstance(ref, str) and ref.startswith(_OLD_PLACE) and "definitions" not in known:
            schema["$ref"] = ref.replace(_OLD_PLACE, _PLACE, 1)
            self.has_changed = True
        if "oneOf" in schema and "oneOf" not in known and "anyOf" not in schema:
            schema["anyOf"] = schema.pop("oneOf")  # as Anthropic's SDKs do
            self.has_changed = True
            self._losses.note("oneOf")

    def _keeps(self, name: str, value: Any) -> bool:  # noqa: PLR0911 -- some have rules of their own
        subset = self._subset
        if name not in subset.keywords:
            return False
        match name:
            case "format" if subset.formats is not None:
                return isinstance(value, str) and value in subset.formats
            case "minItems" if subset.most_min_items is not None:
                return isinstance(value, int) and value <= subset.most_min_items
            case "const":
                return _is_plain(value)
            case "enum":
                return isinstance(value, list) and all(map(_is_plain, value))
            case "items":
                return not isinstance(value, list)
            case "additionalProperties":
                return value is False or not subset.is_closed
            case _:
                return True

    def _lose(self, name: str, at: tuple[str, ...]) -> None:
        self.has_changed = True
        if name in _OF_THE_SCHEMA:
            return
        if name in _SHAPES:
            place = f"'{name}' in {'.'.join(at)!r}" if at else f"'{name}'"
            why = f"{self._subset.whose} cannot be held to {place} of a schema"
            self._losses.leave_out_of(self._member, name, why)
        else:
            self._losses.note(name)


def _only_one(schema: Json) -> Json | None:
    """The only schema of an `allOf`, where both together say no keyword twice but what describes them."""
    several = schema.get("allOf")
    if not isinstance(several, list) or len(several) != 1 or not isinstance(several[0], dict):
        return None
    beside = schema.keys() - {"allOf", "description", "title"}
    return several[0] if beside.isdisjoint(several[0]) else None


def _describe(schema: Json, words: Json) -> None:
    """Add them to the description, in the way of Anthropic's SDKs."""
    told = ", ".join(f"{name}: {msgspec.json.encode(words[name]).decode()}" for name in words)
    before = schema.get("description")
    schema["description"] = f"{before}\n\n{{{told}}}" if before else f"{{{told}}}"


def _within(schema: Json) -> Iterator[tuple[str, Any]]:
    """The schemas that it consists of, and where they stand in it."""
    for name in _MAPS:
        named = schema.get(name)
        for each, inner in named.items() if isinstance(named, dict) else ():
            yield f"{name}.{each}", inner
    for name in _LISTS:
        listed = schema.get(name)
        for index, inner in enumerate(listed if isinstance(listed, list) else ()):
            yield f"{name}[{index}]", inner
    for name in ("items", "additionalProperties"):
        yield name, schema.get(name)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _is_object(schema: Json) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def with_description(schema: str, description: str) -> str:
    """A JSON Schema with this description, if it has none and may have one."""
    if not description:
        return schema
    try:
        found = msgspec.json.decode(schema)
        if not isinstance(found, dict) or "description" in found:
            return schema
        return msgspec.json.encode({"description": description, **found}).decode()
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return schema  # the provider will say what is wrong with it
