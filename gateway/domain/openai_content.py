"""What a body's input consists of: text, images and audio, or what cannot be measured here.

A list of what is known, not of what is feared: a part, item or tool of another type may stand for any amount of input.
The decoder holds every occurrence of a member to its type, so that one which is written twice hides nothing.

Types: https://platform.openai.com/docs/api-reference/chat/create and .../responses/create
"""

from typing import Annotated, Literal, NamedTuple

import msgspec

_ABSENT = msgspec.Raw(b"")
_QUOTE = ord('"')
# What a member says that asks for nothing. An empty object asks for the defaults.
_NOTHING = frozenset({b"null", b"[]", b"false"})

# An address of anything else may be a document or a film of any length.
_ImageAddress = Annotated[str, msgspec.Meta(pattern=r"^(?i:data:image/|https?://)")]
# Not an address: some providers take one in the same place.
_AudioData = Annotated[str, msgspec.Meta(pattern=r"^(?:data:|[^:]{0,15}$|[^:]{16})")]


class _Image(msgspec.Struct):
    url: _ImageAddress


class _Audio(msgspec.Struct, forbid_unknown_fields=True):
    data: _AudioData
    format: msgspec.Raw = _ABSENT


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal[
        "text",
        "input_text",
        "output_text",
        "summary_text",
        "reasoning_text",
        "refusal",
        "image_url",
        "input_image",
        "input_audio",
    ]
    text: msgspec.Raw = _ABSENT
    refusal: msgspec.Raw = _ABSENT
    annotations: msgspec.Raw = _ABSENT
    logprobs: msgspec.Raw = _ABSENT
    cache_control: msgspec.Raw = _ABSENT
    detail: msgspec.Raw = _ABSENT
    image_url: _Image | _ImageAddress | None = None
    file_id: None = None
    input_audio: _Audio | None = None


class _Made(msgspec.Struct, forbid_unknown_fields=True):
    """A picture that the model had made, as it stands in a chat's answer."""

    image_url: _Image
    type: Literal["image_url"] = "image_url"
    index: msgspec.Raw = _ABSENT
    extra_content: msgspec.Raw = _ABSENT


class Entry(msgspec.Struct):
    """A message of a chat, or an item of a response's input. Members that are not here are text."""

    type: (
        Literal[
            "message",
            "function_call",
            "function_call_output",
            "custom_tool_call",
            "custom_tool_call_output",
            "reasoning",
            "image_generation_call",
        ]
        | None
    ) = None
    role: str | None = None
    content: str | list[_Part] | None = None
    output: str | list[_Part] | None = None
    encrypted_content: str | None = None
    result: str | None = None
    images: list[_Made] | None = None
    # An answer of the model by its id, and what some providers take beside the content.
    audio: None = None
    image: None = None
    image_url: None = None
    video: None = None
    videos: None = None
    file: None = None
    files: None = None
    file_id: None = None
    file_ids: None = None
    attachments: None = None


class Tool(msgspec.Struct):
    """A tool that the caller runs. One that the provider runs brings in what it finds."""

    type: Literal["function", "custom"]


_decode_entries = msgspec.json.Decoder(list[Entry] | None).decode
_decode_plain = msgspec.json.Decoder(str | list[str | int | list[int]] | None).decode
_decode_tools = msgspec.json.Decoder(list[Tool] | None).decode

OPAQUE = frozenset(
    {
        # https://platform.openai.com/docs/api-reference/responses/create
        "previous_response_id",
        "conversation",
        # https://platform.openai.com/docs/guides/tools-web-search
        "web_search_options",
        # https://docs.x.ai/docs/guides/live-search
        "search_parameters",
        # https://openrouter.ai/docs/features/web-search
        "plugins",
        # https://learn.microsoft.com/azure/ai-foundry/openai/references/on-your-data
        "data_sources",
        # https://docs.claude.com/en/docs/agents-and-tools/mcp-connector
        "mcp_servers",
        "container",
        # https://ai.google.dev/gemini-api/docs/openai
        "extra_body",
        "cached_content",
        # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
        "chat_template",
        "file_ids",
        "files",
        "attachments",
    }
)
"""Members of a body that bring in input which is not in it."""


class Content(NamedTuple):
    """What the input consists of. `opaque` is where it brings in what cannot be measured.

    `image_bytes` are of images that the body holds itself.
    """

    opaque: str | None = None
    images: int = 0
    image_bytes: int = 0
    has_audio: bool = False


_TEXT = Content()


def content_of(
    members: dict[str, msgspec.Raw],
    entries: str | None,
    plain: tuple[str, ...],
    known: list[Entry] | None = None,
) -> Content:
    """The content of a body with these members.

    `entries` is the one that holds messages or items; `plain` are those that hold texts or numbers of tokens. `known`
    are the entries of a body in which these and the tools were found to be of known types already.
    """
    if not OPAQUE.isdisjoint(members):
        for name, value in members.items():
            if name in OPAQUE and bytes(value) not in _NOTHING:
                return Content(name)
    if known is None:
        found = _decode_all(members, entries, plain)
        if isinstance(found, Content):
            return found
        known = found
    content = _look_at(known)
    return content if content.opaque is None else Content(f"{entries}{content.opaque}")


def _decode_all(
    members: dict[str, msgspec.Raw], entries: str | None, plain: tuple[str, ...]
) -> list[Entry] | Content:
    """The entries, or where something of an unknown type stands."""
    name = "tools"
    try:
        if name in members:
            _decode_tools(members[name])
        for name in plain:
            if name in members and not _is_string(members[name]):
                _decode_plain(members[name])
        if entries in members and not _is_string(members[entries]):
            name = entries
            return _decode_entries(members[entries]) or []
    except msgspec.ValidationError as error:
        return Content(_place(name, str(error)))
    return []


def _look_at(entries: list[Entry]) -> Content:
    found = _TEXT
    for index, entry in enumerate(entries):
        if entry.type is None:
            if entry.role is None:
                return Content(f"[{index}]")  # an item's id alone stands for the item
        elif entry.type == "reasoning" and entry.encrypted_content is None:
            return Content(f"[{index}].encrypted_content")  # likewise
        elif entry.type == "image_generation_call":
            if entry.result is None:
                return Content(f"[{index}].result")
            found = _with_image(found, len(entry.result))
        for made in entry.images or ():
            found = _with_image(found, _held(made.image_url.url))
        if isinstance(entry.content, list):
            found = _with_parts(found, entry.content)
        if isinstance(entry.output, list):
            found = _with_parts(found, entry.output)
    return found


def _with_parts(found: Content, parts: list[_Part]) -> Content:
    _, images, image_bytes, has_audio = found
    for part in parts:
        if part.image_url is not None:
            address = part.image_url.url if isinstance(part.image_url, _Image) else part.image_url
            images += 1
            image_bytes += _held(address)
        has_audio = has_audio or part.input_audio is not None
    return Content(None, images, image_bytes, has_audio)


def _with_image(found: Content, size_bytes: int) -> Content:
    return found._replace(images=found.images + 1, image_bytes=found.image_bytes + size_bytes)


def _held(address: str) -> int:
    """The bytes of an image that the body holds itself."""
    return 0 if address.startswith("http") else len(address)


def _is_string(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == _QUOTE


def _place(name: str, finding: str) -> str:
    """Where msgspec found what it did not expect."""
    _, found, path = finding.rpartition("`$")
    return name + path.rstrip("`") if found else name
