"""Bodies of Anthropic's dialect: messages, and the counting of their tokens.

A list of what is known, not of what is feared: a block or tool of another type may stand for any amount of input.
https://docs.claude.com/en/api/messages
"""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import msgspec

from gateway.domain.ask import (
    Ask,
    Changes,
    Path,
    edited,
    known_or,
    quoted,
    read_members,
    require_count,
    require_name,
    unknown_in,
)
from gateway.domain.references import references
from gateway.domain.splice import Pieces
from gateway.domain.thin import HEAD_BYTES
from gateway.domain.told import user_id_in

# The prompt that the provider adds where there are tools, the largest of its list and then some:
# https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview#pricing
_TOOL_PROMPT_TOKENS = 2048
_ABSENT = msgspec.Raw(b"")
_NOTHING = frozenset({b"null", b"[]", b"{}"})
# Tools that the caller runs; the others are the provider's, and bring in what they find.
_ToolKind = Annotated[
    str, msgspec.Meta(pattern=r"^(custom|(bash|text_editor|computer|memory)_\d{8})$")
]


class _Source(msgspec.Struct):
    type: Literal["base64", "url", "file"]
    media_type: Annotated[str, msgspec.Meta(pattern=r"^image/")] | None = None
    data: str = ""


class _TextSource(msgspec.Struct):
    type: Literal["text", "content"]


class _Image(msgspec.Struct, tag="image"):
    source: _Source


class _Text(msgspec.Struct, tag="text"):
    pass


class _Document(msgspec.Struct, tag="document"):
    """Of plain text, or of blocks; what is packed (PDF), or elsewhere, may be of any length."""

    source: _TextSource


class _ToolUse(msgspec.Struct, tag="tool_use"):
    pass


class _Thinking(msgspec.Struct, tag="thinking"):
    pass


class _RedactedThinking(msgspec.Struct, tag="redacted_thinking"):
    pass


class _SearchResult(msgspec.Struct, tag="search_result"):
    pass


class _ToolResult(msgspec.Struct, tag="tool_result"):
    content: "str | list[_Text | _Image | _Document | _SearchResult] | None" = None


_Block = (
    _Text
    | _Image
    | _Document
    | _ToolUse
    | _ToolResult
    | _Thinking
    | _RedactedThinking
    | _SearchResult
)


class _Message(msgspec.Struct):
    content: str | list[_Block]


class _Tool(msgspec.Struct):
    type: _ToolKind | None = None


class _ThinkingOption(msgspec.Struct):
    type: str = ""


class _Members(msgspec.Struct):
    """The members of a body that decide about the call."""

    model: str
    max_tokens: int | None = None
    stream: bool | None = None
    thinking: _ThinkingOption | None = None


class _Known(_Members):
    """A body of which everything is of known types: read in one pass."""

    messages: list[_Message] = []
    system: str | list[_Text] | None = None
    tools: list[_Tool] | None = None


_decode = msgspec.json.Decoder(_Members).decode
_decode_known = msgspec.json.Decoder(_Known).decode
_read = known_or(_decode_known, _decode)
# What each may say without changing the price; anything else is another one, or may be.
_PRICES: dict[str, frozenset[bytes]] = {
    # https://docs.claude.com/en/docs/build-with-claude/fast-mode
    "speed": frozenset({b"null", b'"standard"'}),
    # https://docs.claude.com/en/docs/about-claude/pricing#data-residency-pricing
    "inference_geo": frozenset({b"null", b'"global"'}),
    # Other models, other payers, and summaries whose tokens no usage of the answer has. Of the beta API.
    "fallbacks": _NOTHING,
    "fallback_credit_token": _NOTHING,
    "billing_policy": _NOTHING,
    "compaction": _NOTHING,
}
# Members that bring in input which is not in the body.
_OPAQUE = frozenset({"mcp_servers", "container", "thread"})
# One of its edits has the context summarised: https://docs.claude.com/en/docs/build-with-claude/compaction
_SUMMARISING = ("context_management",)
_CHECKED = quoted(
    (*_Members.__struct_fields__, *_PRICES, *_OPAQUE, *_SUMMARISING, "messages", "system", "tools")
)
_WATCHED = frozenset({*_PRICES, *_OPAQUE, *_SUMMARISING, "tools"})


class _Content(NamedTuple):
    """What the input consists of; as `openai_content.Content`."""

    opaque: str | None = None
    images: int = 0
    image_bytes: int = 0
    has_files: bool = False


@dataclass(frozen=True, slots=True)
class MessagesForm:
    """How messages are read."""

    max_fields: tuple[str, ...] = ("max_tokens",)
    usage_option: bool = False

    def read(self, body: bytes, path: Path) -> Ask:  # noqa: ARG002 -- here the body says all
        """The ask in `body`. Raises `Invalid`."""
        members, top = read_members(body, _read, _CHECKED)
        maximum = members.max_tokens
        content = _content(members, body)
        ask = Ask(
            model=require_name(members.model),
            stream=bool(members.stream),
            max_output_tokens=None if maximum is None else require_count(maximum, "max_tokens"),
            max_field=None if maximum is None else "max_tokens",
            choices=1,
            wants_usage=True,
            opaque=content.opaque,
            background=False,
            size_bytes=len(body) - content.image_bytes,
            images=content.images,
            # Thoughts are billed in full and told in short:
            # https://docs.claude.com/en/docs/build-with-claude/extended-thinking#summarized-thinking
            hides_output=members.thinking is not None and members.thinking.type != "disabled",
        )
        if "metadata" in top:
            ask.end_user = user_id_in(top["metadata"])
        if not _WATCHED.isdisjoint(top):
            _look_closer(ask, top)
        if (
            ask.opaque is not None or content.has_files
        ):  # nothing else names what is at the upstream
            ask.about = references(body)
        return ask

    def write(self, body: bytes, changes: Changes) -> bytes | Pieces:
        """The body with what is to be changed; every other member keeps its bytes."""
        members: dict[str, bytes] = {}
        if changes.model is not None:
            members["model"] = msgspec.json.encode(changes.model)
        if changes.max_output_tokens is not None:
            members["max_tokens"] = b"%d" % changes.max_output_tokens
        return edited(body, members)


def _look_closer(ask: Ask, top: dict[str, msgspec.Raw]) -> None:
    """What else changes the price, or adds to the input."""
    ask.dearer = next(
        (name for name in _PRICES if name in top and bytes(top[name]) not in _PRICES[name]), None
    )
    if any(_may_summarise(bytes(top.get(name, _ABSENT))) for name in _SUMMARISING):
        ask.dearer = ask.dearer or _SUMMARISING[0]
    if ask.opaque is None:
        ask.opaque = next(
            (name for name in _OPAQUE if bytes(top.get(name, b"null")) not in _NOTHING), None
        )
    if bytes(top.get("tools", b"null")) not in _NOTHING:
        ask.size_bytes += _TOOL_PROMPT_TOKENS


def _may_summarise(edits: bytes) -> bool:
    """Whether one of the edits may be a summary. Nobody's are so long that a thin copy lacks some of them."""
    return b"compact" in edits or len(edits) >= HEAD_BYTES


def _content(members: _Members, body: bytes) -> _Content:
    """What the input consists of, or where something of an unknown type stands."""
    if not isinstance(members, _Known):
        return _Content(unknown_in(body, _decode_known, "messages"))
    images = image_bytes = 0
    has_files = False
    for message in members.messages:
        if isinstance(message.content, str):
            continue
        for block in message.content:
            parts = block.content if isinstance(block, _ToolResult) else (block,)
            for part in parts if isinstance(parts, list | tuple) else ():
                if isinstance(part, _Image):
                    images += 1
                    image_bytes += len(part.source.data)
                    has_files = has_files or part.source.type == "file"
    return _Content(None, images, image_bytes, has_files)
