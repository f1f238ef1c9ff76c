"""A call from key to ledger, and every way in which it is refused, against real stores and a scripted upstream."""

import asyncio
import hashlib
import json

import pytest

from gateway.domain.key import create_key
from gateway.domain.limits import Limit, Metric
from gateway.store.quota import QuotaStore
from tests.integration.rig import USD, Rig, chat, instant, running, running_rig
from tests.upstream import Answer, Echo, Gate, ScriptedUpstream, refuse


def hold_of(body: dict) -> int:
    """What a capped call of model `m` holds: bytes at $1/M, 100 tokens of output at $10/M."""
    size = len(json.dumps(body).encode())
    return size * 1000 + 100 * 10_000


async def test_a_call_is_answered_by_the_upstream_and_booked_to_the_unit(rig: Rig):
    token = await rig.token(USD)
    async with rig.post(token.key, chat()) as answer:
        assert answer.status == 200
        body = await answer.json()
        assert answer.headers["x-request-id"]
        assert answer.headers["x-upstream-request-id"]
        assert "x-echo" not in answer.headers
    (sent,) = rig.upstream.requests
    assert hashlib.sha256(sent.body).hexdigest() in json.dumps(body)
    (row,) = await rig.ledger()
    usage = body["usage"]
    assert row["input_tokens"] == usage["prompt_tokens"]
    assert row["output_tokens"] == usage["completion_tokens"]
    assert row["amount"] == usage["prompt_tokens"] * 1000 + usage["completion_tokens"] * 10_000
    assert (row["status"], row["upstream"], row["model"]) == (200, "scripted", "m")
    assert row["token_id"] == token.row.id
    assert not row["estimated"]
    for table in ("token", "member", "subscription", "account"):
        used = await rig.database.fetchval(f"SELECT max(used) FROM {table}")
        assert used == row["amount"], table


async def test_the_upstream_sees_neither_the_callers_key_nor_its_cookies(rig: Rig):
    token = await rig.token()
    headers = {"Cookie": "a=b", "X-Forwarded-For": "1.2.3.4", "OpenAI-Beta": "assistants=v2"}
    async with rig.post(token.key, chat(), headers=headers):
        pass
    (sent,) = rig.upstream.requests
    assert token.key not in str(sent.headers)
    names = {name.lower() for name, _ in sent.headers}
    assert names & {"cookie", "x-forwarded-for", "authorization", "forwarded"} == set()
    assert sent.header("openai-beta") == "assistants=v2"


async def test_a_maximum_is_written_only_for_capped_keys_that_name_none(rig: Rig):
    capped, free = await rig.token(USD), await rig.token()
    for key, body in (
        (capped.key, chat()),
        (free.key, chat()),
        (capped.key, chat(max_completion_tokens=5)),
    ):
        async with rig.post(key, body) as answer:
            assert answer.status == 200
    first, second, third = (json.loads(sent.body) for sent in rig.upstream.requests)
    assert first == {**chat(), "max_tokens": 100}
    assert second == chat()
    assert third == chat(max_completion_tokens=5)


async def test_an_unchanged_body_arrives_as_the_bytes_that_were_sent(rig: Rig):
    token = await rig.token()
    body = b'{ "model" :"m", "messages":[], "seed": 1.50, "x":"\\u00e9" }'
    async with rig.post(token.key, body) as answer:
        assert answer.status == 200
    assert rig.upstream.requests[0].body == body


async def test_a_stream_hides_the_usage_that_was_not_asked_for_and_books_it(rig: Rig):
    token = await rig.token(USD)
    async with rig.post(token.key, chat(stream=True)) as answer:
        text = await answer.text()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert '"usage":{' not in text
    assert text.endswith("data: [DONE]\n\n")
    assert json.loads(rig.upstream.requests[0].body)["stream_options"] == {"include_usage": True}
    (row,) = await rig.ledger()
    assert (row["output_tokens"], row["estimated"]) == (7, False)


async def test_a_stream_that_asked_for_usage_gets_every_byte(rig: Rig):
    token = await rig.token()
    body = chat(stream=True, stream_options={"include_usage": True})
    async with rig.post(token.key, body) as answer:
        through = await answer.read()
    async with rig.session.post(rig.upstream.base_url + "/chat/completions", json=body) as direct:
        assert through.count(b"data:") == (await direct.read()).count(b"data:")
    assert b'"usage":{' in through


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_chunking_changes_nothing(rig: Rig, bytewise: bool, stream: bool):
    token = await rig.token()
    rig.upstream.answer("m", Echo(bytewise=bytewise))
    async with rig.post(token.key, chat(stream=stream)) as answer:
        text = await answer.text()
    assert hashlib.sha256(rig.upstream.requests[0].body).hexdigest()[:8] in text.replace('"', "")
    (row,) = await rig.ledger()
    assert (row["output_tokens"], row["status"]) == (7, 200)


@pytest.mark.parametrize(
    ("path", "body", "inputs"),
    [
        ("/v1/completions", {"model": "m", "prompt": "one two"}, None),
        ("/v1/embeddings", {"model": "m", "input": "one two"}, None),
        ("/v1/responses", {"model": "m", "input": "one two"}, None),
        ("/v1/responses", {"model": "m", "input": "one two", "stream": True}, None),
        ("/v1/completions", {"model": "m", "prompt": "one two", "stream": True}, None),
    ],
)
async def test_every_route_is_metered_by_its_own_usage(rig: Rig, path, body, inputs):
    token = await rig.token(USD)
    async with rig.post(token.key, body, path) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()
    (row,) = await rig.ledger()
    assert row["input_tokens"] > 0
    assert not row["estimated"], dict(row)
    assert row["anomaly"] is None


async def test_models_are_those_that_the_key_can_call(postgres_dsn, valkey_url):
    def configure(members):
        members["upstreams"][0]["models"] = ["m", "other"]

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        free = await rig.token()
        bound = await rig.token(models=("other", "never-heard-of"), models_enabled=True)
        listed = {}
        for name, key in (("free", free.key), ("bound", bound.key)):
            headers = {"Authorization": f"Bearer {key}"}
            async with rig.session.get(rig.url + "/v1/models", headers=headers) as answer:
                listed[name] = [model["id"] for model in (await answer.json())["data"]]
            async with rig.session.get(rig.url + "/v1/models/m", headers=headers) as answer:
                listed[f"{name} m"] = answer.status
        assert listed == {"free": ["m", "other"], "bound": ["other"], "free m": 200, "bound m": 403}


async def refused(context, status: int, code: str) -> dict:
    async with context as answer:
        body = await answer.json(content_type="application/json")
        assert (answer.status, body["error"]["code"]) == (status, code), body
        assert answer.headers["x-request-id"] == body["error"]["request_id"]
        return {**body["error"], "headers": answer.headers}


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        (None, "No key was given"),
        ("", "not of the form"),
        ("Bearer", "not of the form"),
        ("Bearer ", "not of the form"),
        ("Bearer null", "no key of this gateway"),
        ("Basic dXNlcjpwYXNz", "not of the form"),
        ("Bearer sk-" + "0" * 49, "checksum"),
        ("Bearer sk-';DROP TABLE token;--", "checksum"),
        ("Bearer " + "x" * 4000, "checksum"),
        ("KEY", "lacks the prefix 'Bearer '"),
    ],
)
async def test_a_key_that_is_none_is_told_what_is_wrong(rig: Rig, authorization, words):
    token = await rig.token()
    headers = {}
    if authorization is not None:
        headers["Authorization"] = token.key if authorization == "KEY" else authorization
    context = rig.session.post(rig.url + "/v1/chat/completions", json=chat(), headers=headers)
    error = await refused(context, 401, "invalid_api_key")
    assert words in error["message"]
    assert not rig.upstream.requests


async def test_a_well_made_key_that_opens_nothing_is_refused(rig: Rig):
    await refused(rig.post(create_key(), chat()), 401, "invalid_api_key")
    await refused(rig.post(create_key(), chat()), 401, "invalid_api_key")


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/", 404, "/v1"),
        ("POST", "/chat/completions", 404, "lacks /v1"),
        ("POST", "/v1/chat/completions/", 404, "without the slash"),
        ("POST", "/v1/organization/users", 404, "The base URL is http"),
        ("POST", "/v1/../v1/chat/completions%2f", 404, "The base URL is http"),
        ("GET", "/v1/embeddings", 405, "takes POST"),
        ("POST", "/v1/models", 405, "takes GET"),
    ],
)
async def test_a_wrong_url_is_told_the_right_one(rig: Rig, method, path, status, words):
    async with rig.session.request(method, rig.url + path) as answer:
        body = await answer.json()
        assert answer.status == status
        assert words in body["error"]["message"]


async def test_errors_speak_the_dialect_of_the_path(rig: Rig):
    async with rig.session.get(rig.url + "/v1/messages") as answer:
        body = await answer.json()
        assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    async with rig.session.post(rig.url + "/v1beta/models/g:nothing") as answer:
        assert (await answer.json())["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"expires_at": instant(1_000_000_000)}, 401, "key_expired"),
        ({"allow_ips": ("10.0.0.0/8",)}, 403, "ip_not_allowed"),
        ({"deny_ips": ("127.0.0.0/8",)}, 403, "ip_not_allowed"),
        ({"allow_ips": ("127.0.0.0/8",), "deny_ips": ("127.0.0.1",)}, 403, "ip_not_allowed"),
        ({"models": ("other",), "models_enabled": True}, 403, "model_not_allowed"),
        ({"models": (), "models_enabled": True}, 403, "model_not_allowed"),
        ({"granted": 0}, 429, "insufficient_quota"),
        ({"granted": 1}, 429, "insufficient_quota"),
    ],
)
async def test_what_a_token_does_not_allow_is_refused_before_the_upstream(
    rig: Rig, fields, status, code
):
    token = await rig.token(**fields)
    error = await refused(rig.post(token.key, chat()), status, code)
    assert error["message"]
    if code == "insufficient_quota":
        assert error["headers"]["x-should-retry"] == "false"
        assert error["scope"] == "token"
    assert not rig.upstream.requests
    assert await rig.ledger() == []


async def test_an_allowed_address_passes_and_a_forged_one_does_not_help(rig: Rig):
    ours = await rig.token(allow_ips=("127.0.0.1",))
    other = await rig.token(allow_ips=("203.0.113.0/24",))
    async with rig.post(ours.key, chat()) as answer:
        assert answer.status == 200
    forged = {"X-Forwarded-For": "203.0.113.5", "Forwarded": "for=203.0.113.5"}
    await refused(rig.post(other.key, chat(), headers=forged), 403, "ip_not_allowed")


async def test_behind_a_trusted_proxy_the_rightmost_untrusted_hop_counts(postgres_dsn, valkey_url):
    def configure(members):
        members["gateway"]["trusted_proxies"] = ["127.0.0.1", "10.0.0.0/8"]

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        token = await rig.token(allow_ips=("203.0.113.0/24",))
        for forwarded, status in (
            ("203.0.113.5", 200),
            ("203.0.113.5, 10.1.2.3", 200),
            ("::ffff:203.0.113.5", 200),
            ("198.51.100.1, 203.0.113.5, 10.1.2.3", 200),
            ("203.0.113.5, 198.51.100.1", 403),
            ("203.0.113.5, garbage", 403),
            ("", 403),
        ):
            context = rig.post(token.key, chat(), headers={"X-Forwarded-For": forwarded})
            async with context as answer:
                assert answer.status == status, forwarded


async def test_only_the_configured_header_of_a_trusted_proxy_is_believed(
    postgres_dsn, valkey_url, tmp_path
):
    def configure(members):
        members["gateway"] |= {"trusted_proxies": ["127.0.0.1"], "client_header": "forwarded"}
        members["log"] = {"access": str(tmp_path / "access.log")}

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        token = await rig.token(allow_ips=("203.0.113.0/24",))
        for headers, status in (
            ({"Forwarded": "for=203.0.113.5;proto=https"}, 200),
            ({"Forwarded": "for=198.51.100.1", "X-Forwarded-For": "203.0.113.5"}, 403),
            ({"X-Forwarded-For": "203.0.113.5"}, 403),
        ):
            async with rig.post(token.key, chat(), headers=headers) as answer:
                assert answer.status == status, headers
        await rig.quiet()
        rig.gateway.log.flush()
        lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    assert (lines[0]["address"], lines[0]["peer"]) == ("203.0.113.5", "127.0.0.1")


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"not json", 400, "invalid_request", None),
        (b"{}", 400, "invalid_request", "model"),
        (b'{"model":"m","model":"unpriced"}', 400, "invalid_request", "model"),
        (b'{"model":"unpriced","messages":[]}', 400, "model_not_priced", "model"),
        (b'{"model":"m","max_tokens":-5}', 400, "invalid_request", "max_tokens"),
    ],
)
async def test_a_bad_body_is_refused_and_nothing_is_taken(rig: Rig, body, status, code, param):
    token = await rig.token(USD)
    error = await refused(rig.post(token.key, body), status, code)
    assert error["param"] == param
    assert not rig.upstream.requests


async def test_a_body_that_is_too_large_or_compressed_is_refused(postgres_dsn, valkey_url):
    def configure(members):
        members["gateway"]["max_body_bytes"] = 2048

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        token = await rig.token()
        large = chat(text="x" * 4000)
        await refused(rig.post(token.key, large), 413, "body_too_large")

        async def pieces():
            for _ in range(5):
                yield b"x" * 1000

        chunked = rig.session.post(
            rig.url + "/v1/chat/completions",
            data=pieces(),
            headers={"Authorization": f"Bearer {token.key}"},
        )
        await refused(chunked, 413, "body_too_large")
        packed = rig.post(token.key, b"xx", headers={"Content-Encoding": "gzip"})
        await refused(packed, 415, "unsupported_media_type")
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == 200


async def test_an_unknown_model_says_that_it_does_not_exist(postgres_dsn, valkey_url):
    def configure(members):
        members["upstreams"][0]["models"] = ["m"]

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        token = await rig.token()
        error = await refused(rig.post(token.key, chat("n")), 404, "model_not_found")
        assert error["param"] == "model"


async def test_a_mapped_model_is_renamed_for_the_upstream_only(postgres_dsn, valkey_url):
    def configure(members):
        members["upstreams"][0]["models"] = {"m": "m-2026"}

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, configure) as rig,
    ):
        token = await rig.token()
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == 200
        assert json.loads(upstream.requests[0].body)["model"] == "m-2026"
        (row,) = await rig.ledger()
        assert row["model"] == "m"


async def test_two_hundred_at_once_on_fifty_reservations_admit_exactly_fifty(rig: Rig):
    body = chat(max_tokens=100)
    hold = hold_of(body)
    token = await rig.token(50 * hold)
    gate = Gate()
    rig.upstream.answer("m", Echo().first(gate))
    decided = asyncio.Event()
    outcomes: list[int] = []

    async def one() -> None:
        async with rig.post(token.key, body) as answer:
            outcomes.append(answer.status)
            if len(outcomes) == 150:
                decided.set()
            await answer.read()

    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(one())
        await gate.waiting(50)
        await decided.wait()  # all 200 are decided before the first answer
        assert outcomes == [429] * 150
        gate.release()
    assert sorted(outcomes) == [200] * 50 + [429] * 150
    assert len(rig.upstream.requests) == 50
    rows = await rig.ledger()
    assert len(rows) == 50
    used = await rig.database.fetchval("SELECT used FROM token WHERE id = $1", token.row.id)
    assert used == sum(row["amount"] for row in rows)
    book = await rig.gateway.quota.book(token.row.account_id, f"t{token.row.id}")
    assert book is not None
    assert (book.reserved, book.live) == (0, 0)


async def test_limits_are_kept_and_say_when_to_come_back(rig: Rig):
    limit = Limit(Metric.REQUESTS, "1m", 2)
    token = await rig.token(limits=(limit,))
    for remaining in ("1", "0"):
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == 200
            assert answer.headers["x-ratelimit-limit-requests"] == "2"
            assert answer.headers["x-ratelimit-remaining-requests"] == remaining
            assert answer.headers["x-ratelimit-reset-requests"]
    error = await refused(rig.post(token.key, chat()), 429, "rate_limit_exceeded")
    assert 0 < int(error["headers"]["retry-after"]) <= 61


async def test_a_burst_says_what_passes_at_once_and_when_the_next_does(rig: Rig):
    token = await rig.token(limits=(Limit(Metric.REQUESTS, "1m", 1, burst=2),))
    for remaining in ("1", "0"):
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == 200
            assert answer.headers["x-ratelimit-limit-requests"] == "2"
            assert answer.headers["x-ratelimit-remaining-requests"] == remaining
    error = await refused(rig.post(token.key, chat()), 429, "rate_limit_exceeded")
    assert "limited to 2 requests at once, and 2 requests are used" in error["message"]
    assert 0 < int(error["headers"]["retry-after"]) <= 60


async def test_windows_outlive_the_loss_of_the_quota_store(rig: Rig):
    token = await rig.token(limits=(Limit(Metric.REQUESTS, "1d", 3),))
    for _ in range(2):
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == 200
    await rig.quiet()
    await rig.gateway.quota._pipeline.call(0, "FLUSHDB")
    await QuotaStore(rig.gateway.quota._pipeline).start(pause_s=0)
    async with rig.post(token.key, chat()) as answer:
        assert (answer.status, answer.headers["x-ratelimit-remaining-requests"]) == (200, "0")
    await refused(rig.post(token.key, chat()), 429, "rate_limit_exceeded")


async def test_concurrency_is_limited_and_given_back(rig: Rig):
    token = await rig.token(max_concurrency=1)
    gate = Gate()
    rig.upstream.answer("m", Echo().first(gate))

    async def one() -> int:
        async with rig.post(token.key, chat()) as answer:
            await answer.read()
            return answer.status

    running_call = asyncio.create_task(one())
    await gate.waiting(1)
    await refused(rig.post(token.key, chat()), 429, "concurrency_exceeded")
    gate.release()
    assert await running_call == 200
    await rig.quiet()
    assert await one() == 200


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (refuse(400), 400, "scripted"),
        (refuse(429, headers=(("Retry-After", "30"),)), 429, "scripted"),
        (refuse(500), 500, "scripted"),
        (refuse(401), 502, "upstream_error"),
        (Answer(status=302, headers=(("Location", "http://127.0.0.1/"),)), 502, "upstream_error"),
        (Answer(framing="raw", body=(b"garbage\r\n\r\n",)), 502, "upstream_error"),
        (Answer((b'{"id":',), missing_bytes=100), 502, "upstream_error"),
    ],
)
async def test_an_upstream_that_declines_is_passed_on_or_told_and_costs_nothing_or_an_estimate(
    rig: Rig, script, status, code
):
    token = await rig.token(USD)
    rig.upstream.answer("m", script)
    async with rig.post(token.key, chat()) as answer:
        body = await answer.json(content_type=None)
        assert (answer.status, body["error"]["code"]) == (status, code)
        if status == 429:
            assert answer.headers["retry-after"] == "30"
        assert "set-cookie" not in answer.headers
        assert "location" not in answer.headers
    (row,) = await rig.ledger()
    assert row["status"] == status
    assert row["amount"] == 0 or row["estimated"]
    book = await rig.gateway.quota.book(token.row.account_id, f"t{token.row.id}")
    assert book is not None
    assert book.reserved == 0


async def test_lies_about_usage_are_flagged_and_never_charged_beyond_the_hold(rig: Rig):
    token = await rig.token(10 * USD)
    lies = [
        {"prompt_tokens": -5, "completion_tokens": 1},
        {"prompt_tokens": 2 * 10**12, "completion_tokens": 1},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": "7", "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}},
        {},
        "none",
        None,
        {"prompt_tokens": 1, "completion_tokens": 1_000_000},
    ]
    body = chat(max_tokens=100)
    for stream in (False, True):
        for lie in lies:
            rig.upstream.answer("m", Echo(usage=lie))
            async with rig.post(token.key, {**body, "stream": stream}) as answer:
                assert answer.status == 200
                await answer.read()
    rows = await rig.ledger()
    assert len(rows) == 2 * len(lies)
    size = len(json.dumps({**body, "stream": False})) + 60
    assert all(row["amount"] <= size * 1000 + 1_000_000 for row in rows)
    assert all(row["anomaly"] for row in rows)
    assert {row["anomaly"] for row in rows if row["unbilled"]} == {"over_hold"}


async def test_refusals_are_counted_by_token_reason_and_hour(rig: Rig):
    token = await rig.token(0)
    for _ in range(3):
        await refused(rig.post(token.key, chat()), 429, "insufficient_quota")
    await refused(rig.post(create_key(), chat()), 401, "invalid_api_key")
    await rig.gateway.refusals.write()
    await refused(rig.post(token.key, chat()), 429, "insufficient_quota")
    await rig.gateway.refusals.write()
    rows = await rig.database.fetch("SELECT token_id, reason, sum(n) n FROM refusal GROUP BY 1, 2")
    assert {tuple(row) for row in rows} == {
        (token.row.id, "insufficient_quota", 4),
        (0, "invalid_api_key", 1),
    }
