"""A call's place in a trace: what its caller told, and what its upstream is told. Pure.

https://www.w3.org/TR/trace-context/
"""

import re
from typing import NamedTuple

_SAMPLED = 1
# Version 0 ends here; a later one may go on (section 4.3). Ids of zeros and version ff are none.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)


class Trace(NamedTuple):
    """`span_id` is the call's own, where it is `sampled`; `parent_id` its caller's; empty where there is none."""

    trace_id: str
    parent_id: str
    span_id: str
    sampled: bool


def read_traceparent(text: str) -> Trace | None:
    """What a caller tells; None where it is not of the form, which is then as if nothing were told."""
    found = _TRACEPARENT.fullmatch(text.strip())
    if found is None or (found[1] == "00" and found[5]):
        return None
    return Trace(found[2], found[3], "", bool(int(found[4], 16) & _SAMPLED))


def traceparent(trace_id: str, span_id: str) -> str:
    """What an upstream is told of a call that is sampled."""
    return f"00-{trace_id}-{span_id}-01"
