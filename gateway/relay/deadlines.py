"""How long an attempt may take: until what is due next, and until all of it."""

import math

from gateway.domain.catalog import Upstream


class Deadlines:
    """Both by the attempt's clock; `next` is never after the whole."""

    __slots__ = ("_upstream", "_whole", "next")

    def __init__(self, upstream: Upstream, now: float) -> None:
        self._upstream = upstream
        self.answer_from(now)

    def answer_from(self, now: float) -> None:
        """The upstream has the request, as far as it is known: the head of the answer is next."""
        self._whole = now + self._upstream.total_timeout_s
        self.next = min(now + self._upstream.first_byte_timeout_s, self._whole)

    def more_from(self, now: float) -> None:
        """Some of the answer is here: the rest of it is next."""
        self.next = min(now + self._upstream.idle_timeout_s, self._whole)

    def upload_from(self, now: float) -> None:
        """Some of a body that passes through was taken: it may take as long as it moves."""
        self.next = now + self._upstream.idle_timeout_s
        self._whole = math.inf

    def blame_nobody(self) -> None:
        """What is waited for is not the upstream's: only the whole has its time."""
        self.next = self._whole

    def put_off(self, seconds: float) -> None:
        """Time that does not count: nobody could read what came in it."""
        self.next += seconds
        self._whole += seconds

    @property
    def blames_upstream(self) -> bool:
        """Whether it is the upstream's silence that the next one ends."""
        return self.next < self._whole
