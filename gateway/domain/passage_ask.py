"""What is read of a passage's body: the model and the objects that it names. JSON, or a form with files (RFC 7578)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from gateway.domain.ask import Ask, Changes, Invalid, Path, edited, quoted, read_members
from gateway.domain.cases import Case
from gateway.domain.references import LONGEST_ID, is_reference, references
from gateway.domain.splice import Pieces
from gateway.domain.told import TELLING, end_user_of, tags_of

_BOUNDARY = re.compile(r';\s*boundary=("?)([^";\s]{1,70})\1\s*(?:;|$)', re.IGNORECASE)
_DISPOSITION = re.compile(rb"(?im)^content-disposition:([^\r\n]*)")
_NAME = re.compile(rb';\s*name\s*=\s*(?:"([^"]*)"|([^\s;"]+))\s*(?=;|$)', re.IGNORECASE)
_MOST_PARTS = 1000
_WORD = re.compile(r"\w+")


class _Members(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None


_decode = msgspec.json.Decoder(_Members).decode
_CHECKED = quoted(("model", "stream"))


def boundary_of(content_type: str) -> bytes | None:
    """What separates the fields of a form; None where it is none."""
    if not content_type.lower().startswith("multipart/form-data"):
        return None
    found = _BOUNDARY.search(content_type)
    return b"--" + found[2].encode() if found else None


class _Field(NamedTuple):
    """A field of a form, and where its value stands."""

    name: bytes
    start: int
    end: int

    @property
    def is_reference(self) -> bool:
        """Whether its value may be an object's id; `file_ids[]` and `source[file_id]` are ways to write lists."""
        words = _WORD.findall(self.name.decode(errors="replace"))
        return self.end - self.start <= LONGEST_ID and bool(words) and is_reference(words[-1])

    def text(self, body: bytes) -> str:
        """Its value."""
        return body[self.start : self.end].decode(errors="replace")


@dataclass(frozen=True, slots=True)
class PassageForm:
    """How a body of unknown shape is read and written. `boundary` is a form's, with its hyphens."""

    boundary: bytes | None = None
    max_fields: tuple[str, ...] = ()
    usage_option: bool = False

    def read(self, body: bytes, path: Path) -> Ask:  # noqa: ARG002 -- the path says nothing of it
        """The ask in `body`, with an empty model where none is named. Raises `Invalid`."""
        model, stream = "", False
        about: tuple[str, ...] = ()
        end_user, tags = "", None
        if self.boundary is not None:
            fields = list(self._fields(body))
            named = _model_among(fields)
            model = "" if named is None else named.text(body)
            about = tuple(field.text(body) for field in fields if field.is_reference)
        elif body:
            members, top = read_members(body, _decode, _CHECKED)
            model, stream = members.model or "", bool(members.stream)
            about = references(body)
            if not TELLING.isdisjoint(top):
                end_user, tags = end_user_of(top), tags_of(top)
        ask = Ask(model, stream, None, None, 1, True, None, False, len(body), about=about)  # noqa: FBT003
        ask.end_user, ask.tags = end_user, tags
        return ask

    def write(self, body: bytes, changes: Changes) -> bytes | Pieces:
        """The body with another name for its model."""
        if changes.model is None:
            return body
        if self.boundary is None:
            return edited(body, {"model": msgspec.json.encode(changes.model)})
        found = _model_among(self._fields(body))
        assert found is not None
        return body[: found.start] + changes.model.encode() + body[found.end :]

    def _fields(self, body: bytes) -> Iterator[_Field]:
        """The fields of a form. Raises `Invalid`."""
        assert self.boundary is not None
        start = 0 if body.startswith(self.boundary) else body.find(b"\r\n" + self.boundary)
        if start < 0:
            raise Invalid(Case.FORM_WITHOUT_PARTS)
        for _ in range(_MOST_PARTS):
            head = start + len(self.boundary)
            end = body.find(b"\r\n" + self.boundary, head)
            if end < 0:
                return
            blank = body.find(
                b"\r\n\r\n", head, end + 3
            )  # may share the line break before the boundary
            if blank >= 0:
                yield _Field(_name_in(body[head:blank]), blank + 4, end)
            start = end + 2
        raise Invalid(Case.TOO_MANY_PARTS, most=_MOST_PARTS)


def _model_among(fields: Iterable[_Field]) -> _Field | None:
    """The field `model`, if there is one. Raises `Invalid`."""
    found = [field for field in fields if field.name == b"model"]
    if len(found) > 1:
        raise Invalid(Case.MODEL_TWICE_IN_FORM, "model")
    return found[0] if found else None


def _name_in(head: bytes) -> bytes:
    """The name of a part. Raises `Invalid` where readers could disagree on it."""
    dispositions = _DISPOSITION.findall(head)
    names = [quoted or bare for line in dispositions for quoted, bare in _NAME.findall(line)]
    if len(names) != 1 or b"name*" in head.lower() or b"\\" in names[0]:
        raise Invalid(Case.PART_WITHOUT_NAME)
    return bytes(names[0])
