"""What callers tell of a call beside the ask: whom it is for, and tags of theirs (pure).

It is noted in the ledger, for sums and filters, and decides nothing: callers write what they like. What is longer than
allowed is not noted, control characters are dropped, and no call is refused for it: that is the upstream's to do.
"""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Final

import msgspec

TELLING: Final = frozenset({"user", "safety_identifier", "metadata"})
"""Members of OpenAI's bodies that tell something."""

MAX_END_USER_CHARACTERS: Final = 512
# https://platform.openai.com/docs/api-reference/chat/create#chat-create-metadata
MAX_TAGS: Final = 16
MAX_KEY_CHARACTERS: Final = 64
MAX_VALUE_CHARACTERS: Final = 512

# Control characters, line separators, what turns the direction of writing, and halves of characters.
_DROPPED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_decode_text = msgspec.json.Decoder(str).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def end_user_of(top: Mapping[str, msgspec.Raw]) -> str:
    """Whom a body of OpenAI's dialect is for; empty where it does not say.

    https://platform.openai.com/docs/guides/safety-best-practices#safety-identifiers
    """
    names = ("user", "safety_identifier")
    told = (_text(top[name], MAX_END_USER_CHARACTERS) for name in names if name in top)
    return next(filter(None, told), "")


def tags_of(top: Mapping[str, msgspec.Raw]) -> dict[str, str] | None:
    """The tags of a body of OpenAI's dialect, out of its `metadata`; None where there are none."""
    tags = {}
    if "metadata" in top:
        for name, value in islice(_members(top["metadata"]).items(), MAX_TAGS):
            key, text = _clean(name, MAX_KEY_CHARACTERS), _text(value, MAX_VALUE_CHARACTERS)
            if key and text is not None:
                tags[key] = text
    return tags or None


def user_id_in(metadata: msgspec.Raw) -> str:
    """Whom a body of Anthropic's dialect is for: https://docs.claude.com/en/api/messages#body-metadata."""
    members = _members(metadata)
    return _text(members["user_id"], MAX_END_USER_CHARACTERS) or "" if "user_id" in members else ""


def _members(value: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return _decode_members(value)
    except (ValueError, RecursionError):
        return {}


def _text(value: msgspec.Raw, most: int) -> str | None:
    """A text as it is noted; None where it is none, or too long."""
    try:
        return _clean(_decode_text(value), most)
    except ValueError:
        return None


def _clean(text: str, most: int) -> str | None:
    return _DROPPED.sub("", text).strip() if len(text) <= most else None
