"""Where a prompt cache is to end, as Anthropic has it and OpenAI's dialect in common use. Pure.

https://docs.claude.com/en/docs/build-with-claude/prompt-caching, https://openrouter.ai/docs/features/prompt-caching
"""

import msgspec


class CacheControl(msgspec.Struct):
    """A prompt cache's breakpoint. Whatever else it says, no answer hangs on it."""

    type: str = "ephemeral"
    ttl: str | None = None


def cache_of(told: CacheControl | None) -> str:
    """For how long what stands before it is kept, `5m` or `1h`; empty where there is no breakpoint."""
    if told is None:
        return ""
    return "1h" if told.ttl == "1h" else "5m"


def cache_control_of(cache: str) -> dict[str, str]:
    """It as Anthropic is told."""
    return {"type": "ephemeral", "ttl": cache}
