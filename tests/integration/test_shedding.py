"""A worker that has more to do than it can turns new calls away, and goes on with those that run."""

import asyncio
import contextlib
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from gateway.relay.load import listed_descriptors, most_descriptors, open_descriptors
from tests.chaos.processes import ROOT
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
def descriptors_left(count: int) -> Iterator[int]:
    """This process may open so many more; up to which number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = open_descriptors() + count
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="others have no /proc")
def test_descriptors_are_counted_on_older_kernels_too_even_where_none_is_left():
    assert listed_descriptors() == open_descriptors() + 1  # its own
    with descriptors_left(1) as limit, contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            while True:
                stack.enter_context(Path("/dev/null").open())
        assert listed_descriptors() == most_descriptors() == limit


@pytest.mark.skipif(sys.platform != "linux", reason="others have no /proc")
def test_a_worker_that_has_no_proc_goes_without_that_count():
    hidden = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    told = "from gateway.relay.load import open_descriptors; print(open_descriptors())"
    tried = [*hidden, f'mount -t tmpfs none /proc && exec "$0" -c "{told}"', sys.executable]
    done = subprocess.run(tried, cwd=ROOT, capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("this system lets nobody have mounts of their own")
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


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
