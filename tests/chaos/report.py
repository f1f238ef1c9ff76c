"""The report of a run, in Markdown: what was done, what came of it, and each violation by name. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.chaos.checker import Findings, Violation
from tests.chaos.strikes import Strike

_SHOWN = 8
_NUSD_PER_USD = 1_000_000_000


@dataclass
class Report:
    """A run: `facts` are lines of the head, name and value."""

    facts: Mapping[str, object]
    strikes: list[Strike]
    began_us: int
    findings: Findings = field(default_factory=Findings)
    violations: list[Violation] = field(default_factory=list)
    arrivals: int = 0
    rows: int = 0

    def add(self, findings: Findings, arrivals: int, rows: int) -> None:
        """Take in what came of one token."""
        total = self.findings
        self.violations += findings.violations
        total.counts += findings.counts
        for name in _SUMS:
            setattr(total, name, getattr(total, name) + getattr(findings, name))
        self.arrivals += arrivals
        self.rows += rows

    def text(self) -> str:
        """All of it."""
        parts = (
            ["# Chaos", "", self.verdict(), ""],
            _table(("What", "Value"), self.facts.items()),
            ["", "## Totals", ""],
            _table(("What", "Value"), self._totals()),
            ["", "## Faults", ""],
            _table(("Fault", "Times", "Worst recovery"), self._by_kind()),
            ["", "## Violations", ""],
            self._named(),
            ["", "## Schedule", ""],
            _table(("At", "Fault", "Lasted", "Recovered after", "Where"), self._schedule()),
        )
        return "\n".join(line for part in parts for line in part) + "\n"

    def verdict(self) -> str:
        """The figures that count."""
        kinds = Counter(violation.kind for violation in self.violations)
        figures = ("overspend", "lost", "doubled", "wrong", "limit", "unconserved")
        told = ", ".join(f"{kinds[name]} {name}" for name in figures)
        return f"**{'FAILED' if self.violations else 'Passed'}**: {told}."

    def _totals(self) -> Iterable[tuple[str, object]]:
        found = self.findings
        calls = sum(n for name, n in found.counts.items() if name in _OUTCOMES)
        yield "calls", calls
        for name in _OUTCOMES:
            yield f"… {name}", found.counts[name]
        for name, n in sorted(found.counts.items()):
            if name not in _OUTCOMES:
                yield name, n
        yield "arrivals at the upstream", self.arrivals
        yield "rows of the ledger", self.rows
        yield "true cost", _usd(found.true_cost)
        yield "charged", _usd(found.charged)
        yield "… as estimates", _usd(found.estimated)
        yield "unbilled (more output than was asked for)", _usd(found.unbilled)
        yield "unmetered (estimated below the true cost)", _usd(found.unmetered)
        yield "bound of the declared double faults", _usd(found.bound)
        yield "… of which was lost", _usd(found.bound_used)

    def _by_kind(self) -> Iterable[tuple[str, int, str]]:
        for kind in dict.fromkeys(strike.kind for strike in self.strikes):
            some = [strike.recovered_s for strike in self.strikes if strike.kind == kind]
            yield kind, len(some), f"{max(some):.2f} s"

    def _schedule(self) -> Iterable[tuple[str, ...]]:
        for strike in self.strikes:
            where = f"replica {strike.replica}" if strike.replica >= 0 else ""
            yield (
                f"{(strike.begun_us - self.began_us) / 1e6:.1f} s",
                strike.kind,
                f"{(strike.ended_us - strike.begun_us) / 1e6:.2f} s",
                f"{strike.recovered_s:.2f} s",
                ", ".join(filter(None, (where, strike.note))),
            )

    def _named(self) -> list[str]:
        """How many there are of each sort, and some of each by name."""
        if not self.violations:
            return ["None."]
        sorts: dict[tuple[str, str], list[Violation]] = {}
        for violation in self.violations:
            sort = re.sub(r"\d+", "n", violation.text.partition(";")[0])
            sorts.setdefault((violation.kind, sort), []).append(violation)
        lines = []
        for (kind, sort), some in sorts.items():
            lines.append(f"* {len(some):,} **{kind}**: {sort}")
            lines += [f"  * {_name(violation)}" for violation in some[:_SHOWN]]
        return lines


def _name(violation: Violation) -> str:
    names = (
        f"token {violation.token}" if violation.token >= 0 else "",
        f"call {violation.number}" if violation.number else "",
        f"id {violation.request_id}" if violation.request_id else "",
        violation.text,
    )
    return " ".join(filter(None, names))


_OUTCOMES = ("whole", "refused", "left", "cut", "broken", "silent", "foreign")
_SUMS = ("true_cost", "charged", "estimated", "unbilled", "unmetered", "bound", "bound_used")


def _table(head: tuple[str, ...], rows: Iterable[Iterable[object]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(_cell(value) for value in row)} |" for row in rows),
    ]


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _usd(nusd: int) -> str:
    return f"${nusd // _NUSD_PER_USD:,}.{nusd % _NUSD_PER_USD:09d}"
