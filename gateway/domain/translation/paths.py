"""Where upstreams of each dialect take calls, below their base URL. Pure.

https://platform.openai.com/docs/api-reference, https://docs.claude.com/en/api/messages,
https://ai.google.dev/api/generate-content
"""

from urllib.parse import quote

from gateway.domain.catalog import Dialect, Form


def path_of(dialect: Dialect, form: Form, model_name: str, *, stream: bool) -> str:
    """Of the next turn of a conversation; OpenAI's dialect has two forms."""
    if dialect == "openai":
        return "/responses" if form == "responses" else "/chat/completions"
    if dialect == "anthropic":
        return "/messages"
    return of_action(model_name, "streamGenerateContent?alt=sse" if stream else "generateContent")


def of_action(model_name: str, action: str) -> str:
    """Of something that a model of Gemini's does."""
    return f"/models/{quote(model_name, safe='')}:{action}"
