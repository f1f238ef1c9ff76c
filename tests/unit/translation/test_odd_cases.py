"""What one form alone would not show: values that only another form reads, and what comes in another order."""

import json
from typing import Any

import pytest

from gateway.domain.dialects.anthropic import MessagesMeter
from gateway.domain.translation import chat, messages
from gateway.domain.translation.answers import (
    Counted,
    Delta,
    Ended,
    Finish,
    Finished,
    PartEnded,
    PartStarted,
    Signed,
    Started,
    TextDelta,
)
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import (
    Conversation,
    Data,
    File,
    Image,
    Text,
    Thinking,
    ToolResult,
    Turn,
)
from gateway.domain.translation.media import data_of_url
from gateway.domain.usage import Usage
from tests.unit.translation.streams import events, written

USER = (Turn("user", (Text("hi"),)),)


def to_claude(model: str = "claude-3-7-sonnet", **members: Any) -> dict[str, Any]:
    losses = members.pop("losses", None) or Losses()
    asked = Conversation(
        **{"model": model, "turns": USER, "max_output_tokens": 9000, **members},
    )
    told: dict[str, Any] = json.loads(messages.write_request(asked, losses))
    return told


def test_results_of_tools_come_first_whatever_the_user_said_before():
    said = (Text("so"), ToolResult("a", "f", (Text("1"),)), ToolResult("b", "f", ()))
    blocks = to_claude(turns=(*USER, Turn("assistant", (Text("x"),)), Turn("user", said)))
    kinds = [block["type"] for block in blocks["messages"][2]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]


def test_turns_of_one_side_become_one_and_empty_texts_none():
    turns = (*USER, Turn("user", (Text(""), Text("you"))), Turn("assistant", (Text(""),)))
    assert to_claude(turns=turns)["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "you"}],
        }
    ]


@pytest.mark.parametrize(
    ("model", "budget", "told"),
    [
        ("claude-sonnet-4-5", 2000, {"type": "enabled", "budget_tokens": 2000}),
        ("claude-opus-4-6", 2000, {"type": "enabled", "budget_tokens": 2000}),
        ("claude-opus-4-7", 1024, "low"),
        ("claude-opus-4-8", 8192, "medium"),
        ("eu.anthropic.claude-sonnet-5-20270101-v1:0", 24_576, "high"),
        ("claude-haiku-5-5", 24_577, "xhigh"),
        ("deepseek-chat", 2000, {"type": "enabled", "budget_tokens": 2000}),
    ],
)
def test_tokens_of_thought_become_an_effort_where_a_model_takes_no_tokens(
    model: str, budget: int, told: object
):
    body = to_claude(model, thinking=Thinking(budget_tokens=budget), max_output_tokens=30_000)
    if isinstance(told, str):
        assert body["output_config"] == {"effort": told}
        told = {"type": "adaptive"}
    assert body["thinking"] == told


@pytest.mark.parametrize(
    ("thinking", "most"),
    [
        (Thinking(effort="low"), 1024),
        (Thinking(budget_tokens=1023), 9000),
        (Thinking(budget_tokens=9000), 9000),
    ],
)
def test_thought_that_has_no_room_is_told(thinking: Thinking, most: int):
    small = {"model": "claude-sonnet-4-5", "max_output_tokens": most, "thinking": thinking}
    with pytest.raises(Uncarried) as refused:
        to_claude(**small)
    assert refused.value.member == "thinking"
    assert "thinking" not in to_claude(**small, losses=Losses(frozenset({"thinking"})))


def test_what_is_as_usual_may_be_said_beside_thoughts_and_to_every_model():
    assert to_claude(thinking=Thinking(), top_p=0.95)["top_p"] == 0.95
    assert "temperature" not in to_claude(thinking=Thinking(), temperature=1.0)
    assert "temperature" not in to_claude("claude-opus-5", temperature=1.0)


@pytest.mark.parametrize(
    "model", ["claude-opus-4-7", "anthropic/claude-sonnet-5", "claude-haiku-5-5"]
)
@pytest.mark.parametrize(("member", "value"), [("temperature", 0.5), ("top_p", 0.96), ("top_k", 3)])
def test_models_that_take_nothing_of_how_tokens_are_drawn_are_not_told(
    model: str, member: str, value: float
):
    with pytest.raises(Uncarried) as refused:
        to_claude(model, **{member: value})
    assert refused.value.member == member
    assert member not in to_claude(model, losses=Losses(frozenset({member})), **{member: value})


def test_models_that_take_one_of_two_are_told_the_temperature():
    both = {"temperature": 0.5, "top_p": 0.9}
    assert to_claude("claude-3-5-haiku-20241022", **both)["top_p"] == 0.9
    with pytest.raises(Uncarried) as refused:
        to_claude("claude-haiku-4-5", **both)
    assert refused.value.member == "top_p"
    assert to_claude("claude-haiku-4-5", top_p=0.9)["top_p"] == 0.9
    told = to_claude("claude-haiku-4-5", **both, losses=Losses(frozenset({"top_p"})))
    assert "top_p" not in told


@pytest.mark.parametrize(("member", "value"), [("temperature", 0.9), ("top_p", 0.9), ("top_k", 3)])
def test_what_is_not_as_usual_may_be_said_without_thoughts_alone(member: str, value: float):
    assert to_claude(**{member: value})[member] == value
    assert to_claude(thinking=Thinking(is_on=False), **{member: value})[member] == value
    with pytest.raises(Uncarried) as refused:
        to_claude(thinking=Thinking(), **{member: value})
    assert refused.value.member == member


def test_what_is_left_out_of_stops_is_only_what_is_too_much():
    asked = Conversation(model="m", turns=USER, stop=("1", "2", "3", "4", "5"))
    told = json.loads(chat.write_request(asked, Losses(frozenset({"stop"}))))
    assert told["stop"] == ["1", "2", "3", "4"]
    losses = Losses(frozenset({"stop"}))
    assert to_claude(stop=("\n", "x"), losses=losses)["stop_sequences"] == ["x"]


def test_documents_of_which_nobody_can_make_anything_are_told():
    word = File(Data("application/msword", "AAAA"))
    for part in (word, File(Data("text/plain", "/w=="))):
        with pytest.raises(Uncarried) as refused:
            to_claude(turns=(Turn("user", (part,)),))
        assert refused.value.member == "file"
    kept = Image(Data(reference="file-1"))
    for codec in (chat, messages):
        asked = Conversation(model="m", turns=(Turn("user", (kept,)),), max_output_tokens=9)
        with pytest.raises(Uncarried) as refused:
            codec.write_request(asked, Losses())
        assert refused.value.member == "file_reference"


@pytest.mark.parametrize(
    ("url", "data"),
    [
        ("data:IMAGE/PNG;base64,AAAA", Data("image/png", "AAAA")),
        ("data:audio/wav;codecs=1;base64,AAAA", Data("audio/wav", "AAAA")),
        ("data:;base64,AAAA", Data("", "AAAA")),
        ("https://a.example/;base64,x", Data(url="https://a.example/;base64,x")),
    ],
)
def test_a_url_holds_data_or_leads_to_it(url: str, data: Data):
    assert data_of_url(url, "p") == data


def blocks_of(*deltas: Delta) -> list[tuple[str, int, dict[str, Any]]]:
    told = written(messages, (Started("a", "m"), *deltas, Finished(0, Finish.STOP), Ended()))
    found = [json.loads(data) for _, data in events(told)]
    return [
        (event["type"].removeprefix("content_block_"), event["index"], event.get("content_block"))
        for event in found
        if "index" in event
    ]


def test_what_is_redacted_behind_a_thought_is_a_block_of_its_own():
    told = blocks_of(
        *(PartStarted(0, "thought"), TextDelta(0, "so"), Signed(0, redacted="D"), PartEnded(0)),
        *(PartStarted(0, "text"), TextDelta(0, "a"), PartEnded(0)),
    )
    assert [(kind, index) for kind, index, _ in told if kind != "delta"] == [
        *(("start", 0), ("stop", 0), ("start", 1), ("stop", 1), ("start", 2), ("stop", 2)),
    ]
    assert told[3][2] == {"type": "redacted_thinking", "data": "D"}


def test_a_count_that_is_taken_back_by_the_last_is_not_charged():
    first = Usage(9, 1, cache_write_tokens=5, cache_write_1h_tokens=5, cached_input_tokens=2)
    last = Usage(9, 3)
    deltas = (Started("a", "m", 0, first), Finished(0, Finish.STOP), Counted(last), Ended())
    meter = MessagesMeter()
    for _, data in events(written(messages, deltas)):
        meter.event(data)
    assert meter.usage == last


def test_choices_are_put_in_their_order():
    choices = [
        {"index": index, "message": {"content": str(index)}, "finish_reason": "stop"}
        for index in (1, 0)
    ]
    answer = chat.read_answer(json.dumps({"choices": choices}).encode())
    assert [choice.parts for choice in answer.choices] == [(Text("0"),), (Text("1"),)]


def test_thoughts_between_tools_alone_are_refused_and_where_they_may_be_left_out_nothing_is_said():
    body = b'{"messages":[{"role":"user","content":"hi"}],"thinking":{"type":"between_tools"}}'
    with pytest.raises(Uncarried) as refused:
        messages.read_request(body, Losses(), model="m", stream=False)
    assert refused.value.param == "thinking.type"
    losses = Losses(frozenset({"thinking"}))
    assert messages.read_request(body, losses, model="m", stream=False).thinking is None
    assert losses.dropped == ["thinking.type"]
