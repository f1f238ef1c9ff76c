"""The audit as a watch: one of all workers has the books compared again and again, and tells what was found.

Which one is settled by an advisory lock of Postgres, which the worker keeps; the comparing is done by a process of its
own. An audit must not harm the calls beside it, so nothing that goes wrong here ends the worker.
"""

import asyncio
import logging
import time

from gateway.audit_process import Task
from gateway.domain.conservation import Kind
from gateway.domain.errors import StoreUnavailable
from gateway.domain.figures import Figure, Labels, Value
from gateway.relay.audit_run import AuditFailed, Found, Told, run_audit
from gateway.store.audit_turn import Turn, take_turn

_log = logging.getLogger(__name__)
_SHARE = 10
_NAMED_IDS = 3
_MOST_S = 600.0
_DIFFERENCES = tuple(kind for kind in Kind if kind is not Kind.LOWERED)


class AuditWatch:
    """Audits every `interval_s`, or as seldom as it takes to spend no more than a tenth of the time on it.

    0 is never. `sweep_s` and `strict` are the auditor's. What takes longer than `most_s` is given up.
    """

    def __init__(
        self,
        dsn: str,
        url: str,
        *,
        interval_s: float,
        sweep_s: float,
        strict: bool,
        most_s: float = _MOST_S,
    ) -> None:
        self._task = Task(dsn, url, sweep_s, strict, most_s)
        self._interval_s = interval_s
        self._ended_at = 0.0
        self.failures = 0
        """Audits that came to no result, but for a store that could not be reached."""
        self.report: Told | None = None
        """What was found last; None while the turn is another worker's."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while self._interval_s:
            await asyncio.sleep(self._interval_s)
            try:
                async with take_turn(self._task.dsn) as turn:
                    if turn is not None:
                        await self._watch(turn)
            except StoreUnavailable as error:
                _log.warning("the audit waits: %s", error)
            except AuditFailed as error:
                self.failures += 1
                _log.error("the audit failed: %s", error)
            except Exception:  # noqa: BLE001 -- see above
                self.failures += 1
                _log.exception("the audit failed")
            finally:
                self.report = None

    def figures(self) -> list[Figure]:
        """What the last audit found; while the turn is another worker's, no more than how often one failed."""
        failures = Figure("tollhouse_audit_failures_total", {(): self.failures})
        report = self.report
        if report is None:
            return [failures]
        totals, kinds = report.totals, report.counts
        differences: dict[Labels, Value] = {
            (str(kind),): kinds.get(kind, 0) for kind in _DIFFERENCES
        }
        single = {
            "audit_last_run_timestamp_seconds": self._ended_at,
            "audit_duration_seconds": report.duration_s,
            "quota_held_nusd": totals.held_nusd,
            "quota_live_reservations": totals.live,
            "quota_overspend_nusd": totals.overspend_nusd,
            "ledger_unmetered_nusd": totals.unmetered_nusd,
        }
        return [
            failures,
            Figure("tollhouse_audit_differences", differences),
            *(Figure(f"tollhouse_{name}", {(): value}) for name, value in single.items()),
        ]

    async def _watch(self, turn: Turn) -> None:
        while True:
            report = await run_audit(self._task)
            await turn.check()
            self._ended_at = time.time()
            self.report = report
            wrong = sum(report.counts.get(kind, 0) for kind in _DIFFERENCES)
            if wrong:
                first = "; ".join(_in_words(each) for each in report.differences)
                _log.error("%d things do not add up: %s", wrong, first)
            await asyncio.sleep(max(self._interval_s, (_SHARE - 1) * report.duration_s))


def _in_words(found: Found) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in found.figures.items())
    ids = " ".join(found.request_ids[:_NAMED_IDS])
    calls = f" calls {found.count}: {ids}" if found.count else ""
    return f"{found.kind} {found.scope} (account {found.account_id or 0}): {figures}{calls}"
