"""Thin copies of large bodies: without the most of their long texts, which are images nearly always. Pure.

A megabyte of base64 takes a decoder as long as all else that is done for a hundred calls, and says nothing. A thin copy
has everything that a body has, at the same places, but for the middle of such texts.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

LARGE_BYTES: Final = 524_288
"""Smaller bodies are read as they are."""
HEAD_BYTES: Final = 4096
"""This much of a long text stays, more than of any text is compared or noted."""
_LONG_BYTES: Final = 16_384
_LONGEST_ESCAPE: Final = 6  # \\uXXXX
_LARGEST_SHARE: Final = 4
_BETWEEN: Final = b" \t\r\n,:]}"
_BEHIND_VALUES: Final = b",]}"  # behind a name is a colon: names stay whole
_SPACES: Final = 16


class Cut(NamedTuple):
    """What is left out of a body, from `start` up to `end`."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """How much that is."""
        return self.end - self.start


def long_texts(body: bytes) -> Iterator[Cut]:
    """What can be cut out of the body's long texts so that all else keeps its meaning, if the body is JSON.

    It looks at one place of each so many bytes, whatever stands there: many short texts cost nothing. What stands
    between two quotes is a text, or the end of one, unless it begins with what can only stand between texts.
    """
    at, last = _LONG_BYTES, 0
    while (end := body.find(b'"', at)) >= 0:
        start = body.rfind(b'"', last, at) + 1
        if start and end - start >= _LONG_BYTES and body[start] not in _BETWEEN:
            cut = _behind_head(body, start, end)
            if cut is not None:
                yield cut
        at, last = end + _LONG_BYTES, end


def _behind_head(body: bytes, start: int, end: int) -> Cut | None:
    """All of a text but its head, which holds every escape that begins in it; None where it should stay whole."""
    follows = body[end + 1 : end + _SPACES].lstrip()[:1]
    if body[end - 1 : end] == b"\\" or not follows or follows not in _BEHIND_VALUES:
        return None
    head = start + HEAD_BYTES
    while b"\\" in body[head - _LONGEST_ESCAPE : head]:
        head += _LONGEST_ESCAPE
        if head >= end:
            return None
    return Cut(head, end)


def is_worth_it(body: bytes, cuts: Sequence[Cut]) -> bool:
    """Whether the thin copy is so much smaller that it may be read more than once."""
    left = len(body) - sum(cut.size_bytes for cut in cuts)
    return left * _LARGEST_SHARE <= len(body)


def thinned(body: bytes, cuts: Sequence[Cut], instead: bytes = b"") -> bytes:
    """The body without the cuts, each with something in its stead."""
    whole, at = memoryview(body), 0
    pieces: list[memoryview | bytes] = []
    for cut in cuts:
        pieces += (whole[at : cut.start], instead)
        at = cut.end
    pieces.append(whole[at:])
    return b"".join(pieces)
