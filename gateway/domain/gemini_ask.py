"""Bodies of Gemini's dialect: generated content, embeddings, and the counting of tokens.

Members may be written in camel case or with underscores, as protocol buffers allow. The path names the model.
A list of what is known, not of what is feared: a part or tool of another kind may stand for any amount of input.
https://ai.google.dev/api/generate-content
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import msgspec

from gateway.domain.ask import (
    MOST_CHOICES,
    Ask,
    Changes,
    Invalid,
    Path,
    edited,
    known_or,
    quoted,
    read_members,
    require_count,
    require_name,
    rewrite,
    unknown_in,
)
from gateway.domain.cases import Case
from gateway.domain.splice import Pieces, member_of

_NOTHING = frozenset({b"null", b"[]", b"{}", b'""'})
# A film or a document may stand for more tokens than it has bytes.
_MediaType = Annotated[str, msgspec.Meta(pattern=r"^(?i:image|audio|text)/")]


class _Blob(msgspec.Struct):
    """Bytes in a body. Google's own SDK mixes the spellings of a member and its members."""

    mimeType: _MediaType | None = None  # noqa: N815 -- as it is written
    mime_type: _MediaType | None = None
    data: str = ""

    def __post_init__(self) -> None:
        """Of two kinds nobody knows which counts. Raises what msgspec makes a `ValidationError` of."""
        if (self.mimeType is None) == (self.mime_type is None):
            raise ValueError("one of `mimeType` and `mime_type` says the kind")

    @property
    def media_type(self) -> str:
        """What the bytes are."""
        return self.mimeType or self.mime_type or ""


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    text: msgspec.Raw = msgspec.Raw(b"")
    thought: msgspec.Raw = msgspec.Raw(b"")
    thoughtSignature: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815
    thought_signature: msgspec.Raw = msgspec.Raw(b"")
    functionCall: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815
    function_call: msgspec.Raw = msgspec.Raw(b"")
    functionResponse: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815
    function_response: msgspec.Raw = msgspec.Raw(b"")
    executableCode: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815
    codeExecutionResult: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815
    mediaResolution: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815
    media_resolution: msgspec.Raw = msgspec.Raw(b"")
    inlineData: _Blob | None = None  # noqa: N815
    inline_data: _Blob | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | _Part = []


class _Request(msgspec.Struct):
    """One of a batch of embeddings."""

    content: _Content | None = None


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    """Functions that the caller runs; the others are the provider's, and bring in what they find."""

    functionDeclarations: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815
    function_declarations: msgspec.Raw = msgspec.Raw(b"")


class _Generation(msgspec.Struct):
    maxOutputTokens: int | None = None  # noqa: N815
    max_output_tokens: int | None = None
    candidateCount: int | None = None  # noqa: N815
    candidate_count: int | None = None


class _Members(msgspec.Struct):
    """The members of a body that decide about the call."""

    generationConfig: _Generation | None = None  # noqa: N815
    generation_config: _Generation | None = None


class _Known(_Members):
    """A body of which everything is of known kinds: read in one pass."""

    contents: list[_Content] | _Content | None = None
    content: _Content | None = None
    systemInstruction: _Content | None = None  # noqa: N815
    system_instruction: _Content | None = None
    tools: list[_Tool] | _Tool | None = None
    requests: list[_Request] = []


_decode = msgspec.json.Decoder(_Members).decode
_decode_known = msgspec.json.Decoder(_Known).decode
_read = known_or(_decode_known, _decode)
_decode_generation = msgspec.json.Decoder(_Generation).decode
_OPAQUE = (
    "cachedContent",
    "cached_content",
    "continuationToken",
    "continuation_token",
    "generateContentRequest",
    "generate_content_request",
)
# What each may say without changing the price: https://ai.google.dev/gemini-api/docs/pricing
_PRICES = ("serviceTier", "service_tier")
_ORDINARY = frozenset({b"null", b'"unspecified"', b'"standard"', b'"flex"'})
_CONFIGS = ("generationConfig", "generation_config")
_MAXIMA = ("maxOutputTokens", "max_output_tokens")
_COUNTS = ("candidateCount", "candidate_count")
_CHECKED = quoted(
    (
        *_CONFIGS,
        *_OPAQUE,
        *_PRICES,
        *("contents", "content", "systemInstruction", "system_instruction", "tools", "requests"),
    )
)
_CHECKED_INSIDE = quoted((*_MAXIMA, *_COUNTS))


@dataclass(frozen=True, slots=True)
class ContentForm:
    """How contents are read."""

    max_fields: tuple[str, ...] = ("maxOutputTokens",)
    usage_option: bool = False

    def read(self, body: bytes, path: Path) -> Ask:
        """The ask in `body`. Raises `Invalid`."""
        members, top = read_members(body, _read, _CHECKED)
        max_field, maximum, choices = _bounds(top)
        opaque, images, image_bytes, has_audio = _content(members, body)
        return Ask(
            model=require_name(path.model or ""),
            stream=bool(path.stream),
            max_output_tokens=maximum,
            max_field=max_field,
            choices=choices,
            wants_usage=True,
            opaque=opaque
            or next((n for n in _OPAQUE if bytes(top.get(n, b"null")) not in _NOTHING), None),
            background=False,
            size_bytes=len(body) - image_bytes,
            images=images,
            has_audio=has_audio or opaque is not None,
            dearer=next(
                (n for n in _PRICES if bytes(top.get(n, b"null")).lower() not in _ORDINARY), None
            ),
        )

    def write(self, body: bytes, changes: Changes) -> bytes | Pieces:
        """The body with what is to be changed; every other member keeps its bytes."""
        if changes.max_output_tokens is None:
            return body
        found = ((name, member_of(body, name)) for name in _CONFIGS)
        given = ((name, bytes(raw)) for name, raw in found if raw is not None)
        name, config = next(given, (_CONFIGS[0], b"{}"))
        inner = rewrite(
            b"{}" if config == b"null" else config,
            {self.max_fields[0]: b"%d" % changes.max_output_tokens},
        )
        return edited(body, {name: inner})


def _bounds(top: dict[str, msgspec.Raw]) -> tuple[str | None, int | None, int]:
    """The member that bounds the output, its bound, and the number of candidates."""
    given = [name for name in _CONFIGS if name in top]
    if len(given) > 1:
        raise Invalid(Case.SAME_MEMBERS, given[1], member=given[0], other=given[1])
    if not given or bytes(top[given[0]]) == b"null":
        return None, None, 1
    config, _ = read_members(bytes(top[given[0]]), _decode_generation, _CHECKED_INSIDE)
    max_field, maximum = _one_of(config, _MAXIMA)
    count_field, count = _one_of(config, _COUNTS)
    if max_field is not None and maximum is not None:
        require_count(maximum, f"{given[0]}.{max_field}")
    if count_field is not None and count is not None:
        require_count(count, f"{given[0]}.{count_field}", MOST_CHOICES + 1)
    return max_field, maximum, count or 1


def _one_of(config: _Generation, names: tuple[str, str]) -> tuple[str | None, int | None]:
    """The one of two spellings that is given, and its value."""
    found = [(name, value) for name in names if (value := getattr(config, name)) is not None]
    if len(found) > 1:
        raise Invalid(Case.SAME_MEMBERS, names[1], member=names[0], other=names[1])
    return found[0] if found else (None, None)


def _content(members: _Members, body: bytes) -> tuple[str | None, int, int, bool]:
    """Where something of an unknown kind stands; how many images, their bytes, and whether there is audio."""
    if not isinstance(members, _Known):
        return unknown_in(body, _decode_known, "contents"), 0, 0, False
    images = image_bytes = 0
    has_audio = False
    for blob in _blobs(members):
        kind = blob.media_type[:5].lower()
        if kind == "image":
            images += 1
            image_bytes += len(blob.data)
        has_audio = has_audio or kind == "audio"
    return None, images, image_bytes, has_audio


def _blobs(members: _Known) -> Iterator[_Blob]:
    contents = members.contents if isinstance(members.contents, list) else [members.contents]
    for content in (
        *contents,
        members.content,
        members.systemInstruction,
        members.system_instruction,
        *(request.content for request in members.requests),
    ):
        if content is not None:
            for part in content.parts if isinstance(content.parts, list) else [content.parts]:
                yield from (b for b in (part.inlineData, part.inline_data) if b is not None)
