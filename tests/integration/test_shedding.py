"""A worker that has more to do than it can turns new calls away, and goes on with those that run."""

import asyncio
import contextlib
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.relay.load import open_descriptors
from tests.integration.rig import Rig, chat, until
from tests.integration.test_connections import bounded
from tests.integration.test_streams import STREAM
from tests.upstream import Echo, Gate
from tests.wire import request, wire

_PAGES = ("/healthz", "/readyz")
_SHAPES = {
    "/v1/chat/completions": lambda body: body["error"]["code"] == "overloaded",
    "/v1/messages": lambda body: body["error"]["type"] == "overloaded_error",
    "/v1beta/models/m:generateContent": lambda body: body["error"]["status"] == "UNAVAILABLE",
}


@asynccontextmanager
async def busy(turn_s: float) -> AsyncIterator[None]:
    """Something that keeps the loop for so long at each turn."""

    async def keep() -> None:
        while True:
            until_s = time.perf_counter() + turn_s
            while time.perf_counter() < until_s:
                pass
            await asyncio.sleep(0)

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def assert_sheds(rig: Rig, key: str) -> None:
    """New calls are refused, in each dialect and by both readers, and pages answer."""
    waits = set()
    for path, is_right in _SHAPES.items():
        async with wire(rig.url) as caller:
            for _ in range(2):
                answer = await caller.ask(request(key, chat(), path=path))
                assert answer.status == 503
                assert is_right(answer.json())
                assert 1 <= int(answer.header("retry-after") or 0) <= 5
                waits.add(answer.header("retry-after-ms"))
            for page in _PAGES:
                assert (await caller.ask(request(None, method="GET", path=page))).status == 200
            assert (await caller.ask(request(key, method="GET", path="/v1/models"))).status == 503
    assert len(waits) > 1, "all would come back at once"


async def test_a_late_loop_turns_new_calls_away_while_streams_go_on(postgres_dsn, valkey_url):
    async with bounded(postgres_dsn, valkey_url, shed_delay_s=0.05) as rig:
        token = await rig.token()
        gate = Gate()
        rig.upstream.answer("m", Echo().after(1, gate))
        async with wire(rig.url) as stream:
            stream.write(request(token.key, STREAM))
            await gate.waiting()
            calls = len(rig.upstream.requests)
            async with busy(0.08):
                await until(lambda: rig.gateway.load.sheds)
                await assert_sheds(rig, token.key)
                gate.release()
                assert (await stream.answer()).whole
            assert len(rig.upstream.requests) == calls
            await until(lambda: not rig.gateway.load.sheds)
            async with rig.post(token.key, chat()) as answer:
                assert answer.status == 200
        figures = {each.name: each.values for each in rig.gateway.figures()}
        assert figures["tollhouse_shed_calls_total"] == {(): 9}
        rows = await rig.ledger()
        assert len(rows) == 2


@contextlib.contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process may open so many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_descriptors() + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_with_few_descriptors_left_new_calls_are_turned_away_and_idle_ones_closed(
    postgres_dsn, valkey_url
):
    async with bounded(postgres_dsn, valkey_url) as rig:
        token = await rig.token()
        load = rig.gateway.load
        gate = Gate()
        rig.upstream.answer("m", Echo().after(1, gate))
        async with wire(rig.url) as stream, AsyncExitStack() as stack:
            stream.write(request(token.key, STREAM))
            await gate.waiting()
            with descriptors_left(200):
                idle = []
                while not load.sheds:
                    if open_descriptors() < resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 12:
                        idle.append(await stack.enter_async_context(wire(rig.url)))
                    await asyncio.sleep(0)
                await assert_sheds(rig, token.key)
                for each in idle:
                    await each.is_closed()
                await until(lambda: not load.sheds)
                gate.release()
                assert (await stream.answer()).whole
                async with rig.post(token.key, chat()) as answer:
                    assert answer.status == 200
