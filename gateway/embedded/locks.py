"""A file lock that says who holds it.

It is `flock`: it belongs to the open file, so it is released by the kernel when the last process
that inherited the descriptor ends, however it ends. No pid file can promise that.
"""

import fcntl
import os
from pathlib import Path
from typing import Self


class PidLock:
    """An exclusive lock on a file whose text is the pid of its holder."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def try_acquire(cls, path: Path) -> Self | None:
        """Take the lock at `path`, or return None while another process holds it."""
        # The file is never removed: a second process could then lock a file without a name.
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)

    def name_holder(self, pid: int) -> None:
        """Write `pid` as the holder's number."""
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, f"{pid}\n".encode(), 0)

    def close(self) -> None:
        """Let go of this process's copy; one inherited by a child keeps the lock."""
        os.close(self.fd)


def holder(path: Path) -> int | None:
    """Return the pid written in the lock file, None where there is none."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
