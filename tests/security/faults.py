"""Kills processes and loses stores under load, as `make chaos`, and counts: `python -m tests.security.faults`."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.documents import ROOT
from tests.security.rows import Row, parser_of_part, tell

_RATE = 150
_LEAST_CALLS = 4000
_PER_MINUTE = 60


def main() -> int:
    """Run it; the exit status is 1 where the cap did not hold, or the run failed."""
    given = parser_of_part("tests.security.faults", __doc__).parse_args()
    calls = max(_LEAST_CALLS, round(given.minutes * _PER_MINUTE * _RATE))
    with tempfile.TemporaryDirectory(prefix="tollhouse-tests-") as directory:
        report = Path(directory) / "report.md"
        command = [sys.executable, "-m", "tests.chaos", "--haste", f"--report={report}"]
        load = [f"--calls={calls}", f"--rate={_RATE}", "--callers=32"]
        status = subprocess.run([*command, *load], cwd=ROOT, check=False).returncode
        text = report.read_text() if report.exists() else ""
    return tell(_rows(text, status), given.json)


def _rows(report: str, status: int) -> list[Row]:
    struck = re.findall(r"^\| ([\w-]+) \| (\d+) \| [\d.]+ s \|$", report, re.MULTILINE)
    verdict = re.search(r"^\*\*\w+\*\*: (.*)$", report, re.MULTILINE)
    calls = re.search(r"^\| calls \| ([\d,]+) \|$", report, re.MULTILINE)
    return [
        Row("calls under way meanwhile", int(calls[1].replace(",", "")) if calls else 0),
        Row(
            "faults survived",
            sum(int(count) for _, count in struck),
            verdict[1] if verdict else "there is no report",
            is_good=not status and bool(struck),
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
