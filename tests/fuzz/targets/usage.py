"""What every dialect's answers say was used: believed whole, or not at all."""

import contextlib
import json
from typing import Any

import orjson

from gateway.domain.catalog import Price
from gateway.domain.dialects.anthropic import MessagesEnding, MessagesMeter
from gateway.domain.dialects.gemini import ContentEnding, ContentMeter
from gateway.domain.dialects.meter import BadUsage
from gateway.domain.dialects.openai import ChunksEnding, OpenAIMeter, RerankMeter
from gateway.domain.usage import Usage, cost_nusd, most_nusd
from tests.fuzz.target import Target

_METERS = (OpenAIMeter, RerankMeter, MessagesMeter, ContentMeter)
_PRICE = Price(3, 15, 1, 4, 7, audio_input_nusd=40, image_output_nusd=90, reasoning_nusd=16)
_PLAIN_PRICE = Price(3, 15, 1, 4)
_COUNTS_END = 2**31


def keeps(data: bytes) -> None:
    for kind in _METERS:
        meter = kind()
        with contextlib.suppress(BadUsage):
            usage = meter.whole(data)
            _is_believable(usage)
            if kind is OpenAIMeter and usage is not None:
                _is_what_another_reader_finds(usage, data)
        meter = kind()
        for payload in data.split(b"\n"):
            with contextlib.suppress(BadUsage):
                meter.event(payload)
            _is_believable(meter.usage)
            _is_believable(meter.so_far)
    _ends_in_order(data)


def _is_believable(usage: Usage | None) -> None:
    if usage is None:
        return
    assert 0 <= usage.input_tokens < _COUNTS_END
    assert 0 <= usage.output_tokens < _COUNTS_END
    assert min(part or 0 for part in usage) >= 0
    assert usage.cached_input_tokens + usage.cache_write_tokens <= usage.input_tokens
    assert usage.reasoning_tokens <= usage.output_tokens
    for price in (_PRICE, _PLAIN_PRICE):
        most = most_nusd(
            *(usage.input_tokens, usage.output_tokens, price), has_audio=True, has_images=True
        )
        assert 0 <= cost_nusd(usage, price, has_audio=True, has_images=True) <= most


def _is_what_another_reader_finds(usage: Usage, data: bytes) -> None:
    answer: Any = json.loads(data.decode("utf-8", "surrogateescape"))
    found = answer.get("usage") or answer["response"]["usage"]
    names = ("prompt_tokens", "input_tokens")
    assert usage.input_tokens == next(found[name] for name in names if found.get(name) is not None)


def _ends_in_order(data: bytes) -> None:
    """What we write at the end of a stream that we end is JSON, whatever stood before it."""
    usage = Usage(1, 2)
    for ending in (ChunksEnding("text_completion"), MessagesEnding(), ContentEnding()):
        ending.passed(data)
        for line in ending.events(2, usage).splitlines():
            if line.startswith(b"data:") and not line.endswith(b"[DONE]"):
                orjson.loads(line[5:])


TARGET = Target(
    "usage",
    keeps,
    (
        *(b'"usage":', b'"prompt_tokens":', b'"completion_tokens":', b'"total_tokens":'),
        *(b'"input_tokens":', b'"output_tokens":', b'"usageMetadata":', b'"promptTokenCount":'),
        *(b'"candidatesTokenCount":', b'"totalTokenCount":', b'"cached_tokens":', b'"message":'),
        *(b'"prompt_tokens_details":{', b'"cache_read_input_tokens":', b'"response":{', b"null"),
        *(b"-1", b"2147483647", b"2147483648", b"1e3", b"1.0", b"9" * 40, b"{", b"}", b"[", b"]"),
        *(b'"type":"content_block_start","index":', b"\n", b",", b"true", b'"id":"\\ud800"', b'"'),
    ),
)
