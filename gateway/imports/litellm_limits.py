"""Budgets and rates of a LiteLLM key as a grant and limits.

A budget with a period is a limit in the window of that length, which here slides; one without, or
with a period that no window has, is a grant of what is left of it.
https://docs.litellm.ai/docs/proxy/users
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from gateway.domain.limits import MAX_EXACT, Limit, Metric
from gateway.imports import cells
from gateway.imports.cells import Row, invalid
from gateway.imports.plan import MAX_CONCURRENCY, Findings, nusd_left

_DURATION = re.compile(r"(\d{1,9})(s|m|h|d|w|mo)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_WINDOWS = {60: "1m", 18_000: "5h", 86_400: "1d", 604_800: "7d", 2_592_000: "30d"}
_RATES = (
    ("rpm_limit", "model_rpm_limit", Metric.REQUESTS),
    ("tpm_limit", "model_tpm_limit", Metric.TOKENS),
)


def grant_of(row: Row, findings: Findings) -> int | None:
    """What is left of a budget that no window renews; None for no budget."""
    budget = cells.number(row, "max_budget")
    if budget is None:
        return None
    duration = cells.text(row, "budget_duration")
    if _window(duration) and budget > 0:
        return None
    if duration:
        findings.remark(
            f"budget_duration: no window is {duration} long; what is left becomes a grant, once"
        )
    return findings.grant("max_budget", nusd_left(budget, cells.number(row, "spend") or Decimal(0)))


def limits_of(row: Row, metadata: Row, findings: Findings) -> list[Limit]:
    """All limits of the key, those by model among them."""
    limits = [*_budget(row, findings), *_budgets_by_model(row, findings)]
    for column, by_model, metric in _RATES:
        limits += _limit(column, metric, "1m", cells.integer(row, column), findings)
        for model, most in sorted(cells.document(metadata, by_model).items()):
            count = cells.integer({by_model: most}, by_model)
            limits += _limit(by_model, metric, "1m", count, findings, model)
    return limits


def concurrency_of(row: Row, findings: Findings) -> int | None:
    """`max_parallel_requests`."""
    most = cells.integer(row, "max_parallel_requests")
    if most is None or 0 < most <= MAX_CONCURRENCY:
        return most
    findings.lose(f"max_parallel_requests: must be 1 to {MAX_CONCURRENCY:,} here, it is {most}")
    return None


def _budget(row: Row, findings: Findings) -> Iterator[Limit]:
    budget, duration = cells.number(row, "max_budget"), cells.text(row, "budget_duration")
    if budget is None or budget <= 0 or not _window(duration):
        return
    spend = cells.number(row, "spend") or Decimal(0)
    if spend > 0:
        findings.remark(f"spend: the window of {duration} begins empty; ${spend} stay behind")
    yield from _limit(
        "max_budget", Metric.USD, _window(duration), nusd_left(budget, Decimal(0)), findings
    )


def _budgets_by_model(row: Row, findings: Findings) -> Iterator[Limit]:
    """`model_max_budget`: {model: {budget_limit, time_period}}."""
    for model, said in sorted(cells.document(row, "model_max_budget").items()):
        entry: Mapping[str, Any] = said if isinstance(said, dict) else {}
        budget = cells.number(entry, "budget_limit") or cells.number(entry, "max_budget")
        window = _window(cells.text(entry, "time_period") or cells.text(entry, "budget_duration"))
        if budget is None or not window:
            findings.lose(f"model_max_budget: that of {model!r} fits no window")
            continue
        nusd = nusd_left(budget, Decimal(0))
        yield from _limit("model_max_budget", Metric.USD, window, nusd, findings, model)


def _limit(
    column: str,
    metric: Metric,
    window: str,
    most: int | None,
    findings: Findings,
    model: str | None = None,
) -> Iterator[Limit]:
    if most is None:
        return
    if not 0 < most < MAX_EXACT:
        findings.lose(f"{column}: {most} is no limit that can be kept here (1 to 2^52)")
        return
    mode = "calendar" if window == "month" else "sliding"
    models = None if model is None else frozenset({model})
    yield Limit(metric, window, most, mode=mode, models=models)


def _window(duration: str) -> str:
    """The window of that length; empty for none."""
    if not duration:
        return ""
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise invalid("budget_duration", f"{duration[:20]!r} is no period such as 30d.")
    count, unit = int(found[1]), found[2]
    if unit == "mo":
        return "month" if count == 1 else ""
    return _WINDOWS.get(count * _SECONDS[unit], "")
