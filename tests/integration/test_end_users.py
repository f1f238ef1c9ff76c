"""End users and tags: what callers tell goes with the charge into the ledger, and usage can be asked by it."""

import asyncio
import json

import pytest

from tests.integration.rig import USD, chat
from tests.integration.test_leavings import TINY_S, called, due, new_id, worker
from tests.ledger_lines import posting_calls
from tests.upstream import Echo, Gate

NOW = 1_800_000_000  # the clock of the admin app
TAGS = {"team": 'a"\\b', "färg": "blå 💙"}


def told(row):
    return row["end_user"], row["tags"]


async def test_what_a_caller_tells_is_in_the_ledgers_row(rig):
    made = await rig.token(USD)
    for body in (
        chat(user="bob\t\\N\n", metadata=TAGS),
        chat(user="eve", stream=True),
        chat(metadata={"a": "\\N"}),
        chat(),
    ):
        async with rig.post(made.key, body) as response:
            assert response.status == 200
            await response.read()
    rows = await rig.ledger()
    assert [told(row) for row in rows] == [
        ("bob\\N", TAGS),
        ("eve", None),
        (None, {"a": "\\N"}),
        (None, None),
    ]


async def test_what_was_told_passes_to_the_upstream_as_it_was_sent(rig):
    made = await rig.token(USD)
    async with rig.post(made.key, chat(user="b\0b", metadata={"k": "v" * 600})) as response:
        await response.read()
    (received,) = rig.upstream.requests
    sent = json.loads(received.body)
    assert (sent["user"], sent["metadata"]) == ("b\0b", {"k": "v" * 600})


async def test_a_lost_workers_charge_has_what_its_caller_told(rig, valkey_url):
    token = await called(rig)
    made = await rig.token(USD)
    gate = Gate()
    rig.upstream.answer("m", Echo().first(gate))
    details = []
    for body in (chat(user="bob", metadata=TAGS), chat()):
        call = asyncio.create_task(rig.post(made.key, body).__aenter__())
        await gate.waiting(1)
        (live,) = await rig.gateway.quota.live(token.account_id)
        details.append(live.detail)
        gate.release()
        (await call).release()
        await rig.quiet()
        gate = Gate()
        rig.upstream.answer("m", Echo().first(gate))
    async with worker(rig, valkey_url, lease_s=TINY_S) as lost, worker(rig, valkey_url) as other:
        prepared = lost.quota.prepare(token, "m", 1)
        for detail in details:
            await lost.reserve(prepared, new_id(), detail)
        await due(other.quota, token.shard, 2)
        await other.housekeeping.sweep()
    rows = [row for row in await rig.ledger() if row["anomaly"] == "lost_worker"]
    assert [told(row) for row in rows] == [("bob", TAGS), (None, None)]


@pytest.fixture
async def admin(admin):
    await admin.pool.execute("SELECT ensure_ledger_partitions(to_timestamp($1), 3)", NOW)
    return admin


async def test_usage_is_asked_by_end_user_and_by_tag(admin, postgres_dsn):
    async with posting_calls(postgres_dsn, admin.pool, 1) as calls:
        await calls.post(NOW - 4, 1, end_user=b"bob", tags=b'{"team": "search", "env": "prod"}')
        await calls.post(NOW - 3, 10, end_user=b"bob", tags=b'{"team": "ads"}')
        await calls.post(NOW - 2, 100, end_user=b"eve", tags=b'{"team": "search", "a:b": "c:d"}')
        await calls.post(NOW - 1, 1000)

    async def keys(by):
        answer = await admin.call("GET", f"/api/token/1/usage?interval=all&by={by}")
        series = answer.data["series"]
        return [(each["key"], each["total"]["amount_nusd"]) for each in series]

    assert await keys("end_user") == [("", 1000), ("eve", 100), ("bob", 11)]
    assert await keys("tag:team") == [("", 1000), ("search", 101), ("ads", 10)]
    assert await keys("tag:nothing") == [("", 1111)]
    assert (await admin.call("GET", "/api/usage?by=tag:")).status == 422

    async def amounts(query):
        answer = await admin.call("GET", f"/api/log?{query}")
        assert answer.status == 200, answer.body
        return [item["amount_nusd"] for item in answer.data["items"]]

    assert await amounts("end_user=bob") == [10, 1]
    assert await amounts("tag=team:search") == [100, 1]
    assert await amounts("tag=team:search&tag=env:prod") == [1]
    assert await amounts("tag=a:b:c:d") == []  # the first colon ends the key
    assert await amounts("end_user=bob&tag=team:ads") == [10]
    for query in ("tag=team", "tag=:x", "tag=a%00:b", "tag=a:" + "x" * 600, "model=a&model=b"):
        answer = await admin.call("GET", f"/api/log?{query}")
        assert answer.status == 422
        assert answer.message.startswith(query.partition("=")[0])
    (item,) = (await admin.call("GET", "/api/log?tag=env:prod")).data["items"]
    assert told(item) == ("bob", {"team": "search", "env": "prod"})
    headers = {"Authorization": f"Bearer {admin.credentials.access_token}"}
    async with admin.client.get("/api/log/export?tag=env:prod", headers=headers) as response:
        assert 'bob,"{""env"":""prod"",""team"":""search""}"' in await response.text()
