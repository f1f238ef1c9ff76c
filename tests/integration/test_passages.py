"""Passages: whatever else is below `/v1` goes to the upstream as it came, at a price that was set, or not at all."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import orjson
import pytest

from gateway.domain.edit import TokenDraft
from tests.integration.rig import PEPPER, SYSTEM, USD, Rig, chat, running, running_rig, until
from tests.tokens import create_token
from tests.upstream import CUT, NO_ANSWER, Answer, Echo, Gate, ScriptedUpstream, Turns

PICTURE_NUSD = 40_000_000


def configure(members: dict[str, Any]) -> None:
    members["gateway"] |= {"max_upload_bytes": 200_000_000, "max_body_bytes": 1_000_000}
    members["routes"] = [
        {
            "path": "/v1/images/**",
            "methods": ["POST"],
            "metering": "call",
            "request_usd": 0.04,
        },
        {"path": "/v1/audio/**", "metering": "call", "request_usd": 0.01},
        {"path": "/v1/assistants/**", "metering": "never"},
    ]
    members["groups"] = {"default": {"ratio": 2}}


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        yield rig


def sdk(rig: Rig, key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key, base_url=f"{rig.url}/v1", max_retries=0)


def object_of(kind: str, object_id: str, **members: Any) -> Answer:
    return Answer((orjson.dumps({"id": object_id, "object": kind, **members}),))


FILE = {
    "bytes": 5,
    "created_at": 1,
    "filename": "a.txt",
    "purpose": "user_data",
    "status": "processed",
}


async def test_files_are_sent_and_fetched_as_if_direct(rig: Rig):
    token = await rig.token(USD)
    content = Answer((b"\x00hello\xff",), content_type="application/octet-stream")
    listed = {
        "object": "list",
        "data": [{"id": "file-1", "object": "file", **FILE}],
        "has_more": False,
    }
    gone = {"id": "file-1", "object": "file", "deleted": True}
    rig.upstream.answer(
        "",
        Turns(
            (
                object_of("file", "file-1", **FILE),
                Answer((orjson.dumps(listed),)),
                content,
                Answer((orjson.dumps(gone),)),
            )
        ),
    )
    async with sdk(rig, token.key) as client:
        made = await client.files.create(file=("a.txt", b"hello"), purpose="user_data")
        assert made.id == "file-1"
        page = await client.files.list(limit=3, order="asc")
        assert [each.id for each in page.data] == ["file-1"]
        assert (await client.files.content("file-1")).content == b"\x00hello\xff"
        assert (await client.files.delete("file-1")).deleted
    sent, asked, fetched, deleted = rig.upstream.requests
    assert (sent.method, sent.path) == ("POST", "/v1/files")
    assert sent.header("content-type").startswith("multipart/form-data; boundary=")
    assert b"hello" in sent.body
    assert asked.path in {"/v1/files?limit=3&order=asc", "/v1/files?order=asc&limit=3"}
    assert (fetched.method, fetched.path) == ("GET", "/v1/files/file-1/content")
    assert deleted.method == "DELETE"
    rows = await rig.ledger()
    assert [row["route"] for row in rows] == ["files", "files", "files/content", "files"]
    assert {(row["amount"], row["anomaly"], row["status"]) for row in rows} == {(0, None, 200)}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/batches"),
        ("POST", "/v1/threads/thread_1/runs"),
        ("POST", "/v1/fine_tuning/jobs"),
        ("POST", "/v1/videos"),
        ("GET", "/v1/vector_stores/vs_1/search"),
        ("PATCH", "/v1/something/new"),
    ],
)
async def test_what_may_cost_anything_is_refused_for_capped_keys_and_flagged_for_others(
    rig: Rig, method: str, path: str
):
    capped, uncapped = await rig.token(USD), await rig.token()
    url = rig.url + path
    async with rig.session.request(
        method, url, json={"x": 1}, headers={"authorization": f"Bearer {capped.key}"}
    ) as answer:
        assert answer.status == 403
        assert (await answer.json())["error"]["code"] == "route_not_metered"
    rig.upstream.answer("", object_of("thing", "thing_1"))
    async with rig.session.request(
        method, url, json={"x": 1}, headers={"authorization": f"Bearer {uncapped.key}"}
    ) as answer:
        assert answer.status == 200
        await answer.read()
    (row,) = await rig.ledger()
    assert (row["amount"], row["anomaly"]) == (0, "unmetered")


@pytest.mark.parametrize(
    "path", ["/v1/organization/users", "/v1/realtime/client_secrets", "/v1/assistants"]
)
async def test_what_is_the_operators_own_is_not_passed_on_for_anybody(rig: Rig, path: str):
    token = await rig.token()
    async with rig.post(token.key, {}, path) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "unknown_url"
    assert not rig.upstream.requests


async def test_a_call_with_a_price_is_held_for_and_charged_it(rig: Rig):
    token = await rig.token(3 * PICTURE_NUSD)
    picture = {"created": 1, "data": [{"b64_json": "aGk="}]}
    rig.upstream.answer("gpt-image", Answer((orjson.dumps(picture),)))
    async with sdk(rig, token.key) as client:
        made = await client.images.generate(model="gpt-image", prompt="a house")
        assert made.data[0].b64_json == "aGk="
        with pytest.raises(openai.RateLimitError, match="quota"):
            await client.images.generate(model="gpt-image", prompt="another")
    (row,) = await rig.ledger()
    assert (row["amount"], row["model"], row["anomaly"]) == (2 * PICTURE_NUSD, "gpt-image", None)


async def test_what_an_upstream_declines_costs_nothing(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("p", Answer((b'{"error":{"message":"no"}}',), status=400))
    async with sdk(rig, token.key) as client:
        with pytest.raises(openai.BadRequestError, match="no"):
            await client.images.generate(model="p", prompt="x")
    (row,) = await rig.ledger()
    assert (row["amount"], row["status"]) == (0, 400)


async def test_a_form_names_a_model_that_is_checked_and_renamed(postgres_dsn, valkey_url):
    def mapped(members: dict[str, Any]) -> None:
        configure(members)
        members["upstreams"][0]["models"] = {"ears": "whisper-1", "m": "m"}

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, mapped) as rig,
    ):
        token = await rig.token(USD, models=("ears",), models_enabled=True)
        upstream.answer("", Answer((b'{"text":"hello"}',)))
        async with sdk(rig, token.key) as client:
            said = ("a.wav", b'RIFF\r\n\r\n--x name="model"\r\n\r\nother\r\n', "audio/wav")
            heard = await client.audio.transcriptions.create(model="ears", file=said)
            assert heard.text == "hello"
            with pytest.raises(openai.PermissionDeniedError, match="model list"):
                await client.audio.transcriptions.create(model="m", file=said)
        (received,) = upstream.requests
        assert b"\r\n\r\nwhisper-1\r\n--" in received.body
        assert b"ears" not in received.body
        assert said[1] in received.body
        (row,) = await rig.ledger()
        assert (row["route"], row["model"]) == ("audio/transcriptions", "ears")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b"not JSON",
        b"[1]",
    ],
)
async def test_a_body_of_which_nobody_can_say_what_it_names_is_refused(rig: Rig, body: bytes):
    token = await rig.token()
    headers = {"content-type": "application/json"}
    async with rig.post(token.key, body, "/v1/images/generations", headers=headers) as answer:
        assert answer.status == 400
    assert not rig.upstream.requests


# Uploads


class Taker:
    """An upstream that takes a body when it is let, and tells its digest."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.digest = hashlib.sha256()
        self.head = b""
        self.is_whole = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        await self.go_on.wait()
        if b"transfer-encoding: chunked" in self.head.lower():
            while size := int((await reader.readline()).strip(), 16):
                self.digest.update(await reader.readexactly(size))
                await reader.readexactly(2)
            await reader.readline()
        else:
            left = int(self.head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while left:
                data = await reader.read(min(left, 65_536))
                if not data:
                    break
                self.digest.update(data)
                left -= len(data)
            self.is_whole = not left
        body = b'{"id":"file-9","object":"file"}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_file_passes_through_at_the_pace_of_the_slower_side(
    postgres_dsn, valkey_url, is_chunked: bool
):
    """100 MB are sent to an upstream that does not read: only what lies in buffers leaves the caller."""
    taker = Taker()
    server = await asyncio.start_server(taker.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def elsewhere(members: dict[str, Any]) -> None:
        configure(members)
        members["upstreams"][0]["base_url"] = f"http://127.0.0.1:{port}/v1"

    piece, count = bytes(range(256)) * 4096, 100
    given = 0
    stands = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(count):
            given += 1
            if given == 3:
                stands.set()
            yield piece

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, elsewhere) as rig,
        server,
    ):
        token = await rig.token(USD)
        headers = {
            "authorization": f"Bearer {token.key}",
            "content-type": "application/octet-stream",
        }
        if not is_chunked:
            headers["content-length"] = str(len(piece) * count)

        async def send() -> int:
            async with rig.session.post(
                rig.url + "/v1/uploads/upload_1/parts", data=pieces(), headers=headers
            ) as answer:
                await answer.read()
                return answer.status

        sending = asyncio.create_task(send())
        await stands.wait()
        call = await _running_call(rig)
        await until(lambda: call.request.content._protocol._reading_paused)
        assert given < count // 2
        taker.go_on.set()
        assert await sending == 200
        whole = hashlib.sha256(piece * count).hexdigest()
        assert taker.digest.hexdigest() == whole
        (row,) = await rig.ledger()
        assert (row["route"], row["status"]) == ("uploads/parts", 200)


async def _running_call(rig: Rig) -> Any:
    await until(lambda: bool(rig.gateway.forwarder._live))
    (call,) = rig.gateway.forwarder._live
    return call


async def test_a_caller_who_breaks_an_upload_off_ends_it_at_the_upstream(postgres_dsn, valkey_url):
    taker = Taker()
    taker.go_on.set()
    server = await asyncio.start_server(taker.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def elsewhere(members: dict[str, Any]) -> None:
        configure(members)
        members["upstreams"][0]["base_url"] = f"http://127.0.0.1:{port}/v1"

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, elsewhere) as rig,
        server,
    ):
        token = await rig.token(USD)
        reader, writer = await asyncio.open_connection(*rig.url.removeprefix("http://").split(":"))
        writer.write(
            b"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-length: 999\r\n"
            b"content-type: multipart/form-data; boundary=x\r\n\r\n--x" % token.key.encode()
        )
        await _running_call(rig)
        writer.close()
        await rig.quiet()
        assert not taker.is_whole
        (row,) = await rig.ledger()
        assert row["status"] == 499
        del reader


async def test_an_upload_that_is_too_large_is_refused(rig: Rig):
    token = await rig.token(USD)
    headers = {"content-type": "application/octet-stream", "content-length": "200000001"}
    headers["authorization"] = f"Bearer {token.key}"
    async with rig.session.post(rig.url + "/v1/files", data=b"", headers=headers) as answer:
        assert answer.status == 413
        assert "max_upload_bytes" in (await answer.json())["error"]["message"]


async def test_an_upstream_that_answers_an_upload_early_is_heard_and_not_kept(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("", NO_ANSWER)
    headers = {"content-type": "application/octet-stream"}
    async with rig.post(token.key, b"x" * 1000, "/v1/files", headers=headers) as answer:
        assert answer.status == 502
    rig.upstream.answer("", Answer((b"{}",), missing_bytes=5).first(CUT))
    async with rig.post(token.key, b"x" * 1000, "/v1/files", headers=headers) as answer:
        assert answer.status == 502
    assert {row["amount"] for row in await rig.ledger()} == {0}


# Whose is what


async def test_what_an_account_has_made_is_nobody_elses(rig: Rig):
    mine = await rig.token(USD)
    stranger = await _token_of_another_account(rig)
    rig.upstream.answer("", object_of("file", "file-of-mine", **FILE))
    async with rig.post(mine.key, {"x": 1}, "/v1/files") as answer:
        assert answer.status == 200
    before = len(rig.upstream.requests)
    for path in ("/v1/files/file-of-mine", "/v1/files/file-of-mine/content"):
        headers = {"authorization": f"Bearer {stranger}"}
        async with rig.session.get(rig.url + path, headers=headers) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "object_not_found"
    assert len(rig.upstream.requests) == before
    headers = {"authorization": f"Bearer {mine.key}"}
    async with rig.session.get(rig.url + "/v1/files/file-of-mine", headers=headers) as answer:
        assert answer.status == 200
    async with rig.session.get(rig.url + "/v1/files/made-elsewhere-1", headers=headers) as answer:
        assert answer.status == 200, "what was made without us is as if direct"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/batches", {"input_file_id": "file-of-mine", "endpoint": "/v1/chat/completions"}),
        ("/v1/vector_stores", {"file_ids": ["made-elsewhere-1", "file-of-mine"]}),
        ("/v1/threads", {"messages": [{"attachments": [{"file_id": "file-of-mine"}]}]}),
        (
            "/v1/responses",
            {
                "model": "m",
                "input": [
                    {"role": "user", "content": [{"type": "input_file", "file_id": "file-of-mine"}]}
                ],
            },
        ),
        (
            "/v1/chat/completions",
            {
                "model": "m",
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "file", "file": {"file_id": "file-of-mine"}}],
                    }
                ],
            },
        ),
    ],
)
async def test_what_a_body_names_is_nobody_elses_either(rig: Rig, path: str, body: dict[str, Any]):
    mine = await rig.token(None)
    stranger = await _token_of_another_account(rig)
    rig.upstream.answer("", object_of("file", "file-of-mine", **FILE))
    async with rig.post(mine.key, {"x": 1}, "/v1/files") as answer:
        assert answer.status == 200
    before = len(rig.upstream.requests)
    async with rig.post(stranger, body, path) as answer:
        assert answer.status == 404
        assert "file-of-mine" in (await answer.json())["error"]["message"]
    assert len(rig.upstream.requests) == before
    async with rig.post(mine.key, body, path) as answer:
        assert answer.status == 200


async def test_what_a_body_names_is_asked_for_where_it_is(postgres_dsn, valkey_url):
    async with ScriptedUpstream() as first, ScriptedUpstream() as second:

        def two(members: dict[str, Any]) -> None:
            members["upstreams"] = [
                {"name": "first", "base_url": first.base_url, "models": ["*"], "priority": 0},
                {"name": "second", "base_url": second.base_url, "models": ["*"], "priority": 1},
            ]

        async with running(postgres_dsn, valkey_url, first, two) as rig:
            token = await rig.token(None)
            first.answer("", Answer((b"{}",), status=503))
            second.answer("", object_of("file", "file-1", **FILE))
            async with rig.post(token.key, {"x": 1}, "/v1/files") as answer:
                assert answer.status == 200
            first.answer("", object_of("batch", "never"))
            for _ in range(3):
                async with rig.post(
                    token.key, {"input_file_id": "file-1"}, "/v1/batches"
                ) as answer:
                    assert answer.status == 200
            assert len(first.requests) == 1


async def test_an_object_of_any_size_is_noted(rig: Rig):
    mine, stranger = await rig.token(None), await _token_of_another_account(rig)
    rig.upstream.answer("", object_of("response", "large-1", output=["x" * 3_000_000]))
    async with rig.post(mine.key, {"x": 1}, "/v1/evals") as answer:
        assert len(await answer.read()) > 3_000_000
    headers = {"authorization": f"Bearer {stranger}"}
    async with rig.session.get(f"{rig.url}/v1/evals/large-1", headers=headers) as answer:
        assert answer.status == 404


async def written(rig: Rig, object_id: str) -> str:
    """The upstream that Postgres has for an object, once it has it."""
    async with asyncio.timeout(20):
        while True:
            upstream = await rig.database.fetchval(
                "SELECT upstream FROM object WHERE id = $1", object_id
            )
            if upstream is not None:
                return upstream


async def test_lists_leave_out_what_others_have_made(rig: Rig):
    mine, stranger = await rig.token(USD), await _token_of_another_account(rig)
    listed = {
        "object": "list",
        "data": [{"id": each, "object": "file", **FILE} for each in ("of-mine", "of-nobody")],
        "first_id": "of-mine",
        "last_id": "of-nobody",
        "has_more": True,
    }
    whole = orjson.dumps(listed)
    rig.upstream.answer("", Turns((object_of("file", "of-mine", **FILE), Answer((whole,)))))
    async with rig.post(mine.key, {"x": 1}, "/v1/files") as answer:
        assert answer.status == 200
    for key, seen in ((mine.key, ["of-mine", "of-nobody"]), (stranger, ["of-nobody"])):
        headers = {"authorization": f"Bearer {key}"}
        async with rig.session.get(rig.url + "/v1/files?limit=2", headers=headers) as answer:
            body = await answer.read()
            told = json.loads(body)
        assert [each["id"] for each in told["data"]] == seen
        assert (told["first_id"], told["last_id"], told["has_more"]) == (seen[0], seen[-1], True)
        assert (body == whole) == (key == mine.key), "bytes change only where something is hidden"


async def test_a_chat_that_is_stored_belongs_to_who_had_it(rig: Rig):
    mine, stranger = await rig.token(USD), await _token_of_another_account(rig)
    for stream in (False, True):
        async with rig.post(mine.key, chat(store=True, stream=stream)) as answer:
            text = (await answer.read()).decode()
        made = text.partition('"id":"')[2].partition('"')[0]
        headers = {"authorization": f"Bearer {stranger}"}
        url = f"{rig.url}/v1/chat/completions/{made}"
        async with rig.session.get(url, headers=headers) as answer:
            assert answer.status == 404


async def _token_of_another_account(rig: Rig) -> str:
    account = await rig.database.fetchval(
        "INSERT INTO account (name, granted) VALUES ('other', NULL) RETURNING id"
    )
    await rig.database.execute(
        'INSERT INTO "user" (username, account_id, group_id) VALUES ($1, $2, 1)', "other", account
    )
    user = await rig.database.fetchval('SELECT max(id) FROM "user"')
    made = await create_token(
        rig.database, SYSTEM, user, TokenDraft(name="t", granted=None), pepper=PEPPER, max_tokens=9
    )
    return made.key


async def test_a_response_goes_on_where_it_began_and_only_for_its_account(postgres_dsn, valkey_url):
    """Two upstreams serve the model: what the second one made is asked for there, and so is what goes on from it."""
    async with ScriptedUpstream() as first, ScriptedUpstream() as second:

        def two(members: dict[str, Any]) -> None:
            configure(members)
            members["models"][0]["max_input_tokens"] = 1000
            members["upstreams"] = [
                {"name": "first", "base_url": first.base_url, "models": ["*"], "priority": 0},
                {"name": "second", "base_url": second.base_url, "models": ["*"], "priority": 1},
            ]

        async with running(postgres_dsn, valkey_url, first, two) as rig:
            token = await rig.token(USD)
            stranger = await _token_of_another_account(rig)
            first.answer("m", Turns((Answer((b"{}",), status=503), Echo())))
            async with sdk(rig, token.key) as client:
                made = await client.responses.create(model="m", input="Hello", max_output_tokens=9)
                assert len(second.requests) == 1
                second.answer("", object_of("response", made.id, output=[]))
                assert (await client.responses.retrieve(made.id)).id == made.id
                await client.responses.create(
                    model="m", input="and?", previous_response_id=made.id, max_output_tokens=9
                )
            assert [each.path for each in second.requests] == [
                "/v1/responses",
                f"/v1/responses/{made.id}",
                "/v1/responses",
            ]
            assert len(first.requests) == 1
            body = {"model": "m", "input": "and?", "previous_response_id": made.id}
            async with rig.post(stranger, body, "/v1/responses") as answer:
                assert answer.status == 404
            # Also for a worker that has never heard of it.
            await written(rig, made.id)
            rig.gateway.objects._kept.clear()
            headers = {"authorization": f"Bearer {stranger}"}
            url = f"{rig.url}/v1/responses/{made.id}"
            async with rig.session.get(url, headers=headers) as answer:
                assert answer.status == 404


async def test_a_streamed_response_is_noted_too(rig: Rig):
    token = await rig.token(USD)
    body = {"model": "m", "input": "Hello", "stream": True, "max_output_tokens": 9}
    async with rig.post(token.key, body, "/v1/responses") as answer:
        text = (await answer.read()).decode()
    made = json.loads(text.partition("data: ")[2].partition("\n")[0])["response"]["id"]
    assert await written(rig, made) == "scripted"


# Browsers


async def test_browsers_may_call_from_anywhere_and_see_our_headers(rig: Rig):
    token = await rig.token(USD)
    preflight = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type, x-stainless-os",
    }
    url = rig.url + "/v1/chat/completions"
    async with rig.session.options(url, headers=preflight) as answer:
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "x-stainless-os" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
    origin = {"origin": "https://app.example"}
    for key, status in ((token.key, 200), ("sk-none", 401)):
        async with rig.post(key, chat(stream=status == 200), headers=origin) as answer:
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "x-request-id" in answer.headers["access-control-expose-headers"]
            await answer.read()
    async with rig.post(token.key, chat()) as answer:
        assert "access-control-allow-origin" not in answer.headers


async def test_browsers_can_be_kept_out(postgres_dsn, valkey_url):
    def closed(members: dict[str, Any]) -> None:
        members["gateway"]["cors"] = False

    async with running_rig(postgres_dsn, valkey_url, closed) as rig:
        headers = {"origin": "https://x", "access-control-request-method": "POST"}
        async with rig.session.options(rig.url + "/v1/chat/completions", headers=headers) as answer:
            assert answer.status == 405
            assert "access-control-allow-origin" not in answer.headers


# What is left


async def test_a_key_tells_what_it_can_still_spend(rig: Rig):
    token = await rig.token(USD, name="mine", models=("m",), models_enabled=True)
    async with rig.post(token.key, chat()) as answer:
        assert answer.status == 200
    (row,) = await rig.ledger()
    spent_usd = row["amount"] / USD
    headers = {"authorization": f"Bearer {token.key}"}

    async def get(path: str) -> Any:
        async with rig.session.get(rig.url + path, headers=headers) as found:
            assert found.status == 200
            return await found.json()

    for prefix in ("", "/v1"):
        limits = await get(f"{prefix}/dashboard/billing/subscription")
        assert limits["hard_limit_usd"] == 1.0
        usage = await get(f"{prefix}/dashboard/billing/usage?start_date=2026-01-01")
        assert usage["total_usage"] == pytest.approx(100 * spent_usd)
    told = await get("/api/usage/token/")
    assert told["code"] is True
    data = told["data"]
    assert (data["name"], data["unlimited_quota"], data["model_limits"]) == (
        "mine",
        False,
        {"m": True},
    )
    assert data["total_granted"] == 500_000 == data["total_used"] + data["total_available"]
    assert data["total_used"] == -(-row["amount"] // 2000)


async def test_an_uncapped_key_says_so(rig: Rig):
    token = await rig.token()
    headers = {"authorization": f"Bearer {token.key}"}
    async with rig.session.get(rig.url + "/api/usage/token", headers=headers) as answer:
        data = (await answer.json())["data"]
    assert (data["unlimited_quota"], data["total_available"], data["expires_at"]) == (True, 0, 0)
    async with rig.session.get(rig.url + "/api/usage/token/") as answer:
        assert answer.status == 401


async def test_a_gate_before_an_upload_is_taken_does_not_count_as_silence(rig: Rig):
    """While a body is on its way, only standing still ends it."""
    gate = Gate()
    token = await rig.token(USD)
    rig.upstream.answer("", Answer((b'{"id":"file-7"}',)).first(gate))
    headers = {"content-type": "application/octet-stream"}
    body = b"x" * 100_000

    async def send() -> int:
        async with rig.post(token.key, body, "/v1/files", headers=headers) as answer:
            return answer.status

    sending = asyncio.create_task(send())
    await gate.waiting()
    (received,) = rig.upstream.requests
    assert received.body == body
    gate.release()
    assert await sending == 200
