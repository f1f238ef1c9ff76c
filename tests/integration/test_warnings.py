"""Who is told what before something stops: once for each crossing, by e-mail and by webhook."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import orjson
import pytest
from standardwebhooks import Webhook

from admin_api.context import SERVICES
from admin_api.warnings.watch import Watch
from gateway.config import ServiceSecrets
from gateway.domain.catalog import Upstream
from gateway.domain.webhook import secret_of
from gateway.relay.outages import Outages
from gateway.relay.upstream_state import UpstreamState
from gateway.store.resealing import reseal
from gateway.store.seal import Seal
from gateway.store.webhooks import read_secrets
from tests.admin import KEK, running_admin
from tests.integration.rig import USD
from tests.webhooks import running_receiver

SETTINGS = {
    # Tests look by themselves, and at what waits for a server that nobody reaches.
    "mail": {"host": "127.0.0.1", "port": 9, "sender": "no-reply@example.com"},
    "warnings": {
        "interval_s": 0,
        "mail": ["ops@example.com"],
        "webhook_url": "https://ops.example.com/hook",
        "webhook_secret_env": "HOOK",
    },
}

UPSTREAM = Upstream("openai", "openai", urlsplit("https://api.openai.com/v1"), (), {})


def watch_of(admin):
    return Watch(admin.client.app[SERVICES])


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn):
    secrets = ServiceSecrets(warnings_secret="whsec_ops")
    started = running_admin(aiohttp_client, postgres_dsn, SETTINGS, service_secrets=secrets)
    async with started as running:
        running.clock[0] = time.time()
        await running.pool.execute("""UPDATE "user" SET email = 'ada@example.com' WHERE id = 1""")
        yield running


@pytest.fixture
def watch(admin):
    return watch_of(admin)


async def outbox(pool):
    """What waits to be sent: (kind, target, content), and then it is gone."""
    rows = await pool.fetch("DELETE FROM outbox RETURNING kind, target, content")
    seal = Seal(KEK)
    return [
        (
            row["kind"],
            row["target"],
            orjson.loads(seal.open(row["content"], row["target"].encode())),
        )
        for row in rows
    ]


async def events(pool):
    """Those of the operator's webhook."""
    return [
        content["event"]
        for kind, target, content in await outbox(pool)
        if kind == "webhook" and target == "https://ops.example.com/hook"
    ]


# Quotas


async def test_a_quota_is_told_of_at_each_mark_once_to_its_maker_and_the_operator(admin, watch):
    made = await admin.create(name="App", remain_quota=500_000)
    await admin.use(made["id"], USD // 2)
    assert await watch.look() == 0
    await admin.use(made["id"], 8 * USD // 10)
    assert await watch.look() == 1
    sent = await outbox(admin.pool)
    assert {(kind, target) for kind, target, _ in sent} == {
        ("mail", "ada@example.com"),
        ("mail", "ops@example.com"),
        ("webhook", "https://ops.example.com/hook"),
    }
    (hook,) = (content for kind, _, content in sent if kind == "webhook")
    assert hook["secret"] == "whsec_ops"
    assert hook["event"]["type"] == "warning.quota"
    assert hook["event"]["data"] == {
        "scope": "token",
        "token_id": made["id"],
        "token_name": "App",
        "account_id": 1,
        "user_id": 1,
        "percent": 80,
        "used_usd": 0.8,
        "granted_usd": 1,
    }
    mail = next(content for kind, _, content in sent if kind == "mail")
    assert mail["subject"] == f"80 % of a quota is used: the key “App” (token {made['id']})"
    assert "$0.8 of $1" in mail["text"]
    assert await watch.look() == 0
    await admin.use(made["id"], USD)
    assert await watch.look() == 1
    assert [event["data"]["percent"] for event in await events(admin.pool)] == [100]


async def test_a_token_that_was_topped_up_is_told_of_again(admin, watch):
    made = await admin.create(remain_quota=500_000)
    await admin.use(made["id"], USD)
    assert await watch.look() == 1
    await admin.call("PATCH", f"/api/token/{made['id']}", {"add_quota_usd": 1})
    assert await watch.look() == 0
    await admin.use(made["id"], 2 * USD)
    assert await watch.look() == 1


async def test_a_wallet_a_member_and_a_subscription_are_watched_as_keys_are(admin, watch):
    made = await admin.create(unlimited_quota=True)
    for table in ("account", "member", "subscription"):
        where = "id" if table == "account" else "account_id"
        await admin.pool.execute(f"UPDATE {table} SET granted = 100, used = 90 WHERE {where} = 1")
    await admin.use(made["id"], 1)
    assert await watch.look() == 3
    told = [
        (event["data"]["scope"], event["data"]["percent"]) for event in await events(admin.pool)
    ]
    assert sorted(told) == [("account", 80), ("member", 80), ("subscription", 80)]


async def test_several_processes_tell_a_crossing_once(admin):
    made = await admin.create(remain_quota=500_000)
    await admin.use(made["id"], USD)
    counts = await asyncio.gather(*(watch_of(admin).look() for _ in range(5)))
    counts.append(await watch_of(admin).look())
    assert sum(counts) == 1
    assert len(await events(admin.pool)) == 1


async def test_an_untouched_key_is_not_looked_at(admin, watch):
    made = await admin.create(remain_quota=500_000)
    await admin.pool.execute("UPDATE token SET used = granted WHERE id = $1", made["id"])
    assert await watch.look() == 0


# Expiry


async def test_an_expiry_is_told_of_a_week_and_a_day_before(admin, watch):
    now = datetime.fromtimestamp(admin.clock[0], UTC)
    await admin.create(name="Short", expired_time=int((now + timedelta(days=8)).timestamp()))
    told = []
    for _ in range(9):
        await watch.look()
        told += [(event["type"], event["data"]["days"]) for event in await events(admin.pool)]
        admin.clock[0] += 86_400
    assert told == [("warning.expiry", 7), ("warning.expiry", 1)]


async def test_an_expiry_that_draws_near_by_an_edit_is_told_of_with_the_sixtieth_look(
    aiohttp_client, postgres_dsn
):
    hourly = {**SETTINGS, "warnings": {**SETTINGS["warnings"], "interval_s": 3600}}
    secrets = ServiceSecrets(warnings_secret="whsec_ops")
    started = running_admin(aiohttp_client, postgres_dsn, hourly, service_secrets=secrets)
    async with started as admin:
        admin.clock[0] = time.time()
        watch = watch_of(admin)
        await watch.look()
        await admin.create(name="Short", expired_time=int(admin.clock[0]) + 5 * 86_400)
        admin.clock[0] += 59 * 3600
        assert await watch.look() == 0
        admin.clock[0] += 3600
        assert await watch.look() == 1
        assert [event["data"]["days"] for event in await events(admin.pool)] == [7]


# Whom it concerns


async def test_who_wants_no_mail_gets_none(admin, watch):
    made = await admin.create(remain_quota=500_000)
    await admin.pool.execute('UPDATE "user" SET mail_warnings = false')
    await admin.use(made["id"], USD)
    await watch.look()
    assert [target for kind, target, _ in await outbox(admin.pool) if kind == "mail"] == [
        "ops@example.com"
    ]


async def test_a_webhook_of_ones_own_gets_what_concerns_oneself_signed_with_its_secret(
    admin, watch
):
    _, token = await admin.user("eve")
    answer = await admin.call(
        "POST", "/api/webhook", {"url": "https://eve.example.com/h"}, token=token
    )
    assert answer.data["secret"].startswith("whsec_")
    own = await admin.create(token=token, remain_quota=500_000)
    other = await admin.create(remain_quota=500_000)
    await admin.use(own["id"], USD)
    await admin.use(other["id"], USD)
    assert await watch.look() == 2
    got = [c for _, target, c in await outbox(admin.pool) if target == "https://eve.example.com/h"]
    assert [each["event"]["data"]["token_id"] for each in got] == [own["id"]]
    assert got[0]["secret"] == answer.data["secret"]


async def test_webhooks_are_listed_without_secrets_and_deleted_by_their_owner_alone(admin):
    _, token = await admin.user("eve")
    made = (
        await admin.call("POST", "/api/webhook", {"url": "https://e.example/"}, token=token)
    ).data
    (listed,) = (await admin.call("GET", "/api/webhook", token=token)).data
    assert listed == {name: made[name] for name in ("id", "url", "created_time")}
    assert (await admin.call("GET", "/api/webhook")).data == []
    assert (await admin.call("DELETE", f"/api/webhook/{made['id']}")).status == 404
    assert (await admin.call("DELETE", f"/api/webhook/{made['id']}", token=token)).status == 200
    assert (await admin.call("GET", "/api/webhook", token=token)).data == []
    stored = await admin.pool.fetchval("SELECT string_agg(after::text, '') FROM audit")
    assert made["secret"] not in stored


@pytest.mark.parametrize(
    "url", ["ftp://x/", "https://", "https://u:p@x/", "https://x/#f", "https://x:99999/", "x", 5]
)
async def test_a_webhook_needs_a_url_that_can_be_called(admin, url):
    assert (await admin.call("POST", "/api/webhook", {"url": url})).status == 422


async def test_there_are_ten_webhooks_for_a_user_at_most(admin):
    calls = (admin.call("POST", "/api/webhook", {"url": f"https://x/{n}"}) for n in range(15))
    statuses = [answer.status for answer in await asyncio.gather(*calls)]
    assert sorted(statuses) == [200] * 10 + [422] * 5


async def test_a_webhooks_secret_is_sealed_anew_with_a_new_key(admin):
    made = (await admin.call("POST", "/api/webhook", {"url": "https://e.example/"})).data
    both = Seal(bytes(range(64, 96)), KEK)
    assert await reseal(admin.pool, both) == (1, 0)
    assert await reseal(admin.pool, both) == (0, 0)
    async with admin.pool.acquire() as connection:
        told = await read_secrets(connection, Seal(bytes(range(64, 96))), [made["id"]])
    assert told == [("https://e.example/", made["secret"])]
    assert await reseal(admin.pool, Seal(bytes(range(96, 128)))) == (0, 1)


# Beside a gateway


async def test_a_limit_is_told_of_when_calls_fill_it(beside):
    limit = {"metric": "requests", "window": "1d", "limit": 5}
    made = await beside.call(
        "POST", "/api/token/", {"name": "L", "unlimited_quota": True, "limits": [limit]}
    )
    watch = watch_of(beside.admin)
    await beside.admin.call("POST", "/api/webhook", {"url": "https://x/"}, token=beside.access)
    told = []
    for _ in range(5):
        assert await beside.status(made["key"]) == 200
        await beside.rig.posted()
        await watch.look()
        told += [
            (content["event"]["type"], content["event"]["data"])
            for _, _, content in await outbox(beside.admin.pool)
        ]
    assert [(kind, data["percent"], data["used"]) for kind, data in told] == [
        ("warning.limit", 80, 4),
        ("warning.limit", 100, 5),
    ]
    assert told[0][1] | {"metric": "requests", "window": "1d", "limit": 5} == told[0][1]
    assert await beside.status(made["key"]) == 429


async def test_an_upstream_that_stays_out_is_told_of_until_it_was_back(admin, watch):
    clock = [0.0]
    state = UpstreamState(UPSTREAM, lambda: clock[0])
    outages = Outages(admin.pool, lambda: [state], clock=lambda: clock[0])
    for _ in range(UPSTREAM.breaker_failures):
        state.failed(clock[0], "it does not answer", is_probe=False)
    await outages.write()
    assert await watch.look() == 0
    clock[0] += 61
    await outages.write()
    assert await watch.look() == 1
    assert await watch.look() == 0
    (event,) = await events(admin.pool)
    assert event["type"] == "warning.upstream"
    assert event["data"]["upstream"] == "openai"
    state.succeeded()
    await outages.write()
    assert await admin.pool.fetchval("SELECT count(*) FROM outage") == 0


# The whole way


async def test_a_warning_reaches_the_operators_webhook_by_itself(aiohttp_client, postgres_dsn):
    async with running_receiver() as receiver:
        settings = {
            "webhooks": {"allow_cidrs": ["127.0.0.0/8"]},
            "warnings": {
                "interval_s": 0.05,
                "webhook_url": receiver.url,
                "webhook_secret_env": "HOOK",
            },
        }
        secrets = ServiceSecrets(warnings_secret=secret_of(bytes(24)))
        started = running_admin(aiohttp_client, postgres_dsn, settings, service_secrets=secrets)
        async with started as admin:
            admin.clock[0] = time.time()
            made = await admin.create(remain_quota=500_000)
            await admin.use(made["id"], 8 * USD // 10)
            headers, body = await receiver.call()
        event = Webhook(secret_of(bytes(24))).verify(body, headers)
        assert event["type"] == "warning.quota"
        assert event["data"]["token_id"] == made["id"]
