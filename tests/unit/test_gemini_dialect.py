"""Gemini's dialect: what is read of its bodies, paths and answers, and how we end its streams."""

import json
from typing import Any

import orjson
import pytest

from gateway.domain.ask import Ask, Changes, Path, read_ask
from gateway.domain.dialects.gemini import ContentEnding, ContentMeter
from gateway.domain.dialects.meter import BadUsage
from gateway.domain.errors import Reason, Refusal
from gateway.domain.gemini_ask import ContentForm
from gateway.domain.usage import Usage

FORM = ContentForm()
PATH = Path("m", stream=True)
PNG = "A" * 400


def said(*parts: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}]}


def read(**members: Any) -> Ask:
    found = read_ask(json.dumps(members).encode(), FORM, PATH)
    assert isinstance(found, Ask), found
    return found


def blob(kind: str, **members: Any) -> dict[str, Any]:
    return {"inlineData": {"mimeType": kind, "data": PNG, **members}}


@pytest.mark.parametrize(
    "members",
    [
        said({"text": "hi"}),
        {"contents": {"parts": {"text": "hi"}}},
        said({"text": "…", "thought": True, "thoughtSignature": "x"}),
        said({"functionCall": {"name": "f", "args": {"fileData": 1}}}),
        said({"function_response": {"name": "f", "response": {}}}),
        {**said({"text": "hi"}), "systemInstruction": {"parts": [{"text": "be brief"}]}},
        {**said({"text": "hi"}), "tools": [{"functionDeclarations": []}], "cachedContent": None},
        {"content": {"parts": [{"text": "embed"}]}},
        {"requests": [{"model": "models/m", "content": {"parts": [{"text": "embed"}]}}]},
    ],
)
def test_text_and_the_callers_own_functions_are_bounded_by_their_bytes(members):
    ask = read(**members)
    assert (ask.model, ask.stream, ask.opaque, ask.images) == ("m", True, None, 0)
    assert ask.size_bytes == len(json.dumps(members))


def test_an_inline_image_counts_as_one_and_its_bytes_not_as_text():
    snake = {"inline_data": {"mime_type": "image/jpeg", "data": PNG}}
    mixed = {"inlineData": {"mime_type": "image/jpeg", "data": PNG}}  # as Google's own SDK has it
    members = said(blob("image/png"), snake, mixed)
    ask = read(**members)
    assert (ask.images, ask.has_images, ask.opaque) == (3, True, None)
    assert ask.size_bytes == len(json.dumps(members)) - 3 * len(PNG)


@pytest.mark.parametrize("kinds", [{}, {"mimeType": "image/png", "mime_type": "image/png"}])
def test_bytes_of_no_kind_or_of_two_are_not_known_to_be_a_picture(kinds):
    ask = read(**said({"inlineData": {"data": PNG, **kinds}}))
    assert ask.opaque == "contents[0].parts[0].inlineData"


def test_inline_audio_is_bounded_by_its_bytes():
    members = said(blob("audio/ogg"))
    ask = read(**members)
    assert (ask.has_audio, ask.images, ask.size_bytes) == (True, 0, len(json.dumps(members)))


@pytest.mark.parametrize(
    ("members", "where"),
    [
        (said({"text": "a"}, {"fileData": {"fileUri": "x"}}), "contents[0].parts[1]"),
        (said(blob("video/mp4")), "contents[0].parts[0].inlineData.mimeType"),
        (said(blob("application/pdf")), "contents[0].parts[0].inlineData.mimeType"),
        (said({"file_data": {}}), "contents[0].parts[0]"),
        ({**said(), "tools": [{"googleSearch": {}}]}, "tools[0]"),
        ({**said(), "tools": [{"urlContext": {}}]}, "tools[0]"),
        ({**said(), "tools": {"code_execution": {}}}, "tools"),
        ({**said(), "cachedContent": "cachedContents/1"}, "cachedContent"),
        ({**said(), "cached_content": "cachedContents/1"}, "cached_content"),
        ({"requests": [{"content": {"parts": [{"fileData": {}}]}}]}, "requests[0].content"),
        ({"contents": 5}, "contents"),
    ],
)
def test_whatever_may_be_more_than_it_looks_is_opaque(members, where):
    opaque = read(**members).opaque
    assert opaque is not None
    assert opaque.startswith(where)


def test_a_dearer_tier_is_noted():
    assert read(**said({"text": "hi"}), serviceTier="priority").dearer == "serviceTier"
    assert read(**said({"text": "hi"}), service_tier="PRIORITY").dearer == "service_tier"
    assert read(**said({"text": "hi"}), serviceTier="FLEX").dearer is None


@pytest.mark.parametrize("name", ["generationConfig", "generation_config"])
@pytest.mark.parametrize(
    ("maximum", "count"),
    [("maxOutputTokens", "candidateCount"), ("max_output_tokens", "candidate_count")],
)
def test_the_output_is_bounded_in_either_spelling(name, maximum, count):
    ask = read(**said(), **{name: {maximum: 50, count: 3}})
    assert (ask.max_output_tokens, ask.choices) == (50, 3)


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ({"generationConfig": {}, "generation_config": {}}, "generation_config"),
        (
            {"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 6}},
            "max_output_tokens",
        ),
        ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
        ({"generationConfig": {"candidateCount": 1000}}, "generationConfig.candidateCount"),
        (b'{"generationConfig":{},"generationConfig":{"candidateCount":8}}', "generationConfig"),
        (
            b'{"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":90}}',
            "maxOutputTokens",
        ),
        (b"[]", None),
    ],
)
def test_what_is_said_twice_or_out_of_range_is_refused(text, param):
    refusal = read_ask(text if isinstance(text, bytes) else json.dumps(text).encode(), FORM, PATH)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.param) == (Reason.INVALID_REQUEST, param)


def test_the_maximum_is_written_where_the_other_bounds_stand():
    text = b'{"contents": [1.50], "generationConfig": {"temperature": 0.10}}'
    assert FORM.write(text, Changes("b")) is text, "the path names the model"
    assert FORM.write(text, Changes(None, 7)) == (
        b'{"contents":[1.50],"generationConfig":{"temperature":0.10,"maxOutputTokens":7}}'
    )
    assert FORM.write(b'{"generation_config":null}', Changes(None, 7)) == (
        b'{"generation_config":{"maxOutputTokens":7}}'
    )
    assert FORM.write(b"{}", Changes(None, 7)) == b'{"generationConfig":{"maxOutputTokens":7}}'


# Answers


def answer(usage: Any, **members: Any) -> bytes:
    return orjson.dumps({"usageMetadata": usage, **members})


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (
            {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
            Usage(3, 4),
        ),
        ({"promptTokenCount": 3, "totalTokenCount": 3}, Usage(3, 0)),
        (
            {
                "promptTokenCount": 30,
                "cachedContentTokenCount": 10,
                "candidatesTokenCount": 4,
                "thoughtsTokenCount": 6,
                "toolUsePromptTokenCount": 5,
                "totalTokenCount": 45,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 11},
                    {"modality": "AUDIO", "tokenCount": 9},
                    {"modality": "IMAGE", "tokenCount": 10},
                ],
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}],
            },
            Usage(35, 10, 10, 0, 6, 9, 10, 2, None),
        ),
        # What the candidates leave out and the total has.
        (
            {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 60},
            Usage(3, 57),
        ),
    ],
)
def test_usage_is_read(usage, read):
    assert ContentMeter().whole(answer(usage)) == read
    listed = b"[" + answer({"promptTokenCount": 1}) + b",\r\n" + answer(usage) + b"]"
    assert ContentMeter().whole(listed) == read
    assert ContentMeter().whole(b"{}") is None


def test_the_counts_of_the_last_event_are_the_usage():
    meter = ContentMeter()
    for count in (1, 2):
        usage = {"promptTokenCount": 3, "candidatesTokenCount": count}
        assert meter.event(answer(usage, candidates=[{"content": {}}])) is False
        assert (meter.so_far, meter.usage) == (Usage(3, count), None)
    last = {"promptTokenCount": 3, "candidatesTokenCount": 5}
    meter.event(answer(last, candidates=[{"finishReason": "STOP"}]))
    assert meter.usage == Usage(3, 5)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"promptTokenCount": -1},
        {"promptTokenCount": 1, "candidatesTokenCount": -1, "totalTokenCount": 9},
        {"promptTokenCount": 1, "candidatesTokenCount": 2**31},
        {"promptTokenCount": 1, "cachedContentTokenCount": 2},
        {"promptTokenCount": "1"},
        {"promptTokenCount": 1, "thoughtsTokenCount": -1, "totalTokenCount": 9},
        "none",
    ],
)
def test_usage_that_cannot_be_believed_is_bad(usage):
    with pytest.raises(BadUsage):
        ContentMeter().whole(answer(usage))


def test_a_stream_that_we_end_has_reached_its_maximum():
    event = ContentEnding().events(2, Usage(3, 4))
    assert event.endswith(b"\n\n")
    last = json.loads(event.removeprefix(b"data: "))
    assert [each["finishReason"] for each in last["candidates"]] == ["MAX_TOKENS"] * 2
    assert last["usageMetadata"]["totalTokenCount"] == 7
