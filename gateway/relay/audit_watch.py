"""The audit as a watch: one of all workers compares the books again and again, and tells what it found.

Which one is settled by an advisory lock of Postgres, held by the connection that reads: it is free
again when the worker ends, however it ends. An audit must not harm the calls beside it, so nothing
that goes wrong here ends the worker.
"""

import asyncio
import logging
import time
from collections import Counter

from gateway.domain.conservation import Difference, Kind, Report
from gateway.domain.errors import StoreUnavailable
from gateway.metrics import Figure
from gateway.store.conservation import Auditor, open_auditor

_log = logging.getLogger(__name__)
_SHARE = 10
_NAMED = 5
_NAMED_IDS = 3


class AuditWatch:
    """Audits every `interval_s`, or as seldom as it takes to spend no more than a tenth of the time on it.

    0 is never. `sweep_s` and `strict` are the auditor's.
    """

    def __init__(
        self, dsn: str, url: str, *, interval_s: float, sweep_s: float, strict: bool
    ) -> None:
        self._dsn = dsn
        self._url = url
        self._interval_s = interval_s
        self._sweep_s = sweep_s
        self._strict = strict
        self._ended_at = 0.0
        self.report: Report | None = None
        """What was found last; None while the turn is another worker's."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while self._interval_s:
            await asyncio.sleep(self._interval_s)
            try:
                async with open_auditor(
                    self._dsn, self._url, sweep_s=self._sweep_s, strict=self._strict, in_turn=True
                ) as auditor:
                    if auditor is not None:
                        await self._watch(auditor)
            except StoreUnavailable as error:
                _log.warning("the audit waits: %s", error)
            except Exception:  # noqa: BLE001 -- see above
                _log.exception("the audit failed")
            finally:
                self.report = None

    def figures(self) -> list[Figure]:
        """What the last audit found; nothing while the turn is another worker's."""
        report = self.report
        if report is None:
            return []
        totals = report.totals
        kinds = Counter(difference.kind for difference in report.differences)
        by_kind = {f'kind="{kind}"': kinds[kind] for kind in Kind if kind is not Kind.LOWERED}
        single: dict[str, tuple[str, int | float]] = {
            "audit_last_run_timestamp_seconds": ("When the last audit ended.", self._ended_at),
            "audit_duration_seconds": ("How long it took.", report.duration_s),
            "held_nusd": ("What live calls hold, nano-dollars.", totals.held_nusd),
            "live_reservations": ("Calls that hold something.", totals.live),
            "overspend_nusd": (
                "Used, pending and held beyond what was ever granted, nano-dollars.",
                report.overspend_nusd,
            ),
            "unmetered_nusd": (
                "Unbilled, or charged by estimate, in the whole ledger, nano-dollars.",
                totals.unmetered_nusd,
            ),
        }
        return [
            Figure("tollhouse_audit_differences", "What does not add up, by kind.", by_kind),
            *(Figure(f"tollhouse_{n}", means, {"": value}) for n, (means, value) in single.items()),
        ]

    async def _watch(self, auditor: Auditor) -> None:
        while True:
            report = await auditor.audit()
            self._ended_at = time.time()
            self.report = report
            if report.differences:
                first = "; ".join(_in_words(each) for each in report.differences[:_NAMED])
                _log.error("%d things do not add up: %s", len(report.differences), first)
            await asyncio.sleep(max(self._interval_s, (_SHARE - 1) * report.duration_s))


def _in_words(difference: Difference) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in difference.figures.items())
    ids = " ".join(difference.ids[:_NAMED_IDS])
    calls = f" calls {difference.count}: {ids}" if difference.count else ""
    return (
        f"{difference.kind} {difference.scope} (account {difference.account_id}): {figures}{calls}"
    )
