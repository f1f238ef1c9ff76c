"""The admin API's port has the edges that the gateway's has."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from admin_api import arrival
from admin_api.server import Runner
from gateway.admin_settings import AdminSettings
from gateway.slowness import WHOLE_WITHIN_S
from tests.admin import running_admin
from tests.integration.rig import until
from tests.wire import request, wire

_GET = request(None, method="GET", path="/healthz")


@pytest.fixture
async def served(postgres_dsn: str) -> AsyncIterator[tuple[str, Runner]]:
    """Its address, and what serves it: three connections for an address."""
    runners = []
    async with AsyncExitStack() as stack:

        async def client_of(app: web.Application) -> str:
            runner = Runner(app, AdminSettings(max_connections_per_address=3), 1.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            runners.append(runner)
            host, port = runner.addresses[0][:2]
            return f"http://{host}:{port}"

        async with running_admin(client_of, postgres_dsn) as admin:
            yield admin.client, runners[0]


async def test_the_admin_api_bounds_the_connections_of_an_address(served):
    url, runner = served
    crowd = runner._bounds.crowd
    async with AsyncExitStack() as stack:
        for _ in range(3):
            caller = await stack.enter_async_context(wire(url, source="127.0.0.2"))
            assert (await caller.ask(_GET)).status == 200
        async with wire(url, source="127.0.0.2") as other:
            answer = await other.ask(_GET)
            await other.is_closed()
        assert (answer.status, answer.json()["code"]) == (429, "too_many_connections")
        assert answer.header("retry-after") == "1"
        async with wire(url, source="127.0.0.3") as other:
            assert (await other.ask(_GET)).status == 200
    await until(lambda: crowd.open == 0)


async def test_the_admin_api_tells_what_is_no_request_in_its_own_form(served):
    url, _ = served
    for broken in (
        b"GET / HTTP/1.1\r\nhost: g\r\ncanary\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
    ):
        async with wire(url) as caller:
            answer = await caller.ask(broken)
            await caller.is_closed()
        assert b"canary" not in bytes(caller.raw)
        assert (answer.status, answer.header("server")) == (400, "tollhouse")
        assert answer.json()["code"] == "invalid_request"
        assert "frame-ancestors 'none'" in (answer.header("content-security-policy") or "")


async def test_the_admin_api_waits_a_minute_for_a_head(served):
    url, runner = served
    async with wire(url) as caller:
        caller.write(_GET[:20])
        await until(lambda: any(each._head_since for each in runner.server.connections))
        (connection,) = runner.server.connections
        connection.look(time.monotonic() + WHOLE_WITHIN_S - 1)
        assert not caller.closed
        connection.look(time.monotonic() + WHOLE_WITHIN_S)
        answer = await caller.answer()
        await caller.is_closed()
    assert (answer.status, answer.json()["code"]) == (408, "request_timeout")


async def test_the_admin_api_waits_a_minute_for_a_body(served, monkeypatch: pytest.MonkeyPatch):
    url, _ = served
    monkeypatch.setattr(arrival, "WHOLE_WITHIN_S", 0.1)
    async with wire(url) as caller:
        path = "/api/user/login"
        answer = await caller.ask(request(None, {"username": "x"}, path=path, send_body=False))
    assert (answer.status, answer.json()["code"]) == (408, "request_timeout")
