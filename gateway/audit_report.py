"""An audit's report in JSON: what `tollhouse audit --json` prints, and what a worker is told of its own audit."""

import dataclasses
from typing import Any

import orjson

from gateway.domain.conservation import Difference, Report

SHOWN_IDS = 20


def document(report: Report, *, named: int | None = None) -> bytes:
    """One line. `named`: at most so many of the differences and remarks; `counts` has all of them by kind."""
    totals = dataclasses.asdict(report.totals)
    members = {
        "adds_up": not report.wrong,
        "looks": report.looks,
        "duration_s": round(report.duration_s, 3),
        "totals": {
            **totals,
            "unmetered_nusd": report.totals.unmetered_nusd,
            "overspend_nusd": report.overspend_nusd,
        },
        "counts": report.counts,
        "differences": [_members(difference) for difference in report.differences[:named]],
        "remarks": [_members(difference) for difference in report.remarks[:named]],
    }
    return orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def _members(difference: Difference) -> dict[str, Any]:
    return {
        "kind": difference.kind,
        "scope": difference.scope,
        "account_id": difference.account_id or None,
        "means": difference.means,
        "figures": difference.figures,
        "request_ids": difference.ids[:SHOWN_IDS],
        "count": difference.count,
    }
