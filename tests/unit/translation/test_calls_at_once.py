"""Calls of tools whose pieces an upstream sends in turns: other forms have one open at a time, and nothing is lost."""

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation import chat, messages, responses
from gateway.domain.translation.answers import Delta, Finish, PartStarted, TextDelta
from gateway.domain.translation.codec import Codec
from gateway.domain.translation.conversation import Text, Thought, ToolCall
from tests.unit.translation.streams import fold, keep_order, read, written

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "gpt"}
VALUES = st.text(max_size=6) | st.integers(-9, 9) | st.dictionaries(st.text(max_size=3), st.none())
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=3).map(json.dumps)


class Woven(NamedTuple):
    """The deltas of a choice's chunks, and the parts that they are of."""

    deltas: list[dict[str, Any]]
    parts: tuple[Text | Thought | ToolCall, ...]


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({**HEAD, "choices": [choice]}).encode()


def call(index: int | None, arguments: str = "", **told: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": told.pop("name")} if "name" in told else {})
    return {
        "tool_calls": [{"function": function, **told} | ({} if index is None else {"index": index})]
    }


def deltas_of(chunks: list[dict[str, Any]]) -> list[Delta]:
    reader = chat.reader()
    events = [*map(chunk, chunks), chunk({}, "tool_calls"), b"[DONE]"]
    return [delta for data in events for delta in reader.event(b"", data)]


def cut(draw: st.DrawFn, text: str) -> list[str]:
    ends = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)) | {len(text)})
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


@st.composite
def woven(draw: st.DrawFn) -> Woven:
    """Calls whose pieces come in any order that keeps each call's own, with something said before and after."""
    parts: list[Any] = draw(st.sampled_from(([], [Thought("so")], [Text("well")])))
    deltas = [
        {"content": part.text} if isinstance(part, Text) else {"reasoning_content": part.text}
        for part in parts
    ]
    left = {i: cut(draw, draw(OBJECTS | st.just(""))) for i in range(draw(st.integers(1, 4)))}
    whole = {i: "".join(pieces) or "{}" for i, pieces in left.items()}
    begun: list[int] = []
    while left:
        at = draw(st.sampled_from(sorted(left)))
        if at not in begun:
            begun.append(at)
            deltas.append(call(at, id=f"c{at}", name=f"f{at}"))
            continue
        # Some tell the id with each piece.
        again = {"id": f"c{at}"} if draw(st.booleans()) else {}
        deltas.append(call(at, left[at].pop(0), **again))
        if not left[at]:
            del left[at]
    parts += [ToolCall(f"c{at}", f"f{at}", whole[at]) for at in begun]
    if draw(st.booleans()):
        deltas.append({"content": "done"})
        parts.append(Text("done"))
    return Woven(deltas, tuple(parts))


@settings(max_examples=150, deadline=None)
@given(woven())
def test_pieces_in_any_order_become_whole_calls_in_the_order_in_which_they_began(told: Woven):
    deltas = deltas_of(told.deltas)
    keep_order(deltas)
    answer = fold(deltas)
    (choice,) = answer.choices
    assert choice.parts == told.parts
    assert choice.finish is Finish.TOOL_CALLS
    for form in (messages, responses):
        assert calls_of(form, deltas) == [p for p in told.parts if isinstance(p, ToolCall)]


def calls_of(form: Codec, deltas: list[Delta]) -> list[ToolCall]:
    """What a caller of this form is told."""
    (choice,) = fold(read(form, written(form, deltas))).choices
    return [part for part in choice.parts if isinstance(part, ToolCall)]


def test_where_calls_come_one_after_the_other_nothing_waits():
    reader = chat.reader()
    for told in (
        call(0, '{"a"', id="c0", name="f"),
        call(0, ":1}"),
        call(1, "{", id="c1", name="g"),
        call(1, "}"),
    ):
        (*_, last) = reader.event(b"", chunk(told))
        assert last == TextDelta(0, told["tool_calls"][0]["function"]["arguments"])


def test_a_call_that_waits_is_told_as_soon_as_the_one_before_it_is_whole():
    reader = chat.reader()
    reader.event(b"", chunk(call(0, '{"a":', id="c0", name="f")))
    assert reader.event(b"", chunk(call(1, '{"b":2}', id="c1", name="g"))) == []
    told = reader.event(b"", chunk(call(0, "1}")))
    assert PartStarted(0, "tool", "c1", "g") in told
    assert told[-1] == TextDelta(0, '{"b":2}')


def test_large_arguments_in_many_pieces_that_could_be_the_last_hold_nobody_up_for_good():
    pieces = ['{"a":[', *["{},{}", ","] * 4000, "{}]}"]
    begun = [call(0, pieces[0], id="c0", name="f"), call(1, "{}", id="c1", name="g")]
    (choice,) = fold(deltas_of([*begun, *(call(0, each) for each in pieces[1:])])).choices
    assert choice.parts == (ToolCall("c0", "f", "".join(pieces)), ToolCall("c1", "g", "{}"))


@pytest.mark.parametrize(
    "chunks",
    [
        [call(0, "{}", id="a", name="f"), call(1, "{}", id="b", name="g"), call(0, ",")],
        [call(0, "{}")],
        [call(0, "{", id="a", name="f"), call(1, "x" * 1_048_577, id="b", name="g")],
    ],
    ids=("more of a call that had ended", "no name", "too much that waits"),
)
def test_pieces_that_belong_nowhere_are_a_bad_answer(chunks: list[dict[str, Any]]):
    with pytest.raises(BadAnswer):
        deltas_of(chunks)
