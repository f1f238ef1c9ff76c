"""What is no request, or wants to be two, is refused, and no upstream asked. Ids: docs/threat-model.md."""

import asyncio
import io
import logging
import ssl

import pytest

from gateway.log import sink
from tests.admin import running_admin
from tests.integration.rig import Rig, chat
from tests.wire import request, wire

_CHUNKED = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer %b\r\n"
    b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
)
_TRAILERS = {
    "a trailer of a megabyte": b"x: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "a megabyte of trailers": b"x: aaaa\r\n" * 100_000 + b"\r\n",
}


async def test_endless_trailers_are_refused_in_a_form_that_tells_nothing(rig: Rig, subtests):
    key = (await rig.token()).key.encode()
    for name, trailers in _TRAILERS.items():
        with subtests.test(name):
            async with wire(rig.url) as caller, asyncio.timeout(20):
                caller.write(_CHUNKED % key + trailers)
                await caller.is_closed()
            answer = bytes(caller.raw)
            assert not answer or answer.split(b" ", 2)[1][:1] == b"4"
            assert answer.count(b"HTTP/1.") <= 1
            assert b"\r\nserver:" not in answer.lower()
            assert not rig.upstream.requests


async def test_tls_on_the_plain_port_is_closed_and_leaves_no_line_of_the_log(rig: Rig):
    stream = io.StringIO()
    handler = sink(stream)
    logging.getLogger().addHandler(handler)
    try:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="g")
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        async with asyncio.timeout(20):
            host, port = rig.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(outgoing.read())
            await reader.read()
            writer.close()
    finally:
        logging.getLogger().removeHandler(handler)
    assert stream.getvalue() == ""


PATHS = [
    (b"TRACE /v1/chat/completions HTTP/1.1\r\nhost: g\r\n\r\n", {404, 405}),
    (b"CONNECT api.example:443 HTTP/1.1\r\nhost: g\r\n\r\n", {400, 404, 405}),
    (
        b"GET /v1/realtime HTTP/1.1\r\nhost: g\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        {401, 403, 404},
    ),
    (b"GET http://admin.example/api/status HTTP/1.1\r\nhost: g\r\n\r\n", {400, 404}),
    (b"GET //v1/models HTTP/1.1\r\nhost: g\r\n\r\n", {404}),
    (b"GET /v1/../api/token HTTP/1.1\r\nhost: g\r\n\r\n", {401, 404}),
    (b"GET /v1/%2e%2e/api/token HTTP/1.1\r\nhost: g\r\n\r\n", {401, 404}),
    (b"GET /v1/models;x HTTP/1.1\r\nhost: g\r\n\r\n", {401, 404}),
    (b"GET /v1/models%00 HTTP/1.1\r\nhost: g\r\n\r\n", {401, 404}),
    (b"GET /api/token HTTP/1.1\r\nhost: g\r\n\r\n", {404}),
]


async def test_no_method_and_no_path_leads_anywhere_else(rig: Rig, subtests):
    """N19, N23."""
    for head, statuses in PATHS:
        with subtests.test(head=head):
            async with wire(rig.url) as caller, asyncio.timeout(20):
                answer = await caller.ask(head)
            assert answer.status in statuses, bytes(answer.body)
    assert not rig.upstream.requests


HOSTILE = [
    *(
        "' OR 1=1 --",
        "sk-'; DROP TABLE token; --",
        "sk-" + "a" * 49,
        "sk-" + "%" * 49,
        "null",
        "undefined",
    ),
    *(
        "sk-" + "é" * 49,
        "sk-" + "\uff21" * 49,
        "\\x00",
        "sk-" + "A" * 7000,
        "${jndi:ldap://x}",
        "*",
        "Bearer",
    ),
]


@pytest.mark.interpreted
async def test_no_text_in_the_place_of_a_key_reaches_a_store(rig: Rig, monkeypatch):
    """K02: what has not our form and our checksum is refused before anybody is asked."""
    asked = []
    monkeypatch.setattr(rig.gateway.tokens, "fetch", asked.append)
    for text in HOSTILE:
        for header in (f"Bearer {text}", text):
            async with wire(rig.url) as caller, asyncio.timeout(20):
                data = request(None, chat(), headers=(("authorization", header),))
                answer = await caller.ask(data)
            assert answer.status == 401, (text, answer.status)
            assert len(text) < 12 or text not in bytes(answer.body).decode()
    for head in (
        b"GET /v1/models HTTP/1.1\r\nhost: g\r\nauthorization: Bearer \xff\xfe\x80\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: g\r\nx-api-key: \xff\r\n\r\n",
        b"GET /v1beta/models HTTP/1.1\r\nhost: g\r\nx-goog-api-key: \xff\r\n\r\n",
        b"GET /v1beta/models?key=%ff HTTP/1.1\r\nhost: g\r\n\r\n",
    ):
        async with wire(rig.url) as caller, asyncio.timeout(20):
            answer = await caller.ask(head)
        assert answer.status == 401, (head, bytes(answer.body))
    assert not asked
    assert not rig.upstream.requests


async def test_a_model_is_allowed_by_its_very_name(rig: Rig):
    """K05."""
    token = await rig.token(models=("m",), models_enabled=True)
    for model in ("M", "m ", " m", "m-x", "m\u0000", "\uff4d", "m/", "*", "unpriced", ""):
        async with rig.post(token.key, chat(model)) as answer:
            assert answer.status in {400, 403, 404}, model
    for body in (
        b'{"model":["m"]}',
        b'{"messages":[]}',
        b'{"model":"m","model":"unpriced"}',
        b'{"model":null}',
    ):
        async with rig.post(token.key, body) as answer:
            assert answer.status == 400, body
    assert not rig.upstream.requests
    async with rig.post(token.key, chat("m")) as answer:
        assert answer.status == 200


BODIES = [
    b'{"model":"m","messages":' + b"[" * 100_000,
    b'{"model":"m","x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    b'{"model":"m","max_tokens":NaN}',
    b'{"model":"m","max_tokens":1' + b"0" * 4000 + b"}",
    b'\xef\xbb\xbf{"model":"m","messages":[]}',
    b'{"model":"m\\ud800","messages":[]}',
    b"\xff\xfe",
    b"[]",
    b"null",
]


async def test_a_body_that_is_no_ask_is_refused_at_once(rig: Rig, subtests):
    """N17."""
    token = await rig.token()
    for body in BODIES:
        with subtests.test(body=body[:40]):
            async with rig.post(token.key, body) as answer:
                assert answer.status in {400, 404}, answer.status
    assert not rig.upstream.requests


async def test_a_header_that_the_connection_names_goes_no_further(rig: Rig):
    """N14."""
    token = await rig.token()
    headers = (
        *(
            ("connection", "x-secret-hop"),
            ("x-secret-hop", "1"),
            ("cookie", "a=b"),
            ("forwarded", "for=1.1.1.1"),
        ),
        *(
            ("proxy-authorization", "Basic eDp5"),
            ("x-forwarded-host", "evil"),
            ("te", "trailers"),
            ("x_forwarded_for", "1"),
        ),
    )
    async with wire(rig.url) as caller, asyncio.timeout(20):
        answer = await caller.ask(request(token.key, chat(), headers=headers))
        assert answer.status == 200
    (sent,) = rig.upstream.requests
    names = {name.lower() for name, _ in sent.headers}
    assert not names & {name for name, _ in headers} - {"connection"}


ADMIN_HEADERS = (
    *("authorization", "cookie", "new-api-user", "if-match", "idempotency-key", "origin"),
    *("sec-fetch-site", "x-forwarded-for", "forwarded", "x-forwarded-proto", "content-type"),
    *("user-agent", "accept", "host", "accept-encoding", "referer"),
)


async def test_no_bytes_in_a_header_are_a_fault_of_the_admin_api(
    aiohttp_client, postgres_dsn, subtests
):
    settings = {"admin": {"trusted_proxies": ["127.0.0.1"], "insecure_http": True}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        url = str(admin.client.make_url("/")).rstrip("/")
        own = f"authorization: Bearer {admin.credentials.access_token}\r\n".encode()
        for name in ADMIN_HEADERS:
            for path in (b"/api/token", b"/api/user/login", b"/", b"/api/oidc/login"):
                with subtests.test(name=name, path=path):
                    body = b'{"name": "x", "username": "x", "password": "y"}'
                    head = (
                        b"POST %b HTTP/1.1\r\n%b%b: \xff\xfe=;,\x80\r\ncontent-length: %d\r\n%b\r\n%b"
                        % (
                            path,
                            b"" if name == "host" else b"host: g\r\n",
                            name.encode(),
                            len(body),
                            b"" if name == "authorization" else own,
                            body,
                        )
                    )
                    async with wire(url) as caller, asyncio.timeout(20):
                        answer = await caller.ask(head)
                    assert answer.status < 500, bytes(answer.body)
