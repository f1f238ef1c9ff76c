"""How long the other side of a connection may take: to send a request, and to take an answer."""

import asyncio
import contextlib
import fcntl
import struct
import termios
from typing import Final

WHOLE_WITHIN_S: Final = 60.0
"""In which a request has to be here, unless its body is large."""
LEAST_TAKEN_BYTES: Final = 65_536
"""So much of an answer has to be taken in the time that a slow reader has, while there is as much."""


class Backlog:
    """What somebody has not taken yet of what was written to them. It is begun when that became too much.

    It is measured from the first look on, and not before: most are taken at once.

    The kernel's part counts, too. It may be megabytes, and only when a good deal of it is taken does it take more from
    us: of a steady reader nothing would be seen for minutes.
    """

    __slots__ = ("_left_bytes", "_since", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._since: float | None = None
        self._left_bytes = 0

    def is_stuck(self, now: float, patience_s: float) -> bool:
        """Whether too little was taken of it within `patience_s` of looks."""
        if self._since is not None and now - self._since < patience_s:
            return False
        left_bytes = _left_bytes(self._transport)
        if self._since is not None and self._left_bytes - left_bytes < LEAST_TAKEN_BYTES:
            return True
        self._since, self._left_bytes = now, left_bytes
        return False


def _left_bytes(transport: asyncio.Transport) -> int:
    """What was written and is not known to have arrived."""
    left_bytes = transport.get_write_buffer_size()
    made = transport.get_extra_info("socket")
    # SIOCOUTQ of Linux's tcp(7) has this number; where a system knows none, its part does not count.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        (in_kernel,) = struct.unpack("i", fcntl.ioctl(made.fileno(), termios.TIOCOUTQ, b"\0" * 4))
        left_bytes += in_kernel
    return left_bytes
