"""How fast the machine itself is while something is measured: bench/native/pace.c, which takes a hundredth of a core.

A machine that is shared slows down for seconds or minutes, and says so nowhere: the processor time that the same work
takes goes up with what others do to its caches and its memory.
"""

import contextlib
import statistics
import subprocess
import threading
from collections.abc import Iterator
from typing import IO

from bench.native import program


class Pace:
    """What was read since it was asked last."""

    def __init__(self, told: IO[str]) -> None:
        self._told = told
        self._ns: list[float] = []

    def read(self) -> None:
        """Take what comes until there is no more."""
        for line in self._told:
            self._ns.append(float(line))

    def take(self) -> float:
        """The median, in nanoseconds for a step; 0 where nothing came."""
        ns, self._ns = self._ns, []
        return statistics.median(ns or [0.0])


@contextlib.contextmanager
def pace() -> Iterator[Pace]:
    """Watch it. Needs a C compiler."""
    with subprocess.Popen([program("pace")], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        watched = Pace(child.stdout)
        reader = threading.Thread(target=watched.read)
        reader.start()
        try:
            yield watched
        finally:
            child.kill()
            reader.join()
