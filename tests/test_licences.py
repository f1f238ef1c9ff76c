"""What is installed with Tollhouse may be passed on with it."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools/licences.py"


def run_tool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, TOOL, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_every_package_of_the_lock_has_a_licence_that_is_allowed():
    done = run_tool()
    assert (done.returncode, done.stderr) == (0, "")
    assert "aiohttp                  Apache-2.0, MIT\n" in done.stdout


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("codespell=={codespell} \\\n", 1, "not allowed: codespell (GPL-2.0-only)"),
        ("nobodys-package==1 \\\n", 2, "nobodys-package is not installed: make setup"),
        ("codespell==0.0.1 \\\n", 2, "is installed, not 0.0.1: make setup"),
        ("nobodys-package==1 ; sys_platform == 'win32' \\\n", 0, ""),
    ],
)
def test_a_licence_that_is_not_allowed_and_a_package_that_is_not_there_are_named(
    tmp_path, line, status, said
):

    lock = tmp_path / "lock"
    lock.write_text(line.format(codespell=version("codespell")))
    done = run_tool("--lock", lock)
    assert done.returncode == status
    assert said in done.stderr
