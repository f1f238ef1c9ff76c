"""Whether a history is right: the upstream's truth, what callers saw and the ledger's rows of one token, joined. Pure.

A row is joined to its call by the address that the call claimed, or by the request id that its caller was told. A call
whose replica was killed has neither: of those, each row must fit into the time of another call, and each arrival must
have a row.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.plan import MODELS, TokenPlan
from tests.chaos.records import Answer, Arrival, Row
from tests.chaos.strikes import Strikes
from tests.chaos.windows import most_at_once, most_within

_CLOCK_US = 2_000  # a row's time is known to the millisecond
_MINUTE_US = 60_000_000
_BEYOND = "beyond_maximum"  # a gateway may cut such an answer off, or take it whole and charge what was held
_SENT_AGAIN = frozenset({"declined", "unanswered"})


class Violation(NamedTuple):
    """What is wrong. `kind`: lost, doubled, wrong, overspend, limit or unconserved."""

    kind: str
    text: str
    token: int = -1
    number: int = 0
    request_id: str = ""


@dataclass
class Findings:
    """What came of a token's history. Amounts are nano-dollars.

    `bound` is what the declared double faults may have lost, `bound_used` what they did. `spent_before`: by the
    instants asked for, what was charged for calls that had arrived by then.
    """

    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    true_cost: int = 0
    charged: int = 0
    estimated: int = 0
    unbilled: int = 0
    unmetered: int = 0
    bound: int = 0
    bound_used: int = 0
    spent_before: Counter[int] = field(default_factory=Counter)


def check_token(
    token: TokenPlan,
    arrivals: Sequence[Arrival],
    answers: Sequence[Answer],
    rows: Iterable[Row],
    strikes: Strikes,
    instants_us: Sequence[int] = (),
    *,
    capped: bool = True,
) -> Findings:
    """Check a token's whole history."""
    return _TokenCheck(token, arrivals, answers, strikes, capped=capped).run(rows, instants_us)


class _TokenCheck:
    def __init__(
        self,
        token: TokenPlan,
        arrivals: Sequence[Arrival],
        answers: Sequence[Answer],
        strikes: Strikes,
        *,
        capped: bool,
    ) -> None:
        self._token = token
        self._capped = capped
        self._strikes = strikes
        self._answers = {answer.number: answer for answer in answers}
        self._arrivals: dict[int, list[Arrival]] = {}
        for arrival in arrivals:
            self._arrivals.setdefault(arrival.number, []).append(arrival)
        self._rows: dict[int, Row] = {}
        self._guessed: set[int] = set()
        self._found = Findings()

    def run(self, rows: Iterable[Row], instants_us: Sequence[int]) -> Findings:
        self._join_unknown(self._join_known(rows))
        for number, answer in self._answers.items():
            self._check_call(answer, self._arrivals.get(number, ()), self._rows.get(number))
        for number in self._arrivals.keys() - self._answers.keys():
            self._wrong("wrong", number, "a call that nobody made has reached the upstream")
        self._check_limits()
        self._count_spent(instants_us)
        return self._found

    def _wrong(self, kind: str, number: int, text: str, request_id: str = "") -> None:
        answer = self._answers.get(number)
        request_id = request_id or (answer.request_id if answer else "")
        self._found.violations.append(Violation(kind, text, self._token.number, number, request_id))

    def _over_us(self, answer: Answer) -> int:
        """When a call was over: its caller may have left, and the replica have read on for the exact figure."""
        arrivals = self._arrivals.get(answer.number, ())
        return max([answer.ended_us, *(arrival.ended_us for arrival in arrivals)])

    def _excused(self, answer: Answer) -> bool:
        return self._strikes.excuses(answer, self._over_us(answer))

    def _lost_with_store(self, answer: Answer) -> bool:
        return self._strikes.lost_with_store(answer, self._over_us(answer))

    # Joining

    def _join_known(self, rows: Iterable[Row]) -> list[Row]:
        """Join what tells its call; the rest."""
        told = {a.request_id: a.number for a in self._answers.values() if a.request_id}
        unknown = []
        for row in rows:
            self._found.charged += row.amount
            self._found.unbilled += row.unbilled
            self._found.estimated += row.amount if row.estimated else 0
            number = row.number if row.number is not None else told.get(row.request_id)
            if number is None:
                unknown.append(row)
            elif number not in self._answers:
                self._wrong("wrong", number, "a row of a call that nobody made", row.request_id)
            elif number in self._rows:
                self._wrong("doubled", number, "a second row of one call", row.request_id)
            else:
                self._rows[number] = row
                if told.get(row.request_id, number) != number:
                    self._wrong("wrong", number, "the row has another call's id", row.request_id)
        return unknown

    def _join_unknown(self, rows: list[Row]) -> None:
        """Join by time: those calls first that have reached the upstream, and so must have a row."""
        ranks: dict[tuple[bool, bool], list[Answer]] = {}
        for number, answer in self._answers.items():
            if number not in self._rows and not answer.request_id:
                rank = (number in self._arrivals, self._excused(answer))
                ranks.setdefault(rank, []).append(answer)
        for rank in sorted(ranks, reverse=True):
            rows = self._match(rows, ranks[rank])
        for row in rows:
            self._wrong("wrong", 0, f"a row of no call, {row.amount} charged", row.request_id)

    def _match(self, rows: list[Row], calls: list[Answer]) -> list[Row]:
        """As many rows as fit, each into the call that ends first; the rest. Optimal for points in intervals."""
        spans = sorted((a.sent_us - _CLOCK_US, self._reserved_by(a), a.number) for a in calls)
        heap: list[tuple[int, int]] = []
        left, position = [], 0
        for row in sorted(rows, key=lambda row: row.started_us):
            while position < len(spans) and spans[position][0] <= row.started_us:
                heapq.heappush(heap, spans[position][1:])
                position += 1
            while heap and heap[0][0] < row.started_us:
                heapq.heappop(heap)
            if heap:
                number = heapq.heappop(heap)[1]
                self._rows[number] = row
                self._guessed.add(number)
            else:
                left.append(row)
        return left

    def _reserved_by(self, answer: Answer) -> int:
        """When a call had its id at the latest; one whose caller has left may be read late."""
        arrivals = self._arrivals.get(answer.number)
        if arrivals:
            return arrivals[0].arrived_us + _CLOCK_US
        return self._strikes.read_by(answer)

    # One call

    def _check_call(self, answer: Answer, arrivals: Sequence[Arrival], row: Row | None) -> None:
        self._found.counts[answer.outcome] += 1
        if answer.code:
            self._found.counts[f"refused: {answer.code}"] += 1
        cost = sum(_cost(arrival) for arrival in arrivals)
        self._found.true_cost += cost
        bound = MODELS[answer.model].bound_nusd(answer.body_bytes, answer.max_output_tokens)
        if self._lost_with_store(answer):
            self._found.bound += bound
        self._check_answer(answer, arrivals)
        if row is not None:
            self._check_row(answer, arrivals[-1] if arrivals else None, row, bound)
            if row.estimated:
                self._found.unmetered += max(0, cost - row.amount - row.unbilled)
        elif arrivals or answer.outcome == "whole":
            if self._lost_with_store(answer):
                self._found.bound_used += cost
                self._found.counts["lost in a declared double fault"] += 1
            else:
                how = arrivals[-1].how if arrivals else "never arrived"
                self._wrong(
                    "lost", answer.number, f"no row: upstream {how}, caller {answer.outcome}"
                )

    def _check_answer(self, answer: Answer, arrivals: Sequence[Arrival]) -> None:
        number = answer.number
        if answer.outcome == "foreign":
            self._wrong("wrong", number, "the caller got another call's answer")
        if any(arrival.how not in _SENT_AGAIN for arrival in arrivals[:-1]):
            ways = ", ".join(arrival.how for arrival in arrivals)
            self._wrong("doubled", number, f"sent to the upstream again after it was taken: {ways}")
        cut_short = arrivals and arrivals[-1].behaviour == _BEYOND  # where it had asked for the cut
        if answer.outcome == "whole" and not (
            cut_short or (arrivals and arrivals[-1].how == "whole")
        ):
            self._wrong(
                "wrong", number, "the caller got a whole answer that the upstream never gave"
            )

    def _check_row(self, answer: Answer, arrival: Arrival | None, row: Row, bound: int) -> None:
        problem = self._problem(answer, arrival, row, bound)
        if problem:
            self._wrong(
                "wrong", answer.number, f"{problem}; {_told(answer, arrival, row)}", row.request_id
            )

    def _problem(self, answer: Answer, arrival: Arrival | None, row: Row, bound: int) -> str:
        """What is wrong with a row; empty where nothing is."""
        excused = self._excused(answer)
        if self._capped and row.amount > bound and answer.number not in self._guessed:
            return f"charged above the most that could be held, {bound}"
        if row.anomaly == "lost_worker" and not excused:
            return "counted as a lost worker's, and its replica lived"
        if arrival is None or arrival.how in _SENT_AGAIN:
            # Of a call that its caller left, nobody waits to hear that it is declined.
            unheard = excused or (row.estimated and answer.outcome == "left")
            return "charged for nothing" if row.amount and not unheard else ""
        beyond = arrival.behaviour == _BEYOND
        if row.estimated or (beyond and row.anomaly not in {"", "over_hold"}):
            known = arrival.usage and answer.outcome == "whole" and not (beyond or excused)
            return "estimated, though the caller has the whole answer" if known else ""
        return _problem_of_exact(arrival, row)

    # The whole token

    def _check_limits(self) -> None:
        """No minute holds more than the limit: what was sent and had arrived within it was reserved in it."""
        token = self._token
        firsts = [(self._answers.get(n), a[0], a[-1]) for n, a in self._arrivals.items()]
        spans = [
            (answer, first, last)
            for answer, first, last in firsts
            if answer is not None and not self._lost_with_store(answer)
        ]
        if token.requests_per_minute:
            weighed = [(a.sent_us, first.arrived_us, 1) for a, first, _ in spans]
            self._check_minute(weighed, token.requests_per_minute, "requests")
        if token.tokens_per_minute:
            weighed = [
                (a.sent_us, first.arrived_us, self._tokens(a.number)) for a, first, _ in spans
            ]
            self._check_minute(weighed, token.tokens_per_minute, "tokens")
        if token.max_concurrency:
            most, number = most_at_once(
                (last.arrived_us, last.ended_us, a.number)
                for a, _, last in spans
                if last.how == "whole" and not self._excused(a)
            )
            if most > token.max_concurrency:
                self._wrong(
                    "limit", number, f"{most} calls at once, {token.max_concurrency} allowed"
                )

    def _check_minute(self, weighed: list[tuple[int, int, int]], limit: int, metric: str) -> None:
        most, at_us = most_within(weighed, _MINUTE_US)
        if most > limit:
            text = f"{most} {metric} in the minute to {at_us}, {limit} allowed"
            self._wrong("limit", 0, f"{text}{self._strikes.before(at_us, _MINUTE_US)}")

    def _tokens(self, number: int) -> int:
        row = self._rows.get(number)
        if row is None or row.estimated or row.unbilled or row.anomaly:
            return 0
        return row.input_tokens + row.output_tokens

    def _count_spent(self, instants_us: Sequence[int]) -> None:
        for number, row in self._rows.items():
            arrivals = self._arrivals.get(number)
            if arrivals and row.amount:
                for instant_us in instants_us:
                    if arrivals[0].arrived_us <= instant_us:
                        self._found.spent_before[instant_us] += row.amount


def _problem_of_exact(arrival: Arrival, row: Row) -> str:
    """What is wrong with a row that is no estimate."""
    exact = MODELS[arrival.model].cost_nusd(arrival.input_tokens, arrival.output_tokens)
    if arrival.usage:
        told = row.amount + row.unbilled
        return "" if told == exact else f"not the truth, which is {exact}"
    if arrival.how == "whole":
        return "exact without a usage"
    return "exact for a call that was cut" if row.amount and not row.anomaly else ""


def _cost(arrival: Arrival) -> int:
    """What the upstream would bill."""
    if arrival.how in _SENT_AGAIN:
        return 0
    return MODELS[arrival.model].cost_nusd(arrival.input_tokens, arrival.produced)


def _told(answer: Answer, arrival: Arrival | None, row: Row) -> str:
    upstream = f"{arrival.behaviour} {arrival.how}" if arrival else "nothing"
    return (
        f"row {row.status} {row.anomaly or 'plain'} {row.amount}+{row.unbilled}, upstream {upstream}, "
        f"caller {answer.outcome} {answer.status} {answer.code} at replica {answer.replica}"
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope after the run: Postgres' row, the sum of its ledger rows, its grant entries (time, delta), Valkey's book.

    `book` is granted, used, pending, reserved, live; None where Valkey has none.
    """

    name: str
    granted: int | None
    used: int
    ledger: int
    entries: tuple[tuple[int, int], ...]
    book: tuple[int | None, int, int, int, int] | None


def check_scope(scope: Scope, spent_before: Mapping[int, int]) -> list[Violation]:
    """The cap and the sums of one scope.

    `spent_before`: what calls cost that had arrived by the instants of its entries.
    """
    found = []

    def wrong(kind: str, text: str) -> None:
        found.append(Violation(kind, f"scope {scope.name}: {text}"))

    if scope.used != scope.ledger:
        wrong("unconserved", f"used {scope.used}, the ledger's rows sum up to {scope.ledger}")
    granted = sum(delta for _, delta in scope.entries)
    if scope.granted is not None and granted != scope.granted:
        wrong("unconserved", f"granted {scope.granted}, the entries sum up to {granted}")
    if scope.book is not None and scope.book != (scope.granted, scope.used, 0, 0, 0):
        wrong(
            "unconserved",
            f"granted {scope.granted} and used {scope.used}, Valkey says {scope.book}",
        )
    if scope.granted is not None:
        cap = most = 0
        for at_us, delta in scope.entries:
            over = spent_before.get(at_us, 0) - most
            if over > 0:
                wrong("overspend", f"{over} beyond {most}, before the grant at {at_us}")
            cap += delta
            most = max(most, cap)
        if scope.used > most:
            wrong("overspend", f"{scope.used - most} beyond {most}")
    return found
