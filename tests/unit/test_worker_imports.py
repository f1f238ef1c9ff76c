"""A worker's memory begins with what it imports."""

import subprocess
import sys


def test_what_few_workers_need_is_not_imported_with_them() -> None:
    ask = "import sys, gateway.worker; print({'cryptography.hazmat', 'genai_prices'} & set(sys.modules) or '')"
    command = [sys.executable, "-c", ask]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
