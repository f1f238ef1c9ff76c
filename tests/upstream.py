"""A provider that does exactly what its script says, down to the byte: the one fake of the tests.

It speaks all dialects on a real socket. Every call gets the honest echo of
`tests/upstream_echo.py`, unless `answer` gave the call's model another script
(`tests/upstream_script.py`). Built on an asyncio protocol, since an HTTP server framework would
refuse to split, stall, reset and lie. `python -m tests.upstream --port N` runs it alone.
Knows nothing of the gateway.
"""

import argparse
import asyncio
import contextlib
import secrets
from ssl import SSLContext
from types import TracebackType
from typing import Self

from tests.upstream_connection import Connection, Received
from tests.upstream_echo import read_ask, render
from tests.upstream_native import model_of
from tests.upstream_script import (
    CUT,
    MALFORMED_EVENT,
    NO_ANSWER,
    RESET,
    Answer,
    Echo,
    Gate,
    Script,
    Turns,
    refuse,
)


class ScriptedUpstream:
    """The provider; an async context that listens on 127.0.0.1.

    An exception in a script is raised when the context ends, so that no test passes over it.
    """

    def __init__(
        self,
        *,
        default: Script | None = None,
        ssl: SSLContext | None = None,
        port: int = 0,
        remember: bool = True,
    ) -> None:
        self.requests: list[Received] = []
        self.accepted = 0  # connections, ever
        self._default = default or Echo()
        self._ssl = ssl
        self._port = port
        self._remember = remember
        self._scripts: dict[str, Script] = {}
        self._turns: dict[str, int] = {}
        self._connections: set[Connection] = set()
        self._arrivals: list[tuple[int, asyncio.Future[None]]] = []
        self._failures: list[Exception] = []
        self._name = secrets.token_hex(4)
        self._answered = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", self._port, ssl=self._ssl, backlog=1024
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        ends = [connection.abort() for connection in self._connections]
        await asyncio.gather(*ends)
        await self._server.wait_closed()
        if self._failures and error is None:
            raise ExceptionGroup("scripts failed", self._failures)

    @property
    def base_url(self) -> str:
        """What an SDK takes as its base URL."""
        return f"{'https' if self._ssl else 'http'}://127.0.0.1:{self._port}/v1"

    @property
    def origin(self) -> str:
        """The same without its version."""
        return self.base_url.removesuffix("/v1")

    @property
    def open_connections(self) -> int:
        """Connections that neither side has ended."""
        return len(self._connections)

    def answer(self, model: str, script: Script) -> None:
        """Answer calls for `model` by `script` from now on; "" is every call without a model."""
        self._scripts[model] = script
        self._turns.pop(model, None)

    async def received(self, count: int) -> list[Received]:
        """Return the calls once `count` of them have arrived, since the start."""
        if len(self.requests) < count:
            arrived = asyncio.get_running_loop().create_future()
            self._arrivals.append((count, arrived))
            await arrived
        return self.requests

    def close_idle(self) -> None:
        """End every connection that has no call on it, as a provider's keep-alive timer does."""
        for connection in list(self._connections):
            connection.close_if_idle()

    def opened(self, connection: "Connection") -> None:
        """Count a connection in."""
        self.accepted += 1
        self._connections.add(connection)

    def closed(self, connection: "Connection") -> None:
        """Count a connection out."""
        self._connections.discard(connection)

    def failed(self, error: Exception) -> None:
        """Keep what a script raised, for the end of the context."""
        self._failures.append(error)

    def take(self, received: Received) -> None:
        """Record a call and wake those who wait for it."""
        if not self._remember:
            return
        self.requests.append(received)
        due = [entry for entry in self._arrivals if entry[0] <= len(self.requests)]
        for entry in due:
            self._arrivals.remove(entry)
            if not entry[1].done():
                entry[1].set_result(None)

    def answer_to(self, received: Received) -> Answer:
        """The answer to one call, by its model's script."""
        model = model_of(received.path) or str(read_ask(received.body).get("model", ""))
        script = self._scripts.get(model, self._default)
        if isinstance(script, Turns):
            turn = self._turns.get(model, 0)
            self._turns[model] = turn + 1
            script = script.scripts[min(turn, len(script.scripts) - 1)]
        if isinstance(script, Answer):
            return script
        self._answered += 1
        return render(script, received.path, received.body, f"{self._name}{self._answered:08d}")


async def _serve(port: int) -> None:
    async with ScriptedUpstream(port=port, remember=False) as upstream:
        print(upstream.base_url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Run the echo alone until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.upstream", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 chooses one")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args().port))


__all__ = [
    "CUT",
    "MALFORMED_EVENT",
    "NO_ANSWER",
    "RESET",
    "Answer",
    "Echo",
    "Gate",
    "Received",
    "Script",
    "ScriptedUpstream",
    "Turns",
    "refuse",
]

if __name__ == "__main__":
    main()
