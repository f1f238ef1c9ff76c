"""How long this worker's reservations are surely still its own."""

import math
from collections.abc import Callable


class Lease:
    """`until` is when the leases that were announced last end, by the monotonic clock of the process.

    A worker that was stopped for longer may find that others took its calls over. While the store cannot be reached
    nothing is asked: whoever took a call over has charged it, and the exact figure corrects that.
    """

    __slots__ = ("_reachable", "lease_s", "until")

    def __init__(self, lease_s: float, reachable: Callable[[], bool]) -> None:
        self.lease_s = lease_s
        self.until = math.inf
        self._reachable = reachable

    def is_over(self, now: float) -> bool:
        """Whether the store must be asked before anything more is passed on."""
        return now >= self.until and self._reachable()
