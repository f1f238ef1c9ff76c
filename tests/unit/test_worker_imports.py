"""A worker's memory begins with what it imports."""

import subprocess
import sys


def test_what_few_workers_need_is_not_imported_with_them() -> None:
    few = {"cryptography.hazmat", "genai_prices", "gateway.domain.translation.chat"}
    ask = f"import sys, gateway.worker; print({few} & set(sys.modules) or '')"
    command = [sys.executable, "-c", ask]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
