"""Where upstreams of each dialect take calls, below their base URL. Pure.

https://platform.openai.com/docs/api-reference/chat, https://docs.claude.com/en/api/messages,
https://ai.google.dev/api/generate-content
"""

from urllib.parse import quote

from gateway.domain.catalog import Dialect


def path_of(dialect: Dialect, model_name: str, *, stream: bool) -> str:
    """Of the next turn of a conversation."""
    if dialect == "openai":
        return "/chat/completions"
    if dialect == "anthropic":
        return "/messages"
    return of_action(model_name, "streamGenerateContent?alt=sse" if stream else "generateContent")


def of_action(model_name: str, action: str) -> str:
    """Of something that a model of Gemini's does."""
    return f"/models/{quote(model_name, safe='')}:{action}"
