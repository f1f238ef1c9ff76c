"""Tables: framed and coloured on a terminal, plain text without an end of line that was not meant elsewhere.

`NO_COLOR`, `COLUMNS` and a terminal that knows no colours are respected (rich does).
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gateway.commands.errors import printable

_UNBOUNDED: Final = 100_000
_FOLDED: Final = ("Name", "Message", "Remedy")
_STYLES: Final = {
    "enabled": "green",
    "disabled": "dim",
    "expired": "yellow",
    "exhausted": "red",
    "allow": "green",
    "deny": "bold red",
}


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()
) -> None:
    """A table with a heading. `right`: the columns that stand at the right, figures."""
    table = _table(header=True)
    numbers = set(right)
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in numbers else "left"
        table.add_column(name, justify=justify, no_wrap=name not in _FOLDED)
    for row in rows:
        table.add_row(*map(_text, row))
    _show(table)


def show_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and what they are, a line each."""
    table = _table(header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, _text(value))
    _show(table)


def _text(cell: str) -> Text:
    return Text(printable(cell), style=_STYLES.get(cell, ""))


def _table(*, header: bool) -> Table:
    framed = header and sys.stdout.isatty()
    return Table(
        box=box.SIMPLE_HEAD if framed else None,
        show_header=header,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1) if framed else (0, 2, 0, 0),
        header_style="bold",
    )


def _fit(table: Table, terminal: Console) -> None:
    """Have columns give way in lines, figures last: nothing is cut off, and no column vanishes."""
    unbounded = terminal.options.update(width=_UNBOUNDED)
    for kind in ("left", "right"):
        needed = Measurement.get(terminal, unbounded, table)
        if (needed.maximum if kind == "left" else needed.minimum) <= terminal.width:
            return
        for column in table.columns:
            if column.justify == kind:
                column.no_wrap = False
                column.overflow = "fold"


def _show(table: Table) -> None:
    if sys.stdout.isatty():
        terminal = Console(highlight=False)
        _fit(table, terminal)
        terminal.print(table)
        return
    console = Console(width=_UNBOUNDED, highlight=False, file=sys.stdout)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())
