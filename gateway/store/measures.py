"""What is summed up of calls: the names, and the SQL that makes sums of the ledger's rows.

Raw calls are summed as `CALLS` shows them, a charge with its correction. The rollup, and what is read beside it, counts
the ledger's rows, each once and whenever it comes: so a correction's share takes back what its charge has added, and
adds what both are together.
"""

from collections.abc import Iterable
from typing import Final

from gateway.store.charges import COUNTS

FAILED_FROM: Final = 400
"""The lowest status that says that a call failed; 499 is a caller who left."""

ADDED: Final = (*COUNTS, "amount", "duration_ms", "ttfb_ms")
COUNTED: Final = ("requests", "errors", "timed")
MEASURES: Final = (*COUNTED, *ADDED)
"""`requests`, of which `errors` failed and `timed` were answered something by their upstream; then sums of columns."""

DIMENSIONS: Final = ("token_id", "user_id", "account_id", "group_id", "model", "upstream")
"""By what the rollup tells its sums apart, beside the time."""

OF_CALLS: Final = ", ".join(
    (
        "count(*) AS requests",
        f"count(*) FILTER (WHERE call.status >= {FAILED_FROM}) AS errors",
        "count(call.ttfb_ms) AS timed",
        *(f"coalesce(sum(call.{name}), 0)::bigint AS {name}" for name in ADDED),
    )
)
"""Sums of calls."""


def of_sums(measures: Iterable[str] = MEASURES) -> str:
    """Sums of sums."""
    return ", ".join(f"sum({name})::bigint AS {name}" for name in measures)


def shares(rows: str) -> str:
    """What each of the ledger's `rows` (a FROM item without its alias) adds: `request_id`, `DIMENSIONS`, `MEASURES`."""
    charge = {name: f"r.{name}" for name in ADDED}
    exact = charge | {"amount": "l.amount + r.amount", "ttfb_ms": "coalesce(r.ttfb_ms, l.ttfb_ms)"}
    before = {name: f"l.{name}" for name in ADDED}
    # LATERAL: no plan can know how few these are, and the ledger must never be read whole.
    corrected = """CROSS JOIN LATERAL (
   SELECT * FROM ledger WHERE request_id = r.request_id AND kind = 'c' AND anomaly = 'lost_worker' LIMIT 1) l
 WHERE r.kind = 'x'"""
    return " UNION ALL ".join(
        (
            _share(rows, "r", "r", 1, charge, "WHERE r.kind = 'c'"),
            _share(rows, "l", "r", 1, exact, corrected),
            _share(rows, "l", "l", -1, before, corrected),
        )
    )


def _share(rows: str, same: str, exact: str, sign: int, added: dict[str, str], of: str) -> str:
    """`same` has what a correction leaves as it is, `exact` what it brings."""
    columns = (
        "r.request_id",
        *(f"{exact if name == 'upstream' else same}.{name}" for name in DIMENSIONS),
        f"{sign} AS requests",
        f"{sign} * ({exact}.status >= {FAILED_FROM})::integer AS errors",
        f"{sign} * ({added['ttfb_ms']} IS NOT NULL)::integer AS timed",
        *(f"{sign} * coalesce({value}, 0) AS {name}" for name, value in added.items()),
    )
    return f"SELECT {', '.join(columns)} FROM {rows} r {of}"  # noqa: S608 -- our own names
