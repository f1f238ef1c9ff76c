"""One record per call, written once, at its end: the ledger's line and the log's agree.

Never in it: keys, bodies, prompts.
"""

import asyncio
import os
import random
import time

import orjson

from gateway.domain.redaction import redact_line
from gateway.store.charges import copy_text

_INTERVAL_S = 0.1


class AccessLog:
    """The log of calls: JSON lines, joined and written by `flush`. `target` is a path, or `-` for standard output."""

    def __init__(self, target: str) -> None:
        self._lines: list[bytes] = []
        self._descriptor = (
            os.dup(1)
            if target == "-"
            else os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        )
        self.dropped = 0

    def add(self, line: bytes) -> None:
        """Keep a line for the next flush, without what looks like a secret: callers choose paths as they like."""
        self._lines.append(redact_line(line))

    def add_call(self, line: bytes) -> None:
        """Keep the line of a call, whose only text of the caller's choice is that of `log_constant`."""
        self._lines.append(line)

    def flush(self) -> None:
        """Write what is kept; a full disk or a closed pipe loses lines, counted, and never a call."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        try:
            os.write(self._descriptor, b"".join(lines))
        except OSError:
            self.dropped += len(lines)

    async def run(self) -> None:
        """Flush again and again, until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            self.flush()

    def close(self) -> None:
        """Write the rest and close."""
        self.flush()
        os.close(self._descriptor)


class RequestIds:
    """uuidv7 (RFC 9562 section 5.7) as 32 hexadecimal digits; in order within a process, unique across them."""

    def __init__(self) -> None:
        self._counter = random.SystemRandom().getrandbits(72)

    def next(self, now: float) -> bytes:
        """The next id, for Unix seconds `now`."""
        self._counter = counter = (self._counter + 1) & ((1 << 72) - 1)
        # 12 bits after the version and 60 after the variant; the top two bits of the last group are the variant.
        return b"%012x7%03x%016x" % (
            int(now * 1000),
            counter >> 60,
            0x8000000000000000 | (counter & 0xFFFFFFFFFFFFFFF),
        )


def new_span_id() -> str:
    """The id of a span: 16 hexadecimal digits, not all of them 0."""
    return f"{random.getrandbits(64) or 1:016x}"


def uuid_text(request_id: bytes) -> str:
    """An id with its hyphens, as callers and Postgres show it."""
    text = request_id.decode()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class _Instants:
    """Timestamps as text; the second's part is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def text(self, now: float) -> bytes:
        second = int(now)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%03d+00" % (self._text, int((now - second) * 1000))


instant_text = _Instants().text


def ledger_constant(account: int, token: int, user: int, group: int, model: str) -> bytes:
    """The part of the ledger's line that is the same for all calls of a token and model."""
    return b"%d\t%d\t%d\t%d\t%b" % (account, token, user, group, copy_text(model))


def log_constant(
    account: int, token: int, user: int, group: str, model: str, *, from_console: bool = False
) -> bytes:
    """The same for the log's line."""
    members = {"account": account, "token": token, "user": user, "group": group, "model": model}
    if from_console:
        members["from_console"] = True
    return redact_line(orjson.dumps(members))[1:-1]
