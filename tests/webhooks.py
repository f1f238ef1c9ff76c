"""A real receiver of webhooks on the loop, and what it was called with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Receiver:
    """`statuses` are given to the next calls in the place of 204; `hangs` never answers."""

    url: str = ""
    calls: asyncio.Queue = field(default_factory=asyncio.Queue)
    statuses: list[int] = field(default_factory=list)
    hangs: bool = False
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.arrived.set()
        if self.hangs:
            await asyncio.Event().wait()
        await self.calls.put((dict(request.headers), body))
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async def call(self) -> tuple[dict[str, str], bytes]:
        """The next one that comes: headers and body."""
        async with asyncio.timeout(20):
            return await self.calls.get()


@contextlib.asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    async with TestServer(app, shutdown_timeout=0.01) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver
