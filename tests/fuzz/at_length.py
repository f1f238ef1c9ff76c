"""Tries targets for as long as there is time, and keeps what breaks a promise: `python -m tests.fuzz.at_length`.

What is found lies in `.fuzz/`, as small as it could be made. Mended, it belongs to the corpus.
"""

import hashlib
import secrets
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.documents import ROOT
from tests.fuzz import guided
from tests.fuzz.every import TARGETS, target_of
from tests.fuzz.target import Target
from tests.security.rows import Row, parser_of_part, tell

FOUND = ROOT / ".fuzz"
_ROUND = 400


class Tried(NamedTuple):
    """How many inputs were tried, and where the one lies that broke the promise."""

    target: str
    inputs: int
    broken: Path | None = None


def try_target(target: Target, seconds: float, first_seed: int) -> Tried:
    """Try what is known and then what is new, in rounds of other seeds, for so long."""
    inputs = 0
    failing = b""

    def keeps(data: bytes) -> None:
        nonlocal inputs, failing
        inputs += 1
        failing = data
        target.keeps(data)

    until = time.monotonic() + seconds
    number = first_seed
    try:
        for data in target.known():
            keeps(data)
        while time.monotonic() < until:
            _round(target, number, keeps)
            number += 1
    except Exception:  # noqa: BLE001 -- whatever it raises is what was looked for
        traceback.print_exc()
        return Tried(target.name, inputs, _kept(target, failing))
    return Tried(target.name, inputs)


def _round(target: Target, number: int, keeps: Callable[[bytes], None]) -> None:
    @seed(number)
    @settings(
        max_examples=_ROUND,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs())
    def try_one(data: bytes) -> None:
        keeps(data)

    try_one()


def _kept(target: Target, data: bytes) -> Path:
    """The input on disk. The last that was tried is the smallest that was found."""
    place = FOUND / target.name
    place.mkdir(parents=True, exist_ok=True)
    file = place / hashlib.sha256(data).hexdigest()[:16]
    file.write_bytes(data)
    return file


def main() -> int:
    """Try some targets, or all; the exit status is 1 where a promise was broken."""
    parser = parser_of_part("tests.fuzz.at_length", __doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(t.name for t in TARGETS)}")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    given_ = parser.parse_args()
    print(f"seed {given_.seed}", flush=True)
    targets = [target_of(name) for name in given_.targets] or list(TARGETS)
    seconds = given_.minutes * 60 / len(targets)
    is_guided = guided.is_there()
    rows = []
    for target in targets:
        tried = try_target(target, seconds / 2 if is_guided else seconds, given_.seed)
        rows.append(_row(tried, f"inputs of {target.name}"))
        if is_guided:
            tried = Tried(target.name, *guided.guided(target.name, seconds / 2))
            rows.append(_row(tried, f"inputs of {target.name}, by coverage"))
    return tell(rows, given_.json)


def _row(tried: Tried, what: str) -> Row:
    if tried.broken is None:
        return Row(what, tried.inputs)
    return Row(what, tried.inputs, f"{tried.broken} broke a promise", is_good=False)


if __name__ == "__main__":
    sys.exit(main())
