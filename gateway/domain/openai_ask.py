"""Bodies of OpenAI's dialect: chats, completions, responses, embeddings.

https://platform.openai.com/docs/api-reference/chat/create and .../responses/create
"""

from dataclasses import dataclass

import msgspec

from gateway.domain.ask import (
    MOST_CHOICES,
    Ask,
    Changes,
    Invalid,
    Path,
    decode_members,
    edited,
    known_or,
    quoted,
    read_members,
    require_count,
    require_name,
)
from gateway.domain.cases import Case
from gateway.domain.openai_content import OPAQUE, Entry, Tool, content_of
from gateway.domain.references import references
from gateway.domain.splice import Pieces, member_of
from gateway.domain.told import TELLING, end_user_of, tags_of

_ABSENT = msgspec.Raw(b"")
_OPTIONS = "stream_options"


class _Members(msgspec.Struct):
    """The members of a body that decide about the call. Unknown ones are skipped unparsed."""

    model: str
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    background: bool | None = None


class _Chat(_Members):
    """A chat of which everything is of known types: read in one pass, for most calls are one."""

    messages: list[Entry] | None = None
    tools: list[Tool] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _State(msgspec.Struct):
    id: str


_decode_state = msgspec.json.Decoder(str | _State | None).decode
_decode_options = msgspec.json.Decoder(_StreamOptions).decode
_decode = msgspec.json.Decoder(_Members).decode
_read_chat = known_or(msgspec.json.Decoder(_Chat).decode, _decode)
# What each may say without changing the price; anything else is another one, or may be.
_PRICES: dict[str, frozenset[bytes]] = {
    # https://platform.openai.com/docs/api-reference/chat/create#chat-create-service_tier
    "service_tier": frozenset(
        {b"null", b'"auto"', b'"default"', b'"flex"', b'"standard"', b'"on_demand"'}
    ),
    # https://docs.claude.com/en/docs/build-with-claude/fast-mode
    "speed": frozenset({b"null", b'"standard"'}),
    # Other models, should this one fail: https://openrouter.ai/docs/features/model-routing
    "models": frozenset({b"null", b"[]"}),
}
_CHECKED = quoted(
    (
        *_Members.__struct_fields__,
        *_PRICES,
        *OPAQUE,
        *("messages", "input", "prompt", "tools", "prediction"),
    )
)
# https://platform.openai.com/docs/guides/conversation-state
_STATES = ("previous_response_id", "conversation")
_WATCHED = frozenset({*_PRICES, *_STATES, *TELLING, "prediction", "store"})


@dataclass(frozen=True, slots=True)
class OpenAIForm:
    """How a route's bodies are read.

    `usage_option` says that `stream_options.include_usage` asks for usage in a stream. `entries` is the member that
    holds messages or items, `plain` those that hold texts or numbers of tokens.
    """

    max_fields: tuple[str, ...] = ()
    usage_option: bool = False
    entries: str | None = None
    plain: tuple[str, ...] = ()

    def read(self, body: bytes, path: Path) -> Ask:  # noqa: ARG002 -- here the body says all
        """The ask in `body`. Raises `Invalid`."""
        decode = _read_chat if self.entries == "messages" else _decode
        members, top = read_members(body, decode, _CHECKED)
        ask = self._ask(members, top, len(body))
        if ask.opaque is not None:  # nothing else names what is at the upstream
            ask.about = references(body)
        return ask

    def write(self, body: bytes, changes: Changes) -> bytes | Pieces:
        """The body with what is to be changed; every other member keeps its bytes."""
        members: dict[str, bytes] = {}
        if changes.model is not None:
            members["model"] = msgspec.json.encode(changes.model)
        if changes.max_output_tokens is not None:
            members[changes.max_field] = b"%d" % changes.max_output_tokens
        if changes.ask_usage:
            members["stream_options"] = with_usage_asked(body)
        return edited(body, members)

    def _ask(self, members: _Members, top: dict[str, msgspec.Raw], size_bytes: int) -> Ask:
        max_field, largest = self._maximum(members)
        opaque, images, image_bytes, has_audio = content_of(
            top, self.entries, self.plain, members.messages if isinstance(members, _Chat) else None
        )
        ask = Ask(
            model=require_name(members.model),
            stream=bool(members.stream),
            max_output_tokens=largest,
            max_field=max_field,
            choices=_choices(members),
            wants_usage="stream_options" in top and _wants_usage(bytes(top["stream_options"])),
            opaque=opaque,
            background=bool(members.background),
            size_bytes=size_bytes - image_bytes,
            images=images,
            has_audio=has_audio or opaque is not None,
        )
        if not _WATCHED.isdisjoint(top):
            ask.dearer = next(
                (name for name in _PRICES if name in top and bytes(top[name]) not in _PRICES[name]),
                None,
            )
            prediction = bytes(top.get("prediction", _ABSENT))
            ask.predicted_bytes = 0 if prediction == b"null" else len(prediction)
            _require_ids(top)
            ask.stores = bytes(top.get("store", _ABSENT)) == b"true"
            if not TELLING.isdisjoint(top):
                ask.end_user, ask.tags = end_user_of(top), tags_of(top)
        return ask

    def _maximum(self, members: _Members) -> tuple[str | None, int | None]:
        """The member that bounds the output, and its bound.

        Where both an old and a new field are given, the upstream may obey either: the larger bounds the cost.
        """
        found: tuple[str | None, int | None] = (None, None)
        for name in self.max_fields:
            value = getattr(members, name)
            if value is not None and (require_count(value, name) > (found[1] or 0)):
                found = (name, value)
        return found


def _require_ids(top: dict[str, msgspec.Raw]) -> None:
    """Refuse what a response cannot go on from. Raises `Invalid`."""
    for name in _STATES:
        if name in top:
            try:
                _decode_state(top[name])
            except (msgspec.DecodeError, RecursionError):
                raise Invalid(Case.NO_ID, name, member=name) from None


def _choices(members: _Members) -> int:
    choices = 1
    if members.n is None and members.best_of is None:
        return choices
    for name, value in (("n", members.n), ("best_of", members.best_of)):
        if value is not None:
            choices = max(choices, require_count(value, name, MOST_CHOICES + 1))
    return choices


def _wants_usage(stream_options: bytes) -> bool:
    if stream_options == b"null":
        return False
    try:
        decode_members(stream_options)  # it may have to be written anew
        return _decode_options(stream_options).include_usage is True
    except (msgspec.DecodeError, RecursionError):
        raise Invalid(Case.NO_OBJECT, _OPTIONS, member=_OPTIONS) from None


def with_usage_asked(body: bytes) -> bytes:
    """The body's `stream_options` with `include_usage` true and all else kept, as JSON."""
    options = member_of(body, "stream_options")
    members = {} if options is None or bytes(options) == b"null" else decode_members(options)
    members["include_usage"] = msgspec.Raw(b"true")
    return msgspec.json.encode(members)
