"""The hot path's connection to the quota store: one write per loop tick, replies call back.

Addressed by shard, so that a cluster (one connection per node) changes nothing above it. Knows
neither keys nor what commands mean; the scripts are loaded before a connection counts as connected,
and again when the store forgot them.
"""

import asyncio
import contextlib
import logging
import random
import time
from types import TracebackType
from typing import Final, Self

from gateway.domain.breaker import BreakerState
from gateway.domain.errors import StoreNotAsked, StoreUnavailable
from gateway.store.address import Address, parse_address
from gateway.store.breaker import Breaker
from gateway.store.connection import Connection, Done, accept, encode
from gateway.store.scripts import Scripts, load_scripts

_log = logging.getLogger(__name__)
_PROBE_S: Final = 1.0
"""Between two probes, give or take a quarter, so that workers do not come all at once."""
_AGAIN_S: Final = 0.05
"""After a connection was cut, once: perhaps it was not the store."""
_GREETING_S: Final = 1.0


class Pipeline:
    """One connection, opened again for as long as the pipeline lives.

    `send` never raises and never waits. `operation_timeout_s` is checked a few times per timeout: a
    caller is told after one to one and a quarter of it that no reply came, and its late reply goes
    nowhere. After five such failures in a row, or a second without any reply, the breaker opens: the
    connection is dropped and callers are told at once, until a probe (a new connection that is
    greeted, and a PING that is answered in time) closes it.
    """

    def __init__(
        self, url: str, scripts: Scripts | None = None, *, operation_timeout_s: float = 1.0
    ) -> None:
        self._address = parse_address(url)
        self.scripts: Final = load_scripts() if scripts is None else scripts
        self._timeout_s = operation_timeout_s
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._ever_connected = asyncio.Event()
        self._down = StoreNotAsked("the quota store is not connected")
        self.breaker = Breaker(time.monotonic)
        self.run_id = b""
        """Of the run of the store that is, or was last, connected to; 40 characters."""
        self.connections = 0
        """How many connections were made so far."""

    @property
    def database(self) -> int:
        """The number of the server's database."""
        return self._address.db

    @property
    def connected(self) -> bool:
        """Whether commands are sent now."""
        return self._connection is not None

    async def start(self, wait_s: float = 5.0) -> None:
        """Connect, and stay connected until `close`.

        Raises `StoreUnavailable` when `wait_s` pass in vain.
        """
        self._task = asyncio.create_task(self._stay_connected(), name="quota store")
        try:
            async with asyncio.timeout(wait_s):
                await self._ever_connected.wait()
        except TimeoutError:
            await self.close()
            raise self._down from None

    async def close(self) -> None:
        """Give up the connection; whoever still waits gets `StoreUnavailable`."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def send(
        self,
        shard: int,  # noqa: ARG002 -- one node serves all shards
        command: bytes,
        done: Done | None,
    ) -> None:
        """Send an encoded command; `done` is called with its reply, in the order of sending."""
        connection = self._connection
        if connection is not None:
            connection.send(command, done)
        elif done is not None:
            asyncio.get_running_loop().call_soon(done, self._down)

    def leave(
        self,
        shard: int,  # noqa: ARG002 -- one node serves all shards
        command: bytes,
        done: Done,
    ) -> None:
        """As `send`, but the command waits for another one to go with; each heartbeat brings one."""
        connection = self._connection
        if connection is not None:
            connection.leave(command, done)

    async def call(self, shard: int, *args: bytes | str | int) -> object:
        """Send one command and wait for its reply; for use off the hot path.

        Raises `StoreUnavailable`, for error replies too.
        """
        return accept(await self.ask(shard, *args))

    def ask(self, shard: int, *args: bytes | str | int) -> asyncio.Future[object]:
        """Send one command now; its raw reply, for `accept`."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def settle(reply: object) -> None:
            if not future.done():  # the caller may have been cancelled
                future.set_result(reply)

        self.send(shard, encode(*args), settle)
        return future

    async def _stay_connected(self) -> None:
        cut_at = -_PROBE_S
        while True:
            wait_s = _PROBE_S
            connection = None
            try:
                self.breaker.become(BreakerState.HALF_OPEN)
                connection = await self._connect()
                self._connection = connection
                self.connections += 1
                self._ever_connected.set()
                self.breaker.become(BreakerState.CLOSED)
                reason = await connection.lost
                if connection.was_cut:
                    now = time.monotonic()
                    cut_at, wait_s = now, _PROBE_S if now - cut_at < _PROBE_S else _AGAIN_S
                _log.warning("quota store lost: %s", reason)
            except (OSError, StoreUnavailable, TimeoutError) as error:
                self._down = StoreNotAsked(f"the quota store is not connected: {error!r}")
                _log.warning("quota store not reached: %r", error)
            finally:
                self._connection = None
                self.breaker.become(BreakerState.OPEN)
                if connection is not None:
                    connection.abort("closed")
            await asyncio.sleep(wait_s * random.uniform(0.75, 1.25))  # noqa: S311 -- spread, no secret

    async def _connect(self) -> Connection:
        """A connection that is logged in, has its database selected and all scripts loaded."""
        loop = asyncio.get_running_loop()
        texts = [script.text for script in self.scripts.values()]
        connection = Connection(loop, texts, self._timeout_s, self._forget)
        async with asyncio.timeout(max(self._timeout_s, _GREETING_S)):
            await self._address.connect(lambda: connection)
            try:
                run_id = await _greet(connection, self._address)
                await connection.ask("PING")
                self.run_id = run_id
            except BaseException:
                connection.abort("greeting failed")
                raise
        return connection

    def _forget(self, connection: Connection) -> None:
        """A connection is lost and will tell whoever waits: what they send must not go there."""
        if self._connection is connection:
            self._connection = None
            self.breaker.become(BreakerState.OPEN)


async def _greet(connection: Connection, address: Address) -> bytes:
    """Log in, select the database, load the scripts; the run id of the store."""
    if address.password is not None:
        user = () if address.username is None else (address.username,)
        await connection.ask("AUTH", *user, address.password)
    if address.db:
        await connection.ask("SELECT", address.db)
    info = await connection.ask("INFO", "server")
    await connection.load_scripts()
    if isinstance(info, bytes):
        for line in info.splitlines():
            if line.startswith(b"run_id:"):
                return line.removeprefix(b"run_id:").strip()
    raise StoreUnavailable("INFO server names no run_id")
