"""Makes every attack that the threat model names, and tells what its tests tell: `python -m tests.security.attacks`."""

import ast
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from tests.documents import ROOT
from tests.security.rows import Row, parser_of_part, tell

_MODEL = ROOT / "docs/threat-model.md"
_ELSEWHERE = ("browser", "clients")
FIGURE = "figure: "
"""How the names of properties begin that tests record for this table."""


def attacks() -> Iterator[tuple[str, bool]]:
    """The tests that the model names, and whether they can run here: those in a browser are `make browser`'s."""
    named = set(re.findall(r"`(test_\w+)`", _MODEL.read_text()))
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place = path.relative_to(ROOT)
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE):
            if name in named:
                yield f"{place}::{name}", place.parts[1] not in _ELSEWHERE


def main() -> int:
    """Run them; the exit status is 1 where one failed. However long they are allowed, each is made once."""
    given = parser_of_part("tests.security.attacks", __doc__).parse_args()
    found = list(attacks())
    here = [test for test, is_here in found if is_here]
    with tempfile.TemporaryDirectory(prefix="tollhouse-tests-") as directory:
        report = Path(directory) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", f"--junitxml={report}", *here]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        rows = _rows(ET.parse(report)) if report.exists() else []
    elsewhere = len(found) - len(here)
    if elsewhere:
        rows.append(Row("attacks in a browser", elsewhere, "not made here: make browser"))
    if status and all(row.is_good for row in rows):
        rows.append(Row("pytest itself", status, "its exit status", is_good=False))
    return tell(rows, given.json)


def _rows(report: ET.ElementTree) -> list[Row]:
    cases = list(report.iter("testcase"))
    failed = [case for case in cases if {"failure", "error"} & {part.tag for part in case}]
    skipped = [part.get("message") or "" for case in cases for part in case.iter("skipped")]
    rows = [
        Row("attacks made", len(cases) - len(skipped)),
        Row(
            *("attacks that got through", len(failed)),
            *(", ".join(case.get("name") or "" for case in failed), not failed),
        ),
    ]
    if skipped:
        rows.append(Row("attacks not made", len(skipped), "; ".join(dict.fromkeys(skipped))))
    for told in report.iter("property"):
        name, value = told.get("name") or "", told.get("value") or ""
        if name.startswith(FIGURE):
            rows.append(_figure(name.removeprefix(FIGURE), ast.literal_eval(value)))
    return rows


def _figure(name: str, value: object) -> Row:
    """A number, or how many there were of each."""
    if isinstance(value, dict):
        each = ", ".join(f"{key}: {count}" for key, count in sorted(value.items()))
        return Row(name, sum(value.values()), each)
    assert isinstance(value, int)
    return Row(name, value)


if __name__ == "__main__":
    sys.exit(main())
