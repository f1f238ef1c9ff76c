"""A listener behind proxies that send PROXY headers: whose address counts, and who is closed out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from admin_api.proxied import serve_proxied
from gateway.bounded_server import BoundedServer, Bounds
from gateway.crowd import Crowd
from gateway.domain.network import Blocks
from gateway.listen import listening_socket
from tests.chaos.processes import Process, free_port, plain_environment
from tests.integration.rig import USD, Rig, chat, running
from tests.rolling.fronts import binary
from tests.rolling.replicas import readiness, until
from tests.unit.test_proxy_header import proxied, v2
from tests.upstream import ScriptedUpstream
from tests.wire import Wire, request, wire

CALLER, OTHER = "192.0.2.7", "198.51.100.9"
PROXY = ("127.0.0.0/8",)
ALLOWED = (CALLER,)
Make = Callable[..., AbstractAsyncContextManager[Rig]]


@asynccontextmanager
async def behind(
    postgres_dsn: str, valkey_url: str, trusted: tuple[str, ...]
) -> AsyncIterator[Rig]:
    def configure(members: dict[str, Any]) -> None:
        members["gateway"] |= {"proxy_protocol": True, "trusted_proxies": trusted}

    async with (
        asyncio.timeout(20),
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, configure) as rig,
    ):
        yield rig


@pytest.fixture
def make(postgres_dsn: str, valkey_url: str) -> Make:
    return lambda trusted=PROXY: behind(postgres_dsn, valkey_url, trusted)


HEADERS = {
    "v2": proxied,
    "v1": lambda source: f"PROXY TCP4 {source} 127.0.0.1 1024 8080\r\n".encode(),
}


@pytest.mark.parametrize("version", HEADERS)
async def test_the_header_names_the_caller_on_every_call_of_its_connection(
    make: Make, version: str
):
    async with make() as rig:
        token = await rig.token(USD, allow_ips=ALLOWED)
        for source, status in ((CALLER, 200), (OTHER, 403)):
            async with wire(rig.url) as caller:
                caller.write(HEADERS[version](source))
                for _ in range(2):
                    assert (await caller.ask(request(token.key, chat()))).status == status
                models = request(
                    token.key, method="GET", path="/v1/models"
                )  # aiohttp's from here on
                assert (await caller.ask(models)).status == status
        rows = await rig.ledger()
        assert {str(row["address"]) for row in rows} == {CALLER}


async def test_it_may_come_byte_by_byte_or_with_the_call(make: Make):
    async with make() as rig:
        token = await rig.token(USD, allow_ips=ALLOWED)
        sent = proxied(CALLER) + request(token.key, chat())
        async with wire(rig.url) as slow, wire(rig.url) as quick:
            quick.write(sent)
            for byte in sent:
                slow.write(bytes((byte,)))
                await asyncio.sleep(0)  # so that it is written by itself
            assert (await quick.answer()).status == (await slow.answer()).status == 200


async def test_a_proxys_own_check_needs_no_caller(make: Make):
    async with make() as rig, wire(rig.url) as check:
        check.write(v2(0x20, 0x00, b""))
        answer = await check.ask(request(None, method="GET", path="/readyz"))
        assert answer.status == 200


async def test_a_forwarded_address_counts_only_where_a_trusted_proxy_was_the_caller(make: Make):
    edge = "203.0.113.5"
    async with make((*PROXY, edge)) as rig:
        token = await rig.token(USD, allow_ips=ALLOWED)
        told = request(token.key, chat(), headers=(("x-forwarded-for", CALLER),))
        for source, status in ((edge, 200), (OTHER, 403)):
            async with wire(rig.url) as caller:
                caller.write(proxied(source))
                assert (await caller.ask(told)).status == status


@pytest.mark.parametrize("first", [b"", b"PROXY TCP4 x\r\n"])
async def test_a_trusted_proxy_without_a_header_is_closed_out_and_told_once(
    make: Make, caplog: pytest.LogCaptureFixture, first: bytes
):
    async with make() as rig:
        token = await rig.token(USD)
        for _ in range(2):
            async with wire(rig.url) as caller:
                caller.write(first + request(token.key, chat()))
                await caller.is_closed()
                assert not caller.raw
        (told,) = [each for each in caplog.messages if "PROXY" in each]
        assert "127.0.0.1" in told
        assert not rig.upstream.requests


async def test_from_anybody_else_it_is_no_header(make: Make):
    async with make(("203.0.113.0/24",)) as rig, wire(rig.url) as caller, wire(rig.url) as liar:
        token = await rig.token(USD, allow_ips=ALLOWED)
        assert (await caller.ask(request(token.key, chat()))).status == 403, "it is 127.0.0.1"
        answer = await liar.ask(
            HEADERS["v1"](CALLER) + request(token.key, method="GET", path="/v1/models")
        )
        assert answer.status == 400


async def test_the_admin_apps_listener_reads_it_too():
    async def tell(told: web.BaseRequest) -> web.Response:
        return web.Response(text=told.remote)

    crowd = Crowd(0, Blocks.of(()), lambda _: b"")
    server = BoundedServer(tell, Bounds(crowd, lambda _: b"", 60))
    listener = listening_socket("127.0.0.1:0", "admin.listen", shared=False, backlog=1)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    get = request(None, method="GET", path="/")
    async with (
        serve_proxied(server, listener, Blocks.of(PROXY), backlog=1),
        wire(url) as caller,
        wire(url) as liar,
    ):
        caller.write(proxied(CALLER))
        assert (await caller.ask(get)).body == CALLER.encode()
        liar.write(get)
        await Wire.is_closed(liar)
    await server.shutdown()


_TCP = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen calls
    bind 127.0.0.1:{front}
    server gateway 127.0.0.1:{gateway} {option}
"""


@pytest.mark.skipif(not binary("haproxy"), reason="there is no HAProxy here")
@pytest.mark.parametrize(
    "option",
    [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options unique-id",
        "send-proxy-v2 check check-send-proxy",
    ],
)
async def test_a_real_proxy_is_understood(make: Make, tmp_path: Path, option: str):
    async with make(("127.0.0.1",)) as rig:
        token = await rig.token(USD, allow_ips=("127.0.0.2",))
        front, file = free_port(), tmp_path / "haproxy.cfg"
        text = _TCP.format(front=front, gateway=URL(rig.url).port, option=option)
        file.write_text(text)
        command = [binary("haproxy"), "-db", "-f", str(file)]
        process = Process("haproxy", command, plain_environment(), tmp_path / "log")
        process.start()
        try:
            await until(lambda: readiness(front))
            for source, status in (("127.0.0.2", 200), ("127.0.0.3", 403)):
                connector = aiohttp.TCPConnector(local_addr=(source, 0))
                async with (
                    aiohttp.ClientSession(connector=connector) as session,
                    session.post(
                        f"http://127.0.0.1:{front}/v1/chat/completions",
                        json=chat(),
                        headers={"Authorization": f"Bearer {token.key}"},
                    ) as answer,
                ):
                    assert answer.status == status
        finally:
            process.kill()
        rows = await rig.ledger()
        assert [str(row["address"]) for row in rows] == ["127.0.0.2"]
