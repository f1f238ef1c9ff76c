"""What a worker knows of an upstream beside its settings: its connections, its load, its health, and its keys.

All calls of the worker share it; each call's way through it is `gateway/relay/tries.py`.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Sequence

from gateway.domain.affinity import rank
from gateway.domain.breaker import BreakerState, PassiveBreaker
from gateway.domain.catalog import Upstream
from gateway.domain.choice import Fitness, Load
from gateway.relay.upstream import UpstreamPool

_log = logging.getLogger(__name__)
_REFUSED_ASIDE_S = 60.0
_LIMITED_ASIDE_S = 1.0  # where a 429 does not say for how long
_LONGEST_ASIDE_S = 60.0
_LIMITED = 429

_FIT, _BUSY, _UNWELL = Fitness  # looked up at each choice
_turns = itertools.count(1)


class Seat:
    """One of an upstream's keys. Until `aside_until` (monotonic seconds) others are preferred; `chosen`: its last turn.

    Seats share the upstream's connections: each request carries its key, and the next one on the connection another.
    """

    __slots__ = ("api_key", "aside_until", "chosen", "number")

    def __init__(self, number: int, api_key: str) -> None:
        self.number = number
        self.api_key = api_key
        self.aside_until = float("-inf")
        self.chosen = 0


class UpstreamState:
    """An upstream as the worker sees it now. `clock` is monotonic, in seconds; so is every `now`."""

    def __init__(self, upstream: Upstream, clock: Callable[[], float]) -> None:
        self.upstream = upstream
        self.pool = UpstreamPool(upstream, clock)
        self.breaker = PassiveBreaker(
            upstream.breaker_failures, upstream.breaker_open_s, upstream.breaker_longest_s
        )
        self.outstanding = 0
        """Calls that have a place here."""
        self.chosen = 0
        self.failures = 0
        """Attempts that failed here."""
        self._seats = tuple(
            Seat(number, api_key) for number, api_key in enumerate(upstream.api_keys or ("",), 1)
        )
        self._declined_at = float("-inf")
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Calls that wait in line for a place."""
        return len(self._line)

    def load(self, now: float) -> Load:
        """What the choice between upstreams rests on."""
        upstream, breaker = self.upstream, self.breaker
        is_well = breaker.lets_through(now) and (
            self._seats[0].aside_until <= now or self.has_seat_beside((), now)
        )
        return Load(
            (_BUSY if self._is_full else _FIT) if is_well else _UNWELL,
            upstream.priority,
            upstream.weight,
            self.outstanding,
            max(breaker.failed_at, self._declined_at),
            self.chosen,
        )

    def choose(self) -> None:
        """It has had its turn."""
        self.chosen = next(_turns)

    # Places

    @property
    def _is_full(self) -> bool:
        return 0 < self.upstream.max_connections <= self.outstanding

    def occupy(self) -> bool:
        """Take a place for a call; False: all are taken. Each place is given back with `vacate`."""
        if self._is_full:
            return False
        self.outstanding += 1
        return True

    async def stand_in_line(self) -> bool:
        """Wait for a place, the first to come first; False when that took `connect_timeout_s`."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            async with asyncio.timeout(self.upstream.connect_timeout_s):
                await asyncio.shield(place)
        except BaseException as error:
            if place.done():
                self.vacate()
            else:
                self._line.remove(place)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def vacate(self) -> None:
        """Give a place back; whoever waits has it at once."""
        if self._line:
            self._line.popleft().set_result(None)
        else:
            self.outstanding -= 1

    # Keys

    @property
    def has_seats(self) -> bool:
        """Whether there is a choice of keys."""
        return len(self._seats) > 1

    def seat(self, now: float, tried: Sequence[Seat] = (), beginning: int | None = None) -> Seat:
        """The key to send: one that is not set aside, in turns; else the one that is so for the shortest time.

        With the `beginning` of a conversation: the one that is its own, while that is not set aside.
        """
        seats = self._seats
        if len(seats) == 1:
            return seats[0]

        def place(seat: Seat) -> tuple[float, int]:
            turn = seat.chosen if beginning is None else rank(beginning, str(seat.number))
            return max(seat.aside_until, now), turn

        seat = min([seat for seat in seats if seat not in tried] or seats, key=place)
        seat.chosen = next(_turns)
        return seat

    def has_seat_beside(self, tried: Sequence[Seat], now: float) -> bool:
        """Whether another key than those can be sent."""
        return any(seat.aside_until <= now and seat not in tried for seat in self._seats)

    def set_aside(self, seat: Seat, status: int, retry_after_s: float | None, now: float) -> None:
        """The upstream declined a key with that status."""
        if status == _LIMITED:
            for_s = _LIMITED_ASIDE_S if retry_after_s is None else retry_after_s
            for_s = min(for_s, _LONGEST_ASIDE_S)
        else:
            for_s = _REFUSED_ASIDE_S
        if for_s > 0 and seat.aside_until <= now:
            _log.warning(
                "upstream %s declined its key %d with status %d: set aside for %g s",
                self.upstream.name,
                seat.number,
                status,
                for_s,
            )
        seat.aside_until = max(seat.aside_until, now + for_s)
        self._declined_at = now

    def keys_aside(self, now: float) -> int:
        """How many keys are set aside."""
        return sum(seat.aside_until > now for seat in self._seats)

    # Health

    def is_out(self, now: float) -> bool:
        """Whether it fails, or declines every key, as far as the worker's calls have seen."""
        return self.breaker.state is not BreakerState.CLOSED or self.keys_aside(now) == len(
            self._seats
        )

    def admit(self, now: float) -> bool:
        """A call is sent; whether it is the one that finds out how the upstream is."""
        if self.breaker.state is BreakerState.CLOSED:
            return False
        before = self.breaker.state
        is_probe = self.breaker.admit(now)
        if self.breaker.state is not before:
            _log.info("upstream %s: breaker half-open, one call is let through", self.upstream.name)
        return is_probe

    def succeeded(self) -> None:
        """It answered a call, whatever it said."""
        if self.breaker.state is not BreakerState.CLOSED:
            _log.warning("upstream %s: breaker closed, it answers again", self.upstream.name)
        self.breaker.succeeded()

    def failed(self, now: float, problem: str, *, is_probe: bool) -> None:
        """It failed a call."""
        self.failures += 1
        breaker, before = self.breaker, self.breaker.state
        breaker.failed(now, is_probe=is_probe)
        if breaker.state is BreakerState.OPEN and before is not BreakerState.OPEN:
            _log.warning(
                "upstream %s: breaker open for %g s: %s",
                self.upstream.name,
                breaker.open_s,
                problem,
            )
