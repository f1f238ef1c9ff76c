"""Bodies as proto JSON allows them: members with underscores, and null for what is not said. Pure.

What is the caller's own JSON (arguments, schemas) keeps its bytes. https://protobuf.dev/programming-guides/json/
"""

import msgspec
from msgspec import inspect

from gateway.domain.ask import Invalid, decode_members
from gateway.domain.cases import Case

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Spelling:
    """Of the bodies that a struct describes."""

    def __init__(self, struct: type[msgspec.Struct]) -> None:
        self._names: dict[type, dict[str, str]] = {}
        self._inner: dict[type, dict[str, type]] = {}
        self._struct = struct
        self._learn(struct)

    def in_camel_case(self, body: bytes) -> bytes:
        """The body with every known member spelt as the struct has it, and none that is null.

        One that cannot be read stays as it is. Raises `Invalid` where both spellings are given.
        """
        try:
            return self._object(body, self._struct)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return body

    def _learn(self, struct: type[msgspec.Struct]) -> None:
        if struct in self._names:
            return
        self._names[struct] = {}
        self._inner[struct] = {}
        kind = inspect.type_info(struct)
        assert isinstance(kind, inspect.StructType)
        for field in kind.fields:
            self._names[struct][field.name] = field.encode_name
            inner = _struct_in(field.type)
            if inner is not None:
                self._inner[struct][field.encode_name] = inner
                self._learn(inner)

    def _object(self, raw: bytes, struct: type) -> bytes:
        names, inner = self._names[struct], self._inner[struct]
        members: dict[str, msgspec.Raw] = {}
        for given, value in decode_members(raw).items():
            if bytes(value) == b"null":
                continue
            name = names.get(given, given)
            if name in members:
                raise Invalid(Case.SAME_MEMBERS, given, member=name, other=given)
            within = inner.get(name)
            members[name] = value if within is None else self._value(value, within)
        return msgspec.json.encode(members)

    def _value(self, value: msgspec.Raw, struct: type) -> msgspec.Raw:
        raw = bytes(value)
        if raw.startswith(b"["):
            each = [self._value(inner, struct) for inner in _decode_list(raw)]
            return msgspec.Raw(msgspec.json.encode(each))
        return msgspec.Raw(self._object(raw, struct)) if raw.startswith(b"{") else value


def _struct_in(kind: inspect.Type) -> type[msgspec.Struct] | None:
    """The struct that a member holds, alone or in a list; of a union the one that it has."""
    match kind:
        case inspect.StructType():
            return kind.cls
        case inspect.ListType():
            return _struct_in(kind.item_type)
        case inspect.UnionType():
            found = (_struct_in(each) for each in kind.types)
            return next((struct for struct in found if struct is not None), None)
        case _:
            return None
