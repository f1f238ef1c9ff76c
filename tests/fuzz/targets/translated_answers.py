"""Answers of upstreams of any form: whole, as a stream whose events are lines here, or as an error.

Whatever comes is read in its order or is a bad answer, and what is written of it for callers of any form is JSON.
"""

import json

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.answers import Delta
from gateway.domain.translation.codec import Codec
from tests.fuzz.target import Target
from tests.fuzz.targets.translated_requests import CODECS
from tests.unit.translation.streams import events, keep_order, written


def keeps(data: bytes) -> None:
    for codec in CODECS:
        _is_an_answer_or_none(codec, data)
        _is_a_stream_or_none(codec, data.split(b"\n"))
        fault = codec.read_fault(500, data)
        assert fault.message
        fault.message.encode()


def _is_an_answer_or_none(codec: Codec, data: bytes) -> None:
    try:
        answer = codec.read_answer(data)
    except BadAnswer as error:
        assert error.problem
        return
    for other in CODECS:
        json.loads(other.write_answer(answer, model="m", now=7))


def _is_a_stream_or_none(codec: Codec, lines: list[bytes]) -> None:
    reader = codec.reader()
    deltas: list[Delta] = []
    is_whole = False
    try:
        for line in lines:
            deltas += reader.event(b"", line)
        deltas += reader.end()
        is_whole = True
    except BadAnswer as error:
        assert error.problem
    if is_whole:
        keep_order(deltas)
    for other in CODECS:
        for _, told in events(written(other, deltas)):
            if told != b"[DONE]":
                json.loads(told)


TARGET = Target(
    "translated_answers",
    keeps,
    (
        *(b'{"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}', b'"finish_reason":"stop"'),
        *(
            b'"reasoning_content":"a"',
            b'"tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]',
        ),
        *(b'{"type":"message_start","message":{"id":"m"}}', b'{"type":"message_stop"}'),
        *(b'{"type":"content_block_start","index":0,"content_block":{"type":"text"}}', b"[DONE]"),
        *(
            b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}',
            b"\n",
        ),
        *(
            b'"usage":{"input_tokens":1,"output_tokens":1}',
            b'"error":{"message":"x"}',
            b"null",
            b"-1",
        ),
        *(
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b'"',
            b'"\\ud800"',
            b"\xff",
            b"1e400",
            b"9" * 40,
            b'"index":1',
        ),
    ),
)
