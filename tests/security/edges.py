"""Slow strangers and bombs beside good clients, as `python -m tests.edges_run`: `python -m tests.security.edges`.

How long it takes is fixed; `--minutes` is not asked.
"""

import asyncio
import sys
from typing import Any

from tests.edges_run import MOST_GROWN_BYTES, MOST_RATIO, SLOW, edges, raise_descriptors
from tests.security.rows import Row, parser_of_part, tell


def main() -> int:
    """Run it; the exit status is 1 where a figure is beyond its bound."""
    given = parser_of_part("tests.security.edges", __doc__).parse_args()
    raise_descriptors(SLOW)
    return tell(_rows(asyncio.run(edges(SLOW))), given.json)


def _rows(found: dict[str, Any]) -> list[Row]:
    ratio, grown = found["p99_ratio"], found["bombs_grown_mb"]
    waits = f"good clients' p99 {found['p99_ms_without']} ms without, {found['p99_ms_with']} with ({ratio} times that)"
    passed = found["bombs_that_passed"]
    return [
        Row(
            "slow connections held",
            found["slow_connections_held"],
            f"of {found['slow_connections']}; {waits}",
            is_good=found["slow_connections_held"] == found["slow_connections"]
            and ratio < MOST_RATIO,
        ),
        Row(
            "bombs refused",
            found["bombs_refused"],
            f"of {found['bombs']}; grown by {grown} MB at most"
            + (f"; passed: {passed}" if passed else ""),
            is_good=not passed and grown * 1e6 < MOST_GROWN_BYTES,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
