"""What must hold of both stores after every step, and at the end, held against what really happened."""

import asyncio
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.domain.conservation import Difference, Kind
from gateway.relay.call import Call
from gateway.store.books import StoredBook, unpack_book, unpack_reservation, unpack_settlement
from gateway.store.charges import Charge
from gateway.store.prepared import key
from gateway.store.windows import window_id
from tests.accounting_bound import Bound
from tests.accounting_rig import (
    GRANTS,
    OF_SUBSCRIPTIONS,
    OF_TOKENS,
    SHARDS,
    SUBSCRIPTIONS,
    Stores,
    Worker,
)

SCOPES: dict[int, tuple[str, ...]] = {
    1: ("t1", "m1.1", "g1.1", "a1"),
    2: ("t2", "m1.1", "g1.1", "a1"),
    3: ("t3", "m2.2", "g2.1", "a2"),
}
"""Of each token."""
OF_ACCOUNT = {1: ("t1", "t2", "m1.1", "g1.1", "a1"), 2: ("t3", "m2.2", "g2.1", "a2")}
_GRANTED = {**GRANTS, **{f"g{account}.1": grant for account, grant in SUBSCRIPTIONS.items()}}


class Broken(AssertionError):
    """A law does not hold. `law` is its name."""

    def __init__(self, law: str, **figures: Any) -> None:
        super().__init__(f"{law}: {figures}")
        self.law = law


def require(holds: bool, law: str, **figures: Any) -> None:
    if not holds:
        raise Broken(law, **figures)


@dataclass(eq=False)
class Truth:
    """What really became of one call. `cost` is what the upstream produced for it, in nano-dollars."""

    request_id: str
    token: int
    call: Call
    worker: Worker
    state: str = "live"
    """live · ended · unheard (nobody knows whether it was reserved) · lost (with its worker)"""
    cost: int = 0
    charge: Charge | None = None
    most: int = 0
    """The most that the store may hold for it."""
    reached_store: bool = True

    @property
    def spent(self) -> int:
        """What its caller has got, or still may."""
        is_going_on = self.state == "live" and not self.call.fenced
        return self.call.hold.amount_nusd if is_going_on else self.cost


class Row(NamedTuple):
    """Postgres' row of a scope."""

    granted: int | None
    gver: int
    used: int
    version: int


class Line(NamedTuple):
    """A row of the ledger."""

    kind: str
    amount: int
    estimated: bool
    anomaly: str | None
    token: int


class Held(NamedTuple):
    """What a window says that it counts, and what its buckets sum to."""

    total: int
    buckets: int


@dataclass
class State:
    """Both stores at one instant."""

    opening: bytes = b""
    pause_until_ms: float = 0
    books: dict[str, StoredBook] = field(default_factory=dict)
    held: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    pending: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    windows: dict[str, Held] = field(default_factory=dict)
    watched: set[str] = field(default_factory=set)
    rows: dict[str, Row] = field(default_factory=dict)
    ledger: dict[str, list[Line]] = field(default_factory=dict)


_PAUSE_UNTIL = struct.Struct("<d")
_HEAD = struct.Struct("<4d")
_ROWS = """
SELECT 't' || id, granted, gver, used, version FROM token
UNION ALL SELECT 'm' || account_id || '.' || user_id, granted, gver, used, version FROM member
UNION ALL SELECT 'g' || account_id || '.' || group_id, granted, gver, used, version FROM subscription
UNION ALL SELECT 'a' || id, granted, gver, used, version FROM account
"""
_LEDGER = "SELECT request_id, kind, amount, estimated, anomaly, token_id FROM ledger"


async def read(stores: Stores, before: State | None, *, postgres: bool) -> State:
    """Both stores as they are; Postgres' part is taken from `before` where nothing can have written there."""
    state = await _read_valkey(stores)
    if before is not None and not postgres:
        state.rows, state.ledger = before.rows, before.ledger
        return state
    async with stores.pool.acquire() as connection:
        rows, lines = await connection.fetch(_ROWS), await connection.fetch(_LEDGER)
    state.rows = {scope: Row(*row) for scope, *row in rows}
    for request_id, kind, *rest in lines:
        state.ledger.setdefault(request_id.hex, []).append(Line(kind.decode(), *rest))
    return state


async def _read_valkey(stores: Stores) -> State:
    await asyncio.gather(*(worker.wire.drained() for worker in stores.workers))
    commands: list[tuple[Any, ...]] = [("MULTI",)]
    for account, scopes in OF_ACCOUNT.items():
        shard = account % SHARDS
        commands += [
            ("GET", key(shard, "e")),
            ("ZRANGE", key(shard, "x"), 0, -1),
            ("HGETALL", key(shard, "r", str(account))),
            ("HGETALL", key(shard, "p", str(account))),
            ("MGET", *(key(shard, "b", scope) for scope in scopes)),
            (
                "MGET",
                *(key(shard, "h", f"{scope}:{window}") for scope, window in _windows(account)),
            ),
            *(("HGETALL", key(shard, "w", scope)) for scope, _ in _windows(account)),
        ]
    *_, replies = await asyncio.gather(
        *(stores.look.call(0, *command) for command in (*commands, ("EXEC",)))
    )
    answers: Any = iter(replies)  # type: ignore[call-overload]
    state = State()
    for account, scopes in OF_ACCOUNT.items():
        epoch, watched, held, pending, books = (next(answers) for _ in range(5))
        state.opening = b"" if epoch is None else epoch[:40] + epoch[56:64]
        state.pause_until_ms = 0 if epoch is None else _PAUSE_UNTIL.unpack_from(epoch, 40)[0]
        state.watched |= {member.decode().partition("|")[2] for member in watched}
        for request_id, data in _pairs(held):
            reservation = unpack_reservation(request_id, data)
            state.held[request_id] = reservation.amount, reservation.scope_ids
        for request_id, data in _pairs(pending):
            settlement = unpack_settlement(request_id, data)
            state.pending[request_id] = settlement.amount, settlement.scope_ids
        for scope, data in zip(scopes, books, strict=True):
            if data is not None:
                state.books[scope] = unpack_book(scope, data)
        for (scope, window), head in zip(_windows(account), next(answers), strict=True):
            closed = dict(_pairs(next(answers)))
            if head is not None:
                state.windows[f"{scope}:{window}"] = _held(head, window, closed)
    return state


def _windows(account: int) -> list[tuple[str, str]]:
    """The windows of an account's tokens and its subscription."""
    limits = {"t": OF_TOKENS, "g": OF_SUBSCRIPTIONS}
    return [
        (scope, window_id(limit))
        for scope in OF_ACCOUNT[account]
        for limit in limits.get(scope[0], ())
    ]


def _held(head: bytes, window: str, closed: dict[str, bytes]) -> Held:
    total, oldest, current, in_current = _HEAD.unpack_from(head)
    return Held(
        int(total),
        int(in_current)
        + sum(
            int(units)
            for name, units in closed.items()
            if name.startswith(f"{window}|") and oldest <= int(name.rpartition("|")[2]) < current
        ),
    )


def _pairs(flat: list[bytes]) -> Iterable[tuple[str, bytes]]:
    return ((name.decode(), data) for name, data in zip(*[iter(flat)] * 2, strict=True))


class Laws:
    """The laws, and what they remember from one step to the next."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self.truths: dict[str, Truth] = {}
        self.state = State()
        self.ceilings = {scope: grant for scope, grant in _GRANTED.items() if grant is not None}
        """The most that was ever granted, refunds aside: those stand against an estimate in `used`."""
        self._grants = dict(self.ceilings)
        self.bound = Bound(lambda call: SCOPES[self.truths[call.request_id].token])

    def regrant(self, scope: str, delta: int) -> None:
        """A grant was edited."""
        self._grants[scope] += delta
        self.ceilings[scope] = max(self.ceilings[scope], self._grants[scope])

    async def check(self, *, postgres: bool) -> None:
        """Look at the stores and require every law. Raises `Broken`."""
        before, self.state = (
            self.state,
            await read(self._stores, self.state if self.state.rows else None, postgres=postgres),
        )
        self._sums()
        self._index()
        self._windows()
        self._order(before)
        if postgres:
            self._ledger(before)
        self._counted()
        self._spend()

    def _sums(self) -> None:
        """reserved, live and pending are the sums of the records."""
        sums: dict[str, list[int]] = {}
        for amount, scopes in self.state.held.values():
            for scope in scopes:
                entry = sums.setdefault(scope, [0, 0, 0])
                entry[0], entry[1] = entry[0] + amount, entry[1] + 1
        for amount, scopes in self.state.pending.values():
            for scope in scopes:
                sums.setdefault(scope, [0, 0, 0])[2] += amount
        for scope, book in self.state.books.items():
            found = [book.reserved, book.live, book.pending]
            due = sums.get(scope, [0, 0, 0])
            require(found == due, "sums", scope=scope, book=found, records=due)

    def _index(self) -> None:
        """x knows every record, and beside them only what was voided before it came."""
        records = {*self.state.held, *self.state.pending}
        require(records <= self.state.watched, "index", missing=records - self.state.watched)
        strays = self.state.watched - records
        known = {i for i in strays if i in self.truths and self.truths[i].state in _VOIDABLE}
        require(strays == known, "index", strays=strays - known)

    def _windows(self) -> None:
        """A window counts what its buckets do."""
        for name, held in self.state.windows.items():
            require(held.total == held.buckets, "window", name=name, held=held)

    def _order(self, before: State) -> None:
        """Valkey never knows more than Postgres, and what was used never falls."""
        for scope, book in self.state.books.items():
            row = self.state.rows[scope]
            require(book.used <= row.used, "ahead", scope=scope, valkey=book.used, postgres=row)
            require(
                book.gver < row.gver or (book.gver, book.granted) == (row.gver, row.granted),
                "ahead",
                scope=scope,
                valkey=book,
                postgres=row,
            )
            old = before.books.get(scope)
            if old is not None and before.opening == self.state.opening:
                require(book.used >= old.used, "falls", scope=scope, was=old.used, now=book.used)

    def _ledger(self, before: State) -> None:
        """Postgres' used is the sum of its ledger and never falls; each call is there once, and no other."""
        sums: dict[str, int] = {}
        for request_id, lines in self.state.ledger.items():
            truth = self.truths.get(request_id)
            require(truth is not None, "stranger", id=request_id)
            assert truth is not None
            require(truth.reached_store, "stranger", id=request_id, lines=lines)
            kinds = sorted(line.kind for line in lines)
            require(kinds in (["c"], ["c", "x"]), "once", id=request_id, lines=lines)
            for line in lines:
                require(line.token == truth.token, "stranger", id=request_id, lines=lines)
                for scope in SCOPES[line.token]:
                    sums[scope] = sums.get(scope, 0) + line.amount
        for scope, row in self.state.rows.items():
            require(
                row.used == sums.get(scope, 0),
                "ledger",
                scope=scope,
                used=row.used,
                rows=sums.get(scope, 0),
            )
            old = before.rows.get(scope)
            require(old is None or row.used >= old.used, "falls", scope=scope, was=old, now=row)

    def _counted(self) -> None:
        """Wherever calls may be reserved, everything that was charged or is held is counted."""
        state = self.state
        if not state.opening or self._stores.clock.now_ms < state.pause_until_ms:
            return
        due: dict[str, int] = {}
        for truth in self.truths.values():
            lines = state.ledger.get(truth.request_id)
            if lines is not None:
                amount = sum(line.amount for line in lines)
            elif truth.state == "ended":
                amount = truth.cost
            else:
                amount = truth.spent
            if truth.request_id in self.bound.untold:
                amount = 0
            for scope in SCOPES[truth.token]:
                due[scope] = due.get(scope, 0) + amount
        run_id = self._stores.run_id.decode()
        for scope, book in state.books.items():
            if book.run_id == run_id and state.opening.startswith(self._stores.run_id):
                counted = book.used + book.pending + book.reserved
                require(
                    counted >= due.get(scope, 0),
                    "uncounted",
                    scope=scope,
                    book=book,
                    due=due.get(scope, 0),
                )

    def _spend(self) -> None:
        """What was produced, and what may still be, is never more than was granted and what double faults may cost."""
        spent: dict[str, int] = {}
        for truth in self.truths.values():
            for scope in SCOPES[truth.token]:
                spent[scope] = spent.get(scope, 0) + truth.spent
        for scope, ceiling in self.ceilings.items():
            bound = self.bound.overrun.get(scope, 0)
            require(
                spent.get(scope, 0) <= ceiling + bound,
                "overspend",
                scope=scope,
                spent=spent.get(scope, 0),
                ceiling=ceiling,
                bound=bound,
            )

    async def check_end(self, refunds: dict[str, int]) -> None:
        """Everything has ended, was posted and swept. Raises `Broken`."""
        state = self.state
        require(not (state.held or state.pending), "left", held=state.held, pending=state.pending)
        require(not state.watched, "left", watched=state.watched)
        for scope, book in state.books.items():
            row = state.rows[scope]
            require(book.used == row.used, "behind", scope=scope, valkey=book, postgres=row)
        for truth in self.truths.values():
            lines = state.ledger.get(truth.request_id, [])
            self._check_call(truth, lines, refunds.get(truth.request_id, 0))
        report = await self._stores.auditor.audit(patience_s=0)
        found = [each for each in report.differences if not self._is_declared(each)]
        require(not found, "audit", found=found)

    def _is_declared(self, difference: Difference) -> bool:
        """Whether the audit has found no more than what double faults may cost."""
        bound = self.bound.overrun.get(difference.scope, 0)
        return difference.kind is Kind.OVERSPEND and difference.figures["over_nusd"] <= bound

    def _check_call(self, truth: Truth, lines: list[Line], refund: int) -> None:
        charged = sum(line.amount for line in lines) - refund
        figures = {"truth": truth, "lines": lines, "refund": refund}
        if truth.request_id in self.bound.forfeit:
            require(charged <= truth.most, "inexact", **figures)
        elif truth.state == "ended":
            require(bool(lines), "missing", **figures)
            require(charged == truth.cost, "inexact", **figures)
        elif truth.state == "lost":
            is_exact = truth.charge is not None and charged == truth.cost
            first = next((line for line in lines if line.kind == "c"), None)
            require(first is not None or not truth.call.reservation, "missing", **figures)
            if first is not None and not is_exact:
                flagged = (first.estimated, first.anomaly) == (True, "lost_worker")
                is_void = truth.call.reservation is None and first.anomaly == "void"
                require(flagged or is_void, "inexact", **figures)
                require(truth.cost <= charged <= truth.most or is_void, "inexact", **figures)
        else:
            require(charged == 0, "inexact", **figures)


_VOIDABLE = {"unheard", "lost"}
