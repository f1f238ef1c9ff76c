"""The quota store: balances, windows, concurrency, reservations, charges not yet in Postgres.

One Lua script per operation (`lua/`), one shard per account. What its answers mean for a call is
for the caller to decide: nothing here retries, waits or asks Postgres.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from gateway.domain.errors import StoreUnavailable
from gateway.domain.token import SHARDS, Token
from gateway.store.books import (
    Book,
    Overdue,
    Reservation,
    Settlement,
    StoredBook,
    pack_reservation,
    pack_rows,
    unpack_book,
    unpack_reservation,
    unpack_settlement,
)
from gateway.store.connection import Done, encode
from gateway.store.pipeline import Pipeline
from gateway.store.prepared import Prepared, key, prepare, window_keys
from gateway.store.replies import EPOCH_REPLY
from gateway.store.windows import Window, pack_sums

MAX_IDS = 1_000
"""Ids of one CONFIRM or ANNOUNCE: Lua unpacks them onto its stack, and all others wait."""

_OPENING_BYTES = 48
"""Of an EPOCH (`lua/include/formats.lua`): run id and pause. The generation rises without a loss."""

T = TypeVar("T")


class Announced(NamedTuple):
    """How many reservations were renewed, made anew (the store had lost them), settled already."""

    renewed: int
    created: int
    settled: int


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


class QuotaStore:
    """The operations on the quota store, over a started `Pipeline`.

    `lease_s`: how long a reservation lives without being announced. `sweep_s`: how long a charge
    may be settled and unconfirmed before the sweeper looks at it. `pause_s`: how long capped calls
    wait after the store was lost.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        lease_s: float = 60.0,
        sweep_s: float = 10.0,
        pause_s: float = 3.0,
    ) -> None:
        self._pipeline = pipeline
        self._scripts = pipeline.scripts
        self._lease_s = lease_s
        self._sweep_s = sweep_s
        self._pause_s = pause_s

    @property
    def run_id(self) -> bytes:
        """Of the run of the store that the connection is to."""
        return self._pipeline.run_id

    @property
    def pause_s(self) -> float:
        """How long capped calls wait after a loss: every worker must notice one in less."""
        return self._pause_s

    @property
    def connected(self) -> bool:
        """Whether the store can be asked now."""
        return self._pipeline.connected

    async def start(self, pause_s: float | None = None, *, generation: int = 0) -> int:
        """Open every shard that is not open for this run of the store; how many were not.

        In those, capped calls wait `pause_s` (default: the store's), in which workers announce what
        they hold. Where a shard is open, its catalog generation rises to `generation`; that is also
        how an edit of the catalog is told.
        """
        pause_ms = round((self._pause_s if pause_s is None else pause_s) * 1000)
        script = self._scripts["epoch"].sha
        replies = await asyncio.gather(
            *(
                self._pipeline.call(
                    shard, "EVALSHA", script, 1, key(shard, "e"), self.run_id, pause_ms, generation
                )
                for shard in range(SHARDS)
            )
        )
        return sum(reply == b"NEW" for reply in replies)

    async def opening(self, shard: int = 0) -> bytes | None:
        """What tells this opening of a shard from every other; None where it is not open.

        The store is lost whole, and opened whole: one shard tells of all. Raises `StoreUnavailable`.
        """
        epoch = await self._pipeline.call(shard, "GET", key(shard, "e"))
        if not isinstance(epoch, bytes) or not epoch.startswith(self.run_id):
            return None
        return epoch[:_OPENING_BYTES]

    async def reopen(self, *, generation: int = 0) -> int:
        """After an EPOCH answer: open what is not open, with the pause."""
        return await self.start(generation=generation)

    def prepare(
        self, token: Token, model: str, generation: int, *, now_ms: int | None = None
    ) -> Prepared:
        """Everything constant of the commands for `model` with `token`; to be kept by the caller.

        `now_ms` places calendar windows: our clock's, or what a PERIOD answer named. Raises
        ValueError for a window that no limit may have.
        """
        return prepare(
            self._scripts,
            token,
            model,
            generation=generation,
            run_id=self.run_id,
            now_ms=int(time.time() * 1000) if now_ms is None else now_ms,
            lease_s=self._lease_s,
            sweep_s=self._sweep_s,
        )

    def stale(self, prepared: Prepared) -> bool:
        """Whether the store was started anew since; `reserve` then answers EPOCH unasked."""
        return prepared.run_id != self._pipeline.run_id

    def reserve(
        self,
        prepared: Prepared,
        request_id: bytes,
        amount: int,
        tokens: int,
        detail: bytes,
        done: Done,
        *,
        dry: bool = False,
    ) -> None:
        """Take `amount` (nano-dollars), `tokens` and one request from every scope, or nothing.

        `done` gets the raw reply, for `read_reply`. `request_id` is 32 hexadecimal characters;
        repeating it takes nothing twice. `detail` comes back from `overdue` and `live`. Raises
        ValueError for amounts outside 0..2^52.
        """
        if prepared.run_id != self._pipeline.run_id:
            # Its record in the store may be of a state that was rolled back.
            asyncio.get_running_loop().call_soon(done, EPOCH_REPLY)
            return
        command = prepared.reserve(request_id, amount, tokens, detail, dry=dry)
        self._pipeline.send(prepared.shard, command, done)

    def settle(
        self,
        prepared: Prepared,
        request_id: bytes,
        amount: int,
        tokens: int,
        event: bytes,
        *,
        keep_request: bool = True,
    ) -> None:
        """Turn the reservation into a charge of `amount` for `tokens`; never awaited.

        A settle that is lost is repaired by `confirm` of the same id. `keep_request=False` gives
        the request back to its windows: no upstream was reached.
        """
        command = prepared.settle(request_id, amount, tokens, event, keep_request=keep_request)
        self._pipeline.send(prepared.shard, command, None)

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
        reply = await self._pipeline.call(shard, "EVALSHA", script, len(keys), *keys, self.run_id)
        now_ms, missing, live, settled = _list(reply)
        return Survey(
            now_ms,
            tuple(windows[number] for number in missing),
            [unpack_reservation(i.decode(), record) for i, record in _pairs(live)],
            [unpack_settlement(i.decode(), record) for i, record in _pairs(settled)],
        )

    async def load(
        self, account_id: int, books: Sequence[Book], windows: WindowSums | None = None
    ) -> bool:
        """Create or merge books from rows of Postgres; False when the shard is not open.

        Also to be called after each edit, with the new version. Of `windows`, those that have no
        head of this run of the store are made anew. Raises `StoreUnavailable`.
        """
        shard, account = account_id % SHARDS, str(account_id)
        keys = [
            key(shard, "e"),
            key(shard, "r", account),
            key(shard, "p", account),
            *(key(shard, "b", book.scope_id) for book in books),
        ]
        args = [pack_rows(books)]
        if windows is not None:
            heads, rings, packed = window_keys(shard, *windows[:2], len(keys))
            keys += [*heads, *rings]
            args += [packed, *map(pack_sums, windows.sums)]
        script = self._scripts["load"].sha
        reply = await self._pipeline.call(shard, "EVALSHA", script, len(keys), *keys, *args)
        return reply != b"EPOCH"

    async def announce(self, account_id: int, reservations: Iterable[Reservation]) -> Announced:
        """Renew the leases of an account's reservations; make anew those that the store lost.

        Raises `StoreUnavailable`.
        """
        shard, account = account_id % SHARDS, str(account_id)
        script = self._scripts["announce"].sha
        sums = [0, 0, 0]
        for part in _parts(list({r.request_id: r for r in reservations}.values()), MAX_IDS):
            scope_ids = dict.fromkeys(s for r in part for s in r.scope_ids)
            keys = [
                key(shard, "r", account),
                key(shard, "p", account),
                key(shard, "x"),
                *(key(shard, "b", scope_id) for scope_id in scope_ids),
            ]
            pairs = [x for r in part for x in (r.request_id, pack_reservation(r))]
            lease_ms = round(self._lease_s * 1000)
            reply = await self._pipeline.call(
                shard, "EVALSHA", script, len(keys), *keys, account, lease_ms, *pairs
            )
            sums = [a + b for a, b in zip(sums, _list(reply), strict=True)]
        return Announced(*sums)

    async def overdue(self, shard: int, limit: int = 100) -> list[Overdue]:
        """A shard's reservations whose lease has ended and charges unconfirmed for too long.

        Oldest first.

        Raises `StoreUnavailable`.
        """
        script = self._scripts["overdue"].sha
        flat = _list(await self._pipeline.call(shard, "EVALSHA", script, 1, key(shard, "x"), limit))
        found = []
        for account, request_id, kind, record in zip(*[iter(flat)] * 4, strict=True):
            entry = (unpack_reservation if kind == b"r" else unpack_settlement)(
                request_id.decode(), record
            )
            found.append(Overdue(int(account), entry))
        return found

    async def book(self, account_id: int, scope_id: str) -> StoredBook | None:
        """What the store says of a scope; None where it knows none. Raises `StoreUnavailable`."""
        shard = account_id % SHARDS
        data = await self._pipeline.call(shard, "GET", key(shard, "b", scope_id))
        return unpack_book(scope_id, data) if isinstance(data, bytes) else None

    async def live(self, account_id: int) -> list[Reservation]:
        """The live reservations of an account. Raises `StoreUnavailable`."""
        shard = account_id % SHARDS
        flat = _list(await self._pipeline.call(shard, "HGETALL", key(shard, "r", str(account_id))))
        return [unpack_reservation(request_id.decode(), data) for request_id, data in _pairs(flat)]


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _list(reply: object) -> list[Any]:
    if not isinstance(reply, list):
        raise StoreUnavailable(f"unexpected reply {reply!r}")
    return reply
