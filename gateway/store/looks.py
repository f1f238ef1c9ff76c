"""What a look tells: what RESERVE would answer, and what is there without the call that asks. Pure."""

import struct
from dataclasses import replace
from typing import Any, NamedTuple

from gateway.domain.limits import Metric
from gateway.store.books import StoredBook, unpack_book
from gateway.store.prepared import Prepared
from gateway.store.replies import Reply, Reserved, read_reply, read_shadows
from gateway.store.windows import Window

_TOTAL = struct.Struct("<d")  # what a HEAD and a BURST begin with
_BOOKS = 4


class Looked(NamedTuple):
    """The answer; where something was decided, the four books, and of each window what it holds."""

    reply: Reply
    books: tuple[StoredBook, ...] = ()
    windows: tuple[tuple[Window, int], ...] = ()


def read_looked(reply: object, prepared: Prepared, amount: int, tokens: int) -> Looked:
    """The meaning of a raw reply to a look for `amount` and `tokens`."""
    if not (isinstance(reply, list) and isinstance(reply[0], list)):
        return Looked(read_reply(reply))
    answer, found, *rest = reply
    shadows: list[Any] = rest[0] if rest else []
    uncounted = {(scope, name.decode()) for _, scope, name, *_ in shadows}
    values: list[Any] = found[1::2]
    costs = {Metric.REQUESTS: 1, Metric.TOKENS: tokens, Metric.USD: amount}
    books = (unpack_book("", value) for value in values[:_BOOKS])
    heads = zip(prepared.windows, values[_BOOKS:], strict=True)
    read = read_reply(answer)
    if isinstance(read, Reserved):
        read = read._replace(shadows=read_shadows(shadows))
    return Looked(
        read,
        tuple(replace(b, reserved=b.reserved - amount, live=b.live - 1) for b in books),
        tuple(
            (w, _total(head) - (0 if (w.scope, w.id) in uncounted else costs[w.metric]))
            for w, head in heads
        ),
    )


def _total(head: bytes) -> int:
    return int(_TOTAL.unpack_from(head)[0])
