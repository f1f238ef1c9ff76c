"""Tries one target with inputs that coverage suggests, where atheris is installed (CPython on Linux).

`python -m tests.fuzz.guided TARGET --seconds N`. What it finds beside failures lies in `.fuzz/guided/`.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from tests.documents import ROOT

_FOUND = ROOT / ".fuzz"
_TRIED = re.compile(r"stat::number_of_executed_units: (\d+)")
_BROKEN = re.compile(r"Test unit written to (\S+)")


def is_there() -> bool:
    """Whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def guided(target: str, seconds: float) -> tuple[int, Path | None]:
    """How many inputs were tried in a process of its own, and where the one lies that broke the promise."""
    command = [sys.executable, "-m", "tests.fuzz.guided", target, f"--seconds={round(seconds)}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    tried, broken = _TRIED.search(done.stderr), _BROKEN.search(done.stderr)
    if done.returncode and not broken:
        raise RuntimeError(done.stdout + done.stderr)
    if broken:
        told = (done.stdout + done.stderr).splitlines()
        print("\n".join(line for line in told if not line.startswith(("INFO", "#", "WARNING"))))
    return int(tried[1]) if tried else 0, Path(broken[1]) if broken else None


def main() -> None:
    """Never comes back: libFuzzer ends the process."""
    import atheris  # noqa: PLC0415 -- an extra

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    with atheris.instrument_imports(include=["gateway", "admin_api"]):
        from tests.fuzz.every import target_of  # noqa: PLC0415 -- what it imports is instrumented

    target = target_of(given.target)
    new = _FOUND / "guided" / target.name
    broken = _FOUND / target.name
    for place in (new, broken):
        place.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={given.seconds}", "-print_final_stats=1", "-max_len=8000"]
    places = [f"-artifact_prefix={broken}/", str(new), str(target.corpus)]
    atheris.Setup([sys.argv[0], *options, *places], target.keeps)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
