"""Secrets and prompts that exist once, sent through every way in which a call can fail, and then looked for everywhere.

Looked through: logs, the access log, every row of Postgres, every value of Valkey, figures, and what callers were
answered. Found: none.
"""

import asyncio
import base64
import io
import json
import logging
import tempfile
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from gateway.log import sink
from gateway.metrics import render
from tests.admin import KEK as ADMIN_KEK
from tests.admin import running_admin
from tests.integration.rig import PEPPER_SECRET, USD, Rig, chat, instant, running, until
from tests.security.attacks import FIGURE
from tests.severable import Wire, before_postgres, before_valkey
from tests.upstream import (
    CUT,
    MALFORMED_EVENT,
    NO_ANSWER,
    RESET,
    Answer,
    Echo,
    Gate,
    ScriptedUpstream,
    refuse,
)
from tests.wire import request, wire

PROVIDER = "provider-canary-5f3a91"
PROMPT = "prompt-canary-77d0c2"
GARBAGE = "sk-" + "CanaryGarbage" * 3 + "0123456789"
NO_KEY = "plain-canary-key-30b1"
COOKIE = "cookie-canary-19e4"
PASSWORD = "password-canary-8c2f-long"
MODEL_KEY = "sk-" + "CanaryModel" * 4 + "01234"


@dataclass
class Seen:
    """What came out, and what may not be in it."""

    secrets: dict[str, str] = field(default_factory=dict)
    answers: list[tuple[str, bytes]] = field(default_factory=list)
    logs: io.StringIO = field(default_factory=io.StringIO)

    def look(self, where: str, text: str, *, prompts: bool = True) -> None:
        """Fail with what was found, and where."""
        for name, secret in self.secrets.items():
            if name == "prompt" and not prompts:
                continue
            for form in (
                secret,
                secret.encode().hex(),
                base64.b64encode(secret.encode()).decode().rstrip("=")[:-1],
            ):
                at = text.find(form)
                assert at < 0, f"{name} in {where}: …{text[max(0, at - 120) : at + 60]!r}"

    def tell(self, record_property: Callable[[str, object], None], where: str) -> None:
        """What `make security` prints, once nothing was found."""
        record_property(f"{FIGURE}canaries planted in {where}", len(self.secrets))
        record_property(f"{FIGURE}answers of {where} searched", len(self.answers))
        record_property(f"{FIGURE}secrets found of {where}", 0)


@pytest.fixture
def seen():
    found = Seen()
    handler = sink(found.logs)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield found
    root.removeHandler(handler)
    root.setLevel(level)


@asynccontextmanager
async def severable(postgres_dsn: str, valkey_url: str, upstream: ScriptedUpstream, log: Path):
    """A gateway whose stores a test can take away, with a provider's key."""

    def configure(members: dict[str, Any]) -> None:
        members["postgres"] = {"dsn": database.url, "statement_timeout_s": 0.5}
        members["redis"] = {"url": valkey.url, "operation_timeout_s": 0.5}
        members["log"] = {"access": str(log)}
        members["gateway"]["max_body_bytes"] = 4096
        first = members["upstreams"][0]
        first |= {"api_key_env": "CANARY_KEY", "first_byte_timeout_s": 0.3, "idle_timeout_s": 0.3}
        first["headers"] = {"X-Canary": PROVIDER}
        down = {"name": "down", "base_url": "http://127.0.0.1:9/v1", "models": ["down"]}
        members["upstreams"] = [first | {"models": ["m", "unpriced"]}, down]
        members["models"].append({"name": "down"})

    with tempfile.TemporaryDirectory(prefix="tollhouse-tests-") as place:
        async with (
            before_valkey(Path(place) / "v", valkey_url) as valkey,
            before_postgres(Path(place), postgres_dsn) as database,
            running(postgres_dsn, valkey_url, upstream, configure, {"CANARY_KEY": PROVIDER}) as rig,
        ):
            yield rig, valkey, database


async def ask(rig: Rig, seen: Seen, name: str, status: int, data: bytes) -> None:
    """Send bytes, keep what is answered, and see that the failure is the one that was meant."""
    async with wire(rig.url) as caller, asyncio.timeout(20):
        caller.write(data)
        answer = await caller.answer()
        if answer.status != status:
            print("WRONG", name, status, answer.status, bytes(answer.body)[:300])
        seen.answers.append((name, bytes(caller.raw)))


def asked(key: str | None, **members: Any) -> bytes:
    cookies = (("cookie", f"__Host-tollhouse={COOKIE}"), ("x-forwarded-for", "10.9.9.9"))
    body = {"stream": False, **chat(text=PROMPT), **members}
    return request(key, body, headers=cookies)


async def refused(rig: Rig, seen: Seen) -> None:
    """What the chain refuses."""
    key = seen.secrets["key"]
    no_network = (await rig.token(deny_ips=("127.0.0.1",))).key
    no_model = (await rig.token(models=("other",), models_enabled=True)).key
    poor = (await rig.token(1)).key
    few = (await rig.token(max_concurrency=1)).key
    expired = (await rig.token(expires_at=instant(1))).key
    for number, other in enumerate((no_network, no_model, poor, few, expired)):
        seen.secrets[f"key {number}"] = other
    flipped = key[:-1] + ("a" if key[-1] != "a" else "b")
    unknown = "sk-" + key[3:20]
    seen.secrets |= {"flipped": flipped, "unknown": unknown}
    for name, status, data in (
        ("no key", 401, asked(None)),
        ("garbage", 401, asked(GARBAGE)),
        ("plain", 401, asked(NO_KEY)),
        ("flipped", 401, asked(flipped)),
        ("cut off", 401, asked(unknown)),
        ("expired", 401, asked(expired)),
        ("network", 403, asked(no_network)),
        ("model", 403, asked(no_model)),
        ("no model", 404, asked(key, model="nobodys-model")),
        ("a key as model", 404, asked(key, model=MODEL_KEY)),
        ("quota", 429, asked(poor, max_tokens=1000)),
        ("no JSON", 400, request(key, b'{"messages": "' + PROMPT.encode())),
        ("twice", 400, request(key, b'{"model":"m","model":"m","x":"%b"}' % PROMPT.encode())),
        ("too large", 413, asked(key, padding=PROMPT * 500)),
        ("compressed", 415, request(key, PROMPT.encode(), headers=(("content-encoding", "br"),))),
        ("path", 404, request(key, {}, path=f"/nowhere/{key}/{MODEL_KEY}")),
        ("query", 404, request(None, {}, path=f"/v1beta/nowhere?key={key}")),
        ("query too", 401, request(None, None, method="GET", path=f"/v1/models?key={GARBAGE}")),
        ("method", 405, request(key, {}, method="PUT", path="/v1beta/models/m:generateContent")),
        ("passage", 403, request(poor, {"x": PROMPT}, path="/v1/unknown/path")),
    ):
        await ask(rig, seen, name, status, data)


FAULTS = [
    ("502 quoting", 502, Answer((f"no: {PROVIDER} {PROMPT}".encode(),), status=401)),
    ("403 quoting", 502, refuse(403, f"Incorrect API key provided: {PROVIDER}. {PROMPT}")),
    ("400 quoting the key", 400, refuse(400, f"bad key {PROVIDER}")),
    ("500 quoting the key", 500, refuse(500, f"bad key {PROVIDER}")),
    ("429 quoting the key", 429, refuse(429, f"slow down {PROVIDER}")),
    ("nothing", 502, NO_ANSWER),
    ("reset", 502, Echo().first(RESET)),
    ("no HTTP", 502, Answer((f"HTP/0 {PROVIDER} {PROMPT}\r\n\r\n".encode(),), framing="raw")),
    ("a bad header", 502, Answer((b"x",), headers=(("bad header " + PROVIDER, PROMPT),))),
    ("half a JSON", 502, Answer((b'{"id": ',), missing_bytes=40)),
    ("stalled", 504, Echo().first(Gate())),
]


async def upstream_fails(rig: Rig, seen: Seen, upstream: ScriptedUpstream) -> None:
    """What an upstream can do to a call, and to a stream."""
    key = seen.secrets["key"]
    for name, status, script in FAULTS:
        upstream.answer("m", script)
        await ask(rig, seen, name, status, asked(key))
    for name, script in (
        ("cut", Echo().after(2, CUT)),
        ("malformed", Echo().after(2, MALFORMED_EVENT)),
        ("stalled", Echo().after(2, Gate())),
        ("error", Echo().after(2, f'data: {{"error":{{"message":"{PROVIDER}"}}}}\n\n'.encode())),
    ):
        upstream.answer("m", script)
        await ask(rig, seen, f"stream {name}", 200, asked(key, stream=True))
    await ask(rig, seen, "down", 502, asked(key, model="down"))


async def stores_fail(
    rig: Rig, seen: Seen, upstream: ScriptedUpstream, valkey: Wire, database: Wire
) -> None:
    """Each store away: for a key that is known, and one that would have to be looked up."""
    rich, fresh = (await rig.token(USD)).key, (await rig.token(USD)).key
    seen.secrets |= {"rich": rich, "fresh": fresh}
    upstream.answer("m", Echo())
    await ask(rig, seen, "warm", 200, asked(rich))
    for store in (database, valkey):
        store.accepts = False
        store.cut()
    await until(lambda: not rig.gateway.quota.connected)
    await ask(rig, seen, "no Valkey", 503, asked(rich))
    await ask(rig, seen, "no Postgres", 503, asked(fresh))
    for store in (database, valkey):
        store.accepts = True
        store.resume()
    await until(lambda: rig.gateway.quota.connected)


async def malformed_heads(rig: Rig, seen: Seen) -> None:
    """What the HTTP parser refuses. Nobody is told the line at fault, nor is its sender."""
    key = seen.secrets["key"].encode()
    for name, head in (
        ("space", b"POST /v1/x HTTP/1.1\r\nhost: g\r\nauthorization : Bearer %b\r\n\r\n"),
        ("NUL", b"POST /v1/x HTTP/1.1\r\nhost: g\r\nauthorization: Bearer \x00%b\r\n\r\n"),
        ("line", b"POST /v1/%b HTTP/9.9\r\nhost: g\r\n\r\n"),
        (
            "lengths",
            b"POST /%b HTTP/1.1\r\nhost: g\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        ),
        ("fold", b"POST / HTTP/1.1\r\nhost: g\r\nx: y\r\n authorization %b\r\n\r\n"),
    ):
        async with wire(rig.url) as caller, asyncio.timeout(20):
            caller.write(head % key)
            await caller.is_closed()
            assert caller.raw.startswith(b"HTTP/1.1 400 "), name
            assert key not in caller.raw, name


async def everything_in(valkey_url: str) -> str:
    """Every key of Valkey with its value."""
    texts = []
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        async for name in client.scan_iter(count=1000):
            kind = await client.type(name)
            match kind:
                case b"string":
                    value = await client.get(name)
                case b"hash":
                    value = await client.hgetall(name)
                case b"zset":
                    value = await client.zrange(name, 0, -1, withscores=True)
                case b"set":
                    value = await client.smembers(name)
                case b"list":
                    value = await client.lrange(name, 0, -1)
                case b"stream":
                    value = await client.xrange(name)
                case b"none":
                    continue  # its time was up
                case _:
                    raise AssertionError(kind)
            texts.append(f"{name!r} {value!r}")
    return "\n".join(texts)


async def every_row(pool: Any) -> str:
    """Every row of every table, as text; bytes are hexadecimal digits."""
    tables = await pool.fetch(
        "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
    )
    rows = []
    for (table,) in tables:
        rows += [f"{table} {row[0]}" for row in await pool.fetch(f"SELECT t::text FROM {table} t")]
    return "\n".join(rows)


async def test_no_error_of_a_call_leaves_a_secret_or_a_prompt_anywhere(
    seen, postgres_dsn, valkey_url, tmp_path, record_property
):
    log = tmp_path / "access.log"
    async with (
        ScriptedUpstream() as upstream,
        severable(postgres_dsn, valkey_url, upstream, log) as (rig, valkey, database),
    ):
        seen.secrets |= {
            "key": (await rig.token()).key,
            "provider": PROVIDER,
            "prompt": PROMPT,
            "garbage": GARBAGE,
            "plain": NO_KEY,
            "cookie": COOKIE,
            "a key as model": MODEL_KEY,
            "pepper": PEPPER_SECRET.decode("latin-1"),
        }
        await refused(rig, seen)
        await malformed_heads(rig, seen)
        await upstream_fails(rig, seen, upstream)
        await stores_fail(rig, seen, upstream, valkey, database)
        await rig.quiet()
        rig.gateway.log.flush()

        seen.look("the access log", log.read_text())
        seen.look("Postgres", await every_row(rig.database))
        seen.look("Valkey", await everything_in(valkey_url))
        seen.look("the figures", render(rig.gateway.figures()).decode())
        assert log.read_text().count("\n") > 30
        assert any(PROMPT.encode() in sent.body for sent in upstream.requests), "it was sent"
    seen.look("the log", seen.logs.getvalue())
    assert "upstream" in seen.logs.getvalue()
    for name, answer in seen.answers:
        quotes = "quoting" in name
        seen.look(f"the answer to {name!r}", answer.decode("latin-1"), prompts=not quotes)
    seen.tell(record_property, "calls")


SHOWN_ONCE = {"a new key", "a new access token", "a new webhook", "a new person"}


async def say(admin: Any, seen: Seen, name: str, status: int, *call: Any, **more: Any) -> Any:
    """Call the admin API, keep the answer, and see that it is the one that was meant."""
    bare = more.pop("bare", False)
    answer = await (admin.bare if bare else admin.call)(*call, **more)
    assert answer.status == status, (name, answer.status, answer.body)
    if name not in SHOWN_ONCE:
        seen.answers.append((name, json.dumps([answer.body, dict(answer.headers)]).encode()))
    return answer


def admin_calls(garbage: str) -> list[tuple[str, int, tuple[Any, ...], dict[str, Any]]]:
    """Calls that hold a secret, and what they come to."""
    person = {"username": "ada", "password": PASSWORD, "role": "user"}
    login = {"username": "nobody", "password": PASSWORD}
    upstream = {"name": "u", "base_url": "https://1.1.1.1/v1", "api_key": PROVIDER}
    headers = {"Authorization": f"Bearer {garbage}", "Cookie": f"__Host-tollhouse={COOKIE}"}
    cookie = {"Cookie": f"__Host-tollhouse={COOKIE}"}
    model = {"Authorization": f"Bearer {MODEL_KEY}"}
    return [
        ("wrong password", 401, ("POST", "/api/user/login", login), {"bare": True}),
        ("access", 401, ("GET", "/api/token"), {"bare": True, "headers": headers}),
        ("cookie", 401, ("GET", "/api/token"), {"bare": True, "headers": cookie}),
        ("model key", 401, ("GET", "/api/token"), {"bare": True, "headers": model}),
        ("path", 404, ("GET", f"/api/token/{MODEL_KEY}"), {}),
        ("query", 404, ("GET", f"/api/nowhere?api_key={PROVIDER}"), {}),
        (
            "no JSON",
            400,
            ("POST", "/api/user"),
            {"data": f'{{"password": "{PASSWORD}'.encode()},
        ),
        ("a wrong name", 422, ("POST", "/api/user", {**person, "pass": PASSWORD}), {}),
        (
            "a wrong type",
            422,
            ("POST", "/api/user", {**person, "password": [PASSWORD]}),
            {},
        ),
        ("a person", 200, ("POST", "/api/user", person), {}),
        ("taken", 409, ("POST", "/api/user", person), {}),
        ("a URL", 422, ("POST", "/api/upstream", {**upstream, "base_url": "ftp://x"}), {}),
        (
            "inside",
            422,
            ("POST", "/api/upstream", {**upstream, "base_url": "http://10.1.1.1"}),
            {},
        ),
        ("an upstream", 200, ("POST", "/api/upstream", upstream), {}),
        (
            "moved",
            422,
            ("PATCH", "/api/upstream/u", {"base_url": "https://8.8.8.8/v1"}),
            {},
        ),
        ("upstreams", 200, ("GET", "/api/upstream"), {}),
        ("tokens", 200, ("GET", "/api/token"), {}),
        ("access tokens", 200, ("GET", "/api/user/self/access_token"), {}),
        ("webhooks", 200, ("GET", "/api/webhook"), {}),
        ("audit", 200, ("GET", "/api/audit"), {}),
        (
            "a bad link",
            410,
            ("PUT", "/api/user/reset", {"token": MODEL_KEY, "password": PASSWORD}),
            {"bare": True},
        ),
    ]


async def test_no_error_of_the_admin_api_leaves_a_secret_anywhere(
    seen, aiohttp_client, postgres_dsn, valkey_url, record_property
):
    garbage = "tht_" + "Canary" * 8
    with tempfile.TemporaryDirectory(prefix="tollhouse-tests-") as place:
        async with (
            before_postgres(Path(place), postgres_dsn) as database,
            running_admin(aiohttp_client, database.url) as admin,
        ):
            seen.secrets |= {
                "access": admin.credentials.access_token,
                "first password": admin.credentials.password,
                "first key": admin.credentials.key,
                "garbage": garbage,
                "a model key": MODEL_KEY,
                "provider": PROVIDER,
                "password": PASSWORD,
                "cookie": COOKIE,
                "KEK": ADMIN_KEK.decode("latin-1"),
                "pepper": PEPPER_SECRET.decode("latin-1"),
            }
            made = await say(admin, seen, "a new key", 200, "POST", "/api/token", {"name": "t"})
            seen.secrets["new key"] = made.data["key"]
            scoped = {"name": "x", "scopes": ["token.read"]}
            made = await say(
                *(admin, seen, "a new access token", 200),
                *("POST", "/api/user/self/access_token", scoped),
            )
            seen.secrets["new access token"] = made.data["access_token"]
            hook = {"url": "https://hooks.example.com/x"}
            made = await say(admin, seen, "a new webhook", 200, "POST", "/api/webhook", hook)
            seen.secrets["webhook"] = made.data["secret"]
            for name, status, call, more in admin_calls(garbage):
                await say(admin, seen, name, status, *call, **more)
            rows = await every_row(admin.pool)
            database.accepts = False
            database.cut()
            again = {"name": "v", "base_url": "https://1.1.1.1/v1", "api_key": PROVIDER}
            await say(admin, seen, "no Postgres", 503, "POST", "/api/upstream", again)
            database.accepts = True
            seen.look("the request log", "".join(admin.lines))
            seen.look("Postgres", rows)
    seen.look("the log", seen.logs.getvalue())
    for name, answer in seen.answers:
        seen.look(f"the answer to {name!r}", answer.decode())
    seen.tell(record_property, "the admin API")
