"""Whether the books add up: what both stores say of every scope, compared, with each difference named.

Pure. How the figures are read so that a running system raises no false alarm is
`gateway/store/conservation.py`'s.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.domain.token import SCOPES


class Kind(StrEnum):
    """What does not add up."""

    LEDGER_SUM = "ledger_sum"
    GRANT_SUM = "grant_sum"
    UNKNOWN_SCOPE = "unknown_scope"
    CHARGED_TWICE = "charged_twice"
    NEGATIVE = "negative"
    HELD_SUM = "held_sum"
    PENDING_SUM = "pending_sum"
    INDEX = "index"
    AHEAD = "ahead"
    BEHIND = "behind"
    CHARGED_AND_HELD = "charged_and_held"
    STUCK = "stuck"
    OVERSPEND = "overspend"
    LOWERED = "lowered"


MEANINGS: Final[Mapping[Kind, str]] = {
    Kind.LEDGER_SUM: "Postgres' used is not the sum of the ledger and of what dropped months came to",
    Kind.GRANT_SUM: "Postgres' grant is not the sum of its entries",
    Kind.UNKNOWN_SCOPE: "charges, grants or a book of a scope that Postgres has no row of",
    Kind.CHARGED_TWICE: "one call stands in the ledger more than once",
    Kind.NEGATIVE: "an amount is below zero",
    Kind.HELD_SUM: "reserved or live in the quota store is not what its reservations say",
    Kind.PENDING_SUM: "pending in the quota store is not what its settled charges say",
    Kind.INDEX: "what is held or pending and what is watched by the sweeper differ",
    Kind.AHEAD: "the quota store knows more than Postgres: Postgres lost a commit, or a book was edited",
    Kind.BEHIND: "the quota store counts less than Postgres had: the cap is weaker than it should be",
    Kind.CHARGED_AND_HELD: "calls are held that are charged already: counted twice until their lease ends",
    Kind.STUCK: "calls that the sweeper should have posted long ago",
    Kind.OVERSPEND: "more is used, pending and held than was ever granted",
    Kind.LOWERED: "more is used, pending and held than is granted now, because the grant was lowered: legal",
}
"""What each kind means, for whoever reads a report."""


class Row(NamedTuple):
    """What Postgres says of a scope; nano-dollars.

    `granted` None = uncapped. `entries` is the sum of its grant's entries, `ceiling` the most that
    they ever summed to (None: it was uncapped at some time), `charged` the ledger's sum. `strict`:
    nothing but a lowered grant may bring it beyond its grant.
    """

    scope: str
    account_id: int
    granted: int | None
    gver: int
    used: int
    version: int
    strict: bool
    entries: int = 0
    ceiling: int | None = None
    charged: int = 0


class Stored(NamedTuple):
    """What the quota store says of a scope; nano-dollars.

    `current`: loaded in this run of the store; no call is reserved in any other before it is loaded.
    """

    scope: str
    granted: int | None
    gver: int
    used: int
    pending: int
    reserved: int
    live: int
    version: int
    current: bool


class Record(NamedTuple):
    """A reservation, or a charge that Postgres may not have yet (`settled`); nano-dollars.

    `due_ms`: when the sweeper may take it; None where nobody watches it.
    """

    account_id: int
    request_id: str
    scopes: tuple[str, ...]
    amount: int
    settled: bool
    due_ms: int | None


class Shard(NamedTuple):
    """One shard of the quota store at an instant of its clock.

    `watched`: when (account, request id) is due. One that is neither held nor settled was voided before its reservation
    came, and waits for it until then.
    """

    now_ms: int
    stored: dict[str, Stored]
    records: list[Record]
    watched: Mapping[tuple[int, str], int]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not add up. `figures` are those that differ, `ids` the calls concerned.

    `count` is how many calls there are, where `ids` are only the first of them.
    """

    kind: Kind
    scope: str
    account_id: int
    figures: Mapping[str, int | None] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    count: int = 0

    @property
    def means(self) -> str:
        """What it means, in words."""
        return MEANINGS[self.kind]


def of_calls(kind: Kind, account_id: int, ids: Iterable[str], **figures: int) -> Difference:
    """A difference of calls of one account."""
    found = tuple(sorted(ids))
    return Difference(kind, f"a{account_id}", account_id, figures, found, len(found))


def compare_shard(shard: Shard, late_ms: int) -> Iterator[Difference]:
    """What the quota store contradicts itself in. `late_ms`: how long after its time a call is stuck."""
    sums: dict[str, tuple[int, int, int]] = {}
    accounts: dict[int, list[Record]] = {}
    for record in shard.records:
        accounts.setdefault(record.account_id, []).append(record)
        for scope in record.scopes:
            pending, reserved, live = sums.get(scope, (0, 0, 0))
            if record.settled:
                sums[scope] = (pending + record.amount, reserved, live)
            else:
                sums[scope] = (pending, reserved + record.amount, live + 1)
    for book in shard.stored.values():
        yield from _compare_book(book, *sums.get(book.scope, (0, 0, 0)))
    for account_id, records in accounts.items():
        yield from _compare_records(account_id, records, shard.now_ms - late_ms)
    known = {(record.account_id, record.request_id) for record in shard.records}
    strays: dict[int, list[str]] = {}
    for account_id, request_id in shard.watched.keys() - known:
        if shard.watched[account_id, request_id] >= shard.now_ms - late_ms:
            continue
        strays.setdefault(account_id, []).append(request_id)
    for account_id, ids in strays.items():
        yield of_calls(Kind.INDEX, account_id, ids, watched=len(ids))


def _compare_book(book: Stored, pending: int, reserved: int, live: int) -> list[Difference]:
    account_id = account_of(book.scope)
    found = []
    if (book.reserved, book.live) != (reserved, live):
        figures = {
            "reserved_nusd": book.reserved,
            "reservations_nusd": reserved,
            "live": book.live,
            "reservations": live,
        }
        found.append(Difference(Kind.HELD_SUM, book.scope, account_id, figures))
    if book.pending != pending:
        figures = {"pending_nusd": book.pending, "settled_nusd": pending}
        found.append(Difference(Kind.PENDING_SUM, book.scope, account_id, figures))
    if min(book.used, book.pending, book.reserved, book.live) < 0:
        figures = {
            "stored_used_nusd": book.used,
            "pending_nusd": book.pending,
            "reserved_nusd": book.reserved,
            "live": book.live,
        }
        found.append(Difference(Kind.NEGATIVE, book.scope, account_id, figures))
    return found


def _compare_records(account_id: int, records: list[Record], late_ms: int) -> list[Difference]:
    settled = {record.request_id for record in records if record.settled}
    held = {record.request_id for record in records if not record.settled}
    suspects = {
        Kind.NEGATIVE: {r.request_id for r in records if r.amount < 0},
        Kind.CHARGED_AND_HELD: settled & held,
        Kind.STUCK: {r.request_id for r in records if r.due_ms is not None and r.due_ms < late_ms},
        Kind.INDEX: {r.request_id for r in records if r.due_ms is None},
    }
    return [of_calls(kind, account_id, ids) for kind, ids in suspects.items() if ids]


def compare_scope(
    row: Row, stored: Stored | None, *, used_before: int = 0, unposted: int = 0
) -> list[Difference]:
    """Compare one scope's row, read last, with its book.

    `used_before` is the row's `used` as it was before the book was read. `unposted` is what the scope's
    reservations and settled charges hold for calls that the ledger does not have.
    """
    found = []
    if row.used != row.charged:
        found.append(
            _of_row(row, Kind.LEDGER_SUM, {"used_nusd": row.used, "ledger_nusd": row.charged})
        )
    if (row.granted or 0) != row.entries:
        found.append(
            _of_row(row, Kind.GRANT_SUM, {"granted_nusd": row.granted, "entries_nusd": row.entries})
        )
    if row.used < 0 or (row.granted or 0) < 0:
        found.append(
            _of_row(row, Kind.NEGATIVE, {"used_nusd": row.used, "granted_nusd": row.granted})
        )
    if stored is not None:
        found += _compare_stores(row, stored, used_before)
    return found + _compare_spend(row, spent(row, stored, unposted))


def _compare_stores(row: Row, stored: Stored, used_before: int) -> list[Difference]:
    found = []
    newer = stored.used > row.used or stored.gver > row.gver or stored.version > row.version
    if newer or (stored.gver == row.gver and stored.granted != row.granted):
        figures = {
            "stored_used_nusd": stored.used,
            "used_nusd": row.used,
            "stored_granted_nusd": stored.granted,
            "granted_nusd": row.granted,
            "stored_gver": stored.gver,
            "gver": row.gver,
            "stored_version": stored.version,
            "version": row.version,
        }
        found.append(_of_row(row, Kind.AHEAD, figures))
    counted = stored.used + stored.pending + stored.reserved
    if stored.current and counted < used_before:
        figures = {"stored_nusd": counted, "used_nusd": used_before}
        found.append(_of_row(row, Kind.BEHIND, figures))
    return found


def _compare_spend(row: Row, spent_nusd: int) -> list[Difference]:
    """Spend beyond the grant: as far as the grant once reached so far, an administrator lowered it."""
    over = 0 if row.granted is None or not row.strict else spent_nusd - row.granted
    if over <= 0:
        return []
    beyond = 0 if row.ceiling is None else min(over, max(0, spent_nusd - row.ceiling))
    figures = {
        "over_nusd": over,
        "by_lowering_nusd": over - beyond,
        "spent_nusd": spent_nusd,
        "granted_nusd": row.granted,
    }
    return [_of_row(row, Kind.OVERSPEND if beyond else Kind.LOWERED, figures)]


def _of_row(row: Row, kind: Kind, figures: Mapping[str, int | None]) -> Difference:
    return Difference(kind, row.scope, row.account_id, figures)


def spent(row: Row, stored: Stored | None, unposted: int) -> int:
    """What a scope has used and what is held for it; nano-dollars.

    A charge can be counted twice while it is on its way, never left out. So the smaller of two ways
    to count is nearer the truth, and neither is below it.
    """
    if stored is None or not stored.current:
        return row.used
    return min(stored.used + stored.pending + stored.reserved, row.used + unposted)


def account_of(scope: str) -> int:
    """The account that stands in a scope's name; 0 where none does (tokens)."""
    return 0 if scope[:1] == "t" else int(scope[1:].partition(".")[0])


@dataclass(slots=True)
class Sums:
    """What all scopes of one kind have together; nano-dollars. `books` are those in the quota store."""

    scopes: int = 0
    uncapped: int = 0
    granted_nusd: int = 0
    used_nusd: int = 0
    ledger_nusd: int = 0
    books: int = 0
    stored_used_nusd: int = 0
    pending_nusd: int = 0
    held_nusd: int = 0
    live: int = 0

    def add(self, row: Row, stored: Stored | None) -> None:
        """Count one scope."""
        self.scopes += 1
        self.uncapped += row.granted is None
        self.granted_nusd += row.granted or 0
        self.used_nusd += row.used
        self.ledger_nusd += row.charged
        if stored is not None:
            self.books += 1
            self.stored_used_nusd += stored.used
            self.pending_nusd += stored.pending
            self.held_nusd += stored.reserved
            self.live += stored.live


@dataclass(slots=True)
class Totals:
    """All there is. `held_nusd`, `live`, `pending_nusd`, `pending` are the records' of the quota store.

    `unbilled_nusd` is what calls cost above what was held for them, `estimated_nusd` what was charged
    without the provider's own figure; neither is part of what has to add up.
    """

    by_scope: dict[str, Sums] = field(default_factory=lambda: {name: Sums() for name in SCOPES})
    charges: int = 0
    charged_nusd: int = 0
    unbilled_nusd: int = 0
    estimated_nusd: int = 0
    held_nusd: int = 0
    live: int = 0
    pending_nusd: int = 0
    pending: int = 0

    @property
    def unmetered_nusd(self) -> int:
        """What the provider's own bill may differ by."""
        return self.unbilled_nusd + self.estimated_nusd


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found: `differences` do not add up, `remarks` are legal and worth a look.

    Both are the first of them where there are many; `counts` has them all.
    """

    totals: Totals
    differences: list[Difference]
    remarks: list[Difference]
    counts: Mapping[Kind, int]
    overspend_nusd: int
    looks: int
    duration_s: float

    @property
    def wrong(self) -> int:
        """How many things do not add up."""
        return sum(count for kind, count in self.counts.items() if kind is not Kind.LOWERED)
