"""What the quota store keeps, as values and as bytes: books, reservations, settlements.

The formats are those of `lua/include/formats.lua` (BOOK, RECORD, SETTLED) and
`lua/include/merge.lua` (ROW), field by field. Knows neither commands nor connections.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_BOOK: Final = struct.Struct("<7d40s")
_ROW: Final = struct.Struct("<4d")
_RECORD: Final = struct.Struct("<3dB")
_SETTLED: Final = struct.Struct("<dB")
_DOUBLE_BYTES: Final = 8
UNCAPPED: Final = 2.0**53
"""Stands for "no grant": grants stay below 2^52."""


@dataclass(frozen=True, slots=True)
class Book:
    """What Postgres says of one scope.

    `granted` is None where there is no grant; amounts are nano-dollars.
    """

    scope_id: str
    granted: int | None
    gver: int
    used: int
    version: int


@dataclass(frozen=True, slots=True)
class StoredBook:
    """What the quota store says of one scope. Amounts are nano-dollars.

    `pending` is settled and not yet in `used`; `reserved` is held by the `live` calls. `run_id` is
    the run of the store in which Postgres' row was last merged in.
    """

    scope_id: str
    granted: int | None
    gver: int
    used: int
    pending: int
    reserved: int
    live: int
    version: int
    run_id: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """A live call: what it holds for which scopes, and the worker's own detail.

    `amount` is nano-dollars; `started_ms` is the store's clock. `heard` is whether the store ever said
    that it has it.
    """

    request_id: str
    scope_ids: tuple[str, ...]
    amount: int
    tokens: int
    started_ms: int
    detail: bytes
    heard: bool = True


@dataclass(frozen=True, slots=True)
class Settlement:
    """A settled call that Postgres may not have yet, with the whole event that the worker wrote."""

    request_id: str
    scope_ids: tuple[str, ...]
    amount: int
    event: bytes


@dataclass(frozen=True, slots=True)
class Overdue:
    """A reservation whose lease has ended, or a charge that should have been confirmed by now."""

    account_id: int
    entry: Reservation | Settlement


def pack_rows(books: Iterable[Book]) -> bytes:
    """The rows of LOAD and CONFIRM."""
    return b"".join(
        _ROW.pack(b.used, UNCAPPED if b.granted is None else b.granted, b.gver, b.version)
        for b in books
    )


def unpack_book(scope_id: str, data: bytes) -> StoredBook:
    """A stored book of `q:{sNNN}:b:<scope>`."""
    granted, gver, used, pending, reserved, live, version, run_id = _BOOK.unpack_from(data)
    return StoredBook(
        scope_id,
        None if granted == UNCAPPED else int(granted),
        int(gver),
        int(used),
        int(pending),
        int(reserved),
        int(live),
        int(version),
        run_id.decode("ascii").strip(),
    )


def pack_reservation(reservation: Reservation) -> bytes:
    """A record that counts in no window."""
    scopes = " ".join(reservation.scope_ids).encode("ascii")
    head = _RECORD.pack(reservation.amount, reservation.tokens, reservation.started_ms, len(scopes))
    return b"".join((head, scopes, b"\0", reservation.detail))


def unpack_reservation(request_id: str, data: bytes) -> Reservation:
    """A live reservation of `q:{sNNN}:r:<account>`."""
    amount, tokens, started_ms, length = _RECORD.unpack_from(data)
    position = _RECORD.size + length
    scopes = data[_RECORD.size : position].decode("ascii")
    position += 1 + data[position] * _DOUBLE_BYTES  # the buckets that it was counted in
    return Reservation(
        request_id,
        tuple(scopes.split()),
        int(amount),
        int(tokens),
        int(started_ms),
        data[position:],
    )


def pack_settlement(settlement: Settlement) -> bytes:
    """A charge as `lua/settle.lua` would have written it."""
    scopes = " ".join(settlement.scope_ids).encode("ascii")
    return b"".join((_SETTLED.pack(settlement.amount, len(scopes)), scopes, settlement.event))


def unpack_settlement(request_id: str, data: bytes) -> Settlement:
    """A settled charge of `q:{sNNN}:p:<account>`."""
    amount, length = _SETTLED.unpack_from(data)
    position = _SETTLED.size + length
    scopes = data[_SETTLED.size : position].decode("ascii")
    return Settlement(request_id, tuple(scopes.split()), int(amount), data[position:])
