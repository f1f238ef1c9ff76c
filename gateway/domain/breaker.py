"""Circuit breakers: their states, and one that learns from the calls themselves whether an upstream is well.

Pure: what the clock says is an argument, in seconds that never go back.
"""

from enum import StrEnum


class BreakerState(StrEnum):
    """Closed: calls pass. Open: they are kept away. Half-open: one is under way to find out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class PassiveBreaker:
    """Opens after so many failures in a row; 0 = never.

    Open it stays for `open_s`, then lets one call through, the probe. Each probe that fails doubles the time, up to
    `longest_s`. Any success closes it. It only advises: whoever has nobody else to ask sends calls all the same.
    """

    __slots__ = (
        "_failures",
        "_first_open_s",
        "_limit",
        "_longest_s",
        "_open_until",
        "_probed",
        "failed_at",
        "open_s",
        "state",
    )

    def __init__(self, failures: int, open_s: float, longest_s: float) -> None:
        self._limit = failures
        self._first_open_s = open_s
        self._longest_s = longest_s
        self._failures = 0
        self._open_until = 0.0
        self._probed = False
        self.state = BreakerState.CLOSED
        self.failed_at = float("-inf")
        """When the last failure was."""
        self.open_s = open_s
        """For how long it opens the next time; while it is open, this time."""

    def lets_through(self, now: float) -> bool:
        """Whether a call should be sent."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN:
            return now >= self._open_until
        return not self._probed

    def admit(self, now: float) -> bool:
        """A call is sent; whether it is the probe. Who sends the probe tells how it went, or takes it back."""
        if self.state is BreakerState.OPEN and now >= self._open_until:
            self.state = BreakerState.HALF_OPEN
        if self.state is not BreakerState.HALF_OPEN or self._probed:
            return False
        self._probed = True
        return True

    def take_back(self) -> None:
        """The probe ended without a word about the upstream; the next call is one."""
        self._probed = False

    def succeeded(self) -> None:
        """The upstream answered."""
        self._failures = 0
        self._probed = False
        self.state = BreakerState.CLOSED
        self.open_s = self._first_open_s

    def failed(self, now: float, *, is_probe: bool) -> None:
        """The upstream failed a call. While it is not closed, only the probe's failure tells anything new."""
        self.failed_at = now
        if is_probe and self.state is BreakerState.HALF_OPEN:
            self.open_s = min(self.open_s * 2, self._longest_s)
            self._open(now)
        elif self.state is BreakerState.CLOSED:
            self._failures += 1
            if self._failures == self._limit:
                self._open(now)

    def _open(self, now: float) -> None:
        self.state = BreakerState.OPEN
        self._open_until = now + self.open_s
        self._probed = False
