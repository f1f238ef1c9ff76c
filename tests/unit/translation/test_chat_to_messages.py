"""An OpenAI client reaches Claude: what its requests become, and what it gets of Claude's answers."""

import json
from typing import Any

import msgspec
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.domain.ask import Invalid
from gateway.domain.translation import chat, messages
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import Conversation
from tests.unit.translation.streams import events, written

HI = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
SCHEMA = {"type": "object", "properties": {"at": {"type": "integer"}}}
LOOK = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
PICTURE = "data:image/png;base64,AAAA"


def asked(losses: Losses | None = None, **members: Any) -> Conversation:
    body = json.dumps({"model": "m", "messages": [HI], "max_tokens": 2000, **members}).encode()
    return chat.read_request(
        body, losses or Losses(), model="claude-sonnet-4-6", stream=bool(members.get("stream"))
    )


def becomes(model: str = "", **members: Any) -> dict[str, Any]:
    conversation = asked(**members)
    if model:
        conversation = msgspec.structs.replace(conversation, model=model)
    told = json.loads(messages.write_request(conversation, Losses()))
    assert told.pop("model") == conversation.model
    return told


def part(kind: str, **members: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": kind, **members}]}]}


SAME = {"max_tokens": 2000, "messages": [HI]}
REQUESTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"max_completion_tokens": 3000}, {"max_tokens": 3000}),
    (
        {
            "messages": [
                {"role": "system", "content": "a"},
                {"role": "developer", "content": [{"type": "text", "text": "b"}]},
                HI,
                {"role": "assistant", "content": "yes"},
                {"role": "system", "content": "c"},
                HI,
            ]
        },
        {
            "system": [{"type": "text", "text": text} for text in "abc"],
            "messages": [HI, {"role": "assistant", "content": "yes"}, HI],
        },
    ),
    (
        {"messages": [HI, {"role": "assistant", "content": ""}, {"role": "user", "content": "on"}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "on"}],
                }
            ]
        },
    ),
    (
        {
            "messages": [
                HI,
                {
                    "role": "assistant",
                    "content": None,
                    "refusal": None,
                    "annotations": [],
                    "audio": None,
                    "function_call": None,
                    "tool_calls": [CALL],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "found"},
                {"role": "user", "content": "and?"},
            ],
            "tools": [LOOK],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        },
        {
            "messages": [
                HI,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": 1}}
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c1", "content": "found"},
                        {"type": "text", "text": "and?"},
                    ],
                },
            ],
            "tools": [{"name": "look", "input_schema": SCHEMA}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        },
    ),
    (
        {
            "tools": [LOOK, {"type": "function", "function": {"name": "other"}}],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [LOOK]},
            },
        },
        {
            "tools": [{"name": "look", "input_schema": SCHEMA}],
            "tool_choice": {"type": "auto"},
        },
    ),
    (
        part("image_url", image_url={"url": PICTURE, "detail": "high"}),
        part("image", source={"type": "base64", "media_type": "image/png", "data": "AAAA"}),
    ),
    (
        part("image_url", image_url={"url": "https://a.example/b"}),
        part("image", source={"type": "url", "url": "https://a.example/b"}),
    ),
    (
        part("file", file={"filename": "f", "file_data": "data:application/pdf;base64,AAAA"}),
        part(
            "document",
            source={"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
            title="f",
        ),
    ),
    (
        part("text", text="long", cache_control={"type": "ephemeral", "ttl": "1h"}),
        part("text", text="long", cache_control={"type": "ephemeral", "ttl": "1h"}),
    ),
    (
        {
            "stop": "x",
            "temperature": 0.5,
            "top_p": 1,
            "presence_penalty": 0,
            "n": 1,
            "store": False,
            "logprobs": False,
            "response_format": {"type": "text"},
            "service_tier": "auto",
            "user": "u",
            "seed": None,
            "unheard_of": None,
        },
        {"stop_sequences": ["x"], "temperature": 0.5, "metadata": {"user_id": "u"}},
    ),
    (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
            }
        },
        {
            "output_config": {
                "format": {
                    "type": "json_schema",
                    "schema": {**SCHEMA, "additionalProperties": False},
                }
            }
        },
    ),
    (
        {"reasoning_effort": "minimal"},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
    ),
    ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
    ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
]


@pytest.mark.parametrize(("sent", "told"), REQUESTS)
def test_a_request_becomes_one_of_messages(sent: dict[str, Any], told: dict[str, Any]):
    assert becomes(**sent) == {**SAME, **told}


@pytest.mark.parametrize(
    ("model", "effort", "most", "budget"),
    [
        ("claude-sonnet-4-5", "low", 2000, 1024),
        ("claude-3-7-sonnet-20250219", "medium", 20_000, 8192),
        ("anthropic/claude-opus-4.1", "high", 8000, 6000),
        ("claude-opus-4-20250514", "high", 64_000, 24_576),
    ],
)
def test_models_before_adaptive_thinking_are_told_tokens(
    model: str, effort: str, most: int, budget: int
):
    told = becomes(model, reasoning_effort=effort, max_tokens=most)
    assert told["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert "output_config" not in told


def test_a_signed_thought_comes_back_to_who_signed_it_and_another_does_not():
    details = [
        {"type": "reasoning.text", "text": "so", "signature": "S", "index": 0},
        {"type": "reasoning.encrypted", "data": "D", "index": 1},
    ]
    before = {"role": "assistant", "content": "yes", "reasoning_content": "so"}
    told = becomes(messages=[HI, {**before, "reasoning_details": details}, HI])
    assert told["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "so", "signature": "S"},
        {"type": "redacted_thinking", "data": "D"},
        {"type": "text", "text": "yes"},
    ]
    assert becomes(messages=[HI, before, HI])["messages"][1]["content"] == "yes"


def test_an_id_that_anthropic_refuses_becomes_another_for_call_and_result_alike():
    call = {**CALL, "id": "functions.look:0"}
    told = becomes(
        messages=[
            HI,
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "functions.look:0", "content": ""},
        ]
    )["messages"]
    sent = told[1]["content"][0]["id"]
    assert sent == told[2]["content"][0]["tool_use_id"]
    assert sent.startswith("toolu_")


STEERING = [
    ({"seed": 1}, "seed"),
    ({"presence_penalty": 1}, "presence_penalty"),
    ({"frequency_penalty": 1}, "frequency_penalty"),
    ({"logit_bias": {"1": 2}}, "logit_bias"),
    ({"logprobs": True}, "logprobs"),
    ({"verbosity": "low"}, "verbosity"),
    ({"metadata": {"a": "b"}}, "metadata"),
    ({"temperature": 1.5}, "temperature"),
    ({"service_tier": "flex"}, "tier"),
    ({"reasoning_effort": "low", "temperature": 0.2}, "temperature"),
    ({"reasoning_effort": "low", "tools": [LOOK], "tool_choice": "required"}, "thinking"),
    ({"user": "u" * 257}, "end_user"),
    ({"stop": ["\n", "x"]}, "stop"),
    ({"store": True}, "store"),
    ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    ({"prompt_cache_key": "k"}, "prompt_cache_key"),
    ({"unheard_of": 1}, "unheard_of"),
    ({"messages": [{**HI, "name": "Ada"}]}, "name"),
]


@pytest.mark.parametrize(("sent", "member"), STEERING)
def test_what_steers_an_answer_is_left_out_where_the_operator_lets_it_be(
    sent: dict[str, Any], member: str
):
    def written_with(losses: Losses) -> bytes:
        return messages.write_request(asked(losses, **sent), losses)

    with pytest.raises(Uncarried) as refused:
        written_with(Losses())
    assert refused.value.member == member
    losses = Losses(frozenset({member}))
    told = written_with(losses)
    assert len(losses.dropped) == 1
    assert json.loads(told)["max_tokens"] == 2000


CONTENT = [
    ({"n": 2}, "choices"),
    ({"response_format": {"type": "json_object"}}, "output"),
    (part("input_audio", input_audio={"data": "AAAA", "format": "wav"}), "audio"),
    (part("file", file={"file_id": "file-1"}), "file_reference"),
    (part("video_url", video_url={}), "messages[0].content[0].type"),
    (part("text", text="a", unheard_of=1), "messages[0].content[0].unheard_of"),
    ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "system", "content": "x"}]}, "turns"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "turns"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tool"),
    ({"functions": [{"name": "x"}]}, "functions"),
    ({"web_search_options": {"search_context_size": "low"}}, "web_search"),
    ({"modalities": ["text", "audio"]}, "audio"),
    (
        {
            "messages": [
                HI,
                {
                    "role": "assistant",
                    "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "[1]"}}],
                },
            ]
        },
        "tool_call",
    ),
]


@pytest.mark.parametrize(("sent", "member"), CONTENT)
def test_what_is_part_of_the_conversation_is_never_left_out(sent: dict[str, Any], member: str):
    losses = Losses(frozenset({"*"}))
    with pytest.raises(Uncarried) as refused:
        messages.write_request(asked(losses, **sent), losses)
    assert refused.value.member == member
    assert refused.value.why


@pytest.mark.parametrize("name", ["a\r\nset-cookie: b", "é", "x" * 65, ""])
def test_a_name_that_is_none_is_never_left_out_for_a_header_would_tell_it(name: str):
    with pytest.raises(Uncarried) as refused:
        asked(Losses(frozenset({"*"})), **{name: 1})
    assert len(refused.value.param) <= 200


def test_more_unknown_members_than_anybody_sends_are_refused():
    losses = Losses(frozenset({"*"}))
    asked(losses, **{f"u{number}": 1 for number in range(32)})
    assert len(losses.dropped) == 32
    with pytest.raises(Uncarried):
        asked(Losses(frozenset({"*"})), **{f"u{number}": 1 for number in range(33)})


def test_a_maximum_must_be_there():
    with pytest.raises(Uncarried) as refused:
        messages.write_request(asked(max_tokens=None), Losses())
    assert refused.value.member == "max_output_tokens"


def test_what_is_wrong_in_the_callers_own_dialect_is_told_with_its_place():
    for sent, param, words in (
        ({"temperature": "hot"}, "temperature", "'temperature' must be a number, not a string."),
        ({"messages": "hi"}, "messages", "'messages' must be an array, not a string."),
        (
            {"messages": [{"role": "user"}]},
            "messages[0].content",
            "'messages[0].content' is missing.",
        ),
        (
            part("text", text=7),
            "messages[0].content[0].text",
            "'messages[0].content[0].text' must be a string, not a whole number.",
        ),
        (
            part("image_url", image_url={"url": "data:image/png,x"}),
            "messages[0].content[0].image_url",
            "must be data:",
        ),
    ):
        with pytest.raises(Invalid) as refused:
            asked(**sent)
        assert str(refused.value.refusal.param).startswith(param)
        assert words in refused.value.refusal.message


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-8",
    "content": [
        {"type": "thinking", "thinking": "so", "signature": "S"},
        {"type": "text", "text": "It is "},
        {
            "type": "text",
            "text": "warm.",
            "citations": [
                {
                    "type": "web_search_result_location",
                    "url": "https://a.example",
                    "title": "W",
                    "cited_text": "warm",
                    "encrypted_index": "x",
                }
            ],
        },
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 4},
    },
}
USAGE = {
    "prompt_tokens": 35,
    "completion_tokens": 7,
    "total_tokens": 42,
    "prompt_tokens_details": {
        "cached_tokens": 20,
        "cache_write_tokens": 5,
        "cache_write_1h_tokens": 3,
    },
    "completion_tokens_details": {"reasoning_tokens": 4},
}
ANNOTATION = {
    "type": "url_citation",
    "url_citation": {"start_index": 6, "end_index": 11, "title": "W", "url": "https://a.example"},
}


def test_a_message_becomes_a_chat_completion():
    answer = messages.read_answer(json.dumps(MESSAGE).encode())
    told = json.loads(chat.write_answer(answer, model="mine", now=7))
    ChatCompletion.model_validate(told)
    message = {
        "role": "assistant",
        "content": "It is warm.",
        "refusal": None,
        "annotations": [ANNOTATION],
        "tool_calls": [
            {
                "id": "toolu_1",
                "type": "function",
                "function": {"name": "look", "arguments": '{"at": 1}'},
            }
        ],
        "reasoning_content": "so",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "so", "signature": "S", "index": 0}
        ],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    assert told == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": 7,
        "model": "mine",
        "choices": [choice],
        "usage": USAGE,
    }


def of_stream(kind: str, **members: Any) -> bytes:
    return json.dumps({"type": kind, **members}).encode()


def block(index: int, start: dict[str, Any], *changes: dict[str, Any]) -> list[bytes]:
    return [
        of_stream("content_block_start", index=index, content_block=start),
        *(of_stream("content_block_delta", index=index, delta=change) for change in changes),
        of_stream("content_block_stop", index=index),
    ]


STREAM = [
    of_stream(
        "message_start",
        message={
            **MESSAGE,
            "content": [],
            "usage": {**MESSAGE["usage"], "output_tokens": 1, "output_tokens_details": None},
        },
    ),
    of_stream("ping"),
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "s"},
        {"type": "thinking_delta", "thinking": "o"},
        {"type": "signature_delta", "signature": "S"},
    ),
    *block(
        1,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "It is "},
    ),
    *block(
        2,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "warm."},
        {"type": "citations_delta", "citation": MESSAGE["content"][2]["citations"][0]},
    ),
    *block(3, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
    *block(
        4,
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"at'},
        {"type": "input_json_delta", "partial_json": '":1}'},
    ),
    *block(5, {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}}),
    of_stream(
        "message_delta",
        delta={"stop_reason": "tool_use", "stop_sequence": None},
        usage={"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 4}},
    ),
    of_stream("message_stop"),
]


def through(stream: list[bytes]) -> list[bytes]:
    """The data of the events that a caller gets of an upstream's."""
    reader = messages.reader()
    deltas = [delta for data in stream for delta in reader.event(b"", data)]
    return [data for _, data in events(written(chat, [*deltas, *reader.end()]))]


def test_a_stream_of_a_message_becomes_chunks_as_the_sdk_adds_them_up():
    told = through(STREAM)
    assert told[-1] == b"[DONE]"
    chunks = [json.loads(data) for data in told[:-1]]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == USAGE
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    added = state.get_final_completion().model_dump()
    message = added["choices"][0]["message"]
    assert message["content"] == "It is warm."
    assert message["reasoning_content"] == "so"
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"at":1}', "{}"]
    assert [call["id"] for call in message["tool_calls"]] == ["toolu_1", "toolu_2"]
    details = [c["choices"][0]["delta"].get("reasoning_details") for c in chunks if c["choices"]]
    assert [each for each in details if each] == [
        [{"type": "reasoning.text", "text": "so", "signature": "S", "index": 0}]
    ]
    annotations = [c["choices"][0]["delta"].get("annotations") for c in chunks if c["choices"]]
    assert [each for each in annotations if each] == [[ANNOTATION]]


def test_an_error_in_the_middle_ends_the_stream_without_a_terminator():
    failed = of_stream("error", error={"type": "overloaded_error", "message": "Overloaded"})
    told = through([*STREAM[:4], failed])
    assert json.loads(told[-1]) == {
        "error": {
            "message": "Overloaded",
            "type": "service_unavailable_error",
            "param": None,
            "code": "overloaded_error",
        }
    }


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (
            529,
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            "overloaded",
            "Overloaded",
        ),
        (
            400,
            b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens"}}',
            "invalid_request",
            "max_tokens",
        ),
        (500, b"<html>", "internal", "The upstream answered 500 (Internal Server Error)."),
        (429, b"{}", "rate_limit", "The upstream answered 429 (Too Many Requests)."),
    ],
)
def test_an_error_of_anthropics_is_read_by_its_type_or_else_its_status(
    status: int, body: bytes, kind: str, message: str
):
    fault = messages.read_fault(status, body)
    assert (fault.kind, fault.message) == (kind, message)
