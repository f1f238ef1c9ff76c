"""`tollhouse audit`: prove that the books add up, or name what does not. Reads only."""

import argparse
import asyncio
import os
import sys
from collections import Counter

from gateway.audit_report import SHOWN_IDS, document
from gateway.config import load
from gateway.domain.conservation import Difference, Kind, Report, Totals
from gateway.domain.errors import StoreUnavailable
from gateway.store.conservation import open_auditor
from gateway.store.postgres import SchemaError
from gateway.stores_in_use import database_in_use, quota_store_in_use

_NUSD_PER_USD = 1_000_000_000


def audit(given: argparse.Namespace, _: list[str]) -> int:
    """Run it; answers 0 when everything adds up, 1 when something does not, 2 when a store cannot be read."""
    loaded = load(os.environ, given.config)
    dsn, url = database_in_use(loaded), quota_store_in_use(loaded)
    quota = loaded.config.quota

    async def run() -> Report:
        strict = quota.on_store_loss == "deny"
        async with open_auditor(dsn, url, sweep_s=quota.sweep_s, strict=strict) as auditor:
            return await auditor.audit(account_id=given.account, progress=_show_progress)

    try:
        report = asyncio.run(run())
    except (SchemaError, StoreUnavailable) as error:
        print(f"tollhouse: {error}", file=sys.stderr)
        return 2
    finally:
        _show_progress("")
    if given.json:
        sys.stdout.buffer.write(document(report))
    else:
        print(text(report))
    return 1 if report.wrong else 0


def text(report: Report) -> str:
    """The report for people: a table of totals, then each difference."""
    totals = report.totals
    table = [("", "scopes", "granted", "used", "ledger", "pending", "held", "live")]
    table += [
        (
            name,
            f"{sums.scopes:,}",
            usd(sums.granted_nusd),
            usd(sums.used_nusd),
            usd(sums.ledger_nusd),
            usd(sums.pending_nusd),
            usd(sums.held_nusd),
            f"{sums.live:,}",
        )
        for name, sums in totals.by_scope.items()
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in table
    ]
    lines += ["", _charges(totals), _unmetered(totals)]
    for difference in (*report.remarks, *report.differences):
        lines += ["", *_lines(difference)]
    lines += _not_named(report)
    end = "Everything adds up." if not report.wrong else f"{report.wrong:,} differences."
    return "\n".join([*lines, "", end])


def _not_named(report: Report) -> list[str]:
    """How many more there are than are named, by kind."""
    named = Counter(each.kind for each in (*report.differences, *report.remarks))
    more = Counter(report.counts) - named
    if not more:
        return []
    return ["", "And " + ", ".join(f"{count:,} more {kind}" for kind, count in more.items()) + "."]


def _charges(totals: Totals) -> str:
    return (
        f"{totals.charges:,} charges, {usd(totals.charged_nusd)} in the ledger; "
        f"{totals.pending:,} on their way, {usd(totals.pending_nusd)}; "
        f"{totals.live:,} live calls hold {usd(totals.held_nusd)}."
    )


def _unmetered(totals: Totals) -> str:
    return (
        f"Unmetered: {usd(totals.unmetered_nusd)} ({usd(totals.unbilled_nusd)} unbilled, above what was held; "
        f"{usd(totals.estimated_nusd)} charged by estimate)."
    )


def usd(nusd: int) -> str:
    """Dollars, exact, with two decimals at least."""
    whole, rest = divmod(abs(nusd), _NUSD_PER_USD)
    decimals = f"{rest:09d}".rstrip("0")
    return f"{'-' if nusd < 0 else ''}${whole:,}.{decimals:0<2}"


def _lines(difference: Difference) -> list[str]:
    word = "REMARK" if difference.kind is Kind.LOWERED else "DIFFERENCE"
    account = f" of account {difference.account_id}" if difference.account_id else ""
    lines = [f"{word} {difference.kind}: {difference.scope}{account}: {difference.means}."]
    if difference.figures:
        lines.append("  " + " · ".join(_figure(*item) for item in difference.figures.items()))
    if difference.count:
        shown = difference.ids[:SHOWN_IDS]
        more = difference.count - len(shown)
        lines.append(f"  calls: {' '.join(shown)}" + (f" and {more:,} more" if more else ""))
    return lines


def _figure(name: str, value: int | None) -> str:
    if value is None:
        return f"{name.removesuffix('_nusd')} uncapped"
    if name.endswith("_nusd"):
        return f"{name.removesuffix('_nusd')} {usd(value)}"
    return f"{name} {value:,}"


def _show_progress(step: str) -> None:
    """One line on a terminal, written over and over; nothing anywhere else."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{step}", end="", file=sys.stderr, flush=True)
