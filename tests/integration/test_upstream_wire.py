"""What upstreams may do on the wire within the rules of HTTP and of event streams, and what arrives of it."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rig import USD, Rig, chat, running
from tests.upstream import Answer, Gate, ScriptedUpstream, refuse
from tests.upstream_connection import Connection
from tests.wire import request, wire

STREAM = chat(stream=True, max_tokens=100)
WHOLE = b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}'
EVENTS = (
    b'data: {"choices":[{"delta":{"content":"\xe2\x82\xac\xf0\x9f\x8d\x8b"}}]}',
    b": a comment",
    b'event: x\ndata: {"choices":\ndata: [{"i":2}]}',
    b'data: {"choices":[{}],"usage":{"prompt_tokens":3,"completion_tokens":4}}',
    b"data: [DONE]",
)


def raw(*heads: bytes, body: bytes = WHOLE) -> Answer:
    """A whole answer behind other heads."""
    last = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return Answer((b"".join(heads) + last % len(body) + body,), framing="raw")


# Framing


INTERIM = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\nretry-after: 9\r\n\r\n",
)


async def test_interim_answers_are_dropped_and_so_are_their_headers(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("m", raw(*INTERIM))
    async with wire(rig.url) as caller:
        for _ in range(2):
            answer = await caller.ask(request(token.key, chat()))
            assert (answer.status, answer.body) == (200, WHOLE)
            assert answer.header("retry-after") is None
    assert rig.upstream.accepted == 1


async def test_trailers_are_read_over_and_never_passed_on(rig: Rig):
    token = await rig.token(USD)
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    trailer = b"0\r\nretry-after: 9\r\nx-request-id: smuggled\r\n\r\n"
    chunks = b"%x\r\n%b\r\n" % (len(WHOLE), WHOLE)
    rig.upstream.answer("m", Answer((head + chunks + trailer,), framing="raw"))
    async with wire(rig.url) as caller:
        for _ in range(2):
            answer = await caller.ask(request(token.key, chat()))
            assert (answer.status, answer.body) == (200, WHOLE)
            assert answer.header("retry-after") is None
            assert answer.header("x-upstream-request-id") is None
    assert rig.upstream.accepted == 1


async def test_an_upstream_that_wants_another_protocol_is_an_error(rig: Rig):
    token = await rig.token(USD)
    switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"
    rig.upstream.answer("m", Answer((switch,), framing="raw"))
    async with wire(rig.url) as caller, asyncio.timeout(10):
        answer = await caller.ask(request(token.key, chat()))
    assert (answer.status, answer.json()["error"]["code"]) == (502, "upstream_error")


def counting(members: dict[str, Any]) -> None:
    members["upstreams"][0]["dialect"] = "anthropic"


async def test_no_content_has_no_length_and_leaves_both_connections_in_order(
    postgres_dsn, valkey_url
):
    """Where a call is metered, nothing is no answer; this one is free."""
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, counting) as rig,
        wire(rig.url) as caller,
    ):
        token = await rig.token(USD)
        upstream.answer("m", Answer((b"HTTP/1.1 204 No Content\r\n\r\n",), framing="raw"))
        asked = request(token.key, chat(), path="/v1/messages/count_tokens")
        for _ in range(2):
            answer = await caller.ask(asked)
            assert (answer.status, answer.whole, answer.body) == (204, True, b"")
            assert answer.header("content-length") is None
        assert upstream.accepted == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_a_metered_call_that_is_answered_with_nothing_is_an_error(rig: Rig, status: int):
    token = await rig.token(USD)
    rig.upstream.answer("m", Answer((b"HTTP/1.1 %d x\r\n\r\n" % status,), framing="raw"))
    async with wire(rig.url) as caller, asyncio.timeout(10):
        answer = await caller.ask(request(token.key, chat()))
    assert (answer.status, answer.json()["error"]["code"]) == (502, "upstream_error")


async def test_head_is_told_what_there_is_and_gets_no_body(rig: Rig):
    token = await rig.token(USD)
    async with wire(rig.url) as caller, asyncio.timeout(10):
        caller.write(request(token.key, method="HEAD", path="/v1/models"))
        await caller.until(lambda: caller.raw.endswith(b"\r\n\r\n"))
        assert caller.raw.startswith(b"HTTP/1.1 200 ")


# Event streams


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_a_stream_may_end_its_lines_as_it_likes_and_be_cut_anywhere(
    rig: Rig, end: bytes, bom: bytes, bytewise: bool
):
    token = await rig.token(USD)
    events = [event.replace(b"\n", end) + end * 2 for event in EVENTS]
    body = (bom + events[0], *events[1:])
    script = Answer(body, framing="chunked", content_type="text/event-stream", bytewise=bytewise)
    rig.upstream.answer("m", script)
    async with wire(rig.url) as caller:
        answer = await caller.ask(request(token.key, STREAM))
    assert answer.body == b"".join(body)
    row = await rig.only_row()
    assert (row["input_tokens"], row["output_tokens"], row["anomaly"]) == (3, 4, None)


async def test_events_reach_the_caller_one_by_one_whatever_ends_their_lines(rig: Rig):
    token = await rig.token(USD)
    gate = Gate()
    body = (b'data: {"choices":[]}\r\r', gate, b"data: [DONE]\r\r")
    rig.upstream.answer("m", Answer(body, framing="chunked", content_type="text/event-stream"))
    async with wire(rig.url) as caller, asyncio.timeout(10):
        caller.write(request(token.key, STREAM))
        await caller.sees(body[0])
        gate.release()
        assert (await caller.answer()).body == b"".join(p for p in body if isinstance(p, bytes))


async def test_a_longer_line_passes_where_the_operator_allows_it(postgres_dsn, valkey_url):
    def pictures(members: dict[str, Any]) -> None:
        members["upstreams"][0]["max_line_bytes"] = 8_388_608

    body = (b'data: {"picture":"' + b"x" * 3_000_000 + b'"}\n\n', b"data: [DONE]\n\n")
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, pictures) as rig,
        wire(rig.url) as caller,
    ):
        token = await rig.token()
        upstream.answer("m", Answer(body, framing="chunked", content_type="text/event-stream"))
        answer = await caller.ask(request(token.key, STREAM))
        assert answer.body == b"".join(body)


# Encodings that nobody asked for


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_packed_answer_passes_as_it_is_and_its_usage_is_read(
    rig: Rig, encoding: str, pack: Any, stream: bool
):
    token = await rig.token(USD)
    packed = pack(b"\n\n".join([*EVENTS, b""]) if stream else WHOLE)  # once: the time is in it
    script = Answer(
        (packed,),
        headers=(("Content-Encoding", encoding),),
        content_type="text/event-stream" if stream else "application/json",
    )
    rig.upstream.answer("m", script)
    async with wire(rig.url) as caller:
        answer = await caller.ask(request(token.key, chat(stream=stream, max_tokens=100)))
    assert (answer.body, answer.header("content-encoding")) == (packed, encoding)
    row = await rig.only_row()
    assert (row["input_tokens"], row["output_tokens"], row["estimated"]) == (3, 4, False)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(gzip.compress(WHOLE)[:-3], id="cut"),
        pytest.param(gzip.compress(b" " * 20_000_000), id="bomb"),
        pytest.param(b"plain after all", id="not packed"),
    ],
)
async def test_what_cannot_be_unpacked_is_estimated(rig: Rig, body: bytes):
    token = await rig.token(USD)
    rig.upstream.answer("m", Answer((body,), headers=(("Content-Encoding", "gzip"),)))
    async with wire(rig.url) as caller:
        answer = await caller.ask(request(token.key, chat()))
    assert (answer.status, answer.body) == (200, body)
    row = await rig.only_row()
    assert (row["estimated"], row["anomaly"]) == (True, "bad_usage")


# Headers


@pytest.mark.parametrize(
    ("dialect", "path", "name"),
    [
        ("openai", "/v1/chat/completions", "openai-beta"),
        ("anthropic", "/v1/messages", "anthropic-beta"),
    ],
)
async def test_a_list_in_several_lines_is_passed_on_as_one(
    postgres_dsn, valkey_url, dialect, path, name
):
    def speaking(members: dict[str, Any]) -> None:
        members["upstreams"][0]["dialect"] = dialect

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, speaking) as rig,
        wire(rig.url) as caller,
    ):
        token = await rig.token(USD)
        lines = (
            (name, "one"),
            (name.title(), "two, three"),
            ("Idempotency-Key", "a"),
            ("Idempotency-Key", "b"),
        )
        answer = await caller.ask(request(token.key, chat(max_tokens=5), path=path, headers=lines))
        assert answer.status == 200
        (sent,) = upstream.requests
        assert [value for key, value in sent.headers if key == name] == ["one, two, three"]
        assert sent.header("idempotency-key") == "a", "no list"


async def test_an_error_that_quotes_the_operators_key_is_passed_on_without_it(
    postgres_dsn, valkey_url
):
    def keyed(members: dict[str, Any]) -> None:
        members["upstreams"][0]["api_key_env"] = "PROVIDER_KEY"

    key = "provider-secret"
    async with (
        ScriptedUpstream(default=refuse(500, f"cannot bill {key}, {key}")) as upstream,
        running(postgres_dsn, valkey_url, upstream, keyed, {"PROVIDER_KEY": key}) as rig,
        wire(rig.url) as caller,
    ):
        token = await rig.token(USD)
        answer = await caller.ask(request(token.key, chat()))
        quoted = "cannot bill (the operator's key), (the operator's key)"
        assert (answer.status, answer.json()["error"]["message"]) == (500, quoted)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((b"%e\n\n", b"data: [DONE]\n\n"), id="in the middle"),
        pytest.param((b"data: [DONE]\n\n%e",), id="behind the end, without a blank line"),
        pytest.param((b"%e\n\ndata: [DONE]\n\n",), id="all in one read"),
        pytest.param((b"%e\n\n" + b'data: {"choices":[]}\n\n' * 40,), id="where we end it"),
    ],
)
@pytest.mark.parametrize("capped", [True, False])
async def test_a_stream_that_quotes_the_operators_key_is_passed_on_without_it(
    postgres_dsn, valkey_url, pieces: tuple[bytes, ...], capped: bool
):
    def keyed(members: dict[str, Any]) -> None:
        members["upstreams"][0]["api_key_env"] = "PROVIDER_KEY"

    key = "provider-secret"
    error = b'data: {"error": {"message": "cannot bill %b"}}' % key.encode()
    body = tuple(piece.replace(b"%e", error) for piece in pieces)
    script = Answer(body, framing="chunked", content_type="text/event-stream")
    async with (
        ScriptedUpstream(default=script) as upstream,
        running(postgres_dsn, valkey_url, upstream, keyed, {"PROVIDER_KEY": key}) as rig,
        wire(rig.url) as caller,
    ):
        token = await rig.token(USD if capped else None)
        answer = await caller.ask(request(token.key, chat(stream=True, max_tokens=5)))
        assert b"cannot bill (the operator's key)" in answer.body
        assert key.encode() not in answer.body


# Unix sockets


@asynccontextmanager
async def at_a_socket(
    postgres_dsn: str, valkey_url: str, path: Path
) -> AsyncIterator[tuple[Rig, ScriptedUpstream]]:
    def local(members: dict[str, Any]) -> None:
        members["upstreams"][0] |= {
            "base_url": "http://models.internal/api/v1",
            "unix_socket": str(path),
        }

    async with (
        ScriptedUpstream(default=Answer((WHOLE,))) as upstream,
        running(postgres_dsn, valkey_url, upstream, local) as rig,
    ):
        yield rig, upstream


async def test_an_upstream_may_be_at_a_unix_socket(postgres_dsn, valkey_url, tmp_path: Path):
    path = tmp_path / "upstream.sock"
    async with at_a_socket(postgres_dsn, valkey_url, path) as (rig, upstream):
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(upstream), str(path)
        )
        token = await rig.token(USD)
        async with server, wire(rig.url) as caller:
            for _ in range(2):
                answer = await caller.ask(request(token.key, chat()))
                assert (answer.status, answer.body) == (200, WHOLE)
        assert upstream.accepted == 1
        sent = upstream.requests[0]
        assert (sent.path, sent.header("host")) == (
            "/api/v1/chat/completions",
            "models.internal",
        )


async def test_a_socket_that_is_not_there_is_an_upstream_that_cannot_be_reached(
    postgres_dsn, valkey_url, tmp_path: Path
):
    async with (
        at_a_socket(postgres_dsn, valkey_url, tmp_path / "none.sock") as (rig, _),
        wire(rig.url) as caller,
    ):
        token = await rig.token(USD)
        answer = await caller.ask(request(token.key, chat()))
        assert (answer.status, answer.json()["error"]["code"]) == (502, "upstream_unavailable")
        assert b"none.sock" not in answer.body
