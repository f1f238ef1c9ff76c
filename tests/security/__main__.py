"""`make security`: every attack, fault and odd input at length, and a table of what came of it.

Each part is a program of its own, which takes `--minutes` and `--json` and writes rows (rows.py): whoever has a
further one adds a line to PARTS.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.documents import ROOT
from tests.security.rows import Row, read_rows, table


class Part(NamedTuple):
    """`share` is how much of the time it may use; attacks take as long as they take."""

    name: str
    module: str
    share: float


PARTS = (
    Part("attacks", "tests.security.attacks", 0),
    Part("edges", "tests.security.edges", 0),
    Part("fuzzing", "tests.fuzz.at_length", 0.6),
    Part("faults", "tests.security.faults", 0.4),
)


def main() -> int:
    """Run all parts, or some; the exit status is 1 where anything failed."""
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(prog="python -m tests.security", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15, help="beside the attacks (default 15)")
    parser.add_argument("--only", choices=names, action="append", help="this part; repeatable")
    parser.add_argument("--json", metavar="FILE", help="write the table there, too")
    given = parser.parse_args()
    began = time.monotonic()
    found = {
        part.name: _run(part, given.minutes * part.share)
        for part in PARTS
        if part.name in (given.only or names)
    }
    failed = sum(not row.is_good for rows in found.values() for row in rows)
    took_s = round(time.monotonic() - began)
    lines = [line for name, rows in found.items() for line in table(name, rows)]
    print("\n" + "\n".join(lines))
    print(f"\n{'FAILED' if failed else 'Passed'} in {took_s // 60} min {took_s % 60} s.")
    if given.json:
        told = {name: [row._asdict() for row in rows] for name, rows in found.items()}
        Path(given.json).write_text(json.dumps({"took_s": took_s, "failed": failed, "parts": told}))
    return 1 if failed else 0


def _run(part: Part, minutes: float) -> list[Row]:
    print(f"== {part.name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="tollhouse-tests-") as directory:
        file = Path(directory) / "rows.json"
        command = [sys.executable, "-m", part.module, f"--minutes={minutes}", f"--json={file}"]
        began = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        rows = read_rows(file)
    if status and all(row.is_good for row in rows):
        rows.append(Row("the part itself", status, "its exit status", is_good=False))
    return [*rows, Row("seconds", round(time.monotonic() - began))]


if __name__ == "__main__":
    sys.exit(main())
