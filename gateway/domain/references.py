"""Which objects of an upstream a body names: files, batches, conversations … that somebody has made. Pure.

Providers say in a member's name that an id stands there (`file_id`, `vector_store_ids`, `training_file`), or what it is
the id of (`conversation`): https://platform.openai.com/docs/api-reference. Such a member counts wherever it stands, and
each time: of two that are alike, readers take the one or the other. A body may be large, and written so that it is slow
to parse; so it is searched.
"""

import re
from collections.abc import Iterator

import msgspec

from gateway.domain.ask import Invalid
from gateway.domain.cases import Case

LONGEST_ID = 200
"""Characters."""
_MOST = 20_000
_NAMES = ("id", "ids", "file", "files", "container", "conversation", "thread")
# How such a name ends; one pattern each, for a literal at its start is what makes a search fast.
_ENDS = {end: re.compile(end + rb"\s*+:\s*+") for end in (f'{name}"'.encode() for name in _NAMES)}
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TEXT = re.compile(_STRING, re.DOTALL)
# A text, or a list that begins with texts.
_VALUE = re.compile(rb"%b|\[\s*+(?:%b\s*+,?\s*+)*+" % (_STRING, _STRING), re.DOTALL)
# The letters of a name may be written as escapes.
_ESCAPES = [
    (escape.encode(), letter.encode())
    for letter in sorted({*"".join(_NAMES), *"".join(_NAMES).upper(), "_"})
    for escape in {f"\\u{ord(letter):04x}", f"\\u{ord(letter):04X}"}
]
_decode = msgspec.json.Decoder(str).decode


def is_reference(name: str) -> bool:
    """Whether what stands under this name may be an id."""
    return name.lower().endswith(_NAMES)


def references(body: bytes) -> tuple[str, ...]:
    """What may be ids in a body of JSON, each once. Raises `Invalid` where that is no end of them."""
    if b"\\u00" in body:
        for escape, letter in _ESCAPES:
            body = body.replace(escape, letter)
    found: dict[str, None] = {}
    for number, text in enumerate(_texts(body)):
        if number >= _MOST:
            raise Invalid(Case.TOO_MANY_OBJECTS, most=_MOST)
        if 0 < len(text) <= LONGEST_ID:
            found[text] = None
    return tuple(found)


def _texts(body: bytes) -> Iterator[str]:
    lowered = body.lower()
    for end, member in _ENDS.items():
        for name in member.finditer(lowered) if end in lowered else ():
            value = _VALUE.match(body, name.end())
            for text in _TEXT.finditer(value[0]) if value is not None else ():
                try:
                    yield _decode(text[0])
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # no text of JSON: nobody reads it
