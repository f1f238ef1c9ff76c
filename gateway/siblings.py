"""How the workers of one `tollhouse run` tell their figures: each on a socket of its own, to whoever serves `/metrics`.

The socket lies in the state directory, where nobody else comes. What a worker is asked costs it the counting together,
and no writing of text.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gateway.domain.figures import Figure, Labels, Value, Workers

_log = logging.getLogger(__name__)
SOCKET: Final = "TOLLHOUSE_FIGURES"
"""The variable that has a worker tell its figures there."""
_ANSWERS_WITHIN_S: Final = 2.0
_MOST_BYTES: Final = 64 * 1024 * 1024

_Told = tuple[str, list[tuple[str, list[tuple[Labels, Value]]]]]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Told).decode


@contextlib.asynccontextmanager
async def tell_figures(path: str, figures: Callable[[], list[Figure]]) -> AsyncIterator[None]:
    """Tell figures to whoever connects to the socket `path`; nothing where it is empty."""
    if not path:
        yield
        return
    instance = f"{os.getpid()} {time.time_ns()}"

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            told = [(each.name, [*each.values.items()]) for each in figures()]
            writer.write(_encode((instance, told)))
            await writer.drain()
        except OSError as error:
            _log.info("whoever asked for figures has left: %s", error)
        finally:
            writer.close()

    _clear(path)
    server = await asyncio.start_unix_server(answer, path)
    async with server:
        yield


def _clear(path: str) -> None:
    """Remove the socket of a worker that was killed."""
    Path(path).unlink(missing_ok=True)


class Siblings:
    """Asks workers for their figures; `paths` are those of the sockets that there are now, in order."""

    def __init__(self, paths: Callable[[], Sequence[str]]) -> None:
        self._paths = paths
        self._workers = Workers()

    async def figures(self) -> list[Figure]:
        """Those of all workers as one; of one that does not answer in time what it had counted before."""
        asked = [self._hear(number, path) for number, path in enumerate(self._paths())]
        heard = await asyncio.gather(*asked)
        return self._workers.all(number for number, is_heard in enumerate(heard) if is_heard)

    async def _hear(self, number: int, path: str) -> bool:
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                reader, writer = await asyncio.open_unix_connection(path, limit=_MOST_BYTES)
                try:
                    instance, told = _decode(await reader.read())
                finally:
                    writer.close()
        except (OSError, TimeoutError, msgspec.MsgspecError):
            return False
        self._workers.hear(number, instance, [Figure(name, dict(of)) for name, of in told])
        return True
