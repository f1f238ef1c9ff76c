"""The ask: what we read of a request body, and the few members that we may change in it.

Everything else of a body stays the bytes that the caller sent. Decoders take the last of members that occur twice,
upstreams may take the first; so a member that a check relies on must occur exactly once. How a body is read is its
dialect's: `openai_ask.py`, `anthropic_ask.py`, `gemini_ask.py`.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from gateway.domain.cases import Case, refusal
from gateway.domain.errors import Refusal
from gateway.domain.rules import Param
from gateway.domain.splice import Pieces, spliced
from gateway.domain.thin import LARGE_BYTES

LARGEST_COUNT = 2**31
"""A caller's maximum is below this."""
MOST_CHOICES = 128
"""OpenAI's own maximum."""
_LONGEST_NAME = 256

# What msgspec says of a body: https://jcristharif.com/msgspec/usage.html#typed-decoding.
_PLACED = re.compile(r"(?P<finding>.*) - at `\$\.?(?P<member>.*)`", re.DOTALL)
_LACKING = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_OTHER_TYPE = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`")
_TYPES = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
}
_FRACTION = "one with a fraction or an exponent"

M = TypeVar("M")


# A struct of msgspec is made in a third of the time of a dataclass.
class Ask(msgspec.Struct):
    """What a body asks for. `max_output_tokens` is the caller's own bound for one choice, if any.

    `opaque` is where input comes in that cannot be measured, `dearer` the member that asks for another price than the
    model's. `size_bytes` is what counts as text: all but inline images. `predicted_bytes` are of a prediction.
    `hides_output`: its answer may cost output that a stream does not show. `about`: ids of objects at an upstream;
    `stores`: the answer becomes one. `end_user` and `tags`: what the caller told of it (`told.py`).
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
    hides_output: bool = False
    about: tuple[str, ...] = ()
    stores: bool = False
    end_user: str = ""
    tags: dict[str, str] | None = None

    @property
    def has_images(self) -> bool:
        """Whether the input may hold any."""
        return self.images > 0 or self.opaque is not None


NO_ASK = Ask("", False, None, None, 1, True, None, False, 0)  # noqa: FBT003
"""Of a call that has no body, or one that nobody reads."""


class Path(NamedTuple):
    """What a call's path says of its ask; None where that is the body's to say."""

    model: str | None = None
    stream: bool | None = None


class Changes(NamedTuple):
    """What is written into a body before it is sent on; what is None stays as it is.

    `max_field` is where the maximum goes, of a form that knows several. `ask_usage`: the stream shall tell its usage.
    """

    model: str | None = None
    max_output_tokens: int | None = None
    max_field: str = ""
    ask_usage: bool = False


class Form(Protocol):
    """How the bodies of a route are read and written."""

    @property
    def max_fields(self) -> tuple[str, ...]:
        """The members that may bound the output, the newest first."""
        ...

    @property
    def usage_option(self) -> bool:
        """Whether streams tell their usage only where the body asks for it."""
        ...

    def read(self, body: bytes, path: Path) -> Ask:
        """The ask in `body`. Raises `Invalid`."""
        ...

    def write(self, body: bytes, changes: Changes) -> bytes | Pieces:
        """The body with what is to be changed; every other member keeps its bytes."""
        ...


class Invalid(Exception):
    """A body that cannot be understood; `param` is the member at fault, `params` what the sentence is filled with."""

    def __init__(self, case: Case, param: str | None = None, **params: Param) -> None:
        self.refusal = refusal(case, params, param=param)
        super().__init__(self.refusal.message)


_ANY_PATH = Path()


def read_ask(body: bytes, form: Form, path: Path = _ANY_PATH) -> Ask | Refusal:
    """The ask in `body`, or the refusal that names the member at fault."""
    try:
        return form.read(body, path)
    except Invalid as error:
        return error.refusal
    except UnicodeDecodeError as error:  # in a member that is looked at after the others
        return Invalid(Case.NO_JSON, why=str(error)).refusal


decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""An object's members as they stand; of one that occurs twice the last."""
# A member's name may be written with escapes ("\u006dodel"). Encoders never escape ASCII letters, so the sight of one
# is reason enough to look closely.
_ESCAPED_LETTERS = (b"\\u004", b"\\u005", b"\\u006", b"\\u007")


def quoted(names: tuple[str, ...]) -> dict[str, bytes]:
    """Names of members as they stand in a body, for `read_members`."""
    return {name: f'"{name}"'.encode() for name in names}


def read_members(
    body: bytes, decode: Callable[[bytes], M], checked: Mapping[str, bytes]
) -> tuple[M, dict[str, msgspec.Raw]]:
    """What `decode` makes of a body, and its members; none that is `checked` occurs twice. Raises `Invalid`."""
    try:
        members = decode(body)
        top = decode_members(body)
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(Case.NO_JSON, why=str(error)) from None
    except RecursionError:
        raise Invalid(Case.NESTED_TOO_DEEPLY) from None
    if (
        not _adds_up(body, top)
        and _may_repeat(body, top, checked)
        and (twice := _repeated(body, checked)) is not None
    ):
        raise Invalid(Case.MEMBER_TWICE, twice, member=twice)
    return members, top


def known_or(known: Callable[[bytes], M], members: Callable[[bytes], M]) -> Callable[[bytes], M]:
    """A decoder that holds all of a body to known kinds, where it can, and else reads the members that decide."""

    def decode(body: bytes) -> M:
        try:
            return known(body)
        except msgspec.ValidationError:
            return members(body)  # what is at fault is found again, and may be no fault

    return decode


def unknown_in(body: bytes, known: Callable[[bytes], object], otherwise: str) -> str:
    """Where something of an unknown kind stands in a body which `known` does not take."""
    try:
        known(body)
    except msgspec.ValidationError as error:
        _, found, path = str(error).rpartition("`$.")
        if found:
            return path.rstrip("`")
    return otherwise


def require_name(model: str) -> str:
    """The name of a model, unless it can be none. Raises `Invalid`."""
    if not model:
        raise Invalid(Case.MODEL_EMPTY, "model")
    if len(model) > _LONGEST_NAME:
        raise Invalid(Case.MODEL_TOO_LONG, "model", most=_LONGEST_NAME)
    return model


def require_count(value: int, name: str, below: int = LARGEST_COUNT) -> int:
    """A maximum or a number of choices, unless it can be none. Raises `Invalid`."""
    if not 0 < value < below:
        raise Invalid(Case.NO_COUNT, name, member=name, most=below - 1)
    return value


def rewrite(body: bytes, changes: dict[str, bytes]) -> bytes:
    """The body with top-level members replaced or added; the other members keep their bytes.

    `changes` maps a member's name to its JSON.
    """
    if not changes:
        return body
    members: dict[str, msgspec.Raw] = decode_members(body)
    for name, value in changes.items():
        members[name] = msgspec.Raw(value)
    return msgspec.json.encode(members)


def edited(body: bytes, changes: dict[str, bytes]) -> bytes | Pieces:
    """The same, of a body that was read before; a large one in pieces, with its spaces."""
    if changes and len(body) >= LARGE_BYTES:
        return spliced(body, changes) or rewrite(body, changes)
    return rewrite(body, changes)


def _adds_up(body: bytes, top: dict[str, msgspec.Raw]) -> bool:
    """Whether the body, written without spaces, has exactly these members: then none occurs twice.

    SDKs write bodies so; this costs a tenth of searching the body for every checked name.
    """
    # Braces and, of each member, two quotes, a colon and a comma, less one comma.
    between = 1 + 4 * len(top)
    return between + len("".join(top)) + len(b"".join(top.values())) == len(body)


def _may_repeat(body: bytes, top: dict[str, msgspec.Raw], checked: Mapping[str, bytes]) -> bool:
    for name in top:
        written = checked.get(name)
        if written is not None and body.count(written) > 1:
            return True
    return b"\\u00" in body and any(letters in body for letters in _ESCAPED_LETTERS)


def _repeated(body: bytes, checked: Mapping[str, bytes]) -> str | None:
    """The first checked member that the top-level object holds twice; exact, and slow."""
    top: list[tuple[str, object]] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        top[:] = pairs  # the outermost object is finished last

    try:
        json.loads(body, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        return "model"  # our decoder read it and the standard library did not: refuse what is ambiguous
    names = [name for name, _ in top]
    return next((name for name in checked if names.count(name) > 1), None)


def _explained(message: str) -> Invalid:
    """Msgspec's finding, with the member it names."""
    if message.startswith("Object missing required field `model`"):
        return Invalid(Case.MODEL_MISSING, "model")
    return unreadable(message)


def unreadable(message: str) -> Invalid:
    """What msgspec found of a body's member, in the words of JSON instead of Python's."""
    finding, member = message, ""
    if (placed := _PLACED.fullmatch(message)) is not None:
        finding, member = placed["finding"], placed["member"]
    if (lacking := _LACKING.fullmatch(finding)) is not None:
        member = f"{member}.{lacking['name']}" if member else lacking["name"]
        why = f"{member!r} is missing."
    elif (other := _OTHER_TYPE.fullmatch(finding)) is not None:
        wanted = [name for name in other["wanted"].split(" | ") if name != "null"]
        plain = " or ".join(_TYPES.get(name, name) for name in wanted) or "null"
        got = _FRACTION if other["got"] == "float" else _TYPES.get(other["got"], other["got"])
        why = f"{repr(member) if member else 'The body'} must be {plain}, not {got}."
    else:
        why = f"{member!r}: {finding}." if member else f"{finding}."
    return Invalid(Case.MEMBER_UNREADABLE, member or None, why=why)
