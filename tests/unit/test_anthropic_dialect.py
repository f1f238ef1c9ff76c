"""Anthropic's dialect: what is read of its bodies and answers, and how we end its streams."""

import json
from typing import Any

import orjson
import pytest

from gateway.domain.anthropic_ask import MessagesForm
from gateway.domain.ask import Ask, Changes, read_ask
from gateway.domain.dialects.anthropic import MessagesEnding, MessagesMeter
from gateway.domain.dialects.meter import BadUsage
from gateway.domain.errors import Reason, Refusal
from gateway.domain.usage import Usage

FORM = MessagesForm()
TOOL_PROMPT = 2048
PNG = "A" * 400


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, **members}).encode()


def said(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def read(**members: Any) -> Ask:
    found = read_ask(body(**members), FORM)
    assert isinstance(found, Ask), found
    return found


def picture(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


TEXT = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
INLINE = picture(type="base64", media_type="image/png", data=PNG)


@pytest.mark.parametrize(
    "members",
    [
        {"messages": [{"role": "user", "content": "hi"}]},
        said(TEXT, {"type": "thinking", "thinking": "…", "signature": "x"}),
        said({"type": "redacted_thinking", "data": "x"}),
        said({"type": "tool_use", "id": "1", "name": "f", "input": {"type": "document"}}),
        said({"type": "tool_result", "tool_use_id": "1", "content": "done"}),
        said({"type": "tool_result", "tool_use_id": "1", "content": [TEXT]}),
        said({"type": "tool_result", "tool_use_id": "1"}),
        said({"type": "document", "source": {"type": "text", "data": "long"}}),
        said({"type": "search_result", "source": "s", "title": "t", "content": [TEXT]}),
        {**said(TEXT), "system": [TEXT], "mcp_servers": [], "service_tier": "auto"},
        {**said(TEXT), "system": "be brief", "speed": "standard", "inference_geo": None},
    ],
)
def test_text_and_what_the_caller_ran_are_bounded_by_their_bytes(members):
    ask = read(**members)
    assert (ask.opaque, ask.dearer, ask.images) == (None, None, 0)
    assert ask.size_bytes == len(body(**members))
    assert (ask.max_output_tokens, ask.choices, ask.hides_output) == (9, 1, False)


def test_an_inline_image_counts_as_one_and_its_bytes_not_as_text():
    members = said(INLINE, {"type": "tool_result", "tool_use_id": "1", "content": [INLINE]})
    ask = read(**members)
    assert (ask.opaque, ask.images, ask.has_images) == (None, 2, True)
    assert ask.size_bytes == len(body(**members)) - 2 * len(PNG)


def test_an_image_elsewhere_is_one_too():
    addresses = picture(type="url", url="https://x/a.png"), picture(type="file", file_id="f")
    assert read(**said(*addresses)).images == 2


def test_files_and_containers_are_objects_of_somebody():
    assert read(**said(picture(type="file", file_id="f"))).about == ("f",)
    assert read(**said({"type": "container_upload", "file_id": "f"}), container="c").about == (
        "f",
        "c",
    )
    assert read(**said(INLINE, TEXT)).about == ()


def test_tools_bring_a_prompt_of_the_providers_own():
    tools = [{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]
    members = {**said(TEXT), "tools": tools}
    ask = read(**members)
    assert (ask.opaque, ask.size_bytes) == (None, len(body(**members)) + TOOL_PROMPT)


@pytest.mark.parametrize(
    ("members", "where"),
    [
        (
            said({"type": "document", "source": {"type": "base64", "data": "x"}}),
            "messages[0].content[0].source.type",
        ),
        (
            said({"type": "document", "source": {"type": "url", "url": "x"}}),
            "messages[0].content[0].source.type",
        ),
        (said({"type": "container_upload", "file_id": "f"}), "messages[0].content[0]"),
        (said({"type": "web_search_tool_result"}), "messages[0].content[0]"),
        ({**said(TEXT), "tools": [{"type": "web_search_20250305"}]}, "tools[0].type"),
        ({**said(TEXT), "tools": [{"type": "code_execution_20250825"}]}, "tools[0].type"),
        ({**said(TEXT), "mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        ({**said(TEXT), "container": "c"}, "container"),
        ({**said(TEXT), "thread": {"id": "t"}}, "thread"),
        ({**said(TEXT), "tools": [{"type": "browser_toolset_20260801"}]}, "tools[0].type"),
        ({"messages": 5}, "messages"),
    ],
)
def test_whatever_may_be_more_than_it_looks_is_opaque(members, where):
    opaque = read(**members).opaque
    assert opaque is not None
    assert opaque.startswith(where)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speed", "fast"),
        ("inference_geo", "us"),
        ("fallbacks", [{"model": "dear"}]),
        ("compaction", {"type": "auto"}),
        ("context_management", {"edits": [{"type": "compact_20260112"}]}),
    ],
)
def test_what_asks_for_another_price_is_noted(name, value):
    assert read(**said(TEXT), **{name: value}).dearer == name
    assert read(**said(TEXT), **{name: None}).dearer is None


def test_clearing_old_tool_results_changes_no_price():
    edits = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    assert read(**said(TEXT), context_management=edits).dearer is None


def test_thoughts_cost_more_than_a_stream_shows():
    assert read(**said(TEXT), thinking={"type": "enabled", "budget_tokens": 1024}).hides_output
    assert not read(**said(TEXT), thinking={"type": "disabled"}).hides_output


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (b'{"max_tokens":1}', "model"),
        (b'{"model":"","max_tokens":1}', "model"),
        (b'{"model":"a","max_tokens":0}', "max_tokens"),
        (b'{"model":"a","max_tokens":1,"max_tokens":2}', "max_tokens"),
        (b'{"model":"a","model":"b","max_tokens":1}', "model"),
        (b'{"model":"a","stream":"yes"}', "stream"),
        (b"[]", None),
    ],
)
def test_a_bad_body_is_refused_with_its_member_named(text, param):
    refusal = read_ask(text, FORM)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.param) == (Reason.INVALID_REQUEST, param)


def test_only_model_and_maximum_are_ever_written():
    text = b'{"model": "a",  "messages" : [1.50]}'
    assert FORM.write(text, Changes()) is text
    assert FORM.write(text, Changes("b", 7, "ignored", ask_usage=True)) == (
        b'{"model":"b","messages":[1.50],"max_tokens":7}'
    )


# Answers


def counts(inputs: Any, outputs: Any, written: Any = 0, cached: Any = 0) -> dict[str, Any]:
    return {
        "input_tokens": inputs,
        "output_tokens": outputs,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
    }


def test_cached_and_written_tokens_are_input_too():
    answer = orjson.dumps({"type": "message", "usage": counts(3, 4, 20, 100)})
    assert MessagesMeter().whole(answer) == Usage(123, 4, 100, 20)
    assert MessagesMeter().whole(b'{"type":"message"}') is None
    hour = counts(3, 4, 20) | {
        "cache_creation": {"ephemeral_1h_input_tokens": 5, "ephemeral_5m_input_tokens": 15}
    }
    assert MessagesMeter().whole(orjson.dumps({"usage": hour})) == Usage(
        23, 4, 0, 20, cache_write_1h_tokens=5
    )
    thinking = counts(3, 9) | {"output_tokens_details": {"thinking_tokens": 5}}
    assert MessagesMeter().whole(orjson.dumps({"usage": thinking})) == Usage(
        3, 9, reasoning_tokens=5
    )


def test_a_stream_tells_its_input_first_and_the_rest_before_its_end():
    meter = MessagesMeter()
    start = {"type": "message_start", "message": {"usage": counts(3, 1, 20, 100)}}
    assert meter.event(orjson.dumps(start)) is False
    assert (meter.so_far, meter.usage) == (Usage(123, 1, 100, 20), None)
    meter.event(orjson.dumps({"type": "message_delta", "usage": {"output_tokens": 15}}))
    assert meter.usage == Usage(123, 15, 100, 20)
    more = {"type": "message_delta", "usage": {"input_tokens": 50, "output_tokens": 16}}
    meter.event(orjson.dumps(more))
    assert meter.usage == Usage(170, 16, 100, 20)


@pytest.mark.parametrize(
    "usage",
    [
        counts(-1, 4),
        counts(1, -4),
        counts(1, 2**31),
        counts(5, 4, -5),
        counts(1.5, 4),
        counts("1", 4),
        {"output_tokens": 4},
        {"input_tokens": 4},
        "none",
    ],
)
def test_usage_that_cannot_be_believed_is_bad(usage):
    with pytest.raises(BadUsage):
        MessagesMeter().whole(orjson.dumps({"usage": usage}))
    with pytest.raises(BadUsage):
        MessagesMeter().event(orjson.dumps({"type": "message_delta", "usage": usage}))


def test_a_bad_count_leaves_the_good_ones():
    meter = MessagesMeter()
    meter.event(orjson.dumps({"type": "message_start", "message": {"usage": counts(3, 1)}}))
    with pytest.raises(BadUsage):
        meter.event(orjson.dumps({"type": "message_delta", "usage": {"output_tokens": -1}}))
    meter.event(orjson.dumps({"type": "message_delta", "usage": {"output_tokens": 5}}))
    assert meter.usage == Usage(3, 5)


def event(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (
        kind.encode(),
        orjson.dumps({"type": kind, **members}),
    )


def kinds(events: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in events.decode().splitlines() if line[:5] == "data:"]


def test_a_stream_that_we_end_closes_the_block_that_is_open():
    ending = MessagesEnding()
    text = {"type": "text_delta", "text": '"type":"content_block_stop","index":7'}
    ending.passed(event("message_start", message={}))
    ending.passed(
        event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        + event("content_block_delta", index=0, delta=text)
        + event("content_block_stop", index=0)
        + event("content_block_start", index=1, content_block={"type": "text", "text": ""})
    )
    ending.passed(event("content_block_delta", index=1, delta=text))
    stop, delta, end = kinds(ending.events(1, Usage(3, 4)))
    assert stop == {"type": "content_block_stop", "index": 1}
    assert (delta["delta"]["stop_reason"], delta["usage"]) == ("max_tokens", {"output_tokens": 4})
    assert end == {"type": "message_stop"}


def test_a_stream_that_we_end_between_blocks_closes_none():
    ending = MessagesEnding()
    ending.passed(event("content_block_start", index=0) + event("content_block_stop", index=0))
    assert [each["type"] for each in kinds(ending.events(1, None))] == [
        "message_delta",
        "message_stop",
    ]
