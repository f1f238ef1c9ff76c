"""The way to Valkey, which can go wrong: `python -m tests.chaos.proxy TARGET SOCKET SOCKET …`.

Each replica has a socket. A line on standard input, "<number> <mode> <milliseconds>", says what becomes of its bytes;
it is answered with a line. What was swallowed is never followed by more on the same connection, for TCP does not do
that.
"""

import asyncio
import sys
from collections import deque

import uvloop

MODES = ("pass", "delay", "swallow", "sever", "refuse")


class Way:
    """A replica's way: its mode, and the connections on it."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.mode = "pass"
        self.delay_s = 0.0
        self.links: set[Side] = set()

    def turn(self, mode: str, delay_ms: int) -> None:
        """Change the mode. `sever` ends what there is and goes on as `pass`."""
        broken = mode in {"sever", "refuse"} or self.mode == "swallow"
        self.mode, self.delay_s = mode, delay_ms / 1000
        if broken:
            for side in list(self.links):
                side.abort()
        if mode == "sever":
            self.mode = "pass"


class Side(asyncio.Protocol):
    """One end of a connection; `caller` is the replica's."""

    def __init__(self, way: Way, caller: "Side | None" = None) -> None:
        self._way = way
        self.peer = caller
        self._is_caller = caller is None
        self.transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._late: deque[bytes] = deque()

    def connection_made(self, transport) -> None:
        self.transport = transport
        self._way.links.add(self)
        if self._is_caller:
            if self._way.mode == "refuse":
                transport.abort()
                return
            self._task = asyncio.get_running_loop().create_task(self._reach())
        else:
            self.peer.peer = self
            for data in self.peer._early:
                transport.write(data)
            self.peer._early = []

    async def _reach(self) -> None:
        try:
            await asyncio.get_running_loop().create_unix_connection(
                lambda: Side(self._way, self), self._way.target
            )
        except OSError:
            self.abort()

    def data_received(self, data: bytes) -> None:
        mode = self._way.mode
        if mode == "swallow" and not self._is_caller:
            return
        if mode == "delay" or self._late:
            # As many look-ups as pieces, each takes the oldest: the order stays whatever the delays are.
            self._late.append(data)
            asyncio.get_running_loop().call_later(self._way.delay_s, self._pop)
        else:
            self._pass(data)

    def _pop(self) -> None:
        if self._late:
            self._pass(self._late.popleft())

    def _pass(self, data: bytes) -> None:
        if self.peer is None or self.peer.transport is None:
            self._early.append(data)
        elif not self.peer.transport.is_closing():
            self.peer.transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._way.links.discard(self)
        if self.peer is not None:
            self.peer.abort()

    def abort(self) -> None:
        """End it."""
        if self.transport is not None:
            self.transport.abort()


async def main(target: str, sockets: list[str]) -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    ways = [Way(target) for _ in sockets]
    # A server that nobody refers to is closed.
    _servers = [
        await loop.create_unix_server(lambda way=way: Side(way), path, backlog=256)
        for way, path in zip(ways, sockets, strict=True)
    ]
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while line := await reader.readline():
        number, mode, delay_ms = line.split()
        ways[int(number)].turn(mode.decode(), int(delay_ms))
        print("done", flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2:]))
