"""A gateway and the admin app over the same stores, and states of tokens in which calls are asked about, then made."""

import contextlib
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import redis.asyncio
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application

from gateway.domain.edit import TokenDraft, TokenRow
from gateway.domain.limits import Limit
from gateway.relay.record import ledger_constant
from gateway.store.editing import Keyed
from gateway.store.loads import Loads
from gateway.store.people import write_access_token, write_user
from gateway.store.postgres import transaction
from tests.admin import Admin, running_admin
from tests.integration.rig import PEPPER, PRICED, SYSTEM, Rig, running
from tests.tokens import create_token
from tests.upstream import ScriptedUpstream

GROUPS = {
    "narrow": {
        "models": ["m", "unpriced"],
        "token_defaults": {
            "allow_ips": ["10.0.0.0/8"],
            "deny_ips": ["10.2.0.0/16"],
            "models": ["m"],
            "max_concurrency": 1,
            "limits": [{"metric": "requests", "window": "1m", "limit": 1}],
        },
    },
    "dear": {
        "ratio": 2,
        "max_concurrency": 2,
        "limits": [{"metric": "tokens", "window": "1d", "limit": 700}],
    },
    "nowhere": {"upstreams": []},
}


@dataclass(kw_only=True)
class State:
    """What is generated of a token, its owner, and what runs already. Money is nano-dollars."""

    status: int = 1
    expires_in_s: int | None = None
    secret_ends_in_s: int | None = None
    account_status: int = 1
    user_status: int = 1
    group: str | None = None
    allow_ips: tuple[str, ...] | None = None
    deny_ips: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    granted: int | None = None
    account_granted: int | None = None
    used: int = 0
    limits: tuple[Limit, ...] | None = None
    max_concurrency: int | None = None
    reserve: str | None = None
    running: list[tuple[int, int]] = field(default_factory=list)
    """Other calls, as amount and tokens."""


@dataclass(kw_only=True)
class Ask:
    """A call. `said`: it is told to `explain` by fields, not by its body."""

    method: str = "POST"
    path: str = "/v1/chat/completions"
    ip: str = "10.0.0.1"
    body: dict[str, Any] | bytes = b""
    said: bool = False

    @property
    def sent(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, separators=(",", ":")).encode()

    @property
    def question(self) -> dict[str, Any]:
        asked = {"method": self.method, "path": self.path, "ip": self.ip}
        if not self.said or isinstance(self.body, bytes):
            return asked | {"body": self.sent.decode()}
        named = {
            name: self.body[name] for name in ("model", "max_tokens", "stream") if name in self.body
        }
        return asked | named | {"input_tokens": len(self.sent)}


@dataclass
class Made:
    """What became of a call: how it was refused, as far as its dialect tells; nothing where it was sent on."""

    code: str | None
    message: str | None
    scope: str | None
    written_max_tokens: int | None


@dataclass
class Bench:
    """The two applications, with a token of its own account for each state."""

    rig: Rig
    admin: Admin
    access: str
    valkey: Any

    async def token(self, state: State) -> Keyed:
        name = hashlib.sha256(repr((state, time.perf_counter_ns())).encode()).hexdigest()[:12]
        now = time.time()

        def instant(in_s: int | None) -> datetime | None:
            return None if in_s is None else datetime.fromtimestamp(now + in_s, UTC)

        async with transaction(self.rig.database) as connection:
            user_id = await write_user(connection, SYSTEM, name, granted=state.account_granted)
        draft = TokenDraft(
            name=name,
            granted=state.granted,
            expires_at=instant(state.expires_in_s),
            group=state.group,
            models=state.models,
            models_enabled=state.models is not None,
            allow_ips=state.allow_ips,
            deny_ips=state.deny_ips,
            limits=state.limits,
            max_concurrency=state.max_concurrency,
            reserve=state.reserve,
        )
        made = await create_token(
            self.rig.database, SYSTEM, user_id, draft, pepper=PEPPER, max_tokens=9
        )
        row = made.row
        for statement, *values in (
            (
                "UPDATE token SET status = $2, used = $3 WHERE id = $1",
                row.id,
                state.status,
                state.used,
            ),
            ("UPDATE account SET status = $2 WHERE id = $1", row.account_id, state.account_status),
            ('UPDATE "user" SET status = $2 WHERE id = $1', user_id, state.user_status),
            (
                "UPDATE token_secret SET expires_at = $2 WHERE token_id = $1",
                row.id,
                instant(state.secret_ends_in_s),
            ),
        ):
            await self.rig.database.execute(statement, *values)
        for number, (amount, tokens) in enumerate(state.running):
            await self._run(row.id, f"{number:x}{name}".ljust(32, "0").encode(), amount, tokens)
        return made

    async def _run(self, token_id: int, request_id: bytes, amount: int, tokens: int) -> None:
        """Let another worker's call hold something, if it may."""
        gateway = self.rig.gateway
        token = await gateway.keys.find_by_id(token_id)
        assert token is not None
        prepared = gateway.quota.prepare(token, "m", gateway.catalog.generation)
        assert await Loads(self.rig.database, gateway.keys, gateway.quota).load(prepared, token)
        ids = (token.account_id, token.id, token.user_id, token.group.id)
        detail = ledger_constant(*ids, "m") + b"\topenai\tchat_completions\t1"
        gateway.quota.reserve(prepared, request_id, amount, tokens, detail, lambda _: None)
        await gateway.quota.books(token.account_id, token.scope_ids)  # what was sent before is done

    async def explain(self, token_id: int, question: dict[str, Any]) -> dict[str, Any]:
        answer = await self.admin.call(
            "POST", f"/api/token/{token_id}/explain", question, token=self.access
        )
        assert answer.status == 200, answer.body
        return answer.data

    async def make(self, key: str, ask: Ask) -> Made:
        before = len(self.rig.upstream.requests)
        headers = {
            "Authorization": f"Bearer {key}",
            "X-Forwarded-For": ask.ip,
            "Content-Type": "application/json",
        }
        async with self.rig.session.request(
            ask.method, self.rig.url + ask.path, data=ask.sent, headers=headers
        ) as answer:
            body = await answer.read()
            written = answer.headers.get("x-tollhouse-max-output-tokens")
        if len(self.rig.upstream.requests) > before:
            return Made(None, None, None, None if written is None else int(written))
        error = json.loads(body)["error"]
        if not isinstance(
            error.get("code"), str
        ):  # other dialects than OpenAI's tell the message alone
            return Made(None, error["message"], None, None)
        return Made(error["code"], error["message"], error.get("scope"), None)

    async def accounts(self, row: TokenRow) -> Any:
        """Everything in Postgres that a call with the token, or an edit of it, would change."""
        return await self.rig.database.fetchrow(
            """
            SELECT (SELECT count(*) FROM ledger WHERE account_id = $2), (SELECT count(*) FROM audit),
                   (SELECT count(*) FROM grant_entry), (SELECT count(*) FROM refusal WHERE token_id = $1),
                   (SELECT t::text FROM token t WHERE id = $1), (SELECT a::text FROM account a WHERE id = $2)
            """,
            row.id,
            row.account_id,
        )

    async def store(self, account_id: int, kinds: str = "bhwrpxe") -> dict[bytes, bytes]:
        """What Valkey keeps in the shard of an account."""
        shard = account_id % 256
        keys = await self.valkey.keys(f"q:{{s{shard:03d}}}:[{kinds}]*")
        async with self.valkey.pipeline(transaction=True) as both:
            for key in sorted(keys):
                both.dump(key)
            return dict(zip(sorted(keys), await both.execute(), strict=True))


def steady(explained: dict[str, Any]) -> str:
    """An explanation without what changes while nothing happens: how long is left of a window."""
    text = re.sub(r'"(retry_after_s|seconds)": [0-9.]+', "", json.dumps(explained))
    return re.sub(r"in \d+ s\.", "", text)


def comparable(message: str | None) -> str | None:
    """A message without how long is left of a window."""
    return None if message is None else re.sub(r"in \d+ s\.", "in … s.", message)


@contextlib.asynccontextmanager
async def open_bench(
    postgres_dsn: str, valkey_url: str, *, max_body_bytes: int = 65_536
) -> AsyncIterator[Bench]:
    def configure(members: dict[str, Any]) -> None:
        members["gateway"] |= {"trusted_proxies": ["127.0.0.1"], "max_body_bytes": max_body_bytes}
        members["quota"] |= {"hold_wait_s": 0}
        long = {"name": "long", "max_input_tokens": 1_000, "default_output_tokens": 900}
        members["models"].append(PRICED | long)
        members["models"].append({"name": "either", "members": ["m", "long"]})
        members["models"].append(PRICED | {"name": "claude"})
        url = members["upstreams"][0]["base_url"]
        members["upstreams"] = [
            {"name": "scripted", "base_url": url, "models": ["m", "unpriced", "long"]},
            {
                "name": "other",
                "base_url": url,
                "dialect": "anthropic",
                "models": ["claude"],
                "leave_out": ["seed"],
            },
        ]
        for name, settings in GROUPS.items():
            members[f"groups.{name}"] = settings
        members["routes"] = [
            {"path": "/v1/images/generations", "metering": "call", "request_usd": 0.001}
        ]

    async with contextlib.AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(ScriptedUpstream())
        rig = await stack.enter_async_context(
            running(postgres_dsn, valkey_url, upstream, configure)
        )

        async def client(app: Application) -> TestClient[Any, Any]:
            made: TestClient[Any, Any] = TestClient(TestServer(app))
            return await stack.enter_async_context(made)

        config, quota = rig.gateway.config, rig.gateway.quota
        admin = await stack.enter_async_context(
            running_admin(client, postgres_dsn, config, quota=quota)
        )
        async with transaction(admin.pool) as connection:
            access = await write_access_token(connection, SYSTEM, 1, "t", PEPPER)
        valkey = redis.asyncio.Redis.from_url(valkey_url)
        stack.push_async_callback(valkey.aclose)
        yield Bench(rig, admin, access, valkey)
