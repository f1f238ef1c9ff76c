"""Whose work can wait gives way: where a processor is short, others get more of it."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Final

THIRD: Final = 5
TENTH: Final = 10
THIRTIETH: Final = 15
"""What to add to a niceness for such a part of the weight."""
# Linux changes the niceness of one session in this time, whoever asks; only its administrator need not wait.
_NEXT_S: Final = 0.1
_TRIES: Final = 50


async def lower(pid: int, by: int = TENTH) -> None:
    """Lower a process's share of a busy processor; where the system does not let us, it stays as it is."""
    with contextlib.suppress(OSError):
        niceness = os.getpriority(os.PRIO_PROCESS, pid) + by
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
    # Between sessions, Linux may ask for the niceness of each as a group alone: sched(7), "The autogroup feature".
    session = Path(f"/proc/{pid}/autogroup")
    with contextlib.suppress(OSError):
        for _ in range(_TRIES):
            if _written(session, by):
                return
            await asyncio.sleep(_NEXT_S)


def _written(session: Path, by: int) -> bool:
    """Whether it was our turn."""
    try:
        session.write_text(str(by))
    except BlockingIOError:
        return False
    return True
