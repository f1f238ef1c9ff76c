"""Conversations and answers that Gemini's contents and OpenAI's responses can say without a loss."""

import json
from collections.abc import Sequence

from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.domain.translation.answers import Answer, Choice, Delta, Finish
from gateway.domain.translation.conversation import (
    Conversation,
    Data,
    Declined,
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
from gateway.domain.usage import Usage

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
NAME = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
OBJECT = st.dictionaries(NAME, TEXT | st.integers(-9, 9) | st.none(), max_size=2).map(json.dumps)
IMAGE = st.just(Image(Data("image/png", base64="aGVsbG8=")))
COUNT = st.integers(0, 40)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Any that can be believed."""
    cached, written, audio, images = (draw(COUNT) for _ in range(4))
    inputs = max(cached + written, audio + images) + draw(COUNT)
    thought, rest = draw(COUNT), draw(COUNT)
    spoken, drawn = draw(st.none() | COUNT), draw(st.none() | COUNT)
    return Usage(
        inputs,
        thought + rest + (spoken or 0) + (drawn or 0),
        cached,
        written,
        thought,
        audio,
        images,
        spoken,
        drawn,
        draw(st.integers(0, rest)),
        draw(st.none() | st.integers(0, written)),
    )


@st.composite
def calls(draw: st.DrawFn, *, is_signed: bool = True) -> ToolCall:
    signature = draw(st.sampled_from(["", "c2lnbmVk"])) if is_signed else ""
    return ToolCall(f"call_{draw(NAME)}", draw(NAME), draw(OBJECT), signature)


THOUGHT = st.builds(Thought, TEXT, st.sampled_from(["", "proof"])) | st.builds(
    Thought, TEXT, st.just(""), TEXT
)


@st.composite
def choices(draw: st.DrawFn, *, declines: bool) -> Choice:
    """Parts of changing kinds: two of one kind are told as one."""
    kinds = [st.builds(Text, TEXT), calls(), THOUGHT]
    if declines:
        kinds.append(st.builds(Declined, TEXT))
    parts: list[Part] = []
    for part in draw(st.lists(st.one_of(*kinds), max_size=4)):
        if isinstance(part, ToolCall):
            parts.append(replace(part, id=f"call_{len(parts)}"))
        elif not parts or type(parts[-1]) is not type(part):
            parts.append(part)
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    ends = [Finish.TOOL_CALLS if has_calls else Finish.STOP, Finish.LENGTH, Finish.CONTENT_FILTER]
    return Choice(tuple(parts), draw(st.sampled_from(ends)))


@st.composite
def answers(draw: st.DrawFn, *, most: int = 2, declines: bool = False) -> Answer:
    each = choices(declines=declines)
    return Answer(
        id=draw(NAME),
        model="m",
        choices=tuple(draw(st.lists(each, min_size=1, max_size=most))),
        usage=draw(usages()),
    )


def batches(deltas: Sequence[Delta], size: int) -> list[Sequence[Delta]]:
    """The deltas, so many at a time."""
    return [deltas[at : at + size] for at in range(0, len(deltas), size)]


# Conversations


@st.composite
def conversations(
    draw: st.DrawFn,
    *,
    steers: st.SearchStrategy[dict],
    signs: bool = True,
    strict: bool | None = None,
) -> Conversation:
    """A user who asks, and a model that answers or has tools called, in turn; `steers` are the other members."""
    turns: list[Turn] = []
    wanted: list[ToolCall] = []
    for _ in range(draw(st.integers(1, 3))):
        results = [ToolResult(call.id, call.name, (Text(draw(TEXT)),)) for call in wanted]
        asked = draw(
            st.lists(st.builds(Text, TEXT) | IMAGE, min_size=0 if results else 1, max_size=2)
        )
        turns.append(Turn("user", (*results, *asked)))
        if draw(st.booleans()):
            break
        said = draw(st.lists(st.builds(Text, TEXT), max_size=1))
        wanted = draw(
            st.lists(
                calls(is_signed=signs),
                min_size=0 if said else 1,
                max_size=2,
                unique_by=lambda call: call.id,
            )
        )
        turns.append(Turn("assistant", (*said, *wanted)))
    tools = draw(
        st.lists(
            st.builds(Tool, NAME, TEXT, OBJECT, st.just(strict)),
            max_size=2,
            unique_by=lambda tool: tool.name,
        )
    )
    return Conversation(
        model="gemini-2.5-flash", turns=tuple(turns), tools=tuple(tools), **draw(steers)
    )


CHOICE = st.none() | st.sampled_from(
    [ToolChoice("auto"), ToolChoice("none"), ToolChoice("any"), ToolChoice("one", "f")]
)
OUTPUT = st.none() | st.just(Output())
FRACTION = st.none() | st.sampled_from([0.0, 0.25, 0.5])
TURNED_OFF = Thinking(is_on=False)
