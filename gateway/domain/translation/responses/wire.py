"""What a caller's body of the Responses API consists of. Pure.

https://platform.openai.com/docs/api-reference/responses/create
"""

from typing import Literal

import msgspec

ABSENT = msgspec.Raw(b"")


class _Strict(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """What all of these have in common: a member that is not here is refused."""


class Annotation(msgspec.Struct):
    """A source; the kinds that are no address are of files that OpenAI keeps."""

    type: str = ""
    url: str = ""
    title: str = ""
    start_index: int | None = None
    end_index: int | None = None


class InputText(_Strict, tag="input_text"):
    """What is said to the model."""

    text: str
    prompt_cache_breakpoint: msgspec.Raw = ABSENT


class OutputText(_Strict, tag="output_text"):
    """What the model has said."""

    text: str
    annotations: list[Annotation] = []
    logprobs: msgspec.Raw = ABSENT


class Refusal(_Strict, tag="refusal"):
    """What it has said instead."""

    refusal: str


class SummaryText(_Strict, tag="summary_text"):
    """What it has thought, in short."""

    text: str


class ReasoningText(_Strict, tag="reasoning_text"):
    """What it has thought."""

    text: str


class InputImage(_Strict, tag="input_image"):
    """A picture."""

    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: msgspec.Raw = ABSENT


class InputFile(_Strict, tag="input_file"):
    """A document."""

    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: msgspec.Raw = ABSENT


class Recording(msgspec.Struct, forbid_unknown_fields=True):
    """Sound in base64."""

    data: str
    format: str


class InputAudio(_Strict, tag="input_audio"):
    """A recording."""

    input_audio: Recording


Content = (
    InputText
    | OutputText
    | Refusal
    | SummaryText
    | ReasoningText
    | InputImage
    | InputFile
    | InputAudio
)


class Google(msgspec.Struct):
    """Of a call's `extra_content`: Gemini's signature of the thought before it."""

    thought_signature: str | None = None


class Extra(msgspec.Struct):
    """As Gemini has it in its own translation of OpenAI's dialect."""

    google: Google | None = None


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """An item of the input. A message need not say that it is one, so all kinds have one struct."""

    type: str = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[Content] | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    output: str | list[Content] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None
    caller: msgspec.Raw = ABSENT
    is_async: bool | None = msgspec.field(default=None, name="async")
    extra_content: Extra | None = None
    result: str | None = None
    output_format: str | None = None
    action: str | None = None
    background: str | None = None
    quality: str | None = None
    revised_prompt: str | None = None
    size: str | None = None


class FunctionTool(_Strict, tag="function"):
    """A function that the caller runs."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = ABSENT
    strict: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: msgspec.Raw = ABSENT
    output_schema: msgspec.Raw = ABSENT


class CustomTool(_Strict, tag="custom"):
    """A tool whose input is text of a grammar."""

    name: str = ""
    description: str | None = None
    format: msgspec.Raw = ABSENT
    defer_loading: bool | None = None
    allowed_callers: msgspec.Raw = ABSENT


class NamedTool(msgspec.Struct):
    """A tool of a choice."""

    type: str = ""
    name: str = ""


class ToolChoice(msgspec.Struct):
    """Which tool is to be called."""

    type: str = ""
    name: str = ""
    mode: str = ""
    tools: list[NamedTool] = []


class TextFormat(_Strict, tag="text"):
    """Any text."""


class ObjectFormat(_Strict, tag="json_object"):
    """Any JSON."""


class SchemaFormat(_Strict, tag="json_schema"):
    """What keeps to a schema."""

    name: str = ""
    schema: msgspec.Raw = ABSENT
    description: str | None = None
    strict: bool | None = None


class TextConfig(msgspec.Struct, forbid_unknown_fields=True):
    """How the text of the answer is."""

    format: TextFormat | ObjectFormat | SchemaFormat | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct, forbid_unknown_fields=True):
    """How much is thought, and whether it is told."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None
    mode: str | None = None


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """The whole."""

    model: str
    input: str | list[Item] | None = None
    instructions: str | None = None
    tools: list[FunctionTool | CustomTool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    stream: bool | None = None
    stream_options: msgspec.Raw = ABSENT
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    truncation: str | None = None
    background: bool | None = None
    background_options: msgspec.Raw = ABSENT
    previous_response_id: str | None = None
    conversation: msgspec.Raw = ABSENT
    prompt: msgspec.Raw = ABSENT
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: msgspec.Raw = ABSENT
    context_management: msgspec.Raw = ABSENT
    moderation: msgspec.Raw = ABSENT


decode_request = msgspec.json.Decoder(Request).decode
KNOWN = frozenset(Request.__struct_encode_fields__)
