"""What a shard of the quota store holds, account by account: confirmed, made anew after a loss, and read.

All of it can be lost. Books and windows come again from Postgres, reservations and charges from the workers that have
them. Nothing here retries, waits or asks Postgres.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from gateway.domain.errors import StoreUnavailable
from gateway.domain.token import SHARDS
from gateway.store.books import (
    Book,
    Overdue,
    Reservation,
    Settlement,
    StoredBook,
    pack_reservation,
    pack_rows,
    pack_settlement,
    unpack_book,
    unpack_reservation,
    unpack_settlement,
)
from gateway.store.connection import Done, accept, encode
from gateway.store.openings import Openings
from gateway.store.pipeline import Pipeline
from gateway.store.prepared import key, window_keys
from gateway.store.windows import Window, pack_sums

MAX_IDS = 1_000
"""Ids of one CONFIRM, ANNOUNCE or RESTATE: Lua unpacks them onto its stack, and all others wait."""

T = TypeVar("T")


class Announced(NamedTuple):
    """How many reservations were renewed, made anew (the store had lost them), settled already.

    `gone` are the ids of those that somebody else has ended.
    """

    renewed: int
    created: int
    settled: int
    gone: tuple[bytes, ...] = ()


class Kept(NamedTuple):
    """An entry of the outbox: a settled event."""

    entry_id: bytes
    account_id: int
    request_id: bytes
    event: bytes


class Survey(NamedTuple):
    """The windows that have to be made anew at `now_ms` (the store's clock), and what is under way.

    `live` and `settled` are the account's, and empty where no window is `missing`.
    """

    now_ms: int
    missing: tuple[Window, ...]
    live: list[Reservation]
    settled: list[Settlement]


class WindowSums(NamedTuple):
    """What windows of `scope_ids` hold: of each, units by `Window.bucket_of`, or by 0 where it is one bucket."""

    scope_ids: Sequence[str]
    windows: Sequence[Window]
    sums: Sequence[Mapping[int, int]]


class Contents(Openings):
    """The operations on accounts that no call asks for, over a started `Pipeline`.

    `lease_s`: how long a reservation lives without being announced. `sweep_s`: how long a charge
    may be settled and unconfirmed before the sweeper looks at it. `pause_s`: how long capped calls
    wait after the store was lost.
    """

    def __init__(
        self, pipeline: Pipeline, *, lease_s: float, sweep_s: float, pause_s: float
    ) -> None:
        super().__init__(pipeline, pause_s)
        self._scripts = pipeline.scripts
        self._lease_s = lease_s
        self._sweep_s = sweep_s
        self.double_faults = 0
        """How often this worker told the store too late what a loss had taken from it."""
        self.double_fault_nusd = 0
        """What was at stake then, in all: the cap may have been overrun by that much."""

    def confirm(
        self,
        account_id: int,
        books: Sequence[Book],
        request_ids: Iterable[bytes | str],
        done: Done | None = None,
    ) -> None:
        """Postgres has these ids (at most `MAX_IDS`), and `books` are its rows since then.

        `done` gets the number of ids dropped, or `[b"LOAD", scope]` when an id was charged to a
        scope that is neither known nor among `books` (nothing was done), or what went wrong.
        Order-free; may be repeated.
        """
        ids = list(dict.fromkeys(request_ids))
        if len(ids) > MAX_IDS:
            raise ValueError(f"{len(ids)} ids in one CONFIRM")
        shard, account = account_id % SHARDS, str(account_id)
        keys = [
            key(shard, "e"),
            key(shard, "r", account),
            key(shard, "p", account),
            key(shard, "x"),
            *(key(shard, "b", book.scope_id) for book in books),
        ]
        script = self._scripts["confirm"].sha
        command = encode("EVALSHA", script, len(keys), *keys, account, pack_rows(books), *ids)
        self._pipeline.send(shard, command, done)

    async def survey(
        self, account_id: int, scope_ids: Sequence[str], windows: Sequence[Window]
    ) -> Survey:
        """Which of an account's windows have to be made anew, and what for. Raises `StoreUnavailable`."""
        shard, account = account_id % SHARDS, str(account_id)
        heads, _, _ = window_keys(shard, scope_ids, windows, 0)
        keys = [key(shard, "r", account), key(shard, "p", account), *heads]
        script = self._scripts["survey"].sha
        run_id = self._pipeline.run_ids[shard]
        reply = await self._pipeline.call(shard, "EVALSHA", script, len(keys), *keys, run_id)
        now_ms, missing, live, settled = _list(reply)
        return Survey(
            now_ms,
            tuple(windows[number] for number in missing),
            [unpack_reservation(i.decode(), record) for i, record in _pairs(live)],
            [unpack_settlement(i.decode(), record) for i, record in _pairs(settled)],
        )

    async def load(
        self,
        account_id: int,
        books: Sequence[Book],
        windows: WindowSums | None = None,
        *,
        opening: bytes = b"",
    ) -> bool:
        """Create or merge books from rows of Postgres; False when the shard is not open.

        `opening` names the one since which the rows were read; without it they are merged, and the
        store asks for the rows again before it believes a book. Also to be called after each edit,
        with the new version. Of `windows`, those that have no head of this run of the store are made
        anew. Raises `StoreUnavailable`.
        """
        shard = account_id % SHARDS
        keys = _load_keys(account_id, books)
        args = [opening, pack_rows(books)]
        if windows is not None:
            heads, rings, packed = window_keys(shard, *windows[:2], len(keys))
            keys += [*heads, *rings]
            args += [packed, *map(pack_sums, windows.sums)]
        script = self._scripts["load"].sha
        reply = await self._pipeline.call(shard, "EVALSHA", script, len(keys), *keys, *args)
        return reply != b"EPOCH"

    def load_ahead(
        self, account_id: int, books: Sequence[Book], opening: bytes, done: Done
    ) -> None:
        """Make those of these books that the store lacks, and leave the others as they are; never awaited.

        Whatever is sent afterwards finds them. `opening` is as for `load`; `done` gets
        b"EPOCH" where it is over, so that nothing was done.
        """
        keys = _load_keys(account_id, books)
        script = self._scripts["load"].sha
        command = encode("EVALSHA", script, len(keys), *keys, opening, pack_rows(books), b"")
        self._pipeline.send(account_id % SHARDS, command, done)

    async def announce(
        self, account_id: int, reservations: Iterable[Reservation], since: bytes = b""
    ) -> Announced:
        """Renew the leases of an account's reservations; make anew those that the store lost.

        `since` is the mark of the opening in which all were announced last: what is missing in it is not
        lost but gone, unless the store never said that it has it (`Reservation.heard`). Raises
        `StoreUnavailable`.
        """
        shard, account = account_id % SHARDS, str(account_id)
        script = self._scripts["announce"].sha
        lease_ms = round(self._lease_s * 1000)
        calls = []
        for part in _parts(list({r.request_id: r for r in reservations}.values()), MAX_IDS):
            scope_ids = dict.fromkeys(s for r in part for s in r.scope_ids)
            keys = [
                *_record_keys(shard, account),
                key(shard, "e"),
                *(key(shard, "b", scope_id) for scope_id in scope_ids),
            ]
            args = [x for r in part for x in (r.request_id, int(r.heard), pack_reservation(r))]
            calls.append(
                self._pipeline.ask(
                    shard, "EVALSHA", script, len(keys), *keys, account, lease_ms, since, *args
                )
            )
        renewed = created = settled = 0
        gone: list[bytes] = []
        # All are sent in this tick: what is settled after it is settled behind its announcement.
        for reply in await asyncio.gather(*calls):
            counts = _list(accept(reply))
            renewed, created, settled = (
                renewed + counts[0],
                created + counts[1],
                settled + counts[2],
            )
            gone += counts[3:]
        return Announced(renewed, created, settled, tuple(gone))

    def restate(self, account_id: int, settlements: Sequence[Settlement]) -> Awaitable[int]:
        """Tell the store, which was lost, of charges (at most `MAX_IDS`) that Postgres does not have.

        It is told now, not when the answer is waited for: a moment later Postgres may have them, and a
        confirmation must come behind this. How many it did not know. Raises `StoreUnavailable`.
        """
        shard, account = account_id % SHARDS, str(account_id)
        script = self._scripts["restate"].sha
        by_id = {s.request_id: s for s in settlements}
        scope_ids = dict.fromkeys(scope for s in by_id.values() for scope in s.scope_ids)
        keys = [
            *_record_keys(shard, account),
            *(key(shard, "b", scope_id) for scope_id in scope_ids),
        ]
        sweep_ms = round(self._sweep_s * 1000)
        pairs = [x for s in by_id.values() for x in (s.request_id, pack_settlement(s))]
        return _count(
            self._pipeline.ask(
                shard, "EVALSHA", script, len(keys), *keys, account, sweep_ms, *pairs
            )
        )

    async def overdue(self, shard: int, limit: int = 100) -> list[Overdue]:
        """A shard's reservations whose lease has ended and charges unconfirmed for too long, oldest first.

        None in the pause after a loss. Raises `StoreUnavailable`.
        """
        keys = key(shard, "x"), key(shard, "e")
        script = self._scripts["overdue"].sha
        run_id = self._pipeline.run_ids[shard]
        flat = _list(await self._pipeline.call(shard, "EVALSHA", script, 2, *keys, limit, run_id))
        found = []
        for account, request_id, kind, record in zip(*[iter(flat)] * 4, strict=True):
            entry = (unpack_reservation if kind == b"r" else unpack_settlement)(
                request_id.decode(), record
            )
            found.append(Overdue(int(account), entry))
        return found

    async def outbox(self, shard: int, after: bytes = b"-", limit: int = MAX_IDS) -> list[Kept]:
        """Settled events of a shard behind entry `after`, oldest first. Raises `StoreUnavailable`."""
        start = after if after == b"-" else b"(" + after
        found = await self._pipeline.call(
            shard, "XRANGE", key(shard, "o"), start, "+", "COUNT", limit
        )
        return [
            Kept(entry_id, int(fields[3]), fields[1], fields[5])
            for entry_id, fields in _list(found)
        ]

    async def book(self, account_id: int, scope_id: str) -> StoredBook | None:
        """What the store says of a scope; None where it knows none. Raises `StoreUnavailable`."""
        shard = account_id % SHARDS
        data = await self._pipeline.call(shard, "GET", key(shard, "b", scope_id))
        return unpack_book(scope_id, data) if isinstance(data, bytes) else None

    async def books(self, account_id: int, scope_ids: Sequence[str]) -> list[StoredBook | None]:
        """The same of several scopes of an account, in one command. Raises `StoreUnavailable`."""
        if not scope_ids:
            return []
        shard = account_id % SHARDS
        first = key(shard, "b", "")
        keys = [first + scope_id.encode("ascii") for scope_id in scope_ids]
        found = _list(await self._pipeline.call(shard, "MGET", *keys))
        return [
            unpack_book(scope_id, data) if isinstance(data, bytes) else None
            for scope_id, data in zip(scope_ids, found, strict=True)
        ]

    async def live(self, account_id: int) -> list[Reservation]:
        """The live reservations of an account. Raises `StoreUnavailable`."""
        shard = account_id % SHARDS
        flat = _list(await self._pipeline.call(shard, "HGETALL", key(shard, "r", str(account_id))))
        return [unpack_reservation(request_id.decode(), data) for request_id, data in _pairs(flat)]


def _load_keys(account_id: int, books: Sequence[Book]) -> list[bytes]:
    shard, account = account_id % SHARDS, str(account_id)
    records = [key(shard, "e"), key(shard, "r", account), key(shard, "p", account)]
    return records + [key(shard, "b", book.scope_id) for book in books]


def _record_keys(shard: int, account: str) -> list[bytes]:
    return [key(shard, "r", account), key(shard, "p", account), key(shard, "x")]


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def _count(reply: Awaitable[object]) -> int:
    found = accept(await reply)
    if not isinstance(found, int):
        raise StoreUnavailable(f"unexpected reply {found!r}")
    return found


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _list(reply: object) -> list[Any]:
    if not isinstance(reply, list):
        raise StoreUnavailable(f"unexpected reply {reply!r}")
    return reply
