"""Members of a large body changed in their places, without reading or writing anew what is around them. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from gateway.domain.thin import HEAD_BYTES, LARGE_BYTES, Cut, is_worth_it, long_texts, thinned

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_COLON: Final = re.compile(rb"\s*+:\s*+")
_SPACES: Final = b" \t\r\n"


class Pieces:
    """A body to be written a piece after the other: what the caller sent, as it stands, and what is new in between."""

    __slots__ = ("_pieces",)

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        return sum(map(len, self._pieces))

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return iter(self._pieces)

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)


class _Edit(NamedTuple):
    """What stands from `start` up to `end` of a body becomes `new`."""

    start: int
    end: int
    new: bytes


def spliced(body: bytes, changes: Mapping[str, bytes]) -> Pieces | None:
    """The body with top-level members replaced or added; None where it has to be written anew.

    `changes` maps a member's name to its JSON. The body is one that was read before, so it is JSON.
    """
    cuts = _cuts(body)
    if not cuts:
        return None
    thin = thinned(body, cuts)
    top = _decode_members(thin)
    edits = []
    for name, new in changes.items():
        edit = _replacing(thin, name, top[name], new) if name in top else _adding(thin, name, new)
        if edit is None:
            return None
        edits.append(edit)
    return _applied(body, cuts, sorted(edits))


def member_of(body: bytes, name: str) -> msgspec.Raw | None:
    """A member of a body that was read before, as it stands there."""
    cuts = _cuts(body)
    if cuts:
        member = _decode_members(thinned(body, cuts)).get(name)
        if member is None or len(member) < HEAD_BYTES:  # nothing of it was cut
            return member
    return _decode_members(body).get(name)


def _cuts(body: bytes) -> list[Cut]:
    """What of it need not be looked at; nothing where that is little."""
    cuts = list(long_texts(body)) if len(body) >= LARGE_BYTES else []
    return cuts if is_worth_it(body, cuts) else []


def _replacing(thin: bytes, name: str, old: msgspec.Raw, new: bytes) -> _Edit | None:
    """Where a member's value stands; None where that is in doubt, or some of it was cut."""
    written = b'"%b"' % name.encode()
    if len(old) >= HEAD_BYTES or b"\\u00" in thin or thin.count(written) != 1:
        return None
    colon = _COLON.match(thin, thin.index(written) + len(written))
    if colon is None or not thin.startswith(bytes(old), colon.end()):
        return None
    return _Edit(colon.end(), colon.end() + len(old), new)


def _adding(thin: bytes, name: str, new: bytes) -> _Edit:
    """A member more, behind the last: there is one, for something was cut."""
    end = len(thin.rstrip(_SPACES)) - 1
    return _Edit(end, end, b',"%b":%b' % (name.encode(), new))


def _applied(body: bytes, cuts: list[Cut], edits: list[_Edit]) -> Pieces:
    """The body after edits of its thin copy, none of which touches a cut."""
    whole, at = memoryview(body), 0
    pieces: list[memoryview | bytes] = []
    for edit in edits:
        before_bytes = _cut_before(edit.start, cuts)
        start = edit.start + before_bytes
        pieces += (whole[at:start], edit.new)
        at = edit.end + before_bytes
    pieces.append(whole[at:])
    return Pieces(pieces)


def _cut_before(position: int, cuts: list[Cut]) -> int:
    """How many bytes were cut before a place of the thin copy."""
    size_bytes = 0
    for cut in cuts:
        if cut.start - size_bytes > position:
            break
        size_bytes += cut.size_bytes
    return size_bytes
