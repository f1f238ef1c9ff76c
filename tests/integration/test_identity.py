"""No caller ever gets another's answer: tens of thousands of calls, each unique, every whole answer compared."""

import asyncio
import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from gateway.domain.ask import rewrite
from gateway.domain.key import create_key
from gateway.domain.openai_ask import with_usage_asked
from gateway.domain.token import SCOPES
from gateway.store.prepared import key as store_key
from tests.integration.rig import USD, Rig, running
from tests.upstream import Answer as Scripted
from tests.upstream import ScriptedUpstream, refuse
from tests.upstream_connection import Received
from tests.wire import Answer, QuickWire, request

CONNECTIONS = 64
CALLS = 20_480
PROMPT_TOKENS, COMPLETION_TOKENS = 5, 7
PER_CALL = PROMPT_TOKENS * 1000 + COMPLETION_TOKENS * 10_000

# Each kind's share of the calls.
KINDS = {
    "whole": 8,
    "stream": 8,
    "metered stream": 4,
    "no such key": 2,
    "no such model": 2,
    "declined": 3,
    "leaves": 1,
}


class Upstream(ScriptedUpstream):
    """The echo, and for the model `declined` an error that is as unique as an answer."""

    def answer_to(self, received: Received) -> Scripted:
        if b'"model":"declined"' in received.body:
            digest = hashlib.sha256(received.body).hexdigest()
            return refuse(422, digest, headers=(("x-request-id", f"req-{digest}"),))
        return super().answer_to(received)


@dataclass
class Seen:
    """What all callers saw together."""

    ids: set[str] = field(default_factory=set)
    upstream_ids: set[str] = field(default_factory=set)
    amount: int = 0
    charged: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    mistakes: list[str] = field(default_factory=list)


class Caller:
    """One connection's worth of calls, one after the other, each compared to the last byte."""

    def __init__(self, rig: Rig, keys: list[str], number: int, seen: Seen) -> None:
        self._rig = rig
        self._key = keys[number % len(keys)]
        self._number = number
        self._seen = seen
        self._random = random.Random(number)
        self._wire: QuickWire | None = None

    async def call_all(self, count: int) -> None:
        kinds = self._random.choices(list(KINDS), list(KINDS.values()), k=count)
        for turn, kind in enumerate(kinds):
            if self._wire is None or self._wire.closed:
                self._wire = await QuickWire.connect(self._rig.url)
            text = f"caller {self._number} turn {turn} " + "x" * self._random.randrange(1, 400)
            try:
                await self._call(self._wire, kind, text)
            except AssertionError as error:
                self._seen.mistakes.append(f"{kind} {text[:24]}: {error}")
            self._seen.kinds[kind] += 1
        assert self._wire is not None
        self._wire.leave()

    async def _call(self, wire: QuickWire, kind: str, text: str) -> None:
        model = {"no such model": "n", "declined": "declined"}.get(kind, "m")
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 50,
        }
        if kind in {"stream", "metered stream", "leaves"}:
            body["stream"] = True
        if kind == "metered stream":
            body["stream_options"] = {"include_usage": True}
        sent = orjson.dumps(body)
        asked = request(create_key() if kind == "no such key" else self._key, sent)
        if kind == "leaves":
            await self._leave(wire, asked)
            return
        answer = await wire.ask(asked)
        assert answer.whole
        self._note_id(answer)
        match kind:
            case "whole":
                self._check_whole(sent, answer)
            case "stream" | "metered stream":
                self._check_stream(sent, answer, metered=kind == "metered stream")
            case "declined":
                self._check_declined(sent, answer)
            case "no such key":
                self._check_refused(answer, 401, "invalid_api_key")
            case _:
                self._check_refused(answer, 403, "model_not_allowed")

    async def _leave(self, wire: QuickWire, asked: bytes) -> None:
        """Go away at a random moment, at the latest with the end of the answer."""
        wire.write(asked)
        for _ in range(self._random.randrange(8)):
            await asyncio.sleep(0)
        wire.leave()
        await wire.is_closed()

    def _note_id(self, answer: Answer) -> None:
        request_id = answer.header("x-request-id")
        assert request_id is not None
        assert request_id not in self._seen.ids, "an id twice"
        self._seen.ids.add(request_id)

    def _note_charge(self, sent: bytes, serial: str) -> None:
        assert serial not in self._seen.upstream_ids, "an upstream's answer twice"
        self._seen.upstream_ids.add(serial)
        assert len(orjson.loads(sent)["messages"][0]["content"].split()) == PROMPT_TOKENS
        self._seen.amount += PER_CALL
        self._seen.charged += 1

    def _check_head(self, answer: Answer, status: int, serial: str, extra: dict[str, str]) -> None:
        heads = dict(answer.headers)
        assert len(heads) == len(answer.headers), answer.headers
        del heads["x-request-id"]
        assert (answer.status, heads) == (
            status,
            {"x-upstream-request-id": f"req-{serial}", **extra},
        )

    def _check_whole(self, sent: bytes, answer: Answer) -> None:
        body = answer.json()
        serial = body["id"].removeprefix("chatcmpl-")
        self._check_head(
            answer,
            200,
            serial,
            {
                "content-type": "application/json",
                "content-length": str(len(answer.body)),
                "openai-processing-ms": "1",
            },
        )
        assert body["choices"][0]["message"]["content"] == hashlib.sha256(sent).hexdigest()
        assert body["usage"]["completion_tokens"] == COMPLETION_TOKENS
        self._note_charge(sent, serial)

    def _check_stream(self, sent: bytes, answer: Answer, *, metered: bool) -> None:
        events = answer.events()
        assert events.pop() == "[DONE]"
        if metered:
            assert events.pop()["usage"]["completion_tokens"] == COMPLETION_TOKENS
            forwarded = sent
        else:
            forwarded = rewrite(sent, {"stream_options": with_usage_asked(sent)})
        (identity,) = {event["id"] for event in events}
        assert [event["choices"][0]["finish_reason"] for event in events][-1] == "stop"
        text = "".join(event["choices"][0]["delta"].get("content", "") for event in events)
        assert text == hashlib.sha256(forwarded).hexdigest()
        serial = identity.removeprefix("chatcmpl-")
        self._check_head(
            answer,
            200,
            serial,
            {
                "content-type": "text/event-stream; charset=utf-8",
                "transfer-encoding": "chunked",
                "x-accel-buffering": "no",
                "openai-processing-ms": "1",
            },
        )
        self._note_charge(sent, serial)

    def _check_declined(self, sent: bytes, answer: Answer) -> None:
        digest = hashlib.sha256(sent).hexdigest()
        self._check_head(
            answer,
            422,
            digest,
            {"content-type": "application/json", "content-length": str(len(answer.body))},
        )
        assert answer.json()["error"]["message"] == digest
        self._seen.charged += 1  # a row, at no cost

    def _check_refused(self, answer: Answer, status: int, code: str) -> None:
        error = answer.json()["error"]
        assert error["request_id"] == answer.header("x-request-id")
        assert answer.header("x-upstream-request-id") is None
        assert (answer.status, error["code"]) == (status, code)


@pytest.mark.timeout(300)
async def test_no_caller_ever_gets_anothers_answer_and_the_sums_agree(postgres_dsn, valkey_url):
    def configure(members: dict[str, Any]) -> None:
        members["models"].append({**members["models"][0], "name": "declined"})

    async with (
        Upstream(remember=False) as upstream,
        running(postgres_dsn, valkey_url, upstream, configure) as rig,
    ):
        limits = {"models": ("m", "declined"), "models_enabled": True}
        tokens = [await rig.token(1000 * USD, **limits) for _ in range(8)]
        keys = [token.key for token in tokens]
        seen = Seen()
        async with asyncio.TaskGroup() as group:
            for number in range(CONNECTIONS):
                caller = Caller(rig, keys, number, seen)
                group.create_task(caller.call_all(CALLS // CONNECTIONS))
        assert not seen.mistakes, seen.mistakes[:10]
        assert seen.kinds.total() == CALLS
        assert set(seen.kinds) == set(KINDS)
        await rig.quiet()
        await assert_sums_agree(rig, seen)
        assert upstream.accepted < CALLS / 10, "connections are kept and used again"


async def assert_sums_agree(rig: Rig, seen: Seen) -> None:
    """Callers, ledger, books in Postgres and books in the quota store tell the same."""
    database = rig.database
    left = await database.fetchrow(
        "SELECT count(*) AS rows, coalesce(sum(amount), 0) AS amount FROM ledger WHERE status = 499"
    )
    stayed = await database.fetchrow(
        "SELECT count(*) AS rows, sum(amount) AS amount, count(*) FILTER (WHERE estimated) AS estimated,"
        " count(*) FILTER (WHERE anomaly IS NOT NULL) AS anomalies FROM ledger WHERE status <> 499"
    )
    # Who left after the last byte was written counts among those who stayed.
    unheard = stayed["rows"] - seen.charged
    assert 0 <= unheard <= seen.kinds["leaves"]
    assert left["rows"] + unheard <= seen.kinds["leaves"]
    assert left["rows"] > seen.kinds["leaves"] / 10, "some left in the middle"
    assert (stayed["estimated"], stayed["anomalies"]) == (0, 0)
    assert stayed["amount"] - seen.amount == unheard * PER_CALL
    total = stayed["amount"] + left["amount"]
    for table in ("token", "member", "subscription", "account"):
        assert await database.fetchval(f"SELECT sum(used) FROM {table}") == total, table
    quota = rig.gateway.quota
    accounts = await database.fetch(
        "SELECT DISTINCT account_id, token_id, user_id, group_id FROM ledger"
    )
    for account, token, user, group in accounts:
        ids = (f"t{token}", f"m{account}.{user}", f"g{account}.{group}", f"a{account}")
        for scope, scope_id in zip(SCOPES, ids, strict=True):
            book = await quota.book(account, scope_id)
            assert book is not None
            assert (book.reserved, book.live, book.pending) == (0, 0, 0), scope
        shard = account % 256
        pipeline = quota._pipeline
        for kind, command in (("r", "HLEN"), ("p", "HLEN")):
            name = store_key(shard, kind, str(account))
            assert await pipeline.call(shard, command, name) == 0, kind
        assert await pipeline.call(shard, "ZCARD", store_key(shard, "x")) == 0
