"""Gemini's requests: read as its SDK sends them, and written as its API takes them."""

import json
from typing import Any

import pytest
from google.genai import types

from gateway.domain.ask import Invalid
from gateway.domain.translation import contents as codec
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.contents.counting import (
    read_count,
    read_count_request,
    write_count,
    write_count_request,
)
from gateway.domain.translation.conversation import (
    Audio,
    Conversation,
    Data,
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
    body = {"contents": [{"parts": [{"text": "Hi"}]}], **members}
    losses = Losses(frozenset(drop.split()))
    return codec.read_request(json.dumps(body).encode(), losses, model="m", stream=False)


def written(*turns: Turn, model: str = "gemini-3-pro", drop: str = "", **members: Any) -> Any:
    conversation = Conversation(model=model, turns=turns or (USER,), **members)
    return json.loads(codec.write_request(conversation, Losses(frozenset(drop.split()))))


# Writing


def test_a_conversation_is_written_as_contents():
    call = ToolCall("call_1", "weather", '{"city":"Ulm"}')
    body = written(
        Turn("user", (Text("Weather?"), Image(Data("image/png", base64="QUJD")))),
        Turn("assistant", (Thought("hm", "proof"), Text(""), Text("Let me see."), call)),
        Turn("user", (Text("and?"), ToolResult("call_1", "", (Text("rain"),)))),
        system=(Text("Be brief."),),
    )
    assert body == {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "Weather?"},
                    {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "Let me see."},
                    {
                        "functionCall": {
                            "id": "call_1",
                            "name": "weather",
                            "args": {"city": "Ulm"},
                        },
                        "thoughtSignature": "skip_thought_signature_validator",
                    },
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "id": "call_1",
                            "name": "weather",
                            "response": {"output": "rain"},
                        }
                    },
                    {"text": "and?"},
                ],
            },
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    }
    for content in body["contents"]:
        types.Content.model_validate(content)


def test_of_calls_that_are_made_at_once_the_first_is_signed_and_only_for_models_that_ask():
    turn = Turn("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "")))
    signed = written(USER, turn)["contents"][1]["parts"]
    assert ["thoughtSignature" in part for part in signed] == [True, False]
    unsigned = written(USER, turn, model="gemini-2.5-pro")["contents"][1]["parts"]
    assert not any("thoughtSignature" in part for part in unsigned)
    own = Turn("assistant", (ToolCall("a", "f", "{}", "c2ln"),))
    for model in ("gemini-2.5-pro", "gemini-3-pro"):
        (part,) = written(USER, own, model=model)["contents"][1]["parts"]
        assert part["thoughtSignature"] == "c2ln"


def test_neighbours_of_one_side_are_one_content():
    body = written(Turn("user", (Text("a"),)), Turn("user", (Text("b"),)))
    assert body["contents"] == [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]


def test_instructions_in_the_middle_go_to_the_beginning():
    body = written(USER, Turn("system", (Text("Be brief."),)), system=(Text("Be kind."),))
    assert body["systemInstruction"] == {"parts": [{"text": "Be kind."}, {"text": "Be brief."}]}
    assert len(body["contents"]) == 1


@pytest.mark.parametrize(
    ("members", "config"),
    [
        ({"max_output_tokens": 5, "stop": ("a",)}, {"maxOutputTokens": 5, "stopSequences": ["a"]}),
        (
            {"temperature": 2.0, "top_p": 0.5, "top_k": 3},
            {"temperature": 2, "topP": 0.5, "topK": 3},
        ),
        ({"seed": 0, "choices": 2}, {"seed": 0, "candidateCount": 2}),
        ({"logprobs": 0}, {"responseLogprobs": True}),
        ({"logprobs": 3}, {"responseLogprobs": True, "logprobs": 3}),
        ({"output": Output()}, {"responseMimeType": "application/json"}),
        (
            {"output": Output('{"type":"object"}', "name", "A thing.", strict=True)},
            {
                "responseMimeType": "application/json",
                "responseJsonSchema": {"description": "A thing.", "type": "object"},
            },
        ),
        ({"thinking": Thinking(is_on=False)}, {"thinkingConfig": {"thinkingBudget": 0}}),
        (
            {"thinking": Thinking(budget_tokens=2000, shown=True)},
            {"thinkingConfig": {"thinkingBudget": 2000, "includeThoughts": True}},
        ),
        ({"thinking": Thinking(effort="high")}, {"thinkingConfig": {"thinkingLevel": "HIGH"}}),
    ],
)
def test_what_steers_is_written(members, config):
    body = written(**members)
    assert body["generationConfig"] == config
    types.GenerationConfig.model_validate(body["generationConfig"])


def test_models_before_gemini_3_are_told_a_budget():
    for effort, budget in (("minimal", 1024), ("low", 1024), ("medium", 8192), ("high", 24576)):
        body = written(model="gemini-2.5-flash", thinking=Thinking(effort=effort))
        assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": budget}
    body = written(model="gemini-2.5-flash", thinking=Thinking())
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": -1}


@pytest.mark.parametrize(
    ("choice", "is_strict", "config"),
    [
        (None, None, None),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice("auto"), None, {"mode": "AUTO"}),
        (ToolChoice("none"), True, {"mode": "NONE"}),
        (ToolChoice("any"), True, {"mode": "ANY"}),
        (ToolChoice("one", "f"), None, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (
            ToolChoice("auto", names=("f", "g")),
            None,
            {"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]},
        ),
    ],
)
def test_tools_and_their_choice_are_written(choice, is_strict, config):
    body = written(tools=(Tool("f", "Does.", '{"type":"object"}', is_strict),), tool_choice=choice)
    declared = {"name": "f", "description": "Does.", "parametersJsonSchema": {"type": "object"}}
    assert body["tools"] == [{"functionDeclarations": [declared]}]
    assert body.get("toolConfig", {}).get("functionCallingConfig") == config
    types.Tool.model_validate(body["tools"][0])


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("logit_bias", {"5": 1.0}),
        ("verbosity", "low"),
        ("metadata", {"a": "b"}),
        ("end_user", "u"),
        ("tier", "scale"),
        ("thinking", Thinking(effort="max")),
    ],
)
def test_what_gemini_cannot_be_told_is_refused_or_left_out_as_the_operator_says(member, value):
    with pytest.raises(Uncarried) as refused:
        written(**{member: value})
    assert refused.value.member == member
    assert "generationConfig" not in written(**{member: value}, drop=member)


def test_of_more_stops_than_gemini_takes_the_others_are_left_out():
    with pytest.raises(Uncarried):
        written(stop=tuple("abcdef"))
    body = written(stop=tuple("abcdef"), drop="stop")
    assert body["generationConfig"] == {"stopSequences": list("abcde")}


@pytest.mark.parametrize(
    ("turn", "member"),
    [
        (Turn("user", (Image(Data(reference="file_1")),)), "file_reference"),
        (Turn("user", (ToolResult("x", "", (Text("?"),)),)), "tool_result"),
        (Turn("assistant", (ToolCall("x", "f", "[1]"),)), "tool_call"),
        (Turn("assistant", (ToolCall("x", "f", '{"a":1},"b":{'),)), "tool_call"),
        (Turn("user", (Text(""),)), "turns"),
    ],
)
def test_what_no_content_can_hold_is_refused(turn, member):
    with pytest.raises(Uncarried) as refused:
        written(turn, drop="*")
    assert refused.value.member == member


def test_media_at_an_address_is_passed_on():
    image = Image(Data(url="https://a.example/b.JPG?x=1"))
    (part,) = written(Turn("user", (image,)))["contents"][0]["parts"]
    assert part == {
        "fileData": {"fileUri": "https://a.example/b.JPG?x=1", "mimeType": "image/jpeg"}
    }


def test_the_safety_settings_and_the_tier_are_written():
    body = written(safety=(("HARM_CATEGORY_HARASSMENT", "OFF"),), tier="default")
    setting = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}
    assert (body["safetySettings"], body["serviceTier"]) == ([setting], "standard")


# Reading


def test_either_spelling_is_read_and_the_callers_own_json_keeps_its_bytes():
    body = b"""{
      "system_instruction": {"parts": {"text": "Be brief."}},
      "contents": {"role": "user", "parts": [
        {"inline_data": {"mime_type": "image/png", "data": "-_8"}}]},
      "tools": [{"function_declarations": [
        {"name": "f", "parameters_json_schema": {"max_items": 1.50}}]}],
      "generation_config": {"max_output_tokens": 7, "thinking_config": {"thinking_level": "LOW"}}
    }"""
    asked = codec.read_request(body, Losses(), model="m", stream=True)
    assert asked == Conversation(
        model="m",
        stream=True,
        system=(Text("Be brief."),),
        turns=(Turn("user", (Image(Data("image/png", base64="+/8=")),)),),
        tools=(Tool("f", schema='{"max_items": 1.50}'),),
        max_output_tokens=7,
        thinking=Thinking(effort="low"),
    )


def test_what_is_null_is_as_good_as_unsaid():
    part = {"text": "Hi", "thought": None, "videoMetadata": None, "inline_data": None}
    asked = read(contents=[{"parts": [part], "role": None}], tools=None, cachedContent=None)
    assert asked == Conversation(model="m", turns=(USER,))


def test_both_spellings_of_one_member_are_refused():
    with pytest.raises(Invalid, match="are the same"):
        read(generationConfig={"topP": 0.5, "top_p": 0.25})


def test_what_the_sdk_sends_back_of_an_answer_is_read():
    signed = write_proof(Thought("", "proof"))
    parts = [
        {"text": "I think", "thought": True},
        {"text": ".", "thought": True, "thoughtSignature": signed},
        {"text": "Let me see.", "thoughtSignature": "R2VtaW5p"},
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f"}},
    ]
    answers = [
        {"functionResponse": {"name": "f", "response": {"output": "one"}}},
        {"functionResponse": {"name": "f", "response": {"error": "none"}}},
        {"functionResponse": {"name": "f", "id": "x", "response": {"a": 1, "b": 2}}},
    ]
    asked = read(
        contents=[
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": parts},
            {"role": "function", "parts": answers},
        ]
    )
    first, second = "call_contents_1_parts_3", "call_contents_1_parts_4"
    assert asked.turns[1].parts == (
        Thought("I think.", "proof"),
        Text("Let me see."),
        ToolCall(first, "f", '{"a": 1}', "c2ln"),
        ToolCall(second, "f", "{}"),
    )
    assert asked.turns[2].parts == (
        ToolResult(first, "f", (Text("one"),)),
        ToolResult(second, "f", (Text("none"),), is_error=True),
        ToolResult("x", "f", (Text('{"a": 1, "b": 2}'),)),
    )


def test_the_signature_of_geminis_own_thoughts_is_given_to_nobody():
    part = {"text": "hm", "thought": True, "thoughtSignature": "R2VtaW5p"}
    asked = read(contents=[{"role": "model", "parts": [part]}])
    assert asked.turns[0].parts == (Thought("hm"),)


def test_media_are_read_by_their_types():
    def blob(kind: str) -> dict[str, Any]:
        return {"inlineData": {"mimeType": kind, "data": "QUJD"}}

    parts = [
        blob("audio/wav"),
        blob("application/pdf"),
        {"fileData": {"fileUri": "https://a.example/b.png", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "gs://bucket/c.pdf", "mimeType": "application/pdf"}},
    ]
    assert read(contents=[{"parts": parts}]).turns[0].parts == (
        Audio(Data("audio/wav", base64="QUJD")),
        File(Data("application/pdf", base64="QUJD")),
        Image(Data("image/png", url="https://a.example/b.png")),
        File(Data("application/pdf", reference="gs://bucket/c.pdf")),
    )


def test_geminis_own_schemas_become_json_schema():
    schema = {
        "type": "OBJECT",
        "propertyOrdering": ["a", "b"],
        "required": ["a"],
        "properties": {
            "a": {"type": "STRING", "enum": ["x"], "nullable": True},
            "b": {
                "type": "ARRAY",
                "minItems": "2",
                "items": {"type": "INTEGER", "format": "int32"},
            },
            "c": {"any_of": [{"type": "NUMBER"}, {"type": "BOOLEAN"}], "nullable": True},
            "type": {"type": "STRING"},
        },
    }
    plain = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"type": ["string", "null"], "enum": ["x", None]},
            "b": {"type": "array", "minItems": 2, "items": {"type": "integer", "format": "int32"}},
            "c": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}]},
            "type": {"type": "string"},
        },
    }
    asked = read(
        tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}],
        generationConfig={"responseMimeType": "application/json", "responseSchema": schema},
    )
    assert json.loads(asked.tools[0].schema) == plain
    assert asked.output is not None
    assert json.loads(asked.output.schema) == plain


def test_what_a_function_answers_with_is_told_to_nobody():
    declared = {"name": "f", "responseJsonSchema": {"type": "object"}, "behavior": "BLOCKING"}
    assert read(tools=[{"functionDeclarations": [declared]}]).tools == (Tool("f"),)


@pytest.mark.parametrize(
    ("members", "conversation"),
    [
        ({"responseLogprobs": True, "logprobs": 2}, {"logprobs": 2}),
        ({"topK": 40, "seed": 5}, {"top_k": 40, "seed": 5}),
        ({"responseMimeType": "text/plain"}, {}),
        ({"responseModalities": ["TEXT"], "presencePenalty": 0.0}, {}),
        ({"thinkingConfig": {"thinkingBudget": 0}}, {"thinking": Thinking(is_on=False)}),
        ({"thinkingConfig": {"thinkingBudget": -1}}, {"thinking": Thinking()}),
        ({"thinkingConfig": {"includeThoughts": True}}, {"thinking": Thinking(shown=True)}),
        ({"thinkingConfig": {"includeThoughts": False}}, {}),
    ],
)
def test_what_steers_is_read(members, conversation):
    assert read(generationConfig=members) == Conversation(model="m", turns=(USER,), **conversation)


@pytest.mark.parametrize(
    ("config", "choice", "is_strict"),
    [
        ({}, ToolChoice("auto"), None),
        ({"mode": "VALIDATED"}, ToolChoice("auto"), True),
        ({"mode": "any", "allowedFunctionNames": ["f"]}, ToolChoice("one", "f"), None),
        ({"mode": "NONE"}, ToolChoice("none"), None),
    ],
)
def test_the_choice_of_tools_is_read(config, choice, is_strict):
    tools = {"functionDeclarations": [{"name": "f"}]}
    asked = read(tools=tools, toolConfig={"functionCallingConfig": config})
    assert (asked.tool_choice, asked.tools[0].strict) == (choice, is_strict)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"cachedContent": "cachedContents/1"}, "cachedContent"),
        ({"cached_content": "cachedContents/1"}, "cachedContent"),
        ({"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
        (
            {"contents": [{"parts": [{"executableCode": {}}]}]},
            "contents[0].parts[0].executableCode",
        ),
        ({"generationConfig": {"speechConfig": {}}}, "generationConfig.speechConfig"),
        ({"generationConfig": {"whatever": 1}}, "generationConfig.whatever"),
        (
            {"generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}},
            "generationConfig.responseModalities",
        ),
        (
            {"generationConfig": {"responseMimeType": "text/x.enum"}},
            "generationConfig.responseMimeType",
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4", "data": ""}}]}]},
            "contents[0].parts[0].inlineData",
        ),
        ({"store": True}, "store"),
    ],
)
def test_what_only_google_has_is_refused_by_its_name(members, param):
    with pytest.raises(Uncarried) as refused:
        read(**members)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"contents": [{"role": "narrator", "parts": []}]}, "contents[0].role"),
        ({"contents": 5}, "contents"),
        ({"generationConfig": {"topP": "much"}}, "generationConfig.topP"),
        (
            {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]},
            "contents[0].parts[0].functionResponse",
        ),
        (
            {"contents": [{"parts": [{"functionCall": {"name": "f", "args": [1]}}]}]},
            "contents[0].parts[0].functionCall.args",
        ),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "parameters": 5}]}]},
            "tools[0].functionDeclarations[0].parameters",
        ),
    ],
)
def test_what_is_wrong_is_told_by_its_place(members, param):
    with pytest.raises(Invalid) as refused:
        read(**members)
    assert refused.value.refusal.param == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"contents":' + b"[" * 9999])
def test_what_is_no_body_is_told(body):
    with pytest.raises(Invalid):
        codec.read_request(body, Losses(), model="m", stream=False)


# Counting


def test_what_is_counted_may_be_contents_or_a_whole_request():
    contents = [{"parts": [{"text": "Hi"}]}]
    asked = Conversation(model="m", turns=(USER,), system=(Text("Be brief."),))
    system = {"parts": [{"text": "Be brief."}]}
    for body in (
        {"contents": contents, "systemInstruction": system},
        {
            "generateContentRequest": {
                "model": "models/m",
                "contents": contents,
                "systemInstruction": system,
            }
        },
        {"generate_content_request": {"contents": contents, "system_instruction": system}},
    ):
        assert read_count_request(json.dumps(body).encode(), Losses(), model="m") == asked
    both = {"contents": contents, "generateContentRequest": {"contents": contents}}
    body = json.dumps(both).encode()
    with pytest.raises(Invalid, match="are the same"):
        read_count_request(body, Losses(), model="m")


def test_a_count_is_asked_for_and_told_as_gemini_does():
    asked = Conversation(model="gemini-3-pro", turns=(USER,))
    body = write_count_request(asked, Losses())
    assert json.loads(body)["generateContentRequest"]["model"] == "models/gemini-3-pro"
    assert read_count_request(body, Losses(), model="gemini-3-pro") == asked
    assert write_count(31) == b'{"totalTokens":31}'
    assert read_count(b'{"totalTokens":31,"promptTokensDetails":[]}') == 31
    assert types.CountTokensResponse.model_validate_json(write_count(31)).total_tokens == 31
