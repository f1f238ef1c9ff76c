"""Schemas that bind, for providers that keep to some keywords alone: others are told in words, or refused."""

import json
from typing import Any, NamedTuple

import pytest
from anthropic import transform_schema
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from gateway.domain.translation import contents, messages
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.contents.schemas import binding as at_gemini
from gateway.domain.translation.conversation import Conversation, Output, Text, Tool, Turn
from gateway.domain.translation.messages.schemas import binding as at_anthropic
from gateway.domain.translation.schemas import with_description

Json = dict[str, Any]


class Case(NamedTuple):
    """A schema, as it is sent, and the keywords that bind no more."""

    given: Json
    sent: Json
    told: list[str] = []  # noqa: RUF012 -- never changed


def closed(**members: Any) -> Json:
    return {"type": "object", **members, "additionalProperties": False}


TEXT = {"type": "string"}
CASES_AT_ANTHROPIC = [
    Case({"type": "object"}, closed()),
    Case(
        {"type": ["object", "null"], "properties": {"type": {"type": "object"}}},
        closed(properties={"type": closed()}) | {"type": ["object", "null"]},
    ),
    Case(
        {"$defs": {"a": {"type": "array", "items": {"anyOf": [{"type": "object"}]}}}},
        {"$defs": {"a": {"type": "array", "items": {"anyOf": [closed()]}}}},
    ),
    Case(
        {"type": "integer", "minimum": 1, "maximum": 10, "description": "A number"},
        {"type": "integer", "description": "A number\n\n{minimum: 1, maximum: 10}"},
        ["minimum", "maximum"],
    ),
    Case(
        {**TEXT, "maxLength": 5, "pattern": "^a", "format": "uri", "$schema": "x"},
        {**TEXT, "pattern": "^a", "format": "uri", "description": "{maxLength: 5}"},
        ["maxLength"],
    ),
    Case(
        {**TEXT, "format": "color", "examples": ["#fff"]},
        {**TEXT, "description": '{format: "color", examples: ["#fff"]}'},
        ["format", "examples"],
    ),
    Case(
        {"type": "array", "items": TEXT, "minItems": 2, "uniqueItems": True},
        {"type": "array", "items": TEXT, "description": "{minItems: 2, uniqueItems: true}"},
        ["minItems", "uniqueItems"],
    ),
    Case({"type": "array", "minItems": 1}, {"type": "array", "minItems": 1}),
    Case({"oneOf": [TEXT, {"type": "null"}]}, {"anyOf": [TEXT, {"type": "null"}]}, ["oneOf"]),
    Case({"allOf": [{"$ref": "#/$defs/a"}]}, {"$ref": "#/$defs/a"}),
    Case({"allOf": [{"allOf": [TEXT]}], "title": "A"}, {**TEXT, "title": "A"}),
    Case(
        {"$ref": "#/$defs/a", "description": "Which"},
        {"$ref": "#/$defs/a"},
        ["description"],
    ),
    Case({"const": {"a": 1}, **TEXT}, {**TEXT, "description": '{const: {"a":1}}'}, ["const"]),
    Case(
        {"allOf": [{"type": "object"}, {"properties": {"a": {**TEXT, "minLength": 1}}}]},
        {
            "allOf": [
                {"type": "object"},
                {"properties": {"a": {**TEXT, "description": "{minLength: 1}"}}},
            ]
        },
        ["minLength"],
    ),
]
CASES_AT_GEMINI = [
    Case({"type": "object"}, {"type": "object"}),
    Case({"const": "a"}, {"enum": ["a"]}),
    Case(
        {"definitions": {"a": TEXT}, "$ref": "#/definitions/a"},
        {"$defs": {"a": TEXT}, "$ref": "#/$defs/a"},
    ),
    Case(
        {**TEXT, "pattern": "^a", "default": "ab"},
        {**TEXT, "description": '{pattern: "^a", default: "ab"}'},
        ["pattern", "default"],
    ),
    Case(
        {"type": "array", "prefixItems": [{"type": "number", "exclusiveMinimum": 0}]},
        {
            "type": "array",
            "prefixItems": [{"type": "number", "description": "{exclusiveMinimum: 0}"}],
        },
        ["exclusiveMinimum"],
    ),
]


@pytest.mark.parametrize("case", CASES_AT_ANTHROPIC)
def test_what_anthropic_does_not_keep_to_is_told_in_words(case: Case):
    losses = Losses()
    sent = at_anthropic(json.dumps(case.given), losses, "output")
    assert (json.loads(sent), losses.dropped) == (case.sent, case.told)
    assert at_anthropic(sent, Losses(), "output") == sent


@pytest.mark.parametrize("case", CASES_AT_GEMINI)
def test_what_gemini_passes_over_is_told_in_words(case: Case):
    losses = Losses()
    sent = at_gemini(json.dumps(case.given), losses, "output")
    assert (json.loads(sent), losses.dropped) == (case.sent, case.told)
    assert at_gemini(sent, Losses(), "output") == sent


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"not": TEXT}, "not"),
        ({"type": "object", "additionalProperties": True}, "additionalProperties"),
        ({"type": "object", "additionalProperties": TEXT}, "additionalProperties"),
        ({"type": "object", "patternProperties": {"^a": TEXT}}, "patternProperties"),
        ({"type": "array", "prefixItems": [TEXT]}, "prefixItems"),
        ({"type": "array", "items": [TEXT]}, "items"),
        ({"if": {}, "then": {}}, "if"),
    ],
)
def test_what_cannot_be_put_in_words_is_refused_unless_it_may_be_left_out(
    schema: Json, keyword: str
):
    within = json.dumps({"type": "object", "properties": {"a": schema}, "required": ["a"]})
    with pytest.raises(Uncarried) as refused:
        at_anthropic(within, Losses(), "output")
    assert refused.value.member == "output"
    assert f"'{keyword}' in 'properties.a'" in refused.value.why
    losses = Losses(frozenset(schema))
    sent = json.loads(at_anthropic(within, losses, "output"))["properties"]["a"]
    assert f"{keyword}: " in sent["description"]
    assert keyword in losses.dropped
    assert sent.get(keyword, False) is False


def test_several_schemas_that_all_hold_are_nothing_gemini_knows():
    schema = json.dumps({"allOf": [{"type": "object"}, {"required": ["a"]}]})
    with pytest.raises(Uncarried, match="'allOf' of a schema"):
        at_gemini(schema, Losses(), "output")


@pytest.mark.parametrize(
    "schema",
    [
        '{"type":"object",  "additionalProperties":false}',
        '{"default":1e400, "type":"object"}',
        "[1]",
        "{",
        '{"items":' * 3000 + "{}" + "}" * 3000,
    ],
)
def test_another_schema_stays_as_it_is(schema: str):
    assert at_anthropic(schema, Losses(), "output") == schema


class Toll(BaseModel):
    """What an SDK makes a schema of."""

    road: str = Field(min_length=1, description="Which")
    wheels: int = Field(ge=2, le=18)
    goods: list[str] = Field(max_length=3)


def test_the_model_is_told_the_same_as_by_anthropics_own_sdk():
    ours = json.loads(at_anthropic(json.dumps(Toll.model_json_schema()), Losses(), "output"))
    theirs = transform_schema(Toll)
    for name in ("road", "wheels", "goods"):
        mine, of_sdk = ours["properties"][name], theirs["properties"][name]
        assert (mine["type"], mine["description"]) == (of_sdk["type"], of_sdk["description"])
    assert ours["additionalProperties"] is theirs["additionalProperties"] is False


KEYWORDS = st.sampled_from(
    ("type", "properties", "items", "enum", "const", "oneOf", "allOf", "minItems", "format", "$ref")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(("object", "a")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYWORDS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYWORDS, VALUES, max_size=4))
@example({"allOf": [{"allOf": None, "$ref": None}]})
def test_whatever_stands_in_a_schema_what_is_sent_of_it_is_kept_to(schema: Json):
    for fit in (at_anthropic, at_gemini):
        sent = fit(json.dumps(schema), Losses(frozenset("*")), "output")
        losses = Losses()
        fit(sent, losses, "output")
        assert losses.dropped == []


def test_schemas_of_answers_and_of_strict_tools_bind_and_those_of_other_tools_do_not():
    schema = json.dumps({"type": "object", "properties": {"a": {**TEXT, "minLength": 2}}})
    asked = Conversation(
        model="claude-sonnet-4-5",
        turns=(Turn("user", (Text("hi"),)),),
        max_output_tokens=9,
        output=Output(schema),
        tools=(Tool("f", schema=schema), Tool("g", schema=schema, strict=True)),
    )
    losses = Losses()
    told = json.loads(messages.write_request(asked, losses))
    loose, strict = (tool["input_schema"] for tool in told["tools"])
    assert loose == json.loads(schema)
    assert strict == told["output_config"]["format"]["schema"] != loose
    assert losses.dropped == ["minLength"]
    told = json.loads(contents.write_request(asked, Losses()))
    bound = told["generationConfig"]["responseJsonSchema"]["properties"]["a"]
    assert bound["description"] == "{minLength: 2}"
    loose, strict = (
        each["parametersJsonSchema"] for each in told["tools"][0]["functionDeclarations"]
    )
    assert loose == json.loads(schema)
    assert strict == told["generationConfig"]["responseJsonSchema"]


@pytest.mark.parametrize(
    "schema",
    [r'{"const":"\ud800"}', '{"minimum":1e999}', '{"not":' * 2000 + "true" + "}" * 2000],
    ids=["half a character", "too large", "deep"],
)
def test_a_schema_that_cannot_be_looked_into_goes_as_it_is(schema: str):
    for fit in (at_anthropic, at_gemini):
        assert fit(with_description(schema, "A form."), Losses(), "output") == schema
