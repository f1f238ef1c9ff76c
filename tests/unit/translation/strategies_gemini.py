"""Conversations and answers, such as contents and responses can say without a loss."""

import json
from collections.abc import Sequence

from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.domain.translation.answers import Answer, Choice, Delta, Finish
from gateway.domain.translation.conversation import (
    Conversation,
    Data,
    Declined,
    Drawing,
    Image,
    Output,
    Part,
    Text,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from tests.unit.translation.strategies import made_pictures, usages

SAID = st.text(min_size=1, max_size=8)
NAMES = st.sampled_from(("look", "f_2", "get-it"))
OBJECTS = st.dictionaries(SAID, SAID | st.integers(-9, 9) | st.none(), max_size=2).map(json.dumps)
PICTURES = st.just(Image(Data("image/png", base64="aGVsbG8=")))
SIGNATURES = ("", "c2lnbmVk")


def batches(deltas: Sequence[Delta], size: int) -> list[Sequence[Delta]]:
    """The deltas, so many at a time."""
    return [deltas[at : at + size] for at in range(0, len(deltas), size)]


def _calls(signatures: Sequence[str]) -> st.SearchStrategy[ToolCall]:
    return st.builds(ToolCall, st.just(""), NAMES, OBJECTS, st.sampled_from(signatures))


# Answers


@st.composite
def _choices(draw: st.DrawFn, *kinds: st.SearchStrategy[Part]) -> Choice:
    """Parts of changing kinds: two texts that follow each other are one."""
    parts: list[Part] = []
    for part in draw(st.lists(st.one_of(*kinds), max_size=4)):
        if isinstance(part, ToolCall):
            parts.append(replace(part, id=f"call_{len(parts)}"))
        elif not parts or type(parts[-1]) is not type(part):
            parts.append(part)
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    ends = (Finish.TOOL_CALLS if has_calls else Finish.STOP, Finish.LENGTH, Finish.CONTENT_FILTER)
    return Choice(tuple(parts), draw(st.sampled_from(ends)))


_THOUGHTS = st.builds(Thought, SAID)
PROVED = st.builds(Thought, SAID, st.sampled_from(("", "proof"))) | st.builds(
    Thought, redacted=SAID
)


def contents_answers(
    thoughts: st.SearchStrategy[Thought] = _THOUGHTS,
) -> st.SearchStrategy[Answer]:
    each = _choices(st.builds(Text, SAID), thoughts, _calls(SIGNATURES), made_pictures())
    return st.builds(
        Answer,
        id=SAID,
        model=st.just("m"),
        choices=st.lists(each, min_size=1, max_size=3).map(tuple),
        usage=usages(),
    )


def responses_answers(
    thoughts: st.SearchStrategy[Thought] = _THOUGHTS, signatures: Sequence[str] = ("",)
) -> st.SearchStrategy[Answer]:
    declined = st.builds(Declined, SAID)
    each = _choices(st.builds(Text, SAID), declined, thoughts, _calls(signatures), made_pictures())
    return st.builds(
        Answer,
        id=SAID.map("resp_{}".format),
        model=st.just("m"),
        choices=each.map(lambda choice: (choice,)),
        usage=usages(),
        created=st.integers(1, 2**31),
    )


# Conversations


@st.composite
def _turns(draw: st.DrawFn, signatures: Sequence[str]) -> tuple[Turn, ...]:
    """Turns in which every call has its result, and the user begins."""
    said = st.builds(Text, SAID)
    turns = [Turn("user", tuple(draw(st.lists(said | PICTURES, min_size=1, max_size=2))))]
    for round_ in range(draw(st.integers(0, 2))):
        called = [
            replace(call, id=f"c{round_}{at}")
            for at, call in enumerate(draw(st.lists(_calls(signatures), max_size=2)))
        ]
        spoken = draw(st.lists(said, min_size=0 if called else 1, max_size=1))
        turns.append(Turn("assistant", (*spoken, *called)))
        back = [ToolResult(call.id, call.name, (Text(draw(SAID)),)) for call in called]
        asked = draw(st.lists(said | PICTURES, min_size=0 if back else 1, max_size=2))
        turns.append(Turn("user", (*back, *asked)))
    return tuple(turns)


_CHOICES_OF_TOOLS = st.none() | st.sampled_from(
    (ToolChoice("auto"), ToolChoice("none"), ToolChoice("any"), ToolChoice("one", "look"))
)
_SCHEMA = '{"type":"object"}'
_FRACTIONS = st.none() | st.sampled_from((0.0, 0.25, 0.5))
_SOME = st.sampled_from(((), (Text("Be brief."),)))


def _tools(*, strict: bool | None) -> st.SearchStrategy[tuple[Tool, ...]]:
    each = st.builds(Tool, NAMES, SAID, OBJECTS, st.just(strict))
    return st.lists(each, max_size=2, unique_by=lambda tool: tool.name).map(tuple)


def contents_conversations() -> st.SearchStrategy[Conversation]:
    return st.builds(
        Conversation,
        model=st.just("gemini-2.5-flash"),  # it asks for no signature
        turns=_turns(SIGNATURES),
        system=_SOME,
        tools=_tools(strict=None),
        tool_choice=_CHOICES_OF_TOOLS,
        output=st.sampled_from((None, Output(), Output(_SCHEMA))),
        thinking=st.sampled_from((None, Thinking(is_on=False), Thinking()))
        | st.builds(
            Thinking, budget_tokens=st.integers(1, 9), shown=st.sampled_from((None, False, True))
        ),
        max_output_tokens=st.none() | st.integers(1, 99),
        stop=st.sampled_from(((), ("a", "b"))),
        temperature=_FRACTIONS,
        top_p=_FRACTIONS,
        top_k=st.none() | st.integers(1, 9),
        presence_penalty=st.sampled_from((None, 0.5)),
        frequency_penalty=st.sampled_from((None, -0.5)),
        seed=st.none() | st.integers(0, 9),
        logprobs=st.none() | st.integers(0, 5),
        choices=st.integers(1, 3),
        drawing=st.sampled_from((None, Drawing("16:9"), Drawing(size="4K"))),
        modalities=st.sampled_from(((), ("image",), ("text", "image"))),
        stream=st.booleans(),
        tier=st.sampled_from(("", "flex", "priority", "default")),
        safety=st.sampled_from(((), (("HARM_CATEGORY_HARASSMENT", "OFF"),))),
    )


def responses_conversations() -> st.SearchStrategy[Conversation]:
    return st.builds(
        Conversation,
        model=st.just("m"),
        turns=_turns(("",)),
        system=_SOME | st.just((Text("Be brief."), Text("Be kind."))),
        tools=_tools(strict=False) | _tools(strict=True),
        tool_choice=_CHOICES_OF_TOOLS
        | st.builds(ToolChoice, st.sampled_from(("auto", "any")), names=st.just(("look", "f_2"))),
        parallel_tools=st.sampled_from((None, False)),
        output=st.sampled_from((None, Output(), Output(_SCHEMA, "n", "d", strict=True))),
        thinking=st.sampled_from((None, Thinking(is_on=False)))
        | st.builds(
            Thinking, effort=st.sampled_from(("low", "high")), shown=st.sampled_from((None, True))
        ),
        max_output_tokens=st.none() | st.integers(16, 99),
        temperature=_FRACTIONS,
        top_p=_FRACTIONS,
        logprobs=st.none() | st.integers(0, 5),
        verbosity=st.sampled_from(("", "low")),
        tier=st.sampled_from(("", "flex")),
        metadata=st.sampled_from((None, {"a": "b"})),
        end_user=st.sampled_from(("", "u")),
        stream=st.booleans(),
    )
