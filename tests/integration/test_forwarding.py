"""Which upstream a call goes to, over which connection, and what happens when one cannot be had."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.servers import free_port
from gateway.domain.catalog import Upstream
from gateway.domain.network import Blocks
from gateway.relay.upstream import Fields, UpstreamConnection, UpstreamPool
from tests.integration.rig import USD, Rig, chat, running, until
from tests.upstream import NO_ANSWER, Answer, Echo, Gate, ScriptedUpstream, Turns, refuse
from tests.upstream_connection import Connection
from tests.wire import request, wire

LOOPBACK = Blocks.of(["127.0.0.0/8"])
DATA = Path(__file__).parents[1] / "data"
INPUT, OUTPUT = 1_000, 10_000


@asynccontextmanager
async def two_upstreams(
    postgres_dsn: str, valkey_url: str
) -> AsyncIterator[tuple[Rig, ScriptedUpstream, ScriptedUpstream]]:
    """A gateway with a first upstream and a second for when the first declines."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(ScriptedUpstream())
        second = await stack.enter_async_context(ScriptedUpstream())

        def configure(members: dict[str, Any]) -> None:
            members["upstreams"] = [
                {"name": "first", "base_url": first.base_url, "models": ["*"]},
                {"name": "second", "base_url": second.base_url, "models": ["*"], "priority": 1},
            ]

        rig = await stack.enter_async_context(running(postgres_dsn, valkey_url, first, configure))
        yield rig, first, second


# Connections.


async def test_a_connection_serves_one_call_after_the_other(rig: Rig):
    token = await rig.token(USD)
    scripts = (Echo(), Echo(framing="chunked"), refuse(400), Echo(bytewise=True))
    rig.upstream.answer("m", Turns(scripts))
    for turn in range(8):
        async with rig.post(token.key, chat(stream=turn % 2 == 0)) as answer:
            await answer.read()
    assert len(rig.upstream.requests) == 8
    assert rig.upstream.accepted == 1


async def test_parallel_calls_have_a_connection_each_and_keep_them(rig: Rig):
    token = await rig.token(USD)
    gate = Gate()
    rig.upstream.answer("m", Echo().first(gate))

    async def one() -> None:
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == 200

    for _ in range(2):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(one())
            await rig.upstream.received(10)
            gate.release()
    assert rig.upstream.accepted == 10


async def test_an_answer_that_closes_its_connection_is_whole_and_the_next_has_a_new_one(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("m", Echo(headers=(("Connection", "close"),)))
    for _ in range(2):
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == 200
            assert "connection" not in answer.headers
    assert rig.upstream.accepted == 2


async def test_connections_that_the_upstream_closed_while_idle_are_never_noticed(rig: Rig):
    token = await rig.token(USD)

    async def one() -> int:
        async with rig.post(token.key, chat()) as answer:
            return answer.status

    gate = Gate()
    rig.upstream.answer("m", Echo().first(gate))
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(one()) for _ in range(5)]
        await rig.upstream.received(5)
        gate.release()
    assert {call.result() for call in calls} == {200}
    rig.upstream.close_idle()
    assert [await one() for _ in range(3)] == [200] * 3
    assert len(await rig.ledger()) == 8


async def test_a_call_that_a_kept_connection_swallowed_is_sent_again_on_a_new_one(rig: Rig):
    """Every kept connection is as old as the first that failed: none of them is tried again."""
    token = await rig.token(USD)
    gate = Gate()
    rig.upstream.answer("m", Echo().first(gate))
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(rig.status(token.key))
        await rig.upstream.received(3)
        gate.release()
    rig.upstream.answer("m", Turns((NO_ANSWER, Echo())))
    assert await rig.status(token.key) == 200
    assert rig.upstream.accepted == 4
    assert [sent.body for sent in rig.upstream.requests[3:]] == [rig.upstream.requests[0].body] * 2
    rows = await rig.ledger()
    assert [row["status"] for row in rows] == [200] * 4


async def test_a_call_that_a_new_connection_swallowed_is_not_sent_again(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("m", NO_ANSWER)
    async with rig.post(token.key, chat()) as answer:
        assert answer.status == 502
        assert (await answer.json())["error"]["code"] == "upstream_error"
    assert len(rig.upstream.requests) == 1
    (row,) = await rig.ledger()
    assert (row["status"], row["amount"]) == (502, 0)


class Heard:
    """An exchange of its own, which is too slow for the last bytes of its answer."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self.body = b""
        self.ended = asyncio.Event()

    def on_head(self, status: int, headers: Fields) -> None:  # noqa: ARG002 -- the protocol's
        assert status == 200

    def on_body(self, data: bytes) -> None:
        self.body += data
        self._connection.pause()

    def on_end(self) -> None:
        self.ended.set()

    def on_failure(self, problem: str, *, answered: bool) -> None:  # noqa: ARG002 -- the protocol's
        raise AssertionError(problem)


async def test_a_connection_that_was_paused_in_its_last_bytes_is_read_again():
    async with ScriptedUpstream(default=Answer((b"whole",))) as upstream:
        base = urlsplit(upstream.base_url)
        settings = Upstream(
            "u", "openai", base, (), MappingProxyType({"*": "*"}), allow_cidrs=LOOPBACK
        )
        pool = UpstreamPool(settings, asyncio.get_running_loop().time)
        connection = await pool.connect()
        for _ in range(3):
            heard = Heard(connection)
            connection.send(
                b"POST /v1/x HTTP/1.1\r\nhost: u\r\ncontent-length: 2\r\n\r\n", b"{}", heard
            )
            async with asyncio.timeout(5):
                await heard.ended.wait()
            assert heard.body == b"whole"
            assert pool.take() is connection
        connection.close()


# Other upstreams.


async def test_an_upstream_that_refuses_connections_is_passed_over(postgres_dsn, valkey_url):
    async with ScriptedUpstream() as upstream:

        def configure(members: dict[str, Any]) -> None:
            dead = f"http://127.0.0.1:{free_port()}/v1"
            members["upstreams"].insert(0, {"name": "dead", "base_url": dead, "models": ["*"]})
            members["upstreams"][1]["priority"] = 1

        async with running(postgres_dsn, valkey_url, upstream, configure) as rig:
            token = await rig.token(USD)
            assert await rig.status(token.key) == 200
            (row,) = await rig.ledger()
            assert (row["upstream"], row["status"]) == ("scripted", 200)


async def test_where_no_upstream_can_be_reached_the_caller_is_told_and_pays_nothing(
    postgres_dsn, valkey_url
):
    async with ScriptedUpstream() as upstream:

        def configure(members: dict[str, Any]) -> None:
            members["upstreams"][0]["base_url"] = f"http://127.0.0.1:{free_port()}/v1"

        async with running(postgres_dsn, valkey_url, upstream, configure) as rig:
            token = await rig.token(USD)
            async with rig.post(token.key, chat()) as answer:
                error = (await answer.json())["error"]
                assert (answer.status, error["code"]) == (502, "upstream_unavailable")
                assert "127.0.0.1" not in error["message"], (
                    "the operator's network is nobody's business"
                )
            (row,) = await rig.ledger()
            assert (row["status"], row["amount"], row["estimated"]) == (502, 0, False)
            assert row["upstream"] == "", "none was reached"
            book = await rig.gateway.quota.book(token.row.account_id, f"t{token.row.id}")
            assert book is not None
            assert (book.reserved, book.live) == (0, 0)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
async def test_an_upstream_that_declines_is_followed_by_the_next(postgres_dsn, valkey_url, status):
    async with two_upstreams(postgres_dsn, valkey_url) as (rig, first, second):
        token = await rig.token(USD)
        first.answer("m", refuse(status))
        assert await rig.status(token.key) == 200
        assert (len(first.requests), len(second.requests)) == (1, 1)
        assert first.requests[0].body == second.requests[0].body
        (row,) = await rig.ledger()
        assert (row["upstream"], row["status"]) == ("second", 200)
        assert row["amount"] == INPUT + 7 * OUTPUT, "one charge"


@pytest.mark.parametrize("status", [429, 500])
async def test_the_last_upstreams_own_answer_is_passed_on(postgres_dsn, valkey_url, status):
    async with two_upstreams(postgres_dsn, valkey_url) as (rig, first, second):
        token = await rig.token(USD)
        first.answer("m", refuse(503))
        second.answer("m", refuse(status, "the second's", headers=(("Retry-After", "7"),)))
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == status
            assert answer.headers["retry-after"] == "7"
            assert (await answer.json())["error"]["message"] == "the second's"
        (row,) = await rig.ledger()
        assert (row["upstream"], row["status"], row["amount"]) == ("second", status, 0)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(refuse(400), id="refused"),
        pytest.param(NO_ANSWER, id="unanswered"),
        pytest.param(Answer((b"{",), missing_bytes=9), id="cut"),
    ],
)
async def test_a_call_that_may_have_been_served_is_not_sent_to_another(
    postgres_dsn, valkey_url, script
):
    async with two_upstreams(postgres_dsn, valkey_url) as (rig, first, second):
        token = await rig.token(USD)
        first.answer("m", script)
        async with rig.post(token.key, chat()) as answer:
            assert answer.status >= 400
        assert not second.requests
        assert len(await rig.ledger()) == 1


async def test_a_caller_who_leaves_while_the_upstream_is_connected_to_pays_nothing(
    postgres_dsn, valkey_url
):
    with socket.socket() as listener:
        # A listener with a full backlog: the connection is neither made nor refused.
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)  # noqa: FBT003 -- socket's own signature
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)

        async with ScriptedUpstream() as upstream:

            def configure(members: dict[str, Any]) -> None:
                members["upstreams"][0]["base_url"] = f"http://127.0.0.1:{port}/v1"

            async with running(postgres_dsn, valkey_url, upstream, configure) as rig:
                token = await rig.token(USD)
                async with wire(rig.url) as caller:
                    caller.write(request(token.key, chat()))
                    async with asyncio.timeout(5):
                        await until(lambda: bool(rig.gateway.forwarder.live_calls()))
                (row,) = await after_leaving(rig)
                assert (row["status"], row["amount"]) == (499, 0)
                book = await rig.gateway.quota.book(token.row.account_id, f"t{token.row.id}")
                assert book is not None
                assert (book.reserved, book.live) == (0, 0)
        for filler in fillers:
            filler.close()


async def after_leaving(rig: Rig) -> list[Any]:
    await rig.quiet()
    return await rig.ledger()


# Addresses.


def tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "server.pem")
    return context


@asynccontextmanager
async def behind_tls(postgres_dsn: str, valkey_url: str, ca_file: str) -> AsyncIterator[Rig]:
    async with ScriptedUpstream(ssl=tls_context()) as upstream:

        def configure(members: dict[str, Any]) -> None:
            members["upstreams"][0]["ca_file"] = ca_file

        async with running(postgres_dsn, valkey_url, upstream, configure) as rig:
            yield rig


async def test_tls_with_a_private_authority(postgres_dsn, valkey_url):
    async with behind_tls(postgres_dsn, valkey_url, str(DATA / "ca.pem")) as rig:
        assert rig.upstream.base_url.startswith("https:")
        token = await rig.token(USD)
        for stream in (False, True):
            async with rig.post(token.key, chat(stream=stream)) as answer:
                assert answer.status == 200
                await answer.read()
        assert rig.upstream.accepted == 1


@pytest.mark.parametrize("authority", ["other_ca.pem", ""])
async def test_tls_with_an_authority_that_is_not_ours_is_refused_and_logged(
    postgres_dsn, valkey_url, caplog, authority
):
    ca_file = str(DATA / authority) if authority else ""
    async with behind_tls(postgres_dsn, valkey_url, ca_file) as rig:
        token = await rig.token(USD)
        async with rig.post(token.key, chat()) as answer:
            error = (await answer.json())["error"]
            assert (answer.status, error["code"]) == (502, "upstream_unavailable")
        assert not rig.upstream.requests
        assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
        assert "scripted" in caplog.text


async def test_the_path_of_the_base_url_is_kept(postgres_dsn, valkey_url):
    async with ScriptedUpstream(default=Answer((b"{}",))) as upstream:

        def configure(members: dict[str, Any]) -> None:
            base = upstream.base_url.removesuffix("/v1")
            members["upstreams"][0]["base_url"] = f"{base}/proxy/openai/v1beta"

        async with running(postgres_dsn, valkey_url, upstream, configure) as rig:
            token = await rig.token()
            assert await rig.status(token.key) == 200
        (sent,) = upstream.requests
        assert sent.path == "/proxy/openai/v1beta/chat/completions"
        assert sent.header("host") == urlsplit(upstream.base_url).netloc


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
async def test_an_upstream_may_have_an_ipv6_address(postgres_dsn, valkey_url):
    async with ScriptedUpstream() as upstream:
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(upstream), "::1", 0
        )
        port = server.sockets[0].getsockname()[1]

        def configure(members: dict[str, Any]) -> None:
            members["upstreams"][0]["base_url"] = f"http://[::1]:{port}/v1"

        async with server, running(postgres_dsn, valkey_url, upstream, configure) as rig:
            token = await rig.token()
            assert await rig.status(token.key) == 200
        (sent,) = upstream.requests
        assert sent.header("host") == f"[::1]:{port}"


@pytest.mark.parametrize(("allowed", "status"), [([], 502), (["127.0.0.0/8", "::1/128"], 200)])
async def test_a_name_leads_to_this_machine_only_by_the_operators_leave(
    postgres_dsn, valkey_url, monkeypatch, caplog, allowed, status
):
    """What resolves the name is the system's; here it says what an attacker's server would."""

    ask_the_system = socket.getaddrinfo

    def resolved(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host != "provider.example":
            return ask_the_system(host, port, *args, **options)
        return [(None, None, None, "", ("127.0.0.1", port))]

    async with ScriptedUpstream() as upstream:

        def named(members: dict[str, Any]) -> None:
            url = members["upstreams"][0]["base_url"].replace("127.0.0.1", "provider.example")
            members["upstreams"][0] |= {"base_url": url, "allow_cidrs": allowed}

        async with running(postgres_dsn, valkey_url, upstream, named) as rig:
            token = await rig.token(USD)
            monkeypatch.setattr(socket, "getaddrinfo", resolved)
            async with rig.post(token.key, chat()) as answer:
                assert answer.status == status
            monkeypatch.undo()
    assert ("allow_cidrs" in caplog.text) == (status == 502)


class Proxy:
    """An HTTP proxy that knows CONNECT only, and what it was asked."""

    def __init__(self, port: int, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        self.heads: list[bytes] = []
        self._port = port
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._answer)
        if b" 200 " not in self._answer:
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(carry(reader, back), carry(there, writer))


async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
    sink.close()


@pytest.mark.parametrize("is_tls", [False, True])
async def test_an_upstream_is_reached_through_a_proxy(postgres_dsn, valkey_url, is_tls):
    async with ScriptedUpstream(ssl=tls_context() if is_tls else None) as upstream:
        port = int(upstream.base_url.rpartition(":")[2].partition("/")[0])
        proxy = Proxy(port)
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy_port = server.sockets[0].getsockname()[1]

        def configure(members: dict[str, Any]) -> None:
            members["upstreams"][0] |= {
                "proxy": f"http://me:pass%20word@127.0.0.1:{proxy_port}",
                "ca_file": str(DATA / "ca.pem"),
                "headers": {"OpenAI-Organization": "org-1"},
            }

        async with server, running(postgres_dsn, valkey_url, upstream, configure) as rig:
            token = await rig.token(USD)
            for stream in (False, True):
                async with rig.post(token.key, chat(stream=stream)) as answer:
                    assert answer.status == 200
                    assert await answer.read()
        (head,) = proxy.heads
        assert head.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % port)
        assert b"proxy-authorization: Basic bWU6cGFzcyB3b3Jk\r\n" in head
        first, _ = upstream.requests
        assert first.header("openai-organization") == "org-1"
        assert first.header("proxy-authorization") is None


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 No\r\n\r\n", b"nonsense\r\n\r\n", b""])
async def test_a_proxy_that_refuses_is_an_upstream_that_cannot_be_reached(
    postgres_dsn, valkey_url, caplog, answer
):
    proxy = Proxy(1, answer)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy_port = server.sockets[0].getsockname()[1]
    async with ScriptedUpstream() as upstream:

        def configure(members: dict[str, Any]) -> None:
            members["upstreams"][0]["proxy"] = f"http://127.0.0.1:{proxy_port}"

        async with server, running(postgres_dsn, valkey_url, upstream, configure) as rig:
            token = await rig.token(USD)
            async with rig.post(token.key, chat()) as told:
                assert told.status == 502
        assert not upstream.requests
    assert "the proxy" in caplog.text
