"""Gemini's own schemas, a subset of OpenAPI 3.0, as JSON Schema; and which of that its answers keep to. Pure.

Their types are in capitals and have `nullable` beside them, and what is counted may be a text, as proto JSON does with
64 bits: https://ai.google.dev/api/caching#Schema
"""

from typing import Any

import orjson

from gateway.domain.translation.codec import Losses
from gateway.domain.translation.schemas import Subset, fitted

_NAMES = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "additional_properties": "additionalProperties",
    "defs": "$defs",
    "ref": "$ref",
}
_COUNTS = frozenset(_NAMES.values()) - {"anyOf", "additionalProperties", "$defs", "$ref"}
# They order what is shown, or are of OpenAPI alone.
_LEFT_OUT = frozenset({"propertyOrdering", "property_ordering", "nullable", "example"})

_SUBSET = Subset(
    whose="Gemini's models",
    keywords=frozenset(
        {
            *("$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum"),
            *("items", "prefixItems", "minItems", "maxItems", "minimum", "maximum"),
            *("anyOf", "oneOf", "properties", "additionalProperties", "required"),
            "propertyOrdering",
        }
    ),
)


def json_schema(schema: bytes) -> str:
    """The JSON of a JSON Schema that says what Gemini's schema does. Raises `ValueError` where it is none."""
    try:
        return orjson.dumps(_schema(orjson.loads(schema))).decode()
    except (orjson.JSONDecodeError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _schema(given: Any) -> Any:
    if isinstance(given, bool):  # of `additionalProperties`
        return given
    schema: dict[str, Any] = {}
    for name, value in given.items():
        if name in _LEFT_OUT or value is None:
            continue
        written = _NAMES.get(name, name)
        schema[written] = _member(written, value)
    if given.get("nullable") is True:
        _allow_null(schema)
    return schema


def _member(name: str, value: Any) -> Any:
    match name:
        case "properties" | "$defs":
            return {each: _schema(inner) for each, inner in value.items()}
        case "items" | "additionalProperties":
            return _schema(value)
        case "anyOf":
            return [_schema(each) for each in value]
        case _:
            return _text(name, value) if isinstance(value, str) else value


def _text(name: str, value: str) -> str | int:
    if name in _COUNTS:
        return int(value)
    if name == "type":
        return value.lower()
    return value.replace("#/defs/", "#/$defs/") if name == "$ref" else value


def _allow_null(schema: dict[str, Any]) -> None:
    """Let null be, too: in the type, and among the values if they are listed."""
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    if isinstance(schema.get("enum"), list):
        schema["enum"] = [*schema["enum"], None]


def binding(schema: str, losses: Losses, member: str) -> str:
    """The JSON of a schema that binds; `member` holds it. Raises `Uncarried`.

    Gemini passes over what it does not know: https://ai.google.dev/api/generate-content#GenerationConfig
    """
    return fitted(schema, _SUBSET, losses, member)
