"""A short `make chaos`: every kind of fault once, under load."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.nemesis import KINDS
from tests.e2e.product import ROOT, linux_only

pytestmark = linux_only


def chaos(report: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.chaos", "--report", str(report), *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.mark.timeout(300)
def test_the_cap_holds_through_every_kind_of_fault(tmp_path: Path):
    report = tmp_path / "report.md"
    done = chaos(report, "--haste", "--calls=4000", "--rate=100", "--callers=32", "--seed=7")
    assert done.returncode == 0, done.stdout + done.stderr
    text = report.read_text()
    assert all(f"| {kind} | 1 |" in text for kind in KINDS)
