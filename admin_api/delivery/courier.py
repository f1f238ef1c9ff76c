"""One way out of the outbox: takes what is due, sends several at once, and marks what became of each.

A message that hangs takes one place of a few for a bounded time; it keeps no request and no other way waiting.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from gateway.domain.errors import StoreUnavailable
from gateway.store.outbox import Kind
from gateway.store.outbox_queue import Message, mark_failed, mark_sent, take_due
from gateway.store.postgres import Pool
from gateway.store.seal import Seal

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 5.0
_MARKING_S = 15.0


class NotSent(Exception):
    """The other side did not take a message. `for_good`: it never will."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        self.for_good = for_good
        super().__init__(reason)


class Courier:
    """Sends the messages of one kind with `send`, which raises `NotSent`; at most `at_once`, each for `longest_s`."""

    def __init__(
        self,
        pool: Pool,
        seal: Seal,
        kind: Kind,
        send: Callable[[Message], Awaitable[None]],
        *,
        at_once: int,
        longest_s: float,
    ) -> None:
        self.kind = kind
        self._pool = pool
        self._seal = seal
        self._send = send
        self._free = at_once
        self._longest_s = longest_s
        self._woken = asyncio.Event()
        self.is_stopping = False

    def wake(self) -> None:
        """Look now: something was written."""
        self._woken.set()

    def stop(self) -> None:
        """Take nothing more; `run` ends with what is being sent."""
        self.is_stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Until `stop`."""
        async with asyncio.TaskGroup() as group:
            while not self.is_stopping:
                self._woken.clear()
                for message in await self._take():
                    self._free -= 1
                    group.create_task(self._deliver(message))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._woken.wait()

    async def _take(self) -> list[Message]:
        if self._free == 0:
            return []
        lease_s = self._longest_s + _MARKING_S
        try:
            return [*await take_due(self._pool, self._seal, self.kind, self._free, lease_s)]
        except StoreUnavailable as error:
            _log.warning("what is to be sent cannot be read: %s", error)
            return []

    async def _deliver(self, message: Message) -> None:
        try:
            problem = await self._try(message)
            if problem is None:
                await mark_sent(self._pool, message)
            else:
                await self._note(message, problem)
        except StoreUnavailable as error:
            _log.warning("%s %s: what became of it is not noted: %s", self.kind, message.id, error)
        finally:
            self._free += 1
            self.wake()

    async def _try(self, message: Message) -> NotSent | None:
        try:
            async with asyncio.timeout(self._longest_s):
                await self._send(message)
        except NotSent as problem:
            return problem
        except TimeoutError:
            return NotSent(f"not taken within {self._longest_s:g} s")
        except Exception:  # noqa: BLE001 -- one bad message must not end the sending of all others
            _log.exception("%s %s: a fault of Tollhouse", self.kind, message.id)
            return NotSent("a fault of Tollhouse; its log has it")
        return None

    async def _note(self, message: Message, problem: NotSent) -> None:
        given_up = await mark_failed(self._pool, message, str(problem), for_good=problem.for_good)
        if given_up:
            _log.error(
                "%s %s is given up after %d attempts: %s",
                *(self.kind, message.id, message.attempts, problem),
            )
        else:
            _log.warning("%s %s: attempt %d: %s", self.kind, message.id, message.attempts, problem)
