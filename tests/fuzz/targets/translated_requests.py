"""Requests of callers of any form: read, or told what is wrong or not carried; and what is written of them is JSON."""

import contextlib
import json
from typing import Final

from gateway.domain.ask import Invalid
from gateway.domain.translation import chat, contents, messages, responses
from gateway.domain.translation.codec import Codec, Losses, Uncarried
from tests.fuzz.target import Target

CODECS: Final[tuple[Codec, ...]] = (*(chat, responses, messages, contents),)
_ALL = frozenset({"*"})


def keeps(data: bytes) -> None:
    for codec in CODECS:
        for drop in (frozenset[str](), _ALL):
            with contextlib.suppress(Invalid, Uncarried):
                _is_written_as_json(codec, data, drop)


def _is_written_as_json(codec: Codec, data: bytes, drop: frozenset[str]) -> None:
    asked = codec.read_request(data, Losses(drop), model="claude-opus-5", stream=False)
    assert asked.model == "claude-opus-5"
    for other in CODECS:
        with contextlib.suppress(Uncarried):
            told = json.loads(other.write_request(asked, Losses(drop)))
            assert told.get("model", asked.model) == asked.model  # or the path names it


TARGET = Target(
    "translated_requests",
    keeps,
    (
        *(
            b'"messages":[',
            b'{"role":"user","content":"hi"}',
            b'"role":"assistant"',
            b'"content":[',
        ),
        *(
            b'{"type":"text","text":"a"}',
            b'"type":"image_url"',
            b'"image_url":{"url":"data:a;base64,"}',
        ),
        *(
            b'"type":"tool_result","tool_use_id":"t"',
            b'"tool_calls":[',
            b'"arguments":"{',
            b'"input":{',
        ),
        *(b'"tools":[', b'"max_tokens":9', b'"n":2', b'"stop":', b'"thinking":{"type":"enabled"}'),
        *(
            b'"reasoning_effort":"low"',
            b'"temperature":',
            b"null",
            b"-1",
            b"1e400",
            b"9" * 40,
            b"[",
            b"]",
        ),
        *(
            b"{",
            b"}",
            b",",
            b'"',
            b'\\"',
            b'"\\ud800"',
            b"\\u00e9",
            b"\xff",
            b"true",
            b'"seed":1',
            b'"x":0',
        ),
    ),
)
