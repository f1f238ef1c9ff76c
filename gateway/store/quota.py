"""The quota store: balances, windows, concurrency, reservations, charges not yet in Postgres.

One Lua script per operation (`lua/`), one shard per account. What its answers mean for a call is
for the caller to decide: nothing here retries, waits or asks Postgres.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
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
    pack_settlement,
    unpack_book,
    unpack_reservation,
    unpack_settlement,
)
from gateway.store.breaker import Breaker
from gateway.store.connection import Done, accept, encode
from gateway.store.looks import Looked, read_looked
from gateway.store.openings import Openings
from gateway.store.pipeline import Pipeline
from gateway.store.prepared import Prepared, key, prepare, window_keys
from gateway.store.replies import EPOCH_REPLY
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


class QuotaStore(Openings):
    """The operations on the quota store, over a started `Pipeline`.

    `lease_s`: how long a reservation lives without being announced. `sweep_s`: how long a charge
    may be settled and unconfirmed before the sweeper looks at it. `pause_s`: how long capped calls
    wait after the store was lost. `outbox_s`: how long the outbox keeps settled events; 0 = there is
    none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        lease_s: float = 60.0,
        sweep_s: float = 10.0,
        pause_s: float = 3.0,
        outbox_s: float = 0,
    ) -> None:
        super().__init__(pipeline, pause_s)
        self._scripts = pipeline.scripts
        self._lease_s = lease_s
        self._sweep_s = sweep_s
        self._outbox_s = outbox_s
        self.double_faults = 0
        """How often this worker told the store too late what a loss had taken from it."""
        self.double_fault_nusd = 0
        """What was at stake then, in all: the cap may have been overrun by that much."""

    @property
    def pipeline(self) -> Pipeline:
        """The way to the store, for what only looks at it."""
        return self._pipeline

    @property
    def connected(self) -> bool:
        """Whether the store can be asked now."""
        return self._pipeline.connected

    @property
    def breaker(self) -> Breaker:
        """The state of the way to the store."""
        return self._pipeline.breaker

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
            run_id=self._pipeline.run_ids[token.shard],
            now_ms=int(time.time() * 1000) if now_ms is None else now_ms,
            lease_s=self._lease_s,
            sweep_s=self._sweep_s,
            outbox_s=self._outbox_s,
        )

    def stale(self, prepared: Prepared) -> bool:
        """Whether the store was started anew since; `reserve` then answers EPOCH unasked."""
        return prepared.run_id != self._pipeline.run_ids[prepared.shard]

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
        if prepared.run_id != self._pipeline.run_ids[prepared.shard]:
            # Its record in the store may be of a state that was rolled back.
            asyncio.get_running_loop().call_soon(done, EPOCH_REPLY)
            return
        command = prepared.reserve(request_id, amount, tokens, detail, dry=dry)
        self._pipeline.send(prepared.shard, command, done)

    async def look(self, prepared: Prepared, amount: int, tokens: int) -> Looked:
        """What RESERVE would answer, and what it would find. Takes nothing.

        Raises ValueError for amounts outside 0..2^52.
        """
        if prepared.run_id != self._pipeline.run_ids[prepared.shard]:
            return read_looked(EPOCH_REPLY, prepared, amount, tokens)
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def done(reply: object) -> None:
            if not future.done():
                future.set_result(reply)

        self._pipeline.send(prepared.shard, prepared.look(amount, tokens), done)
        return read_looked(await future, prepared, amount, tokens)

    def extend(
        self,
        prepared: Prepared,
        request_id: bytes,
        amount: int,
        tokens: int,
        done: Done,
        *,
        fill: bool = False,
    ) -> None:
        """Let a live reservation hold `amount` (nano-dollars) and `tokens` in all, or nothing more.

        `done` gets the raw reply, for `read_extended`. With `fill`, as much of the amount is taken as
        grants have left. Repeating it adds nothing; it renews the lease, too.
        """
        if prepared.run_id != self._pipeline.run_ids[prepared.shard]:
            asyncio.get_running_loop().call_soon(done, EPOCH_REPLY)
            return
        command = prepared.extend(request_id, amount, tokens, fill=fill)
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

    def void(self, prepared: Prepared, request_id: bytes, event: bytes, done: Done) -> None:
        """Give a reservation back whole, if the store has it; what is on its way to it takes nothing.

        `done` gets `b"NONE"` where it had none, `b"OK"` where it had one or `b"ALREADY"` where that is
        a charge by now, so that `event` belongs into the ledger; or what went wrong.
        """
        self._pipeline.send(prepared.shard, prepared.void(request_id, event), done)

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

        It goes with whatever is sent next, which finds them. `opening` is as for `load`; `done` gets
        b"EPOCH" where it is over, so that nothing was done.
        """
        keys = _load_keys(account_id, books)
        script = self._scripts["load"].sha
        command = encode("EVALSHA", script, len(keys), *keys, opening, pack_rows(books), b"")
        self._pipeline.leave(account_id % SHARDS, command, done)

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
