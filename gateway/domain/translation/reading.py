"""How typed decoders read what callers and upstreams send, and what is told of what they do not take. Pure."""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from gateway.domain.ask import Invalid, decode_members, unreadable
from gateway.domain.cases import Case
from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.codec import Losses, Uncarried

_T = TypeVar("_T")
_UNKNOWN = re.compile(
    r"Object contains unknown field `(?P<name>.*?)`(?: - at `\$\.?(?P<at>.*)`)?$", re.DOTALL
)
_KIND = re.compile(r"Invalid value .* - at `\$\.?(?P<at>.*\.(?:type|role))`$")
# Nobody has the gateway leave out more: each is looked for in the list of those that were.
_MOST_UNKNOWN = 32
# What is left out is named in a header of the answer.
_is_plain = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch
_MOST_TOLD = 200
UNKNOWN = "what it means is not known here, so it cannot be put in the other dialect's words"


def read_asked(
    decode: Callable[[bytes], _T], known: frozenset[str], body: bytes, losses: Losses
) -> _T:
    """The request in a caller's body; `known` are the members that `decode` takes at its top.

    Another member or kind is told by its path. At the top, one that is null is as good as unsaid, and others may be
    left out. Raises `Invalid`, `Uncarried`.
    """
    try:
        try:
            return decode(body)
        except msgspec.ValidationError as error:
            found = _UNKNOWN.match(str(error))
            if found is None or found["at"]:
                raise
            return decode(_without_unknown(body, known, losses))
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(Case.NO_JSON, why=str(error)) from None
    except RecursionError:
        raise Invalid(Case.NESTED_TOO_DEEPLY) from None


def read_answered(decode: Callable[[bytes], _T], payload: bytes) -> _T:
    """What an upstream's answer or event holds. Raises `BadAnswer`."""
    try:
        return decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswer(f"sent what is no answer in its dialect ({error})") from None
    except RecursionError:
        raise BadAnswer("sent an answer that is nested too deeply") from None


def json_asked(raw: msgspec.Raw) -> str:
    """The JSON of a caller's member that is not looked into. Raises `Invalid`."""
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise Invalid(Case.NO_JSON, why=str(error)) from None


def json_answered(raw: msgspec.Raw) -> str:
    """The JSON of an upstream's member that is not looked into. Raises `BadAnswer`."""
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise BadAnswer(f"sent what is no answer in its dialect ({error})") from None


def is_said(raw: msgspec.Raw) -> bool:
    """Whether a member that is not looked into is there, and asks for something."""
    return bytes(raw) not in _NOTHING


_NOTHING = frozenset({b"", b"null", b"[]", b"{}", b"false"})


def _without_unknown(body: bytes, known: frozenset[str], losses: Losses) -> bytes:
    members = decode_members(body)
    unknown = [name for name in members if name not in known]
    for number, name in enumerate(unknown):
        if bytes(members.pop(name)) == b"null":
            continue
        if number >= _MOST_UNKNOWN or not _is_plain(name):
            raise _uncarried(name)
        losses.leave_out(name, UNKNOWN, name)
    return msgspec.json.encode(members)


def _uncarried(path: str) -> Uncarried:
    path = path[:_MOST_TOLD]
    return Uncarried(path, UNKNOWN, path)


def _explained(message: str) -> Invalid | Uncarried:
    """Msgspec's finding: of a member or a kind that is not known, or of one that is not as it must be."""
    if (found := _UNKNOWN.match(message)) is not None:
        return _uncarried(f"{found['at']}.{found['name']}" if found["at"] else found["name"])
    if (found := _KIND.match(message)) is not None:
        return _uncarried(found["at"])
    return unreadable(message)
