"""What is asked, in the terms that all dialects share. Values only; codecs read and write them."""

from typing import Literal

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=False):
    """What the neutral form consists of: unchangeable, equal by its members."""


class Data(Value, frozen=True):
    """Bytes of a part: inline in base64 as they were sent, or at a URL that is passed on and never fetched.

    `reference` is an id of a file that the provider keeps, which no other provider can be given.
    """

    media_type: str = ""
    base64: str = ""
    url: str = ""
    reference: str = ""


class Text(Value, frozen=True, tag=True):
    """Text. `cache` marks a prompt cache's breakpoint behind this part: empty, or for how long (`5m`, `1h`).

    `citations` are as the neutral `Citation`s of an answer; callers send earlier answers back with them.
    """

    text: str
    cache: str = ""
    citations: tuple["Citation", ...] = ()


class Citation(Value, frozen=True):
    """Where a statement comes from, and what is `quoted` of there.

    Offsets are characters of the text that the statement stands in; None: not said.
    """

    url: str = ""
    title: str = ""
    quoted: str = ""
    start: int | None = None
    end: int | None = None


class Image(Value, frozen=True, tag=True):
    """A picture. `detail`: OpenAI's `low`, `high`, `auto`, or empty.

    `signature` is Gemini's beside one that it has made, which it wants back.
    """

    data: Data
    detail: str = ""
    cache: str = ""
    signature: str = ""


class File(Value, frozen=True, tag=True):
    """A document, as PDF."""

    data: Data
    name: str = ""
    cache: str = ""


class Audio(Value, frozen=True, tag=True):
    """A recording; `data.media_type` is such as `audio/wav`."""

    data: Data


class Thought(Value, frozen=True, tag=True):
    """What a model thought before it went on.

    `signature` proves it to the provider that made it, `redacted` is what it shows to nobody else; neither means
    anything to another provider.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""


class ToolCall(Value, frozen=True, tag=True):
    """A tool that the model wants called. `arguments` is the JSON of an object, as text.

    `signature` is Gemini's of the thought before it, which it wants back beside the call.
    """

    id: str
    name: str
    arguments: str
    signature: str = ""
    cache: str = ""


class ToolResult(Value, frozen=True, tag=True):
    """What a tool answered. `name` is that of the call with this id, found by the reader where its dialect has none."""

    id: str
    name: str
    parts: tuple["Text | Image | File", ...]
    is_error: bool = False
    cache: str = ""


class Declined(Value, frozen=True, tag=True):
    """What the model says instead of an answer that it declines to give (OpenAI's `refusal`)."""

    text: str


Part = Text | Image | File | Audio | Thought | ToolCall | ToolResult | Declined
Role = Literal["user", "assistant", "system"]


class Turn(Value, frozen=True):
    """What one side says, in order. Results of tools stand in a turn of the user.

    `system` only for instructions in the middle of a conversation; those at its beginning are `Conversation.system`.
    """

    role: Role
    parts: tuple[Part, ...]


class Tool(Value, frozen=True):
    """A function that the model may call. `schema` is the JSON of a JSON Schema; `strict`: arguments keep to it."""

    name: str
    description: str = ""
    schema: str = ""
    strict: bool | None = None
    cache: str = ""


class ToolChoice(Value, frozen=True):
    """`auto`, `none`, `any` (at least one), or `one`: the tool named. `names`: only these of all that are declared."""

    kind: Literal["auto", "none", "any", "one"]
    name: str = ""
    names: tuple[str, ...] = ()


class Output(Value, frozen=True):
    """What the answer's text must be: any JSON, or what keeps to `schema` (JSON of a JSON Schema)."""

    schema: str = ""
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Thinking(Value, frozen=True):
    """How much is thought first: not at all, by tokens, by `effort` (`low`, `high`, …), or as the model sees fit.

    `shown`: whether the answer shall tell the thoughts, or a summary; None: as the provider does by itself.
    """

    is_on: bool = True
    budget_tokens: int | None = None
    effort: str = ""
    shown: bool | None = None


class Drawing(Value, frozen=True):
    """How pictures in the answer shall be: their ratio, such as `16:9`, and their size, such as `2K`."""

    aspect_ratio: str = ""
    size: str = ""


class Conversation(Value, frozen=True, kw_only=True):
    """A request for the next turn. What is None or empty was not said, and is left to the upstream.

    `max_output_tokens` counts thoughts, too. `logprobs`: how many alternatives, 0 for those of the chosen tokens only.
    `modalities` are what the answer may consist of (`text`, `image`) where that is said to be more than text.
    `safety` is Gemini's settings, as category and threshold. `tier` is OpenAI's `service_tier`. `metadata` is the
    caller's own tags, `end_user` an opaque id of whom the caller serves.
    """

    model: str
    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    output: Output | None = None
    thinking: Thinking | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = None
    choices: int = 1
    stream: bool = False
    modalities: tuple[str, ...] = ()
    drawing: Drawing | None = None
    verbosity: str = ""
    tier: str = ""
    safety: tuple[tuple[str, str], ...] = ()
    metadata: dict[str, str] | None = None
    end_user: str = ""
