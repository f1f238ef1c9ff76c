"""JSON Schemas that answers keep to, as Anthropic takes them. Pure.

It wants every object closed, while other dialects take one that says nothing of further members. What keeps to the
closed one keeps to the open one, too:
https://docs.claude.com/en/docs/build-with-claude/structured-outputs#json-schema-limitations
"""

from typing import Any, Final

import msgspec

_FURTHER: Final = "additionalProperties"
_MAPS: Final = ("properties", "$defs", "definitions")
# Not `allOf`: an object that is closed in one of several that all hold would be empty.
_LISTS: Final = ("anyOf", "oneOf", "prefixItems")


def closed(schema: str) -> str:
    """The schema with every object closed that says nothing of further members; as it is where none has to be."""
    try:
        document = msgspec.json.decode(schema)
        return msgspec.json.encode(document).decode() if _close(document) else schema
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return schema  # the provider will say what is wrong with it


def _close(schema: Any) -> bool:
    """Close it and what it consists of; whether something had to be."""
    if not isinstance(schema, dict):
        return False
    within = [schema.get("items")]
    for name in _MAPS:
        named = schema.get(name)
        within += named.values() if isinstance(named, dict) else ()
    for name in _LISTS:
        listed = schema.get(name)
        within += listed if isinstance(listed, list) else ()
    found = [_close(each) for each in within]
    if _is_object(schema) and _FURTHER not in schema:
        schema[_FURTHER] = False
        return True
    return any(found)


def _is_object(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)
