"""The types of a chat completion's request, as callers send it.

https://platform.openai.com/docs/api-reference/chat/create, and what is in common use beside it:
`reasoning_content` (https://api-docs.deepseek.com/guides/thinking_mode), `reasoning` and `reasoning_details`
(https://openrouter.ai/docs/use-cases/reasoning-tokens), `cache_control` (see `caches.py`), `extra_content`
(https://ai.google.dev/gemini-api/docs/thought-signatures).
"""

from typing import Literal

import msgspec

from gateway.domain.translation.caches import CacheControl

_ABSENT = msgspec.Raw(b"")


class _Known(msgspec.Struct, forbid_unknown_fields=True):
    """Takes no member but its own."""


class TextPart(_Known, tag_field="type", tag="text"):
    """Text."""

    text: str
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: msgspec.Raw = _ABSENT


class RefusalPart(_Known, tag_field="type", tag="refusal"):
    """What the model said instead of an answer."""

    refusal: str


class ImageUrl(_Known):
    """Where a picture is, or itself."""

    url: str
    detail: str | None = None


class ImagePart(_Known, tag_field="type", tag="image_url"):
    """A picture."""

    image_url: ImageUrl
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: msgspec.Raw = _ABSENT


class Recording(_Known):
    """Base64, and `wav` or `mp3`."""

    data: str
    format: str


class AudioPart(_Known, tag_field="type", tag="input_audio"):
    """A recording."""

    input_audio: Recording
    prompt_cache_breakpoint: msgspec.Raw = _ABSENT


class Document(_Known):
    """A document: itself, or the id of one that the provider keeps."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(_Known, tag_field="type", tag="file"):
    """A document."""

    file: Document
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: msgspec.Raw = _ABSENT


UserPart = TextPart | ImagePart | AudioPart | FilePart


class Function(_Known):
    """What is called, and the JSON of its arguments as text."""

    name: str
    arguments: str = ""


class _Google(msgspec.Struct):
    thought_signature: str | None = None


class ExtraContent(msgspec.Struct):
    """What Gemini wants back beside a call."""

    google: _Google | None = None


class CallOfTool(_Known):
    """A tool that the model wanted called. `index` is a stream's, which some callers keep."""

    id: str
    type: str = "function"
    function: Function | None = None
    custom: msgspec.Raw = _ABSENT
    index: int | None = None
    extra_content: ExtraContent | None = None


class ReasoningDetail(msgspec.Struct):
    """A part of what the model thought: told, told in short, or encrypted."""

    type: str
    text: str | None = None
    signature: str | None = None
    summary: str | None = None
    data: str | None = None


class UrlCitation(msgspec.Struct):
    """Where a statement comes from."""

    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(msgspec.Struct):
    """A note to a text; of some kinds only what kind it is."""

    type: str = ""
    url_citation: UrlCitation | None = None


class System(_Known, tag_field="role", tag="system"):
    """Instructions."""

    content: str | list[TextPart]
    name: str | None = None


class Developer(_Known, tag_field="role", tag="developer"):
    """The same, of newer models."""

    content: str | list[TextPart]
    name: str | None = None


class User(_Known, tag_field="role", tag="user"):
    """What the user says."""

    content: str | list[UserPart]
    name: str | None = None


class MadePicture(_Known):
    """A picture that the model had made, as it was answered."""

    image_url: ImageUrl
    type: str = "image_url"
    index: int | None = None
    extra_content: ExtraContent | None = None


class Assistant(_Known, tag_field="role", tag="assistant"):
    """What the model said."""

    content: str | list[TextPart | RefusalPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[CallOfTool] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    annotations: list[Annotation] | None = None
    images: list[MadePicture] | None = None
    audio: msgspec.Raw = _ABSENT
    function_call: msgspec.Raw = _ABSENT


class ToolMessage(_Known, tag_field="role", tag="tool"):
    """What a tool answered. Pictures in it are no part of OpenAI's own dialect."""

    content: str | list[TextPart | ImagePart | FilePart]
    tool_call_id: str
    name: str | None = None


Message = System | Developer | User | Assistant | ToolMessage


class FunctionTool(_Known):
    """What is told of a function."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = _ABSENT
    strict: bool | None = None


class DeclaredTool(_Known):
    """A tool that the model may call."""

    type: str
    function: FunctionTool | None = None
    custom: msgspec.Raw = _ABSENT
    cache_control: CacheControl | None = None


class _Named(msgspec.Struct):
    name: str


class NamedTool(msgspec.Struct):
    """A tool by its name."""

    type: str
    function: _Named | None = None


class AllowedTools(_Known):
    """Some of the tools."""

    mode: Literal["auto", "required"]
    tools: list[NamedTool]


class ToolChoiceObject(_Known):
    """A tool that is to be called, or some that may be."""

    type: str
    function: _Named | None = None
    custom: msgspec.Raw = _ABSENT
    allowed_tools: AllowedTools | None = None


class TextFormat(_Known, tag_field="type", tag="text"):
    """Any text."""


class ObjectFormat(_Known, tag_field="type", tag="json_object"):
    """Any JSON."""


class JsonSchema(_Known):
    """What the answer keeps to."""

    name: str
    description: str | None = None
    schema: msgspec.Raw = _ABSENT
    strict: bool | None = None


class SchemaFormat(_Known, tag_field="type", tag="json_schema"):
    """JSON that keeps to a schema."""

    json_schema: JsonSchema


class StreamOptions(_Known):
    """How a stream is told. Padding of events (`include_obfuscation`) is not made here."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ImageConfig(_Known):
    """How pictures shall be: https://openrouter.ai/docs/features/multimodal/image-generation."""

    aspect_ratio: str = ""
    image_size: str = ""


class Request(_Known):
    """A whole request. What no other dialect can say is not looked into."""

    messages: list[Message]
    model: str = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[DeclaredTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoiceObject | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | ObjectFormat | SchemaFormat | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    modalities: list[str] | None = None
    image_config: ImageConfig | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: msgspec.Raw = _ABSENT
    prompt_cache_retention: str | None = None
    prediction: msgspec.Raw = _ABSENT
    moderation: msgspec.Raw = _ABSENT
    audio: msgspec.Raw = _ABSENT
    functions: msgspec.Raw = _ABSENT
    function_call: msgspec.Raw = _ABSENT
    web_search_options: msgspec.Raw = _ABSENT


KNOWN = frozenset(Request.__struct_fields__)
decode_request = msgspec.json.Decoder(Request).decode
