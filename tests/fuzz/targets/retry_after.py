"""How long an upstream asks to be left alone: a number that can be waited for, or nothing."""

import math

from gateway.relay.retry_after import retry_after_s
from tests.fuzz.target import Target

_NOW = 1_800_000_000.0


def keeps(data: bytes) -> None:
    for name in (b"retry-after", b"retry-after-ms"):
        found = retry_after_s([(name, data)], _NOW)
        assert found is None or (found >= 0 and math.isfinite(found))


TARGET = Target(
    "retry_after",
    keeps,
    (
        *(
            b"1",
            b"-1",
            b"1e400",
            b"nan",
            b"inf",
            b"1_0",
            b"Wed, 21 Oct 2026 07:28:00 GMT",
            b" +2500",
        ),
        *(b"Thu, 01 Jan 0001 00:00:00 +2359", b"31 Dec 9999 23:59:59 -2359", b"\0", b"\xff", b","),
        *(b"99999", b":", b"GMT", b"-0000", b" ", b"Feb 30", b"0x10", b"\xb2"),
    ),
)
