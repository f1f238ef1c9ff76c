"""Servers of tests that run on a loop, beside a browser that keeps the test's thread busy."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from tests.upstream import Answer, ScriptedUpstream

T = TypeVar("T")
WAIT_S = 30


class Beside:
    """What runs on the thread, and a way to ask something of it there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, served: Any) -> None:
        self._loop = loop
        self.served = served

    def ask(self, work: Awaitable[T]) -> T:
        """Await something on the other thread's loop."""

        async def awaited() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(WAIT_S)

    def do(self, call: Callable[[], Any]) -> None:
        """Call something there."""
        self._loop.call_soon_threadsafe(call)


@contextmanager
def beside(make: Callable[[], AbstractAsyncContextManager[Any]]) -> Iterator[Beside]:
    """What `make` makes, entered on a thread of its own until the end."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found = []

    async def serve() -> None:
        async with make() as served:
            found.append(served)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(WAIT_S)
        yield Beside(loop, found[0])
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(WAIT_S)
        loop.close()


@contextmanager
def provider_with(models: Sequence[str] = ()) -> Iterator[Beside]:
    """A scripted upstream, which lists these models."""
    listed = json.dumps({"object": "list", "data": [{"id": name} for name in models]})
    with beside(ScriptedUpstream) as server:
        if models:
            server.served.answer("", Answer((listed.encode(),)))
        yield server
