"""OpenTelemetry's words for calls of models, of which figures and spans tell. Pure.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from collections.abc import Mapping
from typing import Final

from gateway.domain.catalog import Dialect
from gateway.domain.errors import Reason

OPERATIONS: Final[Mapping[str, str]] = {
    "chat_completions": "chat",
    "messages": "chat",
    "responses": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
    "embed_content": "embeddings",
    "generate_content": "generate_content",
    "stream_generate_content": "generate_content",
}
"""`gen_ai.operation.name` by route. Of others a span has the route's name, and there are no figures by these words."""

PROVIDERS: Final[Mapping[Dialect, str]] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
}
"""`gen_ai.provider.name`: whose form the call has, whoever serves it."""

_REASONS = frozenset(map(str, Reason))
_ERROR = 400


def error_type(status: int, reason: str) -> str:
    """`error.type` of a call: the reason of a refusal or failure, else the status of an error; empty without one."""
    if reason in _REASONS:
        return reason
    return str(status) if status >= _ERROR else ""
