"""Whether this worker has more to do than it can: then new calls are turned away, and those that run go on.

Two things run out. *Time*: everything of a worker is done in one loop, and when that comes late to all that is ready,
each call more makes every other later. *Descriptors*: without one there is no connection to an upstream or a store.
"""

import asyncio
import contextlib
import errno
import logging
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.domain.errors import Reason, Refusal
from gateway.domain.excess import Excess
from gateway.domain.figures import Figure, Labels, Value

_log = logging.getLogger(__name__)

_LOOK_S: Final = 0.1
_COUNT_EVERY_S: Final = 1.0  # descriptors: an older kernel's have to be listed
_STANDS_S: Final = 1.0
_CALM_SHARE: Final = 0.5
_CALM_DESCRIPTORS: Final = 0.9
_LISTED: Final = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
_COME_BACK_S: Final = (1.0, 5.0)  # at random, or all would come back at once


class LoadWatch:
    """Looks at a worker ten times a second. `delay_s` 0: never late; `descriptors_percent` 100: never short.

    `sheds` is what a new call asks, and `is_short` what an idle connection does.
    """

    def __init__(
        self,
        *,
        delay_s: float,
        descriptors_percent: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._late = Excess(
            most=delay_s or float("inf"), calm=delay_s * _CALM_SHARE, for_s=_STANDS_S
        )
        share = descriptors_percent / 100
        self._short = Excess(most=share, calm=share * _CALM_DESCRIPTORS, for_s=0)
        self.delay_s = 0.0
        self.descriptors = 0
        self._counted_at = -_COUNT_EVERY_S
        self.sheds = False
        self.is_short = False
        self.shed = 0

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            due = self._clock() + _LOOK_S
            await asyncio.sleep(_LOOK_S)
            self.look(due)

    def look(self, due: float) -> None:
        """Look, which was to be done at `due`."""
        now = self._clock()
        self.delay_s = max(0.0, now - due)
        if now - self._counted_at >= _COUNT_EVERY_S:
            self._counted_at = now
            self.descriptors = open_descriptors()
            self.is_short = self._short.look(self.descriptors / most_descriptors(), now)
        sheds = self._late.look(self.delay_s, now) or self.is_short
        if sheds != self.sheds:
            self.sheds = sheds
            self._tell()

    def refuse(self) -> Refusal:
        """What a new call is told."""
        self.shed += 1
        return Refusal(
            Reason.OVERLOADED,
            "This gateway has more to do than it can in time, and takes no new calls for the moment. Nothing is wrong "
            "with your key: try again after Retry-After.",
            retry_after_s=random.uniform(*_COME_BACK_S),  # noqa: S311 -- no secret
            cause="descriptors" if self.is_short else "delay",
        )

    def figures(self) -> list[Figure]:
        """For `/metrics`."""
        overloaded: dict[Labels, Value] = {
            ("delay",): int(self._late.stands),
            ("descriptors",): int(self.is_short),
        }
        return [
            Figure("tollhouse_loop_delay_seconds", {(): round(self.delay_s, 6)}),
            Figure("tollhouse_open_descriptors", {(): self.descriptors}),
            Figure("tollhouse_overloaded", overloaded),
            Figure("tollhouse_shed_calls_total", {(): self.shed}),
        ]

    def _tell(self) -> None:
        if self.sheds:
            _log.warning(
                "new calls are turned away: the loop comes %.3f s late, %d of %d descriptors are open",
                *(self.delay_s, self.descriptors, most_descriptors()),
            )
        else:
            _log.warning("new calls are taken again")


def open_descriptors() -> int:
    """How many this process has open; 0 where no /proc tells."""
    # From Linux 6.2 on the directory's size is their number; before that it is 0.
    with contextlib.suppress(FileNotFoundError):
        return _LISTED.stat().st_size or listed_descriptors()
    return 0


def listed_descriptors() -> int:
    """The same, as an older kernel tells. To list them takes one: where there is none, all are open."""
    try:
        return sum(1 for _ in _LISTED.iterdir())
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            return most_descriptors()
        raise


def most_descriptors() -> int:
    """How many it may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 30
