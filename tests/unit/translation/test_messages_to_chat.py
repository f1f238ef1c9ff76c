"""An Anthropic client reaches a model behind OpenAI's dialect: its requests, and what it gets of the answers."""

import json
import re
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation import chat, messages
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import Conversation
from gateway.domain.translation.messages.counting import write_count
from tests.unit.translation.streams import events, written

HI = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"at": {"type": "integer"}}}
LOOK = {"name": "look", "description": "Look", "input_schema": SCHEMA}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
USE = {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}}
MARK = {"cache_control": {"type": "ephemeral"}}


def asked(losses: Losses | None = None, **members: Any) -> Conversation:
    body = json.dumps({"model": "m", "messages": [HI], "max_tokens": 99, **members}).encode()
    return messages.read_request(body, losses or Losses(), model="m", stream=False)


def becomes(**members: Any) -> dict[str, Any]:
    told = json.loads(chat.write_request(asked(**members), Losses()))
    assert told.pop("model") == "m"
    return told


def result(**members: Any) -> dict[str, Any]:
    back = {"type": "tool_result", "tool_use_id": "t1", **members}
    return {
        "messages": [
            HI,
            {"role": "assistant", "content": [USE]},
            {"role": "user", "content": [back]},
        ]
    }


CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "id": "t1",
            "type": "function",
            "function": {"name": "look", "arguments": '{"at": 1}'},
        }
    ],
}


def answered(content: object, *more: object) -> dict[str, Any]:
    back = {"role": "tool", "tool_call_id": "t1", "content": content}
    return {"messages": [HI, CALL, back, *more]}


def document(**members: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "document", **members}]}]}


SAME = {"messages": [HI], "max_tokens": 99}
REQUESTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"system": "s"}, {"messages": [{"role": "system", "content": "s"}, HI]}),
    (
        {"system": [{"type": "text", "text": "s", **MARK}], "metadata": {"user_id": "u"}},
        {"messages": [{"role": "system", "content": "s"}, HI], "user": "u"},
    ),
    (
        {
            "tools": [{**LOOK, **MARK, "strict": True}],
            "tool_choice": {"type": "tool", "name": "look"},
        },
        {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "look",
                        "description": "Look",
                        "parameters": SCHEMA,
                        "strict": True,
                    },
                }
            ],
            "tool_choice": {"type": "function", "function": {"name": "look"}},
        },
    ),
    (result(content="found", **MARK), answered("found")),
    (
        result(content="gone", is_error=True),
        answered("Error: gone"),
    ),
    (
        result(content=[PICTURE]),
        answered(
            "The result stands in the user's next message.",
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "The result of look:"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            },
        ),
    ),
    (
        document(source={"type": "text", "media_type": "text/plain", "data": "words"}, title="T"),
        {"messages": [{"role": "user", "content": "T\n\nwords"}]},
    ),
    (
        document(
            source={"type": "base64", "media_type": "application/pdf", "data": "AAAA"}, context="C"
        ),
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "C"},
                        {
                            "type": "file",
                            "file": {
                                "filename": "document.pdf",
                                "file_data": "data:application/pdf;base64,AAAA",
                            },
                        },
                    ],
                }
            ]
        },
    ),
    (
        {"messages": [HI, {"role": "system", "content": "now"}]},
        {"messages": [HI, {"role": "system", "content": "now"}]},
    ),
    ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, {"reasoning_effort": "medium"}),
    (
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
        {"reasoning_effort": "max"},
    ),
    ({"thinking": {"type": "adaptive", "display": "summarized"}}, {}),
    ({"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
            }
        },
    ),
    (
        {
            "stop_sequences": ["x", "y"],
            "temperature": 0.5,
            "top_p": 0.9,
            "service_tier": "auto",
            "speed": "standard",
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            **MARK,
        },
        {"stop": ["x", "y"], "temperature": 0.5, "top_p": 0.9},
    ),
]


@pytest.mark.parametrize(("sent", "told"), REQUESTS)
def test_a_request_becomes_one_of_a_chat(sent: dict[str, Any], told: dict[str, Any]):
    assert becomes(**sent) == {**SAME, **told}


def test_what_a_coding_agent_sends_is_carried_whole():
    """As Claude Code calls: marks with members of their own, edits that clear thoughts, results that failed."""
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}}
    told = becomes(
        system=[{"type": "text", "text": "You are", **mark}, {"type": "text", "text": "an agent"}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "go"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "so", "signature": ""},
                    {"type": "text", "text": "I look."},
                    {**USE, "caller": {"type": "direct"}, **mark},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True},
                    {"type": "text", "text": "<system-reminder>", **mark},
                ],
            },
        ],
        tools=[{**LOOK, "eager_input_streaming": True}],
        tool_choice={"type": "auto"},
        temperature=1,
        metadata={"user_id": json.dumps({"device_id": "d" * 64, "session_id": "s"})},
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    )
    assert [each["role"] for each in told["messages"]] == [
        *("system", "user", "assistant", "tool", "user"),
    ]
    assert told["messages"][3]["content"] == "Error: no"
    assert told["reasoning_effort"] == "high"
    assert len(told["user"]) == 64


def test_a_stream_is_asked_to_tell_its_usage():
    asked = Conversation(model="m", turns=(), stream=True)
    told = json.loads(chat.write_request(asked, Losses()))
    assert told["stream"] is True
    assert told["stream_options"] == {"include_usage": True}


def test_thoughts_go_back_while_tools_are_called_unless_they_are_anothers():
    def told(*thoughts: dict[str, Any]) -> list[dict[str, Any]]:
        before = {"role": "assistant", "content": [*thoughts, USE]}
        back = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]}
        found: list[dict[str, Any]] = becomes(messages=[HI, before, back, before, back])["messages"]
        return found

    own = {"type": "thinking", "thinking": "so", "signature": ""}
    assert [each.get("reasoning_content") for each in told(own)] == [None, "so", None, "so", None]
    another = {"type": "thinking", "thinking": "so", "signature": "S"}
    hidden = {"type": "redacted_thinking", "data": "D"}
    assert all("reasoning_content" not in each for each in told(another, hidden))
    earlier = becomes(messages=[HI, {"role": "assistant", "content": [own, USE]}, HI])["messages"]
    assert "reasoning_content" not in earlier[1]


def test_an_id_of_a_user_that_is_too_long_becomes_another_always_the_same():
    told = [becomes(metadata={"user_id": each * 90})["user"] for each in "aab"]
    assert told[0] == told[1] != told[2]
    assert len(told[0]) == 64


STEERING = [
    ({"top_k": 3}, "top_k"),
    ({"stop_sequences": list("abcde")}, "stop"),
    ({"speed": "fast"}, "speed"),
    ({"inference_geo": "us"}, "inference_geo"),
    ({"diagnostics": {"previous_message_id": "m"}}, "diagnostics"),
    (
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        "context_management",
    ),
    ({"output_config": {"task_budget": {"type": "tokens", "total": 9}}}, "task_budget"),
    ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "effort"),
    ({"tools": [{**LOOK, "input_examples": [{"at": 1}]}]}, "input_examples"),
    (document(source={"type": "text", "data": "w"}, citations={"enabled": True}), "citations"),
    ({"unheard_of": 1}, "unheard_of"),
]


@pytest.mark.parametrize(("sent", "member"), STEERING)
def test_what_steers_an_answer_is_left_out_where_the_operator_lets_it_be(
    sent: dict[str, Any], member: str
):
    with pytest.raises(Uncarried) as refused:
        chat.write_request(asked(**sent), Losses())
    assert refused.value.member == member
    losses = Losses(frozenset({member}))
    chat.write_request(asked(losses, **sent), losses)
    assert len(losses.dropped) == 1


CONTENT = [
    ({"mcp_servers": [{"type": "url", "url": "https://a.example"}]}, "mcp_servers"),
    ({"container": "c"}, "container"),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tool"),
    (document(source={"type": "url", "url": "https://a.example"}), "file"),
    (document(source={"type": "file", "file_id": "f"}), "file_reference"),
    (
        {"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}]},
        "messages[0].content[0].type",
    ),
    ({"messages": [{**HI, "unheard_of": 1}]}, "messages[0].unheard_of"),
]


@pytest.mark.parametrize(("sent", "member"), CONTENT)
def test_what_is_part_of_the_conversation_is_never_left_out(sent: dict[str, Any], member: str):
    losses = Losses(frozenset({"*"}))
    with pytest.raises(Uncarried) as refused:
        chat.write_request(asked(losses, **sent), losses)
    assert refused.value.member == member
    assert refused.value.why


def test_a_counting_of_tokens_is_read_as_a_conversation_and_answered():
    body = json.dumps({"model": "m", "messages": [HI], "tools": [LOOK]}).encode()
    counted = messages.read_request(body, Losses(), model="m", stream=False)
    assert counted.turns == asked().turns
    assert counted.max_output_tokens is None
    assert json.loads(write_count(14)) == {"input_tokens": 14}


COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 5,
    "model": "gpt",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "warm",
                "refusal": None,
                "reasoning_content": "so",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"at":1}'},
                    },
                    {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{no"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {
        "prompt_tokens": 30,
        "completion_tokens": 9,
        "total_tokens": 39,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 4},
    },
}
USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 20,
    "output_tokens": 9,
    "output_tokens_details": {"thinking_tokens": 4},
}


def test_a_chat_completion_becomes_a_message():
    answer = chat.read_answer(json.dumps(COMPLETION).encode())
    told = json.loads(messages.write_answer(answer, model="mine", now=7))
    Message.model_validate(told)
    assert told == {
        "id": "chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "mine",
        "content": [
            {"type": "thinking", "thinking": "so", "signature": ""},
            {"type": "text", "text": "warm"},
            {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}},
            {"type": "tool_use", "id": "c2", "name": "f", "input": {"invalid_arguments": "{no"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": USAGE,
    }


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    one = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "gpt"}
    return json.dumps({**head, "choices": [one], "usage": None}).encode()


def more_of_call(index: int | None, arguments: str = "", **members: Any) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": arguments}
    if "name" in members:
        function["name"] = members.pop("name")
    return {"tool_calls": [{"index": index, "function": function, **members}]}


COUNTED = json.dumps({"id": "chatcmpl-1", "choices": [], "usage": COMPLETION["usage"]}).encode()
STREAM = [
    chunk(role="assistant", content="", refusal=None),
    chunk(reasoning_content="s"),
    chunk(reasoning="o"),
    chunk(content="wa"),
    chunk(content="rm"),
    chunk(**more_of_call(0, id="c1", name="look")),
    chunk(**more_of_call(0, '{"at')),
    chunk(**more_of_call(0, '":1}')),
    chunk(**more_of_call(1, id="c2", name="look")),
    chunk("tool_calls"),
    COUNTED,
    b"[DONE]",
]


def through(stream: list[bytes]) -> list[tuple[bytes, dict[str, Any]]]:
    """The events that a caller gets of an upstream's."""
    reader = chat.reader()
    deltas = [delta for data in stream for delta in reader.event(b"", data)]
    told = events(written(messages, [*deltas, *reader.end()]))
    return [(name, json.loads(data)) for name, data in told]


def test_chunks_become_a_stream_of_a_message_as_the_sdk_adds_it_up():
    told = through(STREAM)
    names = " ".join(name.decode() for name, _ in told)
    block = "content_block_start (content_block_delta )*content_block_stop "
    assert re.fullmatch(f"message_start ping ({block})*message_delta message_stop", names)
    assert all(name.decode() == event["type"] for name, event in told)
    snapshot: Any = None
    read, buffers = TypeAdapter(RawMessageStreamEvent), {}
    for name, event in told:
        if name != b"ping":
            snapshot = accumulate_event(
                event=read.validate_python(event), current_snapshot=snapshot, json_bufs=buffers
            )
    added = snapshot.model_dump(exclude_none=True)
    assert [
        {key: value for key, value in block.items() if key in {"thinking", "text", "id", "input"}}
        for block in added["content"]
    ] == [
        {"thinking": "so"},
        {"text": "warm"},
        {"id": "c1", "input": {"at": 1}},
        {"id": "c2", "input": {}},
    ]
    assert [event["index"] for name, event in told if name == b"content_block_start"] == [
        0,
        1,
        2,
        3,
    ]
    assert added["stop_reason"] == "tool_use"
    arguments = [event["delta"].get("partial_json") for _, event in told if "delta" in event]
    assert list(filter(None, arguments)) == ['{"at', '":1}', "{}"]
    assert told[-2][1]["usage"] == USAGE
    assert added["usage"]["cache_read_input_tokens"] == 20


def test_calls_are_told_apart_by_id_where_the_index_does_not():
    for index in (None, 0):
        told = through(
            [
                chunk(**more_of_call(index, "{}", id="a", name="f")),
                chunk(**more_of_call(index, "{}", id="b", name="g")),
                chunk("stop"),
            ]
        )
        starts = [e["content_block"] for n, e in told if n == b"content_block_start"]
        assert [(start["id"], start["name"]) for start in starts] == [("a", "f"), ("b", "g")]
        assert told[-2][1]["delta"]["stop_reason"] == "tool_use"


def test_a_call_without_an_id_gets_one():
    told = through([chunk(**more_of_call(0, "{}", name="f")), chunk("tool_calls")])
    starts = [e["content_block"] for n, e in told if n == b"content_block_start"]
    assert starts[0]["id"] == "call_chatcmpl-1_0_0"


def test_a_model_that_declines_says_so_in_text_and_in_the_reason():
    told = through([chunk(refusal="I will not."), chunk("stop")])
    assert told[3][1]["delta"] == {"type": "text_delta", "text": "I will not."}
    assert told[-2][1]["delta"]["stop_reason"] == "refusal"


def test_an_error_in_the_middle_ends_the_stream_without_its_last_event():
    for error in ({"message": "Slow down", "code": "rate_limit_exceeded"}, "Slow down"):
        told = through([STREAM[0], STREAM[3], json.dumps({"error": error}).encode()])
        kind = "api_error" if isinstance(error, str) else "rate_limit_error"
        assert told[-1] == (
            b"error",
            {"type": "error", "error": {"type": kind, "message": "Slow down"}},
        )


@pytest.mark.parametrize(
    "stream",
    [
        [],
        STREAM[:5],
        [*STREAM[:5], b"[DONE]"],
        [b"{"],
        [b'{"choices":[{"index":-1}]}'],
        [b'{"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":1}}'],
        [chunk(**more_of_call(0, "{}", id="a"))],
    ],
)
def test_a_stream_that_is_none_is_a_bad_answer(stream: list[bytes]):
    with pytest.raises(BadAnswer):
        through(stream)


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, b'{"error":{"message":"no","type":"t","param":"p"}}', "invalid_request", "no"),
        (404, b'{"error":"model not found"}', "not_found", "model not found"),
        (422, b'{"message":"bad"}', "invalid_request", "bad"),
        (400, b'[{"error":{"code":400,"message":"x"}}]', "invalid_request", "x"),
        (503, b"", "overloaded", "The upstream answered 503 (Service Unavailable)."),
        (599, b"{}", "internal", "The upstream answered 599 (no reason given)."),
    ],
)
def test_an_error_is_read_whatever_form_it_has(status: int, body: bytes, kind: str, message: str):
    fault = chat.read_fault(status, body)
    assert (fault.kind, fault.message) == (kind, message)
