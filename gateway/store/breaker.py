"""The circuit breaker before the quota store: whether it is asked, since when, and how often it was not."""

from collections.abc import Callable

from gateway.domain.breaker import BreakerState


class Breaker:
    """The state as a value that others read; `Pipeline` alone changes it. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self.state = BreakerState.OPEN
        self.openings = 0
        """How often the store was lost after it had been there."""

    @property
    def for_s(self) -> float:
        """How long the state has been what it is."""
        return self._clock() - self._since

    def become(self, state: BreakerState) -> None:
        """Take a state."""
        if self.state is BreakerState.CLOSED and state is BreakerState.OPEN:
            self.openings += 1
        if state is not self.state:
            self.state = state
            self._since = self._clock()
