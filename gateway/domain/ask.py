"""The ask: what we read of a request body, and the few members that we may change in it.

Everything else of a body stays the bytes that the caller sent. Decoders take the last of members that occur twice,
upstreams may take the first; so a member that a check relies on must occur exactly once.
"""

import json
from dataclasses import dataclass

import msgspec

from gateway.domain.content import OPAQUE, Entry, Tool, content_of
from gateway.domain.errors import Reason, Refusal

_LARGEST_COUNT = 2**31
_LONGEST_NAME = 256
_MOST_CHOICES = 128  # OpenAI's own maximum
_ABSENT = msgspec.Raw(b"")


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


@dataclass(frozen=True, slots=True)
class Form:
    """How a route's body is read: which members bound the output, which hold the input, and what may be written.

    `usage_option` says that `stream_options.include_usage` asks for usage in a stream. `entries` is the member that
    holds messages or items, `plain` those that hold texts or numbers of tokens.
    """

    max_fields: tuple[str, ...] = ()
    usage_option: bool = False
    entries: str | None = None
    plain: tuple[str, ...] = ()


# A struct of msgspec is made in a third of the time of a dataclass.
class Ask(msgspec.Struct):
    """What a body asks for. `max_output_tokens` is the caller's own bound for one choice, if any.

    `opaque` is where input comes in that cannot be measured, `dearer` the member that asks for another price than the
    model's. `size_bytes` is what counts as text: all but inline images. `predicted_bytes` are of a prediction.
    """

    model: str
    stream: bool
    max_output_tokens: int | None
    max_field: str | None
    choices: int
    wants_usage: bool
    opaque: str | None
    background: bool
    size_bytes: int
    images: int = 0
    has_audio: bool = False
    predicted_bytes: int = 0
    dearer: str | None = None

    @property
    def has_images(self) -> bool:
        """Whether the input may hold any."""
        return self.images > 0 or self.opaque is not None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


_decode_options = msgspec.json.Decoder(_StreamOptions).decode
_decode = msgspec.json.Decoder(_Members).decode
_decode_chat = msgspec.json.Decoder(_Chat).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
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
_CHECKED = {
    name: f'"{name}"'.encode()
    for name in (
        *_Members.__struct_fields__,
        *_PRICES,
        *OPAQUE,
        *("messages", "input", "prompt", "tools", "prediction"),
    )
}
_WATCHED = frozenset({*_PRICES, "prediction"})
# A member's name may be written with escapes ("\u006dodel"). Encoders never escape ASCII letters, so the sight of one
# is reason enough to look closely.
_ESCAPED_LETTERS = (b"\\u004", b"\\u005", b"\\u006", b"\\u007")


class _Invalid(Exception):
    """A member at fault."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


def read_ask(body: bytes, form: Form) -> Ask | Refusal:
    """The ask in `body`, or the refusal that names the member at fault."""
    try:
        return _ask(*_read_members(body, form), form, len(body))
    except _Invalid as error:
        return Refusal(Reason.INVALID_REQUEST, str(error), param=error.param)


def _read_members(body: bytes, form: Form) -> tuple[_Members, dict[str, msgspec.Raw]]:
    try:
        members = _typed(body, form)
        top = _decode_members(body)
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Invalid(f"The body is not JSON: {error}") from None
    except RecursionError:
        raise _Invalid("The body is nested too deeply.") from None
    if (
        not _adds_up(body, top)
        and _may_repeat(body, top)
        and (twice := _repeated(body)) is not None
    ):
        raise _Invalid(f"{twice!r} occurs twice in the body; send it once.", twice)
    return members, top


def _typed(body: bytes, form: Form) -> _Members:
    if form.entries == "messages":
        try:
            return _decode_chat(body)
        except msgspec.ValidationError:
            pass  # what is at fault is found again, and may be no fault
    return _decode(body)


def _ask(members: _Members, top: dict[str, msgspec.Raw], form: Form, size_bytes: int) -> Ask:
    if not members.model:
        raise _Invalid("'model' is empty; name a model. GET /v1/models lists them.", "model")
    if len(members.model) > _LONGEST_NAME:
        raise _Invalid(f"'model' is longer than {_LONGEST_NAME} characters.", "model")
    max_field, largest = _maximum(members, form)
    opaque, images, image_bytes, has_audio = content_of(
        top, form.entries, form.plain, members.messages if isinstance(members, _Chat) else None
    )
    ask = Ask(
        model=members.model,
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
    return ask


def _maximum(members: _Members, form: Form) -> tuple[str | None, int | None]:
    """The member that bounds the output, and its bound.

    Where both an old and a new field are given, the upstream may obey either: the larger bounds the cost.
    """
    found: tuple[str | None, int | None] = (None, None)
    for name in form.max_fields:
        value = getattr(members, name)
        if value is None:
            continue
        if not 0 < value < _LARGEST_COUNT:
            raise _Invalid(f"{name!r} must be a whole number from 1 to {_LARGEST_COUNT - 1}.", name)
        if found[1] is None or value > found[1]:
            found = (name, value)
    return found


def _choices(members: _Members) -> int:
    choices = 1
    if members.n is None and members.best_of is None:
        return choices
    for name, value in (("n", members.n), ("best_of", members.best_of)):
        if value is not None:
            if not 0 < value <= _MOST_CHOICES:
                raise _Invalid(f"{name!r} must be a whole number from 1 to {_MOST_CHOICES}.", name)
            choices = max(choices, value)
    return choices


def _wants_usage(stream_options: bytes) -> bool:
    if stream_options == b"null":
        return False
    try:
        return _decode_options(stream_options).include_usage is True
    except (msgspec.DecodeError, RecursionError):
        raise _Invalid("'stream_options' must be an object.", "stream_options") from None


def rewrite(body: bytes, changes: dict[str, bytes]) -> bytes:
    """The body with top-level members replaced or added; the other members keep their bytes.

    `changes` maps a member's name to its JSON.
    """
    if not changes:
        return body
    members: dict[str, msgspec.Raw] = _decode_members(body)
    for name, value in changes.items():
        members[name] = msgspec.Raw(value)
    return msgspec.json.encode(members)


def with_usage_asked(body: bytes) -> bytes:
    """The body's `stream_options` with `include_usage` true and all else kept, as JSON."""
    options = _decode_members(body).get("stream_options")
    members = {} if options is None or bytes(options) == b"null" else _decode_members(options)
    members["include_usage"] = msgspec.Raw(b"true")
    return msgspec.json.encode(members)


def _adds_up(body: bytes, top: dict[str, msgspec.Raw]) -> bool:
    """Whether the body, written without spaces, has exactly these members: then none occurs twice.

    SDKs write bodies so; this costs a tenth of searching the body for every checked name.
    """
    # Braces and, of each member, two quotes, a colon and a comma, less one comma.
    between = 1 + 4 * len(top)
    return between + len("".join(top)) + len(b"".join(top.values())) == len(body)


def _may_repeat(body: bytes, top: dict[str, msgspec.Raw]) -> bool:
    for name in top:
        quoted = _CHECKED.get(name)
        if quoted is not None and body.count(quoted) > 1:
            return True
    return b"\\u00" in body and any(letters in body for letters in _ESCAPED_LETTERS)


def _repeated(body: bytes) -> str | None:
    """The first checked member that the top-level object holds twice; exact, and slow."""
    top: list[tuple[str, object]] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        top[:] = pairs  # the outermost object is finished last

    try:
        json.loads(body, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        return "model"  # our decoder read it and the standard library did not: refuse what is ambiguous
    names = [name for name, _ in top]
    return next((name for name in _CHECKED if names.count(name) > 1), None)


def _explained(message: str) -> _Invalid:
    """Msgspec's finding, with the member it names."""
    if message.startswith("Object missing required field `model`"):
        return _Invalid(
            "'model' is missing; name one. GET /v1/models lists what this key can call.", "model"
        )
    _, found, path = message.rpartition("`$.")
    return _Invalid(message, path.rstrip("`") if found else None)
