"""What a dialect is not told is named or refused: a conversation that says more never reads as one that says less."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import pytest
from msgspec.structs import fields, replace

from gateway.domain.translation import chat, contents, messages, responses
from gateway.domain.translation import conversation as neutral
from gateway.domain.translation.codec import Codec, Losses, Uncarried
from gateway.domain.translation.conversation import (
    Citation,
    Conversation,
    Data,
    Drawing,
    File,
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

PICTURE = Data("image/png", "cGljdHVyZQ==")
OBJECT = '{"type":"object","properties":{},"additionalProperties":false}'
PARTS: Mapping[type[Part], Part] = {
    Text: Text("said"),
    Image: Image(PICTURE),
    File: File(Data("application/pdf", "cGRm")),
    neutral.Audio: neutral.Audio(Data("audio/wav", "c291bmQ=")),
    Thought: Thought("thought"),
    ToolCall: ToolCall("call_1", "look", "{}"),
    ToolResult: ToolResult("call_1", "look", (Text("found"),)),
    neutral.Declined: neutral.Declined("no"),
}
BY_MODELS = (Thought, ToolCall, neutral.Declined)
TOOL, CHOICE = Tool("look", schema=OBJECT), ToolChoice("any")
OUTPUT, THINKING, DRAWING = Output(OBJECT), Thinking(), Drawing("16:9")
LEAST = Conversation(model="model", turns=(Turn("user", (Text("say"),)),), max_output_tokens=9_000)
# Values that are not as a struct leaves them, for each member of it.
SAID: Mapping[tuple[type[Any], str], object] = {
    (Text, "text"): "said more",
    (Text, "cache"): "5m",
    (Text, "citations"): (Citation("https://of.it"),),
    (Image, "data"): Data(url="https://a.picture/of.png"),
    (Image, "detail"): "low",
    (Image, "cache"): "5m",
    (File, "data"): Data("application/pdf", "cGRmIQ=="),
    (File, "name"): "of.pdf",
    (File, "cache"): "5m",
    (neutral.Audio, "data"): Data("audio/mp3", "c291bmQ="),
    (Thought, "text"): "thought more",
    (Thought, "signature"): "proof",
    (Thought, "redacted"): "hidden",
    (ToolCall, "id"): "call_2",
    (ToolCall, "name"): "see",
    (ToolCall, "arguments"): '{"at":1}',
    (ToolCall, "signature"): "proof",
    (ToolCall, "cache"): "5m",
    (ToolResult, "id"): "call_2",
    (ToolResult, "parts"): (Text("found more"),),
    (ToolResult, "is_error"): True,
    (ToolResult, "cache"): "5m",
    (neutral.Declined, "text"): "never",
    (Tool, "name"): "see",
    (Tool, "description"): "Looks.",
    (Tool, "schema"): '{"type":"object","properties":{"at":{"type":"number"}}}',
    (Tool, "strict"): True,
    (Tool, "cache"): "5m",
    (ToolChoice, "kind"): "auto",
    (ToolChoice, "names"): ("look",),
    (Output, "schema"): "",
    (Output, "name"): "form",
    (Output, "description"): "What is seen.",
    (Output, "strict"): True,
    (Thinking, "is_on"): False,
    (Thinking, "budget_tokens"): 2_000,
    (Thinking, "effort"): "low",
    (Thinking, "shown"): True,
    (Drawing, "aspect_ratio"): "1:1",
    (Drawing, "size"): "2K",
    (Conversation, "turns"): (Turn("user", (Text("say more"),)),),
    (Conversation, "system"): (Text("Be brief."),),
    (Conversation, "tools"): (TOOL, Tool("see")),
    (Conversation, "tool_choice"): CHOICE,
    (Conversation, "parallel_tools"): False,
    (Conversation, "output"): OUTPUT,
    (Conversation, "thinking"): Thinking(effort="low"),
    (Conversation, "max_output_tokens"): 8_000,
    (Conversation, "stop"): ("END",),
    (Conversation, "temperature"): 0.5,
    (Conversation, "top_p"): 0.5,
    (Conversation, "top_k"): 5,
    (Conversation, "presence_penalty"): 0.5,
    (Conversation, "frequency_penalty"): 0.5,
    (Conversation, "seed"): 5,
    (Conversation, "logit_bias"): {"7": 1.0},
    (Conversation, "logprobs"): 2,
    (Conversation, "choices"): 2,
    (Conversation, "modalities"): ("text", "image"),
    (Conversation, "drawing"): DRAWING,
    (Conversation, "verbosity"): "low",
    (Conversation, "tier"): "flex",
    (Conversation, "safety"): (("HARM_CATEGORY_HARASSMENT", "BLOCK_NONE"),),
    (Conversation, "metadata"): {"tag": "one"},
    (Conversation, "end_user"): "somebody",
}
# What need not be said in a body: the path has the model and whether it is a stream, and a result has its call's name.
ELSEWHERE = {
    (Conversation, "model"),
    (Conversation, "stream"),
    (ToolResult, "name"),
    (ToolChoice, "name"),
}
FORMS: Mapping[str, tuple[Codec, str]] = {
    "chat": (chat, "gpt-5"),
    "messages": (messages, "claude-opus-4-1"),
    "contents": (contents, "gemini-3-pro"),
    "responses": (responses, "gpt-5"),
}
# Where it is always so, whether it is said or not.
ALWAYS = {("messages", Output, "strict"), ("contents", Output, "strict")}


class Case(NamedTuple):
    form: str
    kind: type[Any]
    member: str

    def __str__(self) -> str:
        return f"{self.kind.__name__}.{self.member} in {self.form}"


def cases() -> Iterator[Case]:
    for kind, member in SAID:
        for form in FORMS:
            if (form, kind, member) not in ALWAYS:
                yield Case(form, kind, member)


def of_part(part: Part) -> Conversation:
    """Both sides of a call, with the part where it may stand."""
    call, result = PARTS[ToolCall], PARTS[ToolResult]
    said, answered = [Text("say")], [call]
    if isinstance(part, ToolCall):
        answered, result = [part], replace(result, id=part.id, name=part.name)
    elif isinstance(part, ToolResult):
        answered, result = [replace(call, id=part.id)], part
    elif isinstance(part, BY_MODELS):
        answered = [part, call]
    else:
        said.append(part)
    turns = (
        Turn("user", tuple(said)),
        Turn("assistant", tuple(answered)),
        Turn("user", (result,)),
    )
    return replace(LEAST, turns=turns)


PLACES: Mapping[type[Any], tuple[object, Callable[[Any], Conversation]]] = {
    **{kind: (part, of_part) for kind, part in PARTS.items()},
    Tool: (TOOL, lambda tool: replace(LEAST, tools=(tool,))),
    ToolChoice: (
        CHOICE,
        lambda choice: replace(LEAST, tools=(TOOL, Tool("see")), tool_choice=choice),
    ),
    Output: (OUTPUT, lambda output: replace(LEAST, output=output)),
    Thinking: (THINKING, lambda thinking: replace(LEAST, thinking=thinking)),
    Drawing: (DRAWING, lambda drawing: replace(LEAST, drawing=drawing)),
    Conversation: (replace(LEAST, tools=(TOOL,)), lambda asked: asked),
}


class Said(NamedTuple):
    """All that comes of a conversation: the body and what is named, or what is refused."""

    body: bytes
    named: Sequence[str]
    refused: str


def said(form: str, asked: Conversation) -> Said:
    codec, model = FORMS[form]
    losses = Losses(frozenset({"*"}))
    try:
        body = codec.write_request(replace(asked, model=model), losses)
    except Uncarried as error:
        return Said(b"", (), str(error))
    return Said(body, losses.dropped, "")


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_what_is_said_is_told_or_named_or_refused(case: Case):
    least, place = PLACES[case.kind]
    more = replace(least, **{case.member: SAID[case.kind, case.member]})
    assert more != least
    told = said(case.form, place(more))
    # A whole that is named or refused already has no member that could be told.
    assert told != said(case.form, place(least)) or told.named or told.refused


def test_no_member_is_forgotten_here():
    kinds = [*get_args(Part), Tool, ToolChoice, Output, Thinking, Drawing, Conversation]
    there = {(kind, field.name) for kind in kinds for field in fields(kind)}
    assert there == SAID.keys() | ELSEWHERE | {(Image, "signature")}
