"""`make rolling`: three gateways behind HAProxy are restarted one after the other under load; no call may fail.

Exit status: 0 nothing was lost, 1 something was, 2 there is no HAProxy here.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.embedded.valkey import EmbeddedValkey
from tests.rolling.fronts import EVERY, binary
from tests.rolling.roll import Rolled, roll


def main() -> int:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(prog="make rolling", description=__doc__)
    parser.add_argument("--front", choices=EVERY, default="haproxy")
    parser.add_argument("--rounds", type=int, default=3, help="how often each gateway is restarted")
    parser.add_argument("--plain", type=int, default=16, help="callers without streams")
    parser.add_argument("--streams", type=int, default=16, help="callers with streams")
    given = parser.parse_args()
    if not binary(given.front):
        print(
            f"SKIPPED: there is no {given.front} here, so nothing was tried (apt-get install {given.front}).",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="tollhouse-rolling-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        with StateDirectory.open(directory / "state") as state:
            postgres, valkey = EmbeddedPostgres(state, max_connections=100), EmbeddedValkey(state)
            try:
                stores = postgres.start(), valkey.start()
                began = time.monotonic()
                rolled = asyncio.run(
                    roll(
                        EVERY[given.front],
                        directory,
                        *stores,
                        rounds=given.rounds,
                        plain=given.plain,
                        streams=given.streams,
                    )
                )
            finally:
                valkey.stop()
                postgres.stop()
    return _tell(rolled, given.front, time.monotonic() - began)


def _tell(rolled: Rolled, front: str, took_s: float) -> int:
    print(
        f"{rolled.restarts} restarts behind {front} in {took_s:.0f} s: {rolled.calls} calls answered whole, "
        f"{rolled.long_streams} of them streams that outlasted a restart."
    )
    for line in rolled.wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    if not rolled.wrong:
        print("No call failed, and the ledger has each once, at its price.")
    return 1 if rolled.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
