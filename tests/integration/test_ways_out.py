"""Where Tollhouse connects to when others say where: to checked addresses alone, looked up once (N15)."""

import asyncio
import re
import socket
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from gateway.domain.catalog import Upstream
from gateway.domain.network import Blocks
from gateway.outbound import NotCallable, open_session
from gateway.relay.dial import Dialer
from tests.admin import declined, done, running_admin
from tests.integration.test_admin_catalog import PUBLIC
from tests.upstream import ScriptedUpstream
from tests.webhooks import running_receiver

LOOPBACK = Blocks.of(["127.0.0.0/8"])
ROOT = Path(__file__).parents[2]


class Turning(AbstractResolver):
    """A name server in an attacker's hand: each question gets the next answer."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> Any:
        return [
            {"hostname": host, "host": each, "port": port, "family": family, "proto": 0, "flags": 0}
            for each in self.answers.pop(0)
        ]

    async def close(self) -> None:
        pass


async def test_a_session_goes_to_the_address_that_was_checked_and_to_no_later_one():
    names = Turning(["10.9.8.7", "127.0.0.1"], ["10.9.8.7"])
    async with running_receiver() as receiver, open_session(LOOPBACK, 5, "a.setting") as session:
        session.connector._resolver = names
        url = receiver.url.replace("127.0.0.1", "hooks.example")
        async with session.post(url, data=b"x") as answer:
            assert answer.status == 204
        headers, _ = await receiver.call()
        assert headers["Host"].startswith("hooks.example:")
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await session.post(url, data=b"x")
        assert "10.9.8.7 is not public: allow it with a.setting" in str(refused.value)
        assert receiver.calls.empty()
        assert not names.answers


async def test_a_call_goes_to_the_address_that_was_checked_and_to_no_later_one(monkeypatch):
    answers = [["10.9.8.7", "127.0.0.1"], ["169.254.169.254"]]

    def resolved(host: str, port: int, *_: Any, **__: Any) -> Any:
        assert host == "provider.example"
        return [(None, None, None, "", (each, port)) for each in answers.pop(0)]

    async with ScriptedUpstream() as upstream:
        base = urlsplit(upstream.base_url.replace("127.0.0.1", "provider.example"))
        dialer = Dialer(
            Upstream("u", "openai", base, (), MappingProxyType({}), allow_cidrs=LOOPBACK)
        )
        opened: list[_Plain] = []

        def protocol() -> _Plain:
            opened.append(_Plain())
            return opened[-1]

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        await dialer.open(protocol)
        assert opened[0].peer == "127.0.0.1"
        with pytest.raises(NotCallable, match="never called"):
            await dialer.open(protocol)
        monkeypatch.undo()
        opened[0].transport.close()
    assert not answers


async def test_a_webhook_that_sends_elsewhere_is_not_followed():
    async with running_receiver() as receiver, open_session(LOOPBACK, 5, "a.setting") as session:
        receiver.statuses = [307]
        async with session.post(receiver.url, data=b"x", allow_redirects=False) as answer:
            assert answer.status == 307
        await receiver.call()
        assert receiver.calls.empty()


LITERALS = [
    *("127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001"),
    *("0.0.0.0", "0", "10.0.0.1", "169.254.169.254", "2852039166", "100.64.0.1", "224.0.0.1"),
    *("[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]"),
    *("[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[fe80::1]", "[fc00::1]", "[fec0::1]"),
    *("[fd00:ec2::254]", "[fd20:ce::254]", "168.63.129.16", "localhost"),
]


async def test_no_way_of_writing_an_inner_address_is_taken_for_an_upstream(admin, subtests):
    for host in LITERALS:
        with subtests.test(host=host):
            body = {**PUBLIC, "base_url": f"http://{host}/v1"}
            message = await declined(admin, 422, "invalid_field", "POST", "/api/upstream", body)
            assert message.startswith("base_url: ")
            assert "allow_cidrs" in message or "never called" in message
    assert await admin.pool.fetchval("SELECT count(*) FROM upstream") == 0


async def test_no_way_of_writing_an_inner_address_is_called_by_a_test(admin, subtests):
    """A row may be older than a rule: what is used is checked, not only what is saved."""
    for number, host in enumerate(LITERALS):
        name = f"u{number}"
        await done(admin, "POST", "/api/upstream", {**PUBLIC, "name": name})
        await admin.pool.execute(
            "UPDATE upstream SET spec = spec || jsonb_build_object('base_url', $2::text) WHERE name = $1",
            name,
            f"http://{host}:9/v1",
        )
    await admin.pool.execute("UPDATE catalog SET generation = generation + 1")
    for number, host in enumerate(LITERALS):
        with subtests.test(host=host):
            path = f"/api/upstream/u{number}/test"
            answer = await admin.call("POST", path)
            if answer.status == 422:
                assert "never called" in answer.message
                continue
            (told,) = answer.data["keys"]
            assert told["status"] is None
            assert re.search("is not (public|a canonical)|never called", told["message"])


async def test_the_operator_bounds_what_upstreams_of_the_api_may_allow_themselves(
    aiohttp_client, postgres_dsn
):
    bound = {"admin": {"upstream_cidrs": ["10.1.0.0/16"]}}
    async with running_admin(aiohttp_client, postgres_dsn, bound) as admin:
        inside = {**PUBLIC, "base_url": "http://10.1.2.3/v1", "allow_cidrs": ["10.1.2.0/24"]}
        await done(admin, "POST", "/api/upstream", inside)
        for wider in (["10.0.0.0/8"], ["10.1.2.0/24", "::1"], ["0.0.0.0/0"]):
            message = await declined(
                *(admin, 422, "invalid_field", "PATCH", "/api/upstream/added"),
                {"allow_cidrs": wider},
            )
            assert message.startswith(
                f"allow_cidrs: {wider[-1]} is not within admin.upstream_cidrs"
            )
            assert "10.1.0.0/16" in message
    access = admin.credentials.access_token
    narrower = {"admin": {"upstream_cidrs": []}}
    async with running_admin(aiohttp_client, postgres_dsn, narrower) as admin:
        shown = await done(admin, "GET", "/api/upstream/added", token=access)
        assert shown["broken"] == "allow_cidrs: 10.1.2.0/24 is not within admin.upstream_cidrs"


OTHER_WAYS = {
    # The operator's own servers, whose addresses are the operator's word.
    "admin_api/gateway_client.py": "admin.gateway_url",
    "admin_api/delivery/mailer.py": "mail.host",
    "admin_api/catalog/probe.py": "an upstream's unix_socket or proxy, of the file alone",
    "gateway/relay/dial.py": "the same; and addresses that gateway/outbound.py gave",
    "gateway/relay/spans.py": "traces.otlp_endpoint",
    "gateway/store/address.py": "redis.url",
    # Commands of the operator's shell.
    "gateway/commands/api_client.py": "TOLLHOUSE_ADMIN_URL",
}
OPENS = re.compile(
    r"ClientSession\(|TCPConnector\(|UnixConnector\(|create_connection\(|create_unix_connection\(|open_connection\("
    r"|urlopen\(|aiosmtplib\.send\(|smtplib\.SMTP|http\.client"
)


def test_whatever_goes_out_goes_by_the_one_module_or_is_the_operators_own():
    opening = {
        str(path.relative_to(ROOT))
        for package in ("gateway", "admin_api")
        for path in (ROOT / package).rglob("*.py")
        if OPENS.search(path.read_text())
    }
    told = "gateway/banner.py"  # a line that people paste
    assert opening - {"gateway/outbound.py", told} == set(OTHER_WAYS)


class _Plain(asyncio.Protocol):
    """A connection that nothing is sent on."""

    transport: Any = None
    peer = ""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.peer = transport.get_extra_info("peername")[0]

    def data_received(self, data: bytes) -> None:
        raise AssertionError(data)
