"""The body of a call that is not made."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from admin_api.bodies import Body
from admin_api.mistakes import json_type
from gateway.domain.rejection import BrokenRule
from gateway.domain.rules import Rule

_MAX_INPUT_TOKENS = 100_000_000


def _text_or_object(value: Any) -> Any:
    if value is not None and not isinstance(value, str | dict):
        raise BrokenRule(Rule.WRONG_TYPE, expected=["string", "object"], given=json_type(value))
    return value


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
