"""Rows of what `make security` tells: how each part writes them, and the table of all."""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """What was tried or found, how much of it, what there is to say of it, and whether it is as it should be."""

    what: str
    figure: int
    note: str = ""
    is_good: bool = True


def parser_of_part(module: str, description: str | None) -> argparse.ArgumentParser:
    """The options that every part has: how long it may take, and where its rows go."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--minutes", type=float, default=5, help="default 5")
    parser.add_argument("--json", metavar="FILE", help="write the rows there, too")
    return parser


def tell(rows: Sequence[Row], file: str | None) -> int:
    """Print and write them; the exit status is 1 where one is not as it should be."""
    print("\n".join(table("", rows)))
    if file:
        Path(file).write_text(json.dumps([row._asdict() for row in rows]))
    return 0 if all(row.is_good for row in rows) else 1


def read_rows(file: Path) -> list[Row]:
    """What a part has written; nothing where it did not come so far."""
    found: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    return [Row(**each) for each in found]


def table(name: str, rows: Iterable[Row]) -> list[str]:
    """Lines of one part."""
    return [
        f"{name:10}{row.what:44}{row.figure:>12,}  {'' if row.is_good else 'FAILED '}{row.note}".rstrip()
        for row in rows
    ]
