"""What is read of a passage's body: the model that it names, if any. JSON, or a form with files (RFC 7578)."""

import re
from dataclasses import dataclass

import msgspec

from gateway.domain.ask import Ask, Changes, Invalid, Path, quoted, read_members, rewrite

_BOUNDARY = re.compile(r';\s*boundary=("?)([^";\s]{1,70})\1\s*(?:;|$)', re.IGNORECASE)
_DISPOSITION = re.compile(rb"(?im)^content-disposition:([^\r\n]*)")
_NAME = re.compile(rb';\s*name\s*=\s*(?:"([^"]*)"|([^\s;"]+))\s*(?=;|$)', re.IGNORECASE)


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


@dataclass(frozen=True, slots=True)
class PassageForm:
    """How a body of unknown shape is read and written. `boundary` is a form's, with its hyphens."""

    boundary: bytes | None = None
    max_fields: tuple[str, ...] = ()
    usage_option: bool = False

    def read(self, body: bytes, path: Path) -> Ask:  # noqa: ARG002 -- the path says nothing of it
        """The ask in `body`, with an empty model where none is named. Raises `Invalid`."""
        model, stream = "", False
        if self.boundary is not None:
            model = (self._field(body) or (b"",))[0].decode(errors="replace")
        elif body:
            members, _ = read_members(body, _decode, _CHECKED)
            model, stream = members.model or "", bool(members.stream)
        return Ask(model, stream, None, None, 1, True, None, False, len(body))  # noqa: FBT003

    def write(self, body: bytes, changes: Changes) -> bytes:
        """The body with another name for its model."""
        if changes.model is None:
            return body
        if self.boundary is None:
            return rewrite(body, {"model": msgspec.json.encode(changes.model)})
        found = self._field(body)
        assert found is not None
        _, start, end = found
        return body[:start] + changes.model.encode() + body[end:]

    def _field(self, body: bytes) -> tuple[bytes, int, int] | None:
        """The value of a form's field `model`, and where it stands. Raises `Invalid`."""
        assert self.boundary is not None
        found = None
        start = 0 if body.startswith(self.boundary) else body.find(b"\r\n" + self.boundary)
        if start < 0:
            raise Invalid("The form has no part: its boundary does not occur.")
        while True:
            head = start + len(self.boundary)
            end = body.find(b"\r\n" + self.boundary, head)
            blank = body.find(b"\r\n\r\n", head)
            if end < 0 or blank < 0:
                return found
            if blank < end and _is_model(body[head:blank]):
                if found is not None:
                    raise Invalid("'model' occurs twice in the form; send it once.", "model")
                found = body[blank + 4 : end], blank + 4, end
            start = end + 2


def _is_model(head: bytes) -> bool:
    """Whether a part is the field `model`. Raises `Invalid` where readers could disagree on its name."""
    dispositions = _DISPOSITION.findall(head)
    names = [quoted or bare for line in dispositions for quoted, bare in _NAME.findall(line)]
    if len(names) != 1 or b"name*" in head.lower() or b"\\" in names[0]:
        raise Invalid('A part of the form has no plain name: send name="…" once in each part.')
    return bool(names[0] == b"model")
