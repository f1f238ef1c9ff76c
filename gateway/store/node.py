"""One server of the quota store: its connection, made again for as long as the server is wanted.

Knows neither which shards the server has nor who says so.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from gateway.domain.breaker import BreakerState
from gateway.domain.errors import StoreNotAsked, StoreUnavailable
from gateway.store.address import Address
from gateway.store.connection import Connection, Done

_log = logging.getLogger(__name__)
_PROBE_S: Final = 1.0
"""Between two probes, give or take a quarter, so that workers do not come all at once."""
_AGAIN_S: Final = 0.05
"""After a connection was lost, once: perhaps it was not the store, or it is there again, as after a fork or a disk
that was busy."""
_GREETING_S: Final = 1.0

Redirect = Callable[["Node", Exception, bytes, Done | None], object]
"""Gets an error reply, its command and its callback; what to tell, None where the command was sent elsewhere."""


class Node:
    """A server at `address`, which whoever watches it may change with `move`.

    `changed` is called with each change of `connection` or `state`.
    """

    def __init__(
        self,
        address: Address,
        texts: list[bytes],
        timeout_s: float,
        changed: Callable[["Node"], None],
        redirect: Redirect,
    ) -> None:
        self.address = address
        self.connection: Connection | None = None
        self.run_id = b""
        """Of the server's run that is, or was last, connected to; 40 characters."""
        self.connections = 0
        """How many connections were made so far."""
        self.state = BreakerState.OPEN
        self.reason = "the quota store is not connected"
        """Why there is no connection, as far as is known."""
        self._texts = texts
        self._timeout_s = timeout_s
        self._changed = changed
        self._redirect = redirect
        self._again = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything from it."""
        return self.connection is None or not self.connection.waiting

    def move(self, address: Address) -> None:
        """Another server has taken its place: connect there at once."""
        self.address = address
        self.drop("another server has taken its place")

    def drop(self, reason: str) -> None:
        """Give the connection up and make another at once."""
        if self.connection is not None:
            self.connection.abort(reason)
        self._again.set()

    async def run(self) -> None:
        """Connect, and stay connected until cancelled."""
        lost_at = -_PROBE_S
        while True:
            wait_s = _PROBE_S
            connection = None
            self._again.clear()
            try:
                self._become(BreakerState.HALF_OPEN)
                connection = await self._connect()
                self.connection = connection
                self.connections += 1
                self._become(BreakerState.CLOSED)
                reason = await connection.lost
                now = time.monotonic()
                lost_at, wait_s = now, _PROBE_S if now - lost_at < _PROBE_S else _AGAIN_S
                _log.warning("quota store lost: %s", reason)
            except (OSError, StoreUnavailable, TimeoutError) as error:
                self.reason = f"the quota store is not connected: {error!r}"
                _log.warning("quota store not reached: %r", error)
            finally:
                self.connection = None
                self._become(BreakerState.OPEN)
                if connection is not None:
                    connection.abort("closed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s * random.uniform(0.75, 1.25)):  # noqa: S311 -- spread, no secret
                    await self._again.wait()

    def _become(self, state: BreakerState) -> None:
        self.state = state
        self._changed(self)

    async def _connect(self) -> Connection:
        """A connection that is logged in, has its database selected and all scripts loaded."""
        connection = Connection(
            asyncio.get_running_loop(), self._texts, self._timeout_s, self._forget, self._turn
        )
        async with asyncio.timeout(max(self._timeout_s, _GREETING_S)):
            await self.address.connect(lambda: connection)
            try:
                run_id = await _greet(connection, self.address)
                await connection.ask("PING")
                self.run_id = run_id
            except BaseException:
                connection.abort("greeting failed")
                raise
        return connection

    def _forget(self, connection: Connection) -> None:
        """A connection is lost and will tell whoever waits: what they send must not go there."""
        if self.connection is connection:
            self.connection = None
            self._become(BreakerState.OPEN)

    def _turn(self, reply: Exception, command: bytes, done: Done | None) -> object:
        return self._redirect(self, reply, command, done)


async def open_once(address: Address, timeout_s: float) -> Connection:
    """A connection for a question or two, logged in. Raises `StoreUnavailable`, OSError and TimeoutError."""
    connection = Connection(asyncio.get_running_loop(), [], timeout_s, lambda _: None)
    async with asyncio.timeout(max(timeout_s, _GREETING_S)):
        await address.connect(lambda: connection)
        try:
            await _log_in(connection, address)
        except BaseException:
            connection.abort("greeting failed")
            raise
    return connection


async def _log_in(connection: Connection, address: Address) -> None:
    if address.password is not None:
        user = () if address.username is None else (address.username,)
        await connection.ask("AUTH", *user, address.password)


async def _greet(connection: Connection, address: Address) -> bytes:
    """Log in, select the database, load the scripts; the run id of the store.

    A replica is nobody to ask: what it knows is old, and it lets nobody write.
    """
    await _log_in(connection, address)
    if address.db:
        await connection.ask("SELECT", address.db)
    if _line(await connection.ask("INFO", "replication"), b"role:") != b"master":
        raise StoreNotAsked("the server is a replica")
    run_id = _line(await connection.ask("INFO", "server"), b"run_id:")
    await connection.load_scripts()
    if not run_id:
        raise StoreUnavailable("INFO server names no run_id")
    return run_id


def _line(info: object, name: bytes) -> bytes:
    for line in info.splitlines() if isinstance(info, bytes) else []:
        if line.startswith(name):
            return line.removeprefix(name).strip()
    return b""
