"""How each dialect's providers want to be told who calls, and what else they ask for. Pure."""

from typing import Final

from gateway.domain.catalog import Dialect, Upstream

_KEYS: Final[dict[Dialect, tuple[str, str]]] = {
    "openai": ("authorization", "Bearer {}"),
    "anthropic": ("x-api-key", "{}"),
    "gemini": ("x-goog-api-key", "{}"),
}
DEFAULTS: Final[dict[Dialect, tuple[tuple[str, str], ...]]] = {
    "openai": (),
    "anthropic": (("anthropic-version", "2023-06-01"),),
    "gemini": (),
}
"""Where a caller leaves out what the provider asks for: https://docs.claude.com/en/api/versioning"""


def key_header(upstream: Upstream, api_key: str) -> tuple[str, str]:
    """The header that carries a provider's key."""
    if upstream.azure_api_version:
        return (
            "api-key",
            api_key,
        )  # https://learn.microsoft.com/azure/ai-foundry/openai/reference#authentication
    name, form = _KEYS[upstream.dialect]
    return name, form.format(api_key)
