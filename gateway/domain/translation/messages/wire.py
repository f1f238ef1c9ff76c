"""The types of a request for Anthropic's Messages, as callers send it.

https://docs.claude.com/en/api/messages
"""

from typing import Literal

import msgspec

from gateway.domain.translation.caches import CacheControl

_ABSENT = msgspec.Raw(b"")


class _Known(msgspec.Struct, forbid_unknown_fields=True):
    """Takes no member but its own."""


class CitedSource(msgspec.Struct):
    """Where a statement of an earlier answer comes from, in any of the forms that there are."""

    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    cited_text: str | None = None


class CitationsOption(_Known):
    """Whether answers shall name the document for what they take from it."""

    enabled: bool | None = None


class TextBlock(_Known, tag_field="type", tag="text"):
    """Text."""

    text: str
    cache_control: CacheControl | None = None
    citations: list[CitedSource] | None = None


class Base64Source(_Known, tag_field="type", tag="base64"):
    """Bytes."""

    data: str
    media_type: str


class UrlSource(_Known, tag_field="type", tag="url"):
    """Where it is."""

    url: str


class FileSource(_Known, tag_field="type", tag="file"):
    """The id of a file that the provider keeps."""

    file_id: str


class TextSource(_Known, tag_field="type", tag="text"):
    """Plain text."""

    data: str
    media_type: str = "text/plain"


class ImageBlock(_Known, tag_field="type", tag="image"):
    """A picture."""

    source: Base64Source | UrlSource | FileSource
    cache_control: CacheControl | None = None
    transformations: msgspec.Raw = _ABSENT


class BlocksSource(_Known, tag_field="type", tag="content"):
    """A document that consists of blocks."""

    content: str | list[TextBlock | ImageBlock]


class DocumentBlock(_Known, tag_field="type", tag="document"):
    """A document."""

    source: Base64Source | UrlSource | FileSource | TextSource | BlocksSource
    title: str | None = None
    context: str | None = None
    citations: CitationsOption | None = None
    cache_control: CacheControl | None = None


class SearchResultBlock(_Known, tag_field="type", tag="search_result"):
    """What the caller has found."""

    source: str
    title: str
    content: list[TextBlock]
    citations: CitationsOption | None = None
    cache_control: CacheControl | None = None


class ThinkingBlock(_Known, tag_field="type", tag="thinking"):
    """What the model thought."""

    thinking: str
    signature: str = ""


class RedactedBlock(_Known, tag_field="type", tag="redacted_thinking"):
    """The same, for its provider's eyes."""

    data: str


class _Caller(msgspec.Struct):
    type: str = "direct"


class ToolUseBlock(_Known, tag_field="type", tag="tool_use"):
    """A tool that the model wanted called."""

    id: str
    name: str
    input: msgspec.Raw
    cache_control: CacheControl | None = None
    caller: _Caller | None = None
    toolset_name: str | None = None


ResultBlock = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock


class ToolResultBlock(_Known, tag_field="type", tag="tool_result"):
    """What a tool answered."""

    tool_use_id: str
    content: str | list[ResultBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None
    toolset_name: str | None = None


Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedBlock
    | ToolUseBlock
    | ToolResultBlock
)


class Message(_Known):
    """What one side says. Of some models instructions may stand between: `system`."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class DeclaredTool(_Known):
    """A tool that the model may call. How finely its arguments are streamed is the upstream's matter."""

    name: str
    type: str | None = None
    input_schema: msgspec.Raw = _ABSENT
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None
    input_examples: msgspec.Raw = _ABSENT
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None


class ToolChoice(_Known):
    """How tools are chosen."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(_Known):
    """How much is thought."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: int | None = None
    display: Literal["summarized", "omitted"] | None = None


class JsonFormat(_Known):
    """What the answer keeps to."""

    type: Literal["json_schema"]
    schema: msgspec.Raw


class OutputConfig(_Known):
    """How the answer shall be."""

    effort: str | None = None
    format: JsonFormat | None = None
    task_budget: msgspec.Raw = _ABSENT


class Metadata(_Known):
    """Whom the call is for."""

    user_id: str | None = None


class Edit(msgspec.Struct):
    """Something that the provider shall take out of a long conversation."""

    type: str = ""


class ContextManagement(_Known):
    """What the provider shall take out of a long conversation."""

    edits: list[Edit] | None = None


class Request(_Known):
    """A whole request, or one for the counting of its tokens. What no other dialect can say is not looked into."""

    messages: list[Message]
    model: str = ""
    max_tokens: int | None = None
    stream: bool | None = None
    system: str | list[TextBlock] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[DeclaredTool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    cache_control: CacheControl | None = None
    context_management: ContextManagement | None = None
    container: msgspec.Raw = _ABSENT
    mcp_servers: msgspec.Raw = _ABSENT
    diagnostics: msgspec.Raw = _ABSENT


KNOWN = frozenset(Request.__struct_fields__)
decode_request = msgspec.json.Decoder(Request).decode
