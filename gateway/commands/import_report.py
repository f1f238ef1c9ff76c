"""What an import did or would do, for people and in JSON."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.domain.edit import TokenDraft
from gateway.domain.limits import Limit, Metric
from gateway.domain.token import DISABLED
from gateway.imports.plan import Candidate, Left
from gateway.store.token_rows import limit_document

_NUSD_PER_USD = 1_000_000_000
_SHOWN = 50
_WIDTH = 100_000  # where nobody looks, nothing is folded
_COLUMNS = ("row", "name", "key", "status", "quota", "expires", "group", "models", "limits")


@dataclass(slots=True)
class Outcome:
    """`made` has the ids by `sha256`; without `applied` those of `candidates` that are not `present` would be made."""

    username: str
    candidates: Sequence[Candidate]
    left: Sequence[Left]
    present: set[bytes]
    notes: Sequence[str]
    applied: bool
    made: dict[bytes, int] = field(default_factory=dict)

    @property
    def new(self) -> list[Candidate]:
        """Those that are, or were, to be made."""
        return [each for each in self.candidates if each.secret.sha256 not in self.present]


def document(outcome: Outcome) -> bytes:
    """One JSON object, one line."""
    members = {
        "applied": outcome.applied,
        "user": outcome.username,
        "tokens": [_members(outcome, each) for each in outcome.candidates],
        "left_out": [
            {"row": each.row, "name": each.name, "reasons": each.reasons} for each in outcome.left
        ],
        "notes": outcome.notes,
    }
    return orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def show(outcome: Outcome) -> None:
    """A table of tokens, what stays behind, and a sentence that sums it up."""
    new = outcome.new
    if new:
        _show_table(new[:_SHOWN])
        if len(new) > _SHOWN:
            print(f"… and {len(new) - _SHOWN:,} more (--json has them all)")
    _show_lines("Left out", ((each.row, each.name, each.reasons) for each in outcome.left))
    _show_lines("Carried, but", ((c.row, c.draft.name, c.remarks) for c in new if c.remarks))
    for note in outcome.notes if new else ():
        print(f"Note: {note}")
    print(summary(outcome))


def summary(outcome: Outcome) -> str:
    """One line."""
    new = len(outcome.new)
    done = f"Made for {outcome.username}: {len(outcome.made):,}."
    if not outcome.applied:
        done = f"Would be made for {outcome.username}: {new:,}."
    text = (
        f"{done} Here already: {len(outcome.candidates) - new:,}. Left out: {len(outcome.left):,}."
    )
    return text if outcome.applied else f"{text} Nothing was written: --apply does it."


def _show_lines(heading: str, found: Iterable[tuple[str, str, Sequence[str]]]) -> None:
    lines = [
        f"  {row} {name!r}: {text.rstrip('.')}." for row, name, texts in found for text in texts
    ]
    if lines:
        print("\n".join(["", f"{heading}:", *lines, ""]))


def _show_table(candidates: Iterable[Candidate]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, overflow="fold")
    for each in candidates:
        table.add_row(
            *map(Text, (each.row, each.draft.name, each.secret.display, *_cells(each.draft)))
        )
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(width=_WIDTH, highlight=False, file=sys.stdout)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _cells(draft: TokenDraft) -> tuple[str, ...]:
    at_once = [] if draft.max_concurrency is None else [f"{draft.max_concurrency:,} at once"]
    return (
        "disabled" if draft.status == DISABLED else "enabled",
        "unlimited" if draft.granted is None else _usd(draft.granted),
        "never" if draft.expires_at is None else draft.expires_at.strftime("%Y-%m-%d %H:%M"),
        draft.group or "(the user's)",
        ", ".join(draft.models or ()) if draft.models_enabled else "(the group's)",
        ", ".join([*map(_limit, draft.limits or ()), *at_once]),
    )


def _limit(limit: Limit) -> str:
    most = _usd(limit.limit) if limit.metric is Metric.USD else f"{limit.limit:,} {limit.metric}"
    models = "" if limit.models is None else f" of {', '.join(sorted(limit.models))}"
    shadow = " in the shadow" if limit.shadow else ""
    return f"{most} per {limit.window}{models}{shadow}"


def _usd(nusd: int) -> str:
    whole, rest = divmod(nusd, _NUSD_PER_USD)
    decimals = f"{rest:09d}".rstrip("0")
    return f"${whole:,}.{decimals:0<2}"


def _members(outcome: Outcome, candidate: Candidate) -> dict[str, Any]:
    draft, sha256 = candidate.draft, candidate.secret.sha256
    return {
        "row": candidate.row,
        "id": outcome.made.get(sha256),
        "is_here_already": sha256 in outcome.present,
        "name": draft.name,
        "key": candidate.secret.display,
        "status": draft.status,
        "granted_nusd": draft.granted,
        "expires_at": draft.expires_at,
        "group": draft.group,
        "models": draft.models if draft.models_enabled else None,
        "allow_ips": draft.allow_ips,
        "deny_ips": draft.deny_ips,
        "limits": None if draft.limits is None else [limit_document(each) for each in draft.limits],
        "max_concurrency": draft.max_concurrency,
        "metadata": draft.metadata,
        "remarks": candidate.remarks,
    }
