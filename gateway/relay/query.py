"""The query of a call: passed on as it came, but for a key in it, which is the gateway's alone. Pure.

Gemini's clients may send their key so: https://ai.google.dev/gemini-api/docs/api-key
"""

from urllib.parse import unquote_plus

KEY_PARAMETER = "key"


def key_in(query: str) -> str | None:
    """The key in a query, if there is one."""
    for parameter in query.split("&") if query else ():
        name, found, value = parameter.partition("=")
        if found and unquote_plus(name) == KEY_PARAMETER:
            return unquote_plus(value)
    return None


def passed_on(query: str) -> str:
    """What an upstream may see of a query, with its question mark; empty where there is nothing."""
    kept = [
        parameter
        for parameter in (query.split("&") if query else ())
        if unquote_plus(parameter.partition("=")[0]) != KEY_PARAMETER
    ]
    return f"?{'&'.join(kept)}" if any(kept) else ""
