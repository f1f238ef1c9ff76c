"""GET /api/warning: what was warned of and what became of it; GET /api/warning/standing: what stands now."""

import time

import pytest
from standardwebhooks import Webhook

from admin_api.context import SERVICES
from admin_api.warnings.watch import Watch
from gateway.config import ServiceSecrets
from gateway.domain.webhook import secret_of
from gateway.store.outages import note_outages
from gateway.store.outbox_queue import tidy
from tests.admin import done, running_admin
from tests.integration.rig import USD
from tests.integration.test_leavings import eventually
from tests.webhooks import running_receiver

DAY = 86_400
NOTHING = {"quota": 0, "expiry": 0, "upstream": 0}
SECRETS = ServiceSecrets(warnings_secret=secret_of(bytes(24)))


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn, receiver):
    settings = {
        "mail": {"host": "127.0.0.1", "port": 9, "sender": "no-reply@example.com"},  # nobody
        "webhooks": {"allow_cidrs": ["127.0.0.0/8"]},
        "warnings": {
            "interval_s": 0,  # tests look by themselves
            "mail": ["ops@example.com"],
            "webhook_url": receiver.url,
            "webhook_secret_env": "HOOK",
        },
    }
    started = running_admin(aiohttp_client, postgres_dsn, settings, service_secrets=SECRETS)
    async with started as running:
        running.clock[0] = time.time()
        yield running


@pytest.fixture
def look(admin):
    """Looks, and has what is written sent."""

    async def look_once():
        services = admin.client.app[SERVICES]
        told = await Watch(services).look()
        services.dispatch.wake()
        return told

    return look_once


async def listed(admin, query="", **options):
    return (await done(admin, "GET", f"/api/warning?{query}", **options))["items"]


async def standing(admin, query="user_id=all", **options):
    return await done(admin, "GET", f"/api/warning/standing?{query}", **options)


async def test_each_message_of_a_warning_says_whether_it_was_taken(admin, receiver, look):
    await admin.pool.execute("""UPDATE "user" SET email = 'ada@example.com' WHERE id = 1""")
    made = await admin.create(name="App", remain_quota=500_000)
    async with running_receiver() as gone:
        gone.statuses.append(410)  # it wants to be called no more
        url = gone.url + "?key=secret"
        assert (await admin.call("POST", "/api/webhook", {"url": url})).status == 200
        await admin.use(made["id"], 8 * USD // 10)
        assert await look() == 1

        async def attempted():
            (warning,) = await listed(admin, "user_id=all")
            done = [each["state"] != "waiting" or each["error"] for each in warning["deliveries"]]
            return all(done)

        await eventually(attempted)
    (warning,) = await listed(admin, "user_id=all")
    assert abs(warning["time"] - admin.clock[0]) < 2
    about = ("kind", "scope", "token_id", "token_name", "username", "account_name", "upstream")
    assert [warning[name] for name in about] == [
        *("quota", "token", made["id"], "App", "admin", "default", None)
    ]
    assert (warning["data"]["percent"], warning["data"]["used_usd"]) == (80, 0.8)
    found = {
        (each["channel"], each["username"]): (each["state"], each["target"], each["error"])
        for each in warning["deliveries"]
    }
    host = receiver.url.removesuffix("/hook")
    assert found["webhook", None] == ("sent", f"{host}/…", None)
    state, target, error = found["webhook", "admin"]
    assert (state, error) == ("failed", "it answered 410")
    assert target == gone.url.removesuffix("/hook") + "/…"
    state, target, error = found["mail", "admin"]
    assert (state, target) == ("waiting", "ada@example.com")
    assert "Connect" in error
    assert found["mail", None][1] == "ops@example.com"


async def test_filters_choose_by_kind_time_and_what_became_of_it(admin, look):
    made = await admin.create(remain_quota=500_000)
    await admin.use(made["id"], USD)
    await admin.create(expired_time=int(admin.clock[0]) + DAY // 2)
    assert await look() == 2
    now = int(admin.clock[0])
    for query, kinds in {
        "": ["expiry", "quota"],
        "kind=quota": ["quota"],
        "kind=limit": [],
        f"end={now - 5}": [],
        f"start={now - 5}&kind=expiry": ["expiry"],
        "state=failed": [],
    }.items():
        found = [each["kind"] for each in await listed(admin, f"user_id=all&{query}")]
        assert sorted(found) == kinds, query

    async def sent():
        return len(await listed(admin, "user_id=all&state=sent")) == 2

    await eventually(sent)


async def test_a_cursor_goes_on_where_the_last_part_ended(admin, look):
    for n in range(3):
        made = await admin.create(name=f"n{n}", remain_quota=500_000)
        await admin.use(made["id"], USD)
        assert await look() == 1
    first = (await admin.call("GET", "/api/warning?limit=2")).data
    second = (await admin.call("GET", f"/api/warning?limit=2&cursor={first['next_cursor']}")).data
    names = [each["token_name"] for each in first["items"] + second["items"]]
    assert names == ["n2", "n1", "n0"]
    assert second["next_cursor"] is None


async def test_one_sees_what_concerns_oneself_and_ones_own_messages_alone(admin, look):
    await admin.pool.execute("""UPDATE "user" SET email = 'ada@example.com' WHERE id = 1""")
    eve, token = await admin.user("eve")
    await admin.pool.execute('UPDATE "user" SET email = $2 WHERE id = $1', eve, "eve@example.com")
    own = await admin.create(token=token, remain_quota=500_000)
    other = await admin.create(remain_quota=500_000)
    for made in (own, other):
        await admin.use(made["id"], USD)
    assert await look() == 2
    (warning,) = await listed(admin, token=token)
    assert warning["token_id"] == own["id"]
    assert [each["target"] for each in warning["deliveries"]] == ["eve@example.com"]
    found = (await standing(admin, "", token=token))["items"]
    assert [each["token_id"] for each in found] == [own["id"]]
    for query in ("user_id=all", "user_id=1"):
        for path in ("/api/warning", "/api/warning/standing"):
            answer = await admin.call("GET", f"{path}?{query}", token=token)
            assert (answer.status, answer.body["code"]) == (403, "forbidden")
    _, viewer = await admin.user("viewer", role="viewer")
    assert len(await listed(admin, "user_id=all", token=viewer)) == 2
    assert [each["token_id"] for each in await listed(admin, f"user_id={eve}", token=viewer)] == [
        own["id"]
    ]


async def test_who_was_removed_from_an_account_is_told_of_it_no_more(admin, look):
    eve, _ = await admin.user("eve", account_id=1)
    await admin.pool.execute("UPDATE member SET role = 'admin' WHERE user_id = $1", eve)
    made = await admin.create(unlimited_quota=True)
    await admin.pool.execute("UPDATE account SET granted = 100, used = 80 WHERE id = 1")
    await admin.use(made["id"], 1)
    assert await look() == 1
    assert len(await listed(admin, f"user_id={eve}")) == 1
    await admin.pool.execute("UPDATE member SET removed_at = now() WHERE user_id = $1", eve)
    await admin.pool.execute("UPDATE account SET used = 100 WHERE id = 1")
    await admin.use(made["id"], 2)
    assert await look() == 1
    assert len(await listed(admin, f"user_id={eve}")) == 1
    assert (await standing(admin, f"user_id={eve}"))["items"] == []


async def test_a_quota_stands_until_it_is_raised_or_switched_off(admin, look):
    raised, off = [await admin.create(remain_quota=500_000) for _ in range(2)]
    unused = await admin.create(remain_quota=500_000)
    for made in (raised, off):
        await admin.use(made["id"], 9 * USD // 10)
    assert await look() == 2
    found = await standing(admin)
    assert found["counts"] == NOTHING | {"quota": 2}
    assert {each["token_id"] for each in found["items"]} == {raised["id"], off["id"]}
    (first, _) = found["items"]
    assert (first["percent"], first["used_usd"], first["granted_usd"]) == (90, 0.9, 1)
    assert (first["scope"], first["username"]) == ("token", "admin")
    assert abs(first["told_time"] - admin.clock[0]) < 2
    await admin.call("PATCH", f"/api/token/{raised['id']}", {"add_quota_usd": 1})
    await admin.call("PATCH", f"/api/token/{off['id']}", {"status": 2})
    assert await standing(admin) == {"items": [], "counts": NOTHING}
    assert unused["id"] not in {each["token_id"] for each in found["items"]}


async def test_wallets_members_and_subscriptions_stand_as_keys_do(admin, look):
    made = await admin.create(unlimited_quota=True)
    for table in ("account", "member", "subscription"):
        where = "id" if table == "account" else "account_id"
        await admin.pool.execute(f"UPDATE {table} SET granted = 100, used = 90 WHERE {where} = 1")
    await admin.use(made["id"], 1)
    assert await look() == 3
    found = {each["scope"]: each for each in (await standing(admin))["items"]}
    assert {*found} == {"account", "member", "subscription"}
    assert found["account"]["account_name"] == found["member"]["account_name"] == "default"
    assert (found["member"]["username"], found["subscription"]["group"]) == ("admin", "default")
    assert found["account"]["user_id"] is None
    assert len((await standing(admin, ""))["items"]) == 3  # who runs the account


async def test_keys_stand_that_expire_soon_and_upstreams_that_are_out(admin, look):
    at = int(admin.clock[0]) + 3 * DAY
    soon = await admin.create(expired_time=at)
    await admin.create(expired_time=at + 30 * DAY)
    await note_outages(admin.pool, "w1", {"openai": 90.0})
    out, expiry = (await standing(admin))["items"]
    assert (out["kind"], out["upstream"], out["scope"]) == ("upstream", "openai", None)
    assert abs(out["out_since"] - (admin.clock[0] - 90)) < 5
    assert (out["told_time"], expiry["told_time"]) == (None, None)
    assert (expiry["token_id"], expiry["expires_time"]) == (soon["id"], at)
    assert await look() == 2
    assert all(each["told_time"] for each in (await standing(admin))["items"])
    # Upstreams are the operator's affair.
    assert (await standing(admin, "user_id=1"))["counts"] == NOTHING | {"expiry": 1}
    await note_outages(admin.pool, "w1", {})
    assert (await standing(admin))["counts"]["upstream"] == 0


async def test_warnings_are_kept_for_90_days_and_their_messages_with_them(admin, look):
    made = await admin.create(remain_quota=500_000)
    await admin.use(made["id"], USD)
    assert await look() == 1
    await admin.pool.execute(
        "UPDATE outbox SET sent_at = NULL, failed_at = now() - interval '8 days', content = 'sealed'"
    )
    await tidy(admin.pool, ["mail", "webhook"])
    (warning,) = await listed(admin)
    assert len((await listed(admin, "user_id=all"))[0]["deliveries"]) == 2
    assert await admin.pool.fetchval("SELECT max(octet_length(content)) FROM outbox") == 0
    await admin.pool.execute("UPDATE warning SET at = at - interval '90 days'")
    await tidy(admin.pool, ["mail", "webhook"])
    assert warning["id"] is not None
    assert await listed(admin) == []
    assert await admin.pool.fetchval("SELECT count(*) FROM outbox") == 0


# Tests of webhooks


async def test_a_test_calls_the_operators_webhook_and_tells_what_it_answered(admin, receiver):
    for status, works in ((204, True), (302, False), (500, False)):
        receiver.statuses.append(status)
        tried = (await admin.call("POST", "/api/warning/operator/test")).data
        assert (tried["works"], tried["status"], tried["error"]) == (works, status, None)
        headers, body = await receiver.call()
        event = Webhook(SECRETS.warnings_secret).verify(body, headers)
        assert event["type"] == "warning.test"
    assert await listed(admin, "user_id=all") == []


async def test_a_test_of_ones_own_webhook_is_signed_with_its_secret(admin, receiver):
    eve, token = await admin.user("eve")
    made = await admin.call("POST", "/api/webhook", {"url": receiver.url}, token=token)
    path = f"/api/webhook/{made.data['id']}/test"
    assert (await admin.call("POST", path, token=token)).data["works"]
    headers, body = await receiver.call()
    assert Webhook(made.data["secret"]).verify(body, headers)["type"] == "warning.test"
    assert (await admin.call("POST", path)).status == 404
    assert eve != 1


async def test_a_test_that_gets_no_answer_says_why(admin):
    for url, told in (
        ("http://127.0.0.1:9/", "Cannot connect"),
        ("http://10.0.0.1/", "webhooks.allow_cidrs"),
        ("http://169.254.169.254/", "it is never called"),
    ):
        made = (await admin.call("POST", "/api/webhook", {"url": url})).data
        tried = (await admin.call("POST", f"/api/webhook/{made['id']}/test")).data
        assert (tried["works"], tried["status"]) == (False, None)
        assert told in tried["error"]


async def test_tests_are_rationed_for_each_user(admin):
    _, other = await admin.user("other", role="operator")
    answers = [await admin.call("POST", "/api/warning/operator/test") for _ in range(11)]
    assert [answer.status for answer in answers] == [200] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    path = "/api/warning/operator/test"
    assert (await admin.call("POST", path, token=other)).status == 200


async def test_where_the_operator_is_told_is_shown_without_what_lets_in(admin, receiver):
    told = (await admin.call("GET", "/api/warning/operator")).data
    host = receiver.url.removesuffix("/hook")
    assert told == {"mail": ["ops@example.com"], "webhook": f"{host}/…", "sends_mail": True}
    _, viewer = await admin.user("viewer", role="viewer")
    assert (await admin.call("GET", "/api/warning/operator", token=viewer)).status == 200
    path = "/api/warning/operator/test"
    assert (await admin.call("POST", path, token=viewer)).status == 403
    _, user = await admin.user("user")
    assert (await admin.call("GET", "/api/warning/operator", token=user)).status == 403


async def test_without_a_webhook_of_the_operators_there_is_nothing_to_test(
    aiohttp_client, postgres_dsn
):
    async with running_admin(aiohttp_client, postgres_dsn) as bare:
        told = (await bare.call("GET", "/api/warning/operator")).data
        assert told == {"mail": [], "webhook": None, "sends_mail": False}
        answer = await bare.call("POST", "/api/warning/operator/test")
        assert answer.status == 404
        assert "warnings.webhook_url" in answer.message


async def test_a_bad_parameter_is_named(admin, subtests):
    for path, query, begin in (
        ("", "kind=mood", "kind"),
        ("", "state=lost", "state"),
        ("", "cursor=x", "cursor"),
        ("", "cursor=-1", "cursor"),
        ("", "start=x", "start"),
        ("", "from=1", "from"),
        ("/standing", "user_id=x", "user_id"),
        ("/standing", "kind=quota", "kind"),
    ):
        with subtests.test(path=path, query=query):
            answer = await admin.call("GET", f"/api/warning{path}?{query}")
            assert (answer.status, answer.body["code"]) == (422, "invalid_field")
            assert answer.message.startswith(begin)
