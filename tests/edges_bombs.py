"""Requests that are made to fill a server's memory, and what became of each. Knows HTTP/1.1 and addresses."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_PIECE_BYTES = 65_536
_ANSWER_S = 60.0
_HELD = -1
_TAKEN_S = 5.0  # what is not taken for so long is not read any more
_REFUSED = {
    0,
    *range(400, 500),
    503,
}  # the last where the machine is busy: the worker is overloaded
IN_PIECES = "four million pieces of one byte"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a bomb was answered with (0: cut off, -1: held without a word), and how much the server grew at its most."""

    status: int
    grown_bytes: int

    @property
    def is_refused(self) -> bool:
        return self.status in _REFUSED


def bombs(key: str) -> dict[str, Iterable[bytes]]:
    """Each by what it is, with a good `key` where only that gets so far."""
    post = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nauthorization: Bearer %b\r\n"
    own, strange = post % key.encode(), post % b"sk-nobody"
    chunked = b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    megabyte = b"%x\r\n%b\r\n" % (1 << 20, b"x" * (1 << 20))
    deep = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
    size = 30 << 20
    return {
        "a field of 64 MB": parts(own + b"x: ", b"a" * _PIECE_BYTES, 1000),
        "a million fields": parts(own, b"".join(b"x%d: a\r\n" % n for n in range(100)), 10_000),
        "a body of 10 GB, declared": parts(own + deep % (10 << 30), b"x" * _PIECE_BYTES, 1000),
        "a body without an end": parts(own + chunked, megabyte, 1000),
        "the same with an unknown key": parts(strange + chunked, megabyte, 1000),
        "30 MB of brackets": parts(own + deep % size, b"[" * _PIECE_BYTES, size // _PIECE_BYTES),
        "30 MB of objects": parts(
            own + deep % (size // 5 * 5), b'{"a":' * 10_000, size // 50_000, b'{"a":' * 2000
        ),
        "a number of 30 MB": parts(
            own + deep % (size + 14),
            b"1" * _PIECE_BYTES,
            size // _PIECE_BYTES,
            before=b'{"max_tokens":',
        ),
        "gzip": parts(own + b"content-encoding: gzip\r\n" + deep % size, b"\x1f\x8b" * 1000, 1000),
        "a trailer of 64 MB": parts(
            own + chunked + b"2\r\n{}\r\n0\r\nx: ", b"a" * _PIECE_BYTES, 1000
        ),
        "a million trailers": parts(own + chunked + b"2\r\n{}\r\n0\r\n", b"x: a\r\n" * 1000, 1000),
        "a chunk with 64 MB of extension": parts(
            own + chunked + b"5;x=", b"a" * _PIECE_BYTES, 1000
        ),
        IN_PIECES: parts(own + chunked, b"1\r\n[\r\n" * 10_000, 400),
        "100,000 requests whose answers are not read": parts(
            b"", (strange + b"content-length: 2\r\n\r\n{}") * 100, 1000
        ),
    }


def parts(
    head: bytes, part: bytes, times: int, rest: bytes = b"", *, before: bytes = b""
) -> Iterator[bytes]:
    """A head and `times` the same part."""
    yield head + before
    for _ in range(times):
        yield part
    if rest:
        yield rest


async def thrown(url: str, bomb: Iterable[bytes], pid: int, before_bytes: int) -> Outcome:
    """Send a bomb, as far as it is taken, and see what the process `pid` makes of it, which had `before_bytes`."""
    forget_peak(pid)
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    answer = asyncio.create_task(reader.read(4096))
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            for part in bomb:
                writer.write(part)
                async with asyncio.timeout(_TAKEN_S):
                    await writer.drain()
                if reader.at_eof():
                    break
        status = await _status_of(answer)
    finally:
        answer.cancel()
        writer.transport.abort()
    return Outcome(status, peak_bytes(pid) - before_bytes)


async def _status_of(answer: asyncio.Task[bytes]) -> int:
    try:
        async with asyncio.timeout(_ANSWER_S):
            said = await answer
    except ConnectionError:
        return 0
    except TimeoutError:
        return _HELD
    return int(said.split(b" ", 2)[1]) if said else 0


def forget_peak(pid: int) -> int:
    """Begin a new peak of a process's memory; what it has now. proc_pid_clear_refs(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most that it had since."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))
