"""Requests of the Responses API: read as its SDK sends them, and written as its API takes them."""

import json
from typing import Any

import pytest

from gateway.domain.ask import Invalid
from gateway.domain.translation import responses as codec
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import (
    Audio,
    Citation,
    Conversation,
    Data,
    Declined,
    File,
    Image,
    Output,
    Text,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from gateway.domain.translation.proofs import write_proof

USER = Turn("user", (Text("Hi"),))


def read(drop: str = "", **members: Any) -> Conversation:
    body = {"model": "m", "input": "Hi", **members}
    losses = Losses(frozenset(drop.split()))
    return codec.read_request(json.dumps(body).encode(), losses, model="m", stream=False)


def test_a_text_is_what_the_user_says():
    asked = read(instructions="Be brief.", store=False, stream=True, top_p=1)
    assert asked == Conversation(model="m", turns=(USER,), system=(Text("Be brief."),))


def test_items_of_one_side_are_one_turn():
    proof = write_proof(Thought("", "proof"))
    summary = [{"type": "summary_text", "text": "Hm."}]
    said = {
        "type": "output_text",
        "text": "Let me see.",
        "annotations": [
            {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 3}
        ],
        "logprobs": [],
    }
    signed = {"google": {"thought_signature": "c2ln"}}
    asked = read(
        input=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": proof},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [said, {"type": "refusal", "refusal": "No."}],
            },
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call_1",
                "name": "f",
                "arguments": '{"a":1}',
                "extra_content": signed,
            },
            {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
            {"role": "user", "content": "And?"},
        ]
    )
    assert asked.system == (Text("Be brief."),)
    assert asked.turns == (
        USER,
        Turn(
            "assistant",
            (
                Thought("Hm.", "proof"),
                Text("Let me see.", citations=(Citation("u", "t", "", 0, 3),)),
                Declined("No."),
                ToolCall("call_1", "f", '{"a":1}', "c2ln"),
            ),
        ),
        Turn("user", (ToolResult("call_1", "f", (Text("rain"),)), Text("And?"))),
    )


def test_what_openai_has_sealed_is_given_to_nobody():
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo"}
    assert read(input=[item]).turns == (Turn("assistant", (Thought(),)),)


def test_media_are_read():
    content = [
        {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "low"},
        {"type": "input_image", "image_url": "https://a.example/b.png"},
        {"type": "input_image", "file_id": "file_1", "detail": "auto"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,QUJD",
        },
        {"type": "input_file", "file_data": "QUJD"},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
    ]
    assert read(input=[{"role": "user", "content": content}]).turns[0].parts == (
        Image(Data("image/png", "QUJD"), "low"),
        Image(Data(url="https://a.example/b.png")),
        Image(Data(reference="file_1")),
        File(Data("application/pdf", "QUJD"), "a.pdf"),
        File(Data("application/pdf", "QUJD")),
        Audio(Data("audio/wav", "QUJD")),
    )


@pytest.mark.parametrize(
    ("members", "conversation"),
    [
        ({"reasoning": {"effort": "none"}}, {"thinking": Thinking(is_on=False)}),
        (
            {"reasoning": {"effort": "low", "summary": "auto"}},
            {"thinking": Thinking(effort="low", shown=True)},
        ),
        ({"reasoning": {}}, {}),
        ({"text": {"format": {"type": "text"}, "verbosity": "medium"}}, {}),
        (
            {"text": {"format": {"type": "json_object"}, "verbosity": "low"}},
            {"output": Output(), "verbosity": "low"},
        ),
        (
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "n",
                        "strict": True,
                        "schema": {"a": 1.5},
                    }
                }
            },
            {"output": Output('{"a": 1.5}', "n", strict=True)},
        ),
        ({"top_logprobs": 3}, {"logprobs": 3}),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs": 0}),
        ({"include": ["reasoning.encrypted_content"], "truncation": "disabled"}, {}),
        ({"parallel_tool_calls": True, "background": False, "service_tier": "auto"}, {}),
        ({"parallel_tool_calls": False}, {"parallel_tools": False}),
        (
            {"max_output_tokens": 5, "temperature": 0.5},
            {"max_output_tokens": 5, "temperature": 0.5},
        ),
        (
            {"service_tier": "flex", "metadata": {"a": "b"}},
            {"tier": "flex", "metadata": {"a": "b"}},
        ),
        ({"safety_identifier": "u", "conversation": None}, {"end_user": "u"}),
        ({"tool_choice": "required"}, {"tool_choice": ToolChoice("any")}),
        (
            {"tool_choice": {"type": "function", "name": "f"}},
            {"tool_choice": ToolChoice("one", "f")},
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}],
                }
            },
            {"tool_choice": ToolChoice("auto", names=("f",))},
        ),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "f",
                        "parameters": {"type": "object"},
                        "strict": True,
                    }
                ]
            },
            {"tools": (Tool("f", schema='{"type": "object"}', strict=True),)},
        ),
    ],
)
def test_what_steers_is_read(members, conversation):
    assert read(**members) == Conversation(model="m", turns=(USER,), **conversation)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "web_search", "filters": {}}]}, "tools[0].type"),
        ({"tools": [{"type": "custom", "name": "f"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        (
            {"input": [{"type": "web_search_call", "id": "x", "status": "completed"}]},
            "input[0].type",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_video"}]}]},
            "input[0].content[0].type",
        ),
        ({"store": True}, "store"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["file_search_call.results"]}, "include"),
        ({"whatever": 1}, "whatever"),
    ],
)
def test_what_only_openai_has_is_refused_by_its_name(members, param):
    with pytest.raises(Uncarried) as refused:
        read(**members)
    assert refused.value.param == param


def test_what_steers_may_be_left_out():
    asked = read("store truncation whatever", store=True, truncation="auto", whatever=1)
    assert asked == Conversation(model="m", turns=(USER,))


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([{"content": "Hi"}], "input[0].role"),
        ([{"type": "function_call", "call_id": "x", "arguments": "{}"}], "input[0].name"),
        ([{"type": "function_call_output", "output": "x"}], "input[0].call_id"),
        (5, "input"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(items, param):
    with pytest.raises(Invalid) as refused:
        read(input=items)
    assert refused.value.refusal.param == param


# Writing


def written(drop: str = "", **members: Any) -> Any:
    conversation = Conversation(model="m", **{"turns": (USER,), **members})
    return json.loads(codec.write_request(conversation, Losses(frozenset(drop.split()))))


def test_a_conversation_is_written_as_items():
    call = ToolCall("call_1", "f", '{"a":1}', "c2ln")
    result = ToolResult("call_1", "f", (Text("rain"),))
    body = written(
        system=(Text("Be brief."),),
        turns=(
            USER,
            Turn("assistant", (Thought("hm"), Text("So."), call)),
            Turn("user", (result, Text("And?"))),
        ),
    )
    assert body == {
        "model": "m",
        "store": False,
        "instructions": "Be brief.",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "So.", "annotations": []}],
            },
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "And?"}],
            },
        ],
    }


def test_schemas_bind_only_where_the_caller_says_so():
    assert [
        written(tools=(Tool("f", strict=said),))["tools"][0]["strict"] for said in (None, True)
    ] == [False, True]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("stop", ("a",)),
        ("seed", 1),
        ("top_k", 3),
        ("presence_penalty", 0.5),
        ("logit_bias", {"1": 1.0}),
    ],
)
def test_what_responses_cannot_be_told_is_refused_or_left_out(member, value):
    with pytest.raises(Uncarried):
        written(**{member: value})
    assert set(written(member, **{member: value})) == {"model", "store", "input"}
