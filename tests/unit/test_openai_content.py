"""What a body's input consists of: nothing that could be more than it looks is taken for text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ask import Ask, read_ask
from gateway.domain.openai_ask import OpenAIForm

CHAT = OpenAIForm(("max_completion_tokens", "max_tokens"), usage_option=True, entries="messages")
RESPONSES = OpenAIForm(("max_output_tokens",), entries="input", plain=("prompt",))
COMPLETIONS = OpenAIForm(("max_tokens",), plain=("prompt",))
EMBEDDINGS = OpenAIForm(plain=("input",))
PNG = "data:image/png;base64," + "A" * 400
TEXT = {"type": "text", "text": "What is this?"}
FUNCTION = {
    "type": "function",
    "function": {
        "name": "find",
        "parameters": {"type": "object", "properties": {"type": {"type": "string"}}},
    },
}


def read(body: bytes | dict[str, Any], form: OpenAIForm = CHAT) -> Ask:
    if isinstance(body, dict):
        body = json.dumps({"model": "m", **body}, separators=(",", ":")).encode()
    found = read_ask(body, form)
    assert isinstance(found, Ask)
    return found


def said(*parts: Any, **members: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts), **members}]}


def image(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": 'Say "type": "file", \\u0074 and file_id'}]},
        said(TEXT, {"type": "text", "text": "", "cache_control": {"type": "ephemeral"}}),
        {"messages": [{"role": "assistant", "content": None, "audio": None, "refusal": None}]},
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"id": "1", "type": "function"}]},
                {"role": "tool", "tool_call_id": "1", "content": "It is 7 °C."},
            ],
            "tools": [FUNCTION, {"type": "custom", "custom": {"name": "x"}}],
        },
        {"messages": [], "tools": None, "plugins": [], "previous_response_id": None},
        {"messages": [], "response_format": {"type": "json_schema", "json_schema": {}}},
        {"messages": [], "prediction": None, "service_tier": "default", "speed": None},
    ],
)
def test_text_and_the_callers_own_tools_are_bounded_by_their_bytes(body):
    ask = read(body)
    size = len(json.dumps({"model": "m", **body}, separators=(",", ":")))
    assert ask.opaque is None
    assert (ask.size_bytes, ask.images, ask.has_images, ask.has_audio) == (size, 0, False, False)
    assert (ask.dearer, ask.predicted_bytes) == (None, 0)


@pytest.mark.parametrize(
    "url", [PNG, PNG.upper()[:11].lower() + PNG[11:], "DATA:Image/gif;base64,AA"]
)
def test_an_inline_image_counts_as_one_and_its_bytes_not_as_text(url):
    body = said(TEXT, image(url), image(url))
    size = len(json.dumps({"model": "m", **body}, separators=(",", ":")))
    ask = read(body)
    assert (ask.opaque, ask.images, ask.has_images) == (None, 2, True)
    assert ask.size_bytes == size - 2 * len(url)


def test_an_image_at_an_address_counts_as_one_and_its_address_as_text():
    body = said(TEXT, image("https://example.com/a.png"))
    ask = read(body)
    assert (ask.opaque, ask.images) == (None, 1)
    assert ask.size_bytes == len(json.dumps({"model": "m", **body}, separators=(",", ":")))


def test_an_address_with_escaped_slashes_is_one():
    body = json.dumps({"model": "m", **said(image("https://a"))}).replace("/", "\\/")
    ask = read(body.encode())
    assert (ask.opaque, ask.images) == (None, 1)


def test_images_of_responses_stand_in_messages_and_in_what_tools_gave():
    picture = {"type": "input_image", "image_url": PNG, "file_id": None, "detail": "auto"}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "x"}, picture]},
        {"type": "function_call", "call_id": "c", "name": "shot", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [picture]},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "gAAA"},
    ]
    ask = read({"input": items}, RESPONSES)
    assert (ask.opaque, ask.images) == (None, 2)


def test_pictures_that_a_model_had_made_count_as_those_of_users_do():
    told = {"role": "assistant", "content": "Here:", "images": [{**image(PNG), "index": 0}]}
    body = {"messages": [told]}
    told["images"][0]["image_url"].pop("detail")
    ask = read(body)
    size = len(json.dumps({"model": "m", **body}, separators=(",", ":")))
    assert (ask.opaque, ask.images, ask.size_bytes) == (None, 1, size - len(PNG))
    item = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="}
    ask = read({"input": [item]}, RESPONSES)
    assert (ask.opaque, ask.images) == (None, 1)


def test_inline_audio_is_bounded_by_its_bytes():
    body = said({"type": "input_audio", "input_audio": {"data": "UklGR" * 99, "format": "wav"}})
    ask = read(body)
    assert (ask.opaque, ask.has_audio, ask.images) == (None, True, 0)
    assert ask.size_bytes == len(json.dumps({"model": "m", **body}, separators=(",", ":")))


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"search_parameters": {"mode": "on"}}, "search_parameters"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"extra_body": {"google": {"cached_content": "x"}}}, "extra_body"),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, "tools[1].type"),
        ({"tools": [{"type": "mcp", "server_url": "https://x"}]}, "tools[0].type"),
        ({"tools": [{"type": "file_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "code_interpreter"}]}, "tools[0].type"),
        ({"tools": [{"type": "next_years"}]}, "tools[0].type"),
        ({"tools": [{"google_search": {}}]}, "tools[0]"),
        ({"tools": {"type": "function"}}, "tools"),
        ({"messages": 5}, "messages"),
        (said({"type": "file", "file": {"file_id": "f"}}), "messages[0].content[0].type"),
        (said(TEXT, {"type": "video_url", "video_url": {}}), "messages[0].content[1].type"),
        (said({"image_url": {"url": PNG}}), "messages[0].content[0]"),
        (said("bare", {"image": "aGk="}), "messages[0].content[0]"),
        (said({**TEXT, "file_data": "aGk="}), "messages[0].content[0]"),
        (said(image("data:application/pdf;base64,AA")), "messages[0].content[0].image_url.url"),
        (said(image("gs://bucket/film.mp4")), "messages[0].content[0].image_url.url"),
        (
            said({"type": "input_audio", "input_audio": {"data": "https://x/a.wav"}}),
            "messages[0].content[0].input_audio.data",
        ),
        (
            said({"type": "input_audio", "input_audio": {"data": "", "url": "x"}}),
            "messages[0].content[0].input_audio",
        ),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, "messages[0].audio"),
        ({"messages": [{"role": "user", "images": ["aGk="]}]}, "messages[0].images[0]"),
        ({"messages": [{"id": "msg_1"}]}, "messages[0]"),
    ],
)
def test_what_cannot_be_measured_is_named(body, where):
    ask = read(body)
    assert ask.opaque == where
    assert ask.has_images
    assert ask.has_audio


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"input": "text"}, None),
        ({"input": [{"role": "user", "content": "text"}]}, None),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"type": "reasoning", "id": "rs_1"}]}, "input[0].encrypted_content"),
        ({"input": [{"type": "image_generation_call", "id": "ig_1"}]}, "input[0].result"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "x"}]}]},
            "input[0].content[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
    ],
)
def test_items_that_stand_for_something_stored_are_named(body, where):
    assert read(body, RESPONSES).opaque == where


@pytest.mark.parametrize(
    ("body", "form", "where"),
    [
        ({"prompt": "text"}, COMPLETIONS, None),
        ({"prompt": ["a", "b"]}, COMPLETIONS, None),
        ({"prompt": [1, 2]}, COMPLETIONS, None),
        ({"prompt": {"id": "p"}}, COMPLETIONS, "prompt"),
        ({"input": [[1, 2], [3]]}, EMBEDDINGS, None),
        ({"input": [{"image": "aGk="}]}, EMBEDDINGS, "input[0]"),
    ],
)
def test_plain_input_is_texts_or_numbers_of_tokens(body, form, where):
    assert read(body, form).opaque == where


@pytest.mark.parametrize(
    "content",
    [
        rb'[{"type":"file","type":"text","text":""}]',
        rb'[{"type":"text","\u0074ype":"file"}]',
        rb'[{"type":"image_url","image_url":{"url":"data:application/pdf,x"},"image_url":{"url":"https://a"}}]',
        rb'[{"type":"file"}],"content":"text"',
        rb'[{"t\u0079pe":"f\u0069le","file":{}}]',
        rb'"text","\u0061udio":{"id":"audio_1"},"audio":null',
    ],
)
@pytest.mark.parametrize("space", [b"", b" "])
def test_neither_escapes_nor_repetition_hide_anything(content, space):
    body = b'{"model":"m",%b"messages":[{"role":"user","content":%b}]}' % (space, content)
    assert read(body).opaque is not None


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": "fast"}, "service_tier"),
        ({"service_tier": ["priority"]}, "service_tier"),
        ({"speed": "fast"}, "speed"),
        ({"models": ["dearer/model"]}, "models"),
        ({"service_tier": "flex", "speed": "standard", "models": []}, None),
        ({"service_tier": "auto"}, None),
    ],
)
def test_what_asks_for_another_price_is_named(members, name):
    assert read({"messages": [], **members}).dearer == name


def test_an_escaped_tier_is_no_known_one():
    assert read(rb'{"model":"m","service_tier":"\u0070riority"}').dearer == "service_tier"


def test_a_predictions_bytes_are_counted():
    prediction = {"type": "content", "content": "x" * 100}
    size = len(json.dumps(prediction, separators=(",", ":")))
    assert read({"messages": [], "prediction": prediction}).predicted_bytes == size


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "image_url", "url", "input_audio", "data"]
            ),
            inner | st.sampled_from(["text", "image_url", "input_audio", "message", PNG]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(messages=json_values, tools=json_values, form=st.sampled_from([CHAT, RESPONSES]))
def test_no_shape_of_a_body_is_too_much(messages, tools, form):
    ask = read({form.entries: messages, "tools": tools}, form)
    size = len(
        json.dumps({"model": "m", form.entries: messages, "tools": tools}, separators=(",", ":"))
    )
    assert 0 <= ask.size_bytes <= size
    assert ask.images >= 0
