"""Lists of objects, as upstreams answer them: what is in them, and the same without some. Pure.

https://platform.openai.com/docs/api-reference/files/list
"""

from collections.abc import Collection

import msgspec

from gateway.domain.ask import rewrite


class _Item(msgspec.Struct):
    id: str | None = None


class _List(msgspec.Struct):
    data: list[msgspec.Raw] = []


_decode = msgspec.json.Decoder(_List).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_ENDS = ("first_id", "last_id")


def _items(body: bytes) -> list[tuple[str | None, msgspec.Raw]]:
    try:
        return [(_decode_item(item).id, item) for item in _decode(body).data]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def ids_in_list(body: bytes) -> tuple[str, ...]:
    """The ids of a list's objects; none where it is no list."""
    return tuple(object_id for object_id, _ in _items(body) if object_id)


def without(body: bytes, hidden: Collection[str]) -> bytes:
    """The list without the objects that have these ids; whether there are more on a further page it says as before."""
    kept = [(object_id, item) for object_id, item in _items(body) if object_id not in hidden]
    changes = {"data": msgspec.json.encode([item for _, item in kept])}
    members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    for name, place in zip(_ENDS, (0, -1), strict=True):
        if name in members:
            changes[name] = msgspec.json.encode(kept[place][0] if kept else None)
    return rewrite(body, changes)
