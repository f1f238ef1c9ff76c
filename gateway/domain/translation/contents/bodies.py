"""What a caller's body of `generateContent` consists of, held to known members. Pure.

A member that is none of these is refused by its path, with what is known of it.
https://ai.google.dev/api/generate-content#request-body
"""

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.contents.spelling import Spelling
from gateway.domain.translation.contents.thinking import ThinkingConfig
from gateway.domain.translation.reading import read_asked

ABSENT = msgspec.Raw(b"")


class _Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What all of these have in common."""


class Blob(_Body):
    """Bytes in base64, of either alphabet."""

    mime_type: str = ""
    data: str = ""
    display_name: str = ""


class FileData(_Body):
    """A file that Google keeps, or at an address."""

    file_uri: str
    mime_type: str = ""
    display_name: str = ""


class FunctionCall(_Body):
    """What the model wants called."""

    name: str
    id: str = ""
    args: msgspec.Raw = ABSENT


class ResponsePart(_Body):
    """A picture or document of a function's answer."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(_Body):
    """What a function answered."""

    name: str
    id: str = ""
    response: msgspec.Raw = ABSENT
    parts: list[ResponsePart] = []
    will_continue: bool = False


class Part(_Body):
    """One part; exactly one of its data members is said."""

    text: str | None = None
    thought: bool = False
    thought_signature: str = ""
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    media_resolution: msgspec.Raw = ABSENT


class Content(_Body):
    """A turn."""

    parts: list[Part] | Part = []
    role: str = ""


class FunctionDeclaration(_Body):
    """A function; `parameters` and `response` are Gemini's schemas, the others JSON Schema."""

    name: str
    description: str = ""
    parameters: msgspec.Raw = ABSENT
    parameters_json_schema: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    response_json_schema: msgspec.Raw = ABSENT
    behavior: str = ""


class Tool(_Body):
    """Functions that the caller runs."""

    function_declarations: list[FunctionDeclaration] = []


class FunctionCallingConfig(_Body):
    """Which functions may be called."""

    mode: str = ""
    allowed_function_names: list[str] = []


class ToolConfig(_Body):
    """How tools are used."""

    function_calling_config: FunctionCallingConfig | None = None
    retrieval_config: msgspec.Raw = ABSENT
    include_server_side_tool_invocations: bool = False


class SafetySetting(_Body):
    """When an answer is held back."""

    category: str
    threshold: str


class ImageConfig(_Body):
    """How pictures shall be."""

    aspect_ratio: str = ""
    image_size: str = ""


class GenerationConfig(_Body):
    """How the answer is made."""

    max_output_tokens: int | None = None
    candidate_count: int | None = None
    stop_sequences: list[str] = []
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    response_mime_type: str = ""
    response_schema: msgspec.Raw = ABSENT
    response_json_schema: msgspec.Raw = ABSENT
    response_modalities: list[str] = []
    response_logprobs: bool = False
    logprobs: int | None = None
    thinking_config: ThinkingConfig | None = None
    image_config: ImageConfig | None = None
    media_resolution: str = ""
    enable_enhanced_civic_answers: bool = False


class Request(_Body):
    """The whole. The path names the model; a body may repeat it."""

    contents: list[Content] | Content = []
    system_instruction: Content | None = None
    tools: list[Tool] | Tool = []
    tool_config: ToolConfig | None = None
    safety_settings: list[SafetySetting] = []
    generation_config: GenerationConfig | None = None
    service_tier: str = ""
    labels: dict[str, str] | None = None
    store: bool = False
    model: str = ""
    cached_content: msgspec.Raw = ABSENT
    continuation_token: msgspec.Raw = ABSENT


_AT_GOOGLE = "a tool that Google runs, which no other provider has"
_MEDIA = "media that no other provider takes"
_KNOWN: Mapping[str, tuple[str, str]] = {
    "modelArmorConfig": ("safety", "a filter of Google's"),
    "googleSearch": ("tools", _AT_GOOGLE),
    "googleSearchRetrieval": ("tools", _AT_GOOGLE),
    "googleMaps": ("tools", _AT_GOOGLE),
    "codeExecution": ("tools", _AT_GOOGLE),
    "urlContext": ("tools", _AT_GOOGLE),
    "fileSearch": ("tools", _AT_GOOGLE),
    "computerUse": ("tools", _AT_GOOGLE),
    "retrieval": ("tools", _AT_GOOGLE),
    "mcpServers": ("tools", _AT_GOOGLE),
    "executableCode": ("code", "what a tool of Google's has done"),
    "codeExecutionResult": ("code", "what a tool of Google's has done"),
    "toolCall": ("code", "what a tool of Google's has done"),
    "toolResponse": ("code", "what a tool of Google's has done"),
    "videoMetadata": ("video", _MEDIA),
    "speechConfig": ("speech", "spoken answers, which this model is not asked for here"),
}

B = TypeVar("B", bound=msgspec.Struct)


class BodyReader(Generic[B]):
    """Reads bodies of one kind, in either spelling."""

    def __init__(self, struct: type[B]) -> None:
        self._decode = msgspec.json.Decoder(struct).decode
        self._spelling = Spelling(struct)
        self._members = frozenset(struct.__struct_encode_fields__)

    def read(self, body: bytes, losses: Losses) -> B:
        """A body. Raises `Invalid` and `Uncarried`."""
        try:
            return self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # Members may be written with underscores, or be null; or what is wrong is found again.
            spelt = self._spelling.in_camel_case(body)
        try:
            return read_asked(self._decode, self._members, spelt, losses)
        except Uncarried as error:
            name = error.param.rpartition(".")[2]
            if name not in _KNOWN:
                raise
            raise Uncarried(*_KNOWN[name], error.param) from None
