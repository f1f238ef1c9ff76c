"""What administrators see of the installation: both stores, the calls that run, what waits, what is out."""

import asyncio
import time

import pytest

from gateway import __version__
from gateway.store.outages import note_outages
from gateway.store.people import write_access_token
from gateway.store.postgres import SCHEMA_VERSION, transaction
from tests.admin import PEPPER, SYSTEM, done, running_admin
from tests.integration.rig import PRICED, USD, chat, until
from tests.upstream import Echo, Gate

SETTINGS = {
    "models": [{"name": "m", **PRICED}],
    "upstreams": [{"name": "scripted", "base_url": "http://127.0.0.1:1/v1", "models": ["*"]}],
}


@pytest.fixture
async def beside(rig, aiohttp_client, postgres_dsn):
    quota = rig.gateway.quota
    async with running_admin(aiohttp_client, postgres_dsn, SETTINGS, quota=quota) as admin:
        async with transaction(admin.pool) as connection:
            admin.access = await write_access_token(connection, SYSTEM, 1, "t", PEPPER)
        admin.clock[0] = time.time()
        yield rig, admin


async def get(admin, path):
    admin.clock[0] = time.time()
    return await done(admin, "GET", path, token=admin.access)


async def called(rig, key):
    async with rig.post(key, chat(max_tokens=50)) as answer:
        assert answer.status == 200
        await answer.read()
        return answer.headers["x-request-id"]


async def test_both_stores_tell_how_they_are(beside):
    _, admin = beside
    state = await get(admin, "/api/state")
    assert state["version"] == __version__
    postgres, valkey = state["postgres"], state["valkey"]
    assert postgres["database_bytes"] > 1_000_000
    assert 0 < postgres["own_connections"] <= postgres["connections"] <= postgres["max_connections"]
    assert postgres["schema_version"] == SCHEMA_VERSION
    assert int(postgres["version"].split(".")[0]) >= 15
    assert valkey["version"]
    assert valkey["used_bytes"] > 0
    assert valkey["max_bytes"] is None or valkey["max_bytes"] > valkey["used_bytes"]
    for store in (postgres, valkey):
        assert 0 < store["latency_ms"] < 10_000
    assert state["gateways"] == 1


async def test_running_calls_are_counted_and_listed_with_whose_they_are(beside):
    rig, admin = beside
    gate = Gate()
    rig.upstream.answer("m", Echo().first(gate))
    first, second = await rig.token(USD, name="first"), await rig.token(name="second")
    calls = [asyncio.create_task(called(rig, first.key))]
    await gate.waiting(1)
    calls.append(asyncio.create_task(called(rig, second.key)))
    await gate.waiting(2)
    shown = await get(admin, "/api/reservation")
    assert [each["token_name"] for each in shown] == ["first", "second"]
    one = shown[0]
    assert (one["token_id"], one["user_id"], one["username"]) == (first.row.id, 1, "admin")
    assert (one["account_id"], one["model"]) == (first.row.account_id, "m")
    assert one["held_nusd"] > 0
    assert one["age_s"] >= shown[1]["age_s"]
    state = await get(admin, "/api/state")
    assert state["calls"]["running"] == 2
    assert state["calls"]["held_nusd"] == sum(each["held_nusd"] for each in shown)
    assert state["calls"]["oldest_age_s"] >= one["age_s"]
    gate.release()
    ids = await asyncio.gather(*calls)
    assert ids[0] == one["request_id"]
    await rig.quiet()
    assert await get(admin, "/api/reservation") == []
    state = await get(admin, "/api/state")
    assert (state["calls"]["running"], state["calls"]["oldest_age_s"]) == (0, None)
    assert abs(state["ledger"]["last_call_time"] - time.time()) < 60


async def test_what_the_ledger_does_not_have_yet_is_counted_with_its_age(beside):
    rig, admin = beside
    token = await rig.token(USD)
    account = token.row.account_id
    async with admin.pool.acquire() as other, other.transaction():
        # Posting waits for the account's row.
        await other.execute("SELECT FROM account WHERE id = $1 FOR UPDATE", account)
        await called(rig, token.key)
        await until(lambda: rig.gateway.accounting.poster.waiting > 0)
        state = await settled(rig, admin)
        assert state["ledger"]["unposted"] == 1
        assert 0 <= state["ledger"]["lag_s"] < 60
    await rig.posted()
    async with asyncio.timeout(10):
        while (await get(admin, "/api/state"))["ledger"]["unposted"]:
            pass
    assert (await get(admin, "/api/state"))["ledger"]["lag_s"] is None


async def settled(rig, admin):
    """The state, once the call's settlement has come to the store."""
    async with asyncio.timeout(10):
        while True:
            state = await get(admin, "/api/state")
            if state["calls"]["running"] == 0:
                return state


async def test_upstreams_say_since_when_they_are_out(beside):
    _, admin = beside
    assert (await get(admin, "/api/state"))["upstreams"] == [
        {"name": "scripted", "dialect": "openai", "out_since": None}
    ]
    await note_outages(admin.pool, "here:1", {"scripted": 90.0})
    (upstream,) = (await get(admin, "/api/state"))["upstreams"]
    assert abs(time.time() - 90 - upstream["out_since"]) < 30


async def test_the_outbox_tells_what_waits_and_what_was_given_up(beside):
    _, admin = beside
    columns = "INSERT INTO outbox (kind, target, content, attempts, failed_at, due_at) VALUES "
    later = "now() + interval '1 day'"
    await admin.pool.execute(
        f"{columns} ('mail', 'a', '', 0, NULL, {later}), ('mail', 'a', '', 2, NULL, {later}),"
        f" ('mail', 'a', '', 9, now(), {later}), ('mail', 'a', '', 9, now() - interval '8 days', {later})"
    )
    state = await get(admin, "/api/state")
    assert state["outbox"] == {"waiting": 2, "retried": 1, "failed": 1}


async def test_a_quota_store_that_does_not_answer_is_null_and_nothing_else_is(
    aiohttp_client, postgres_dsn
):
    async with running_admin(aiohttp_client, postgres_dsn, SETTINGS) as admin:
        state = (await admin.call("GET", "/api/state")).data
        listed = await admin.call("GET", "/api/reservation")
    assert (state["valkey"], state["calls"], state["gateways"]) == (None, None, None)
    assert state["ledger"]["unposted"] is None
    assert state["postgres"]["connections"] > 0
    assert (state["catalog"]["models"], state["catalog"]["broken"]) == (1, [])
    assert (listed.status, listed.body["code"]) == (503, "store_unavailable")


async def test_only_who_sees_everything_sees_the_state(beside):
    _, admin = beside
    _, plain = await admin.user("ada")
    _, viewer = await admin.user("viewer", role="viewer")
    for path in ("/api/state", "/api/reservation"):
        assert (await admin.call("GET", path, token=plain)).status == 403
        assert (await admin.call("GET", path, token=viewer)).status == 200
