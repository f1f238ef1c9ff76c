"""Which of several keys a conversation goes to, so that its provider finds the beginning of it in a cache. Pure.

Each is ranked by a hash of its name with the conversation's beginning (rendezvous hashing): whatever comes or goes, all
others keep theirs. Caches of prompts: https://platform.openai.com/docs/guides/prompt-caching
"""

from zlib import crc32

_MOST_BYTES = 4096
_ROLE = b'"role"'


def beginning_of(body: bytes, token_id: int) -> int:
    """A number for what a conversation begins with: its first message, and whatever stands before it in the body.

    The next turn of a conversation begins alike, and so do all that have a long prompt in common.
    """
    first = body.find(_ROLE, 0, _MOST_BYTES)
    end = body.find(b"}", first, _MOST_BYTES) if first >= 0 else -1
    return crc32(body[: end if end >= 0 else _MOST_BYTES], token_id & 0xFFFFFFFF)


def rank(beginning: int, name: str) -> int:
    """The place of a name among others, for a conversation; the lowest is its own."""
    return crc32(name.encode(), beginning)
