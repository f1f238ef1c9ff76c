"""Ids of objects in a body: none is overlooked that a reader of JSON would find."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from gateway.domain.ask import Invalid
from gateway.domain.references import LONGEST_ID, is_reference, references
from tests.fuzz.target import Target


def keeps(data: bytes) -> None:
    try:
        found = set(references(data))
    except Invalid:
        return
    assert all(0 < len(text) <= LONGEST_ID for text in found)
    with contextlib.suppress(ValueError, RecursionError):  # no JSON, which nobody is sent
        assert set(_named(json.loads(data, object_pairs_hook=list))) <= found


def _named(value: Any) -> Iterator[str]:
    """What stands under names of ids, each time that one occurs; an object is a list of pairs."""
    for each in value if isinstance(value, list) else ():
        if not isinstance(each, tuple):
            yield from _named(each)
            continue
        name, inner = each
        if is_reference(name):
            yield from _ids(inner)
        yield from _named(inner)


def _ids(value: Any) -> Iterator[str]:
    """A text, or the texts that a list begins with, as far as an upstream could know them."""
    for each in [value] if isinstance(value, str) else value if isinstance(value, list) else ():
        if not isinstance(each, str):
            return
        if 0 < len(each) <= LONGEST_ID and each.isprintable():
            yield each


TARGET = Target(
    "references",
    keeps,
    (
        *(b'"file_id":"f-1"', b'"file_ids":["a","b"]', b'"\\u0066ile_id":', b'"conversation":'),
        *(
            b'"id":',
            b'"container":{"id":"c"}',
            b'"f\\u0069le":"x"',
            b'"FileID":"y"',
            b'"_id":',
            b",",
        ),
        *(
            b'"',
            b'\\"',
            b"\\\\",
            b"[",
            b"]",
            b"{",
            b"}",
            b":",
            b" ",
            b"\n",
            b"\t",
            b"\\u0022",
            b"\xff",
        ),
        *(
            b"\\n",
            b"null",
            b"1",
            b'["',
            b'"]',
            b"\\/",
            b"\xc3\xa9",
            b"\\ud83d\\ude00",
            b'"threadId":',
        ),
    ),
)
