"""The ask of a large body, read of thin copies, in steps between which other calls go on. Pure.

Two copies are read that differ in the length of what was cut. Where everything else of the two asks is the same, and
either each of the cuts is in `size_bytes` or none is (they are images), the body's own ask follows. In any doubt, and
for whatever is refused, the body is read as it stands.
"""

from collections.abc import Generator
from typing import Final

import msgspec

from gateway.domain.ask import Ask, Form, Path, read_ask
from gateway.domain.errors import Refusal
from gateway.domain.thin import Cut, is_worth_it, long_texts, thinned

_PIECE_BYTES: Final = 131_072
_INSTEAD: Final = b"A" * 64
_decode_text = msgspec.json.Decoder(str).decode

Steps = Generator[None, None, Ask | Refusal]


def read_in_steps(body: bytes, form: Form, path: Path) -> Steps:
    """What `read_ask` finds, with a break after each step of the work."""
    cuts: list[Cut] = []
    escapes = 0  # bytes that are no characters of their own
    for cut in long_texts(body):
        characters = yield from _characters(body, cut)
        if characters is not None:
            cuts.append(cut)
            escapes += cut.size_bytes - characters
    if cuts and is_worth_it(body, cuts):
        ask = _read_thin(body, cuts, escapes, form, path)
        if ask is not None:
            return ask
        yield
    return read_ask(body, form, path)


def _read_thin(body: bytes, cuts: list[Cut], escapes: int, form: Form, path: Path) -> Ask | None:
    ask = read_ask(thinned(body, cuts), form, path)
    longer = read_ask(thinned(body, cuts, _INSTEAD), form, path)
    if not isinstance(ask, Ask) or not isinstance(longer, Ask):
        return None
    size_bytes = ask.size_bytes
    counted_bytes, ask.size_bytes = longer.size_bytes - size_bytes, longer.size_bytes
    if ask != longer:
        return None
    if counted_bytes == 0:
        ask.size_bytes = size_bytes + escapes  # of images the characters are left out
    elif counted_bytes == len(cuts) * len(_INSTEAD):
        ask.size_bytes = size_bytes + sum(cut.size_bytes for cut in cuts)
    else:
        return None
    return ask


def _characters(body: bytes, cut: Cut) -> Generator[None, None, int | None]:
    """How many characters a decoder would make of the cut; None where it might find anything else in it."""
    whole, at, found = memoryview(body), cut.start, 0
    while at < cut.end:
        end = min(at + _PIECE_BYTES, cut.end)
        if body[end - 1 : end] == b"\\":
            end = min(end + 1, cut.end)
        piece = b"".join((b'"', whole[at:end], b'"'))
        # An escaped letter may be one of a name that is looked for.
        if b"\\" in piece and b"\\u" in piece:
            return None
        try:
            found += len(_decode_text(piece))
        except ValueError:
            return None
        at = end
        yield
    return found
