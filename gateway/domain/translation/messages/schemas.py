"""JSON Schemas that answers and the arguments of strict tools keep to, as Anthropic takes them. Pure.

https://docs.claude.com/en/docs/build-with-claude/structured-outputs#json-schema-limitations: whatever else is in one,
the call is refused. Which expressions a `pattern` may have is left to the provider.
"""

from typing import Final

from gateway.domain.translation.codec import Losses
from gateway.domain.translation.schemas import Subset, fitted

_SUBSET: Final = Subset(
    whose="Anthropic's models",
    keywords=frozenset(
        {
            *("type", "properties", "required", "additionalProperties", "items", "minItems"),
            *("enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions"),
            *("format", "pattern", "default", "description", "title"),
        }
    ),
    formats=frozenset(
        {
            *("date-time", "time", "date", "duration", "email", "hostname"),
            *("uri", "ipv4", "ipv6", "uuid"),
        }
    ),
    most_min_items=1,
    is_closed=True,
)


def binding(schema: str, losses: Losses, member: str) -> str:
    """The JSON of a schema that binds; `member` holds it. Raises `Uncarried`."""
    return fitted(schema, _SUBSET, losses, member)
