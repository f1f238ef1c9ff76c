"""The token API: every promise about creating, listing, changing and deleting tokens."""

import asyncio
import gzip
import io
import json
from datetime import datetime

import pytest

from admin_api.context import SERVICES
from gateway.domain import key as keys
from gateway.store.books import Book
from gateway.store.token_rows import read_limit
from tests.admin import PEPPER, UNIT, running_admin

GROUPS = {
    "groups": {
        "default": {
            "token_defaults": {
                "allow_ips": ["10.0.0.0/8"],
                "limits": [{"metric": "requests", "window": "1m", "limit": 60}],
                "models": ["cheap"],
                "max_concurrency": 7,
            }
        },
        "vip": {},
    }
}


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn):
    async with running_admin(aiohttp_client, postgres_dsn, GROUPS) as running:
        yield running


async def test_the_seeds_python_snippets_work_as_documented(admin):
    headers = {
        "Authorization": f"Bearer {admin.credentials.access_token}",
        "New-Api-User": "1",
        "Content-Type": "application/json",
        "User-Agent": "Mozilla/5.0",
    }
    async with admin.client.post(
        "/api/token/",
        headers=headers,
        json={
            "name": "Production",
            "remain_quota": 100000,
            "unlimited_quota": False,
            "expired_time": -1,
            "model_limits_enabled": True,
            "model_limits": json.dumps(["gpt-5.4", "claude-sonnet-4-6"]),
            "allow_ips": "203.0.113.10",
        },
    ) as response:
        created = await response.json()
        assert response.status == 200
    assert created["success"] is True
    assert created["message"] == ""
    del headers["Content-Type"]
    async with admin.client.get("/api/token/?p=1&size=100", headers=headers) as response:
        listed = await response.json()
    page = listed["data"]
    assert {name: listed[name] for name in ("success", "message")} == {
        "success": True,
        "message": "",
    }
    assert {name: page[name] for name in ("page", "page_size", "total")} == {
        "page": 1,
        "page_size": 100,
        "total": 2,
    }
    documented = {
        "id": created["data"]["id"],
        "user_id": 1,
        "key": keys.display(created["data"]["key"]),
        "status": 1,
        "name": "Production",
        "created_time": created["data"]["created_time"],
        "accessed_time": 0,
        "expired_time": -1,
        "remain_quota": 100000,
        "unlimited_quota": False,
        "model_limits_enabled": True,
        "model_limits": '["gpt-5.4","claude-sonnet-4-6"]',
        "allow_ips": "203.0.113.10",
        "used_quota": 0,
        "held_quota": None,  # the quota store cannot be asked
        "group": "default",
    }
    item = page["items"][0]
    assert {name: item[name] for name in documented} == documented
    assert all(type(item[name]) is type(documented[name]) for name in documented)


async def test_the_full_key_is_answered_once_and_only_its_digest_is_kept(admin):
    created = await admin.create()
    key = created["key"]
    assert keys.is_sound(key)
    secret = await admin.pool.fetchrow(
        "SELECT digest, display, last4, sealed FROM token_secret WHERE token_id = $1", created["id"]
    )
    assert secret["digest"] == keys.digest(key, PEPPER)
    assert secret["sealed"] is None
    for answer in (
        await admin.call("GET", "/api/token/"),
        await admin.call("GET", f"/api/token/{created['id']}"),
        await admin.call("PUT", "/api/token/", {"id": created["id"], "name": "x"}),
    ):
        assert key not in json.dumps(answer.body)
        assert keys.display(key) in json.dumps(answer.body)
    assert key not in json.dumps(
        [dict(row) for row in await admin.pool.fetch("SELECT after FROM audit")]
    )


@pytest.mark.parametrize("path", ["/api/token", "/api/token/"])
async def test_both_slash_forms_answer_without_redirect(admin, path):
    assert (await admin.call("GET", path)).status == 200
    created = await admin.call("POST", path, {"name": "a"})
    assert created.status == 200
    token_id = created.data["id"]
    assert (await admin.call("PUT", path, {"id": token_id, "name": "b"})).status == 200
    slash = "/" if path.endswith("/") else ""
    assert (await admin.call("GET", f"/api/token/{token_id}{slash}")).status == 200
    assert (await admin.call("GET", f"/api/token/search{slash}")).status == 200
    assert (await admin.call("DELETE", f"/api/token/{token_id}{slash}")).status == 200


QUOTA_FORMS = [
    ({}, (0, False, 4)),
    ({"remain_quota": 0}, (0, False, 4)),
    ({"remain_quota": 5}, (5, False, 1)),
    ({"remain_quota": 5, "unlimited_quota": False}, (5, False, 1)),
    ({"unlimited_quota": True}, (0, True, 1)),
    ({"unlimited_quota": True, "remain_quota": 123}, (0, True, 1)),
    ({"quota_usd": 0}, (0, True, 1)),
    ({"quota_usd": 0, "unlimited_quota": True}, (0, True, 1)),
    ({"quota_usd": 2.5}, (1_250_000, False, 1)),
    ({"quota_usd": 2, "remain_quota": 1_000_000}, (1_000_000, False, 1)),
    ({"remain_quota": 2_251_799_813_685}, (2_251_799_813_685, False, 1)),
]


async def test_quota_fields_mean_what_the_documents_say(admin, subtests):
    for sent, shown in QUOTA_FORMS:
        with subtests.test(sent=str(sent)[:80], shown=str(shown)[:80]):
            answer = await admin.call("POST", "/api/token/", {"name": "a", **sent})
            assert answer.status == 200, answer.body
            data = answer.data
            assert (data["remain_quota"], data["unlimited_quota"], data["status"]) == shown
            assert bool(data["warnings"]) == (shown[2] == 4 or sent.get("remain_quota") == 123)


BAD_FIELDS = [
    ({"name": ""}, "name: must have 1 to 100"),
    ({"name": "  "}, "name: must have 1 to 100"),
    ({"name": "x" * 101}, "it has 101"),
    ({"name": "a\nb"}, "line breaks"),
    ({"name": "a\x00b"}, "U+0000"),
    ({"name": 5}, "name: must be of type string, not integer"),
    ({"nmae": "x"}, "nmae: there is no such field"),
    ({"status": 1}, "status: there is no such field"),
    ({"remain_quota": -1}, "remain_quota: may not be negative"),
    ({"remain_quota": -1, "unlimited_quota": True}, "remain_quota: may not be negative"),
    ({"remain_quota": 1.5}, "remain_quota: must be of type integer, not number"),
    ({"remain_quota": "5"}, "remain_quota: must be of type integer, not string"),
    ({"remain_quota": True}, "remain_quota: must be of type integer, not boolean"),
    ({"remain_quota": 2_251_799_813_686}, "2251799813685 units at most"),
    ({"remain_quota": 10**40}, "2251799813685 units at most"),
    ({"quota_usd": -1}, "quota_usd: must be at least 0, it is -1"),
    ({"quota_usd": 4503600}, "quota_usd: must be at most 4503599.627370495, it is 4503600"),
    ({"quota_usd": "5"}, "quota_usd: must be of type number, not string"),
    ({"quota_usd": 1, "remain_quota": 5}, "quota_usd and remain_quota disagree"),
    ({"quota_usd": 0, "remain_quota": 0}, "disagree"),
    ({"quota_usd": 0, "unlimited_quota": False}, "0 means unlimited"),
    ({"quota_usd": 1, "unlimited_quota": True}, "disagree"),
    ({"unlimited_quota": 1}, "unlimited_quota: must be of type boolean, not integer"),
    ({"expired_time": 1_700_000_000}, "in the past"),
    ({"expired_time": 1_800_000_000_000}, "seconds, not milliseconds; did you mean 1800000000"),
    ({"expired_time": -2}, "expired_time: must be at least -1, it is -2"),
    ({"expires_in_days": -1}, "expires_in_days"),
    ({"expires_in_days": 40_000}, "expires_in_days"),
    ({"expires_in_days": 3, "expired_time": -1}, "disagrees with expired_time"),
    ({"model_limits_enabled": True}, "names no model"),
    ({"model_limits_enabled": True, "model_limits": "[]"}, "names no model"),
    ({"model_limits": '["a"'}, "no JSON array"),
    ({"model_limits": "[1]"}, "no JSON array"),
    ({"model_limits": [1]}, "model_limits: entry 1 must be of type string, not integer"),
    ({"model_limits": "a" * 201}, "is no model name"),
    ({"model_limits": "m,gpt-*"}, "model_limits: 'gpt-*' is a pattern, but"),
    ({"allow_ips": "10.0.0.1\nnonsense"}, "allow_ips: line 2: 'nonsense'"),
    ({"allow_ips": "10.0.0.1,300.1.1.1"}, "line 2: '300.1.1.1'"),
    ({"allow_ips": ["10.0.0.1", "x"]}, "line 2: 'x'"),
    ({"deny_ips": "10.0.0.5/8"}, "has host bits set; the block is 10.0.0.0/8"),
    ({"deny_ips": "::ffff:10.0.0.0/104"}, "IPv4-mapped"),
    ({"group": "nowhere"}, "group: there is no group 'nowhere'"),
    ({"limits": {}}, "limits: must be of type array, not object"),
    ({"limits": [{"metric": "requests", "window": "1m"}]}, "limits.0.limit: is required"),
    ({"limits": [{"metric": "x", "window": "1m", "limit": 1}]}, "limits.0.metric"),
    ({"limits": [{"metric": "requests", "window": "2m", "limit": 1}]}, "limits.0.window"),
    (
        {"limits": [{"metric": "requests", "window": "1m", "limit": 0}]},
        "limits.0.limit: must be above 0",
    ),
    ({"limits": [{"metric": "requests", "window": "1m", "limit": 1.5}]}, "whole number"),
    ({"limits": [{"metric": "requests", "window": "1m", "limit": "1"}]}, "must be of type number"),
    ({"limits": [{"metric": "usd", "window": "1d", "limit": 4503600}]}, "limits.0: is too large"),
    ({"limits": [{"metric": "usd", "window": "month", "limit": 1}]}, 'needs mode = "calendar"'),
    ({"limits": [{"metric": "usd", "window": "1d", "limit": 1, "x": 1}]}, "limits.0.x"),
    (
        {"limits": [{"metric": "usd", "window": "1d", "limit": 1, "burst": 1}]},
        'needs window = "1m"',
    ),
    (
        {"limits": [{"metric": "usd", "window": "1d", "limit": 1, "burst": 1, "mode": "calendar"}]},
        'and mode = "sliding"',
    ),
    ({"limits": [{"metric": "tokens", "window": "1m", "limit": 1, "burst": 0}]}, "above 0"),
    ({"limits": [{"metric": "tokens", "window": "1m", "limit": 1, "burst": 1.5}]}, "whole number"),
    (
        {"limits": [{"metric": "usd", "window": "1m", "limit": 4_000_000, "burst": 4_000_000}]},
        "limits.0: is too large",
    ),
    (
        {"limits": [{"metric": "usd", "window": "1m", "limit": 0.000000001, "burst": 1000}]},
        "refilled within a day",
    ),
    (
        {"limits": [{"metric": "usd", "window": "1d", "limit": 1, "shadow": 1}]},
        "limits.0.shadow",
    ),
    (
        {"limits": [{"metric": "usd", "window": "1d", "limit": n, "shadow": True} for n in (1, 2)]},
        "limits.1: counts the same as limits.0",
    ),
    (
        {"limits": [{"metric": "usd", "window": "1d", "limit": n} for n in (1, 2)]},
        "limits.1: counts the same as limits.0",
    ),
    ({"max_concurrency": -1}, "max_concurrency"),
    ({"metadata": []}, "metadata"),
    ({"metadata": {"a": "x" * 20_000}}, "metadata: may be 16384 bytes"),
    ({"metadata": {"a": {"b": "\ud800"}}}, "surrogate"),
]


async def test_a_bad_field_is_named_with_its_rule(admin, subtests):
    for sent, named in BAD_FIELDS:
        with subtests.test(sent=str(sent)[:80], named=str(named)[:80]):
            answer = await admin.call("POST", "/api/token/", {"name": "a", **sent})
            assert answer.status == 422
            assert answer.body["success"] is False
            assert answer.body["code"] == "invalid_field"
            assert named in answer.message
            assert await admin.pool.fetchval("SELECT count(*) FROM token") == 1


BAD_BODIES = [
    (b"", "empty"),
    (b"{", "not JSON"),
    (b"name=x", "not JSON"),
    (b"[]", "no object"),
    (b"\xff\xfe\xff", "not JSON"),
    (b'{"name": NaN}', "NaN is no JSON number"),
    (b'{"name": "a", "name": "b"}', "'name' is given twice"),
    (b'{"name": "a", "n\\u0061me": "b"}', "'name' is given twice"),
    (b'{"name": ' + b"1" * 5000 + b"}", "not JSON"),
    (b'{"metadata": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "nested too deeply"),
]


async def test_a_body_that_is_no_json_object_is_400(admin, subtests):
    for body, said in BAD_BODIES:
        with subtests.test(body=str(body)[:80], said=str(said)[:80]):
            answer = await admin.call("POST", "/api/token/", data=body)
            assert answer.status == 400
            assert answer.body["code"] == "invalid_json"
            assert said in answer.message


async def test_deep_nesting_is_refused_before_anything_has_to_write_it(admin):
    deep = {}
    for _ in range(40):
        deep = {"a": deep}
    answer = await admin.call("POST", "/api/token/", {"name": "a", "metadata": deep})
    assert answer.status == 422
    assert "nested deeper than 32" in answer.message


async def test_a_body_over_a_mebibyte_is_413(admin):
    answer = await admin.call("POST", "/api/token/", data=io.BytesIO(b" " * (1024**2 + 1)))
    assert answer.status == 413
    assert answer.body["code"] == "body_too_large"


async def test_an_encoded_body_is_415(admin):
    headers = {"Content-Encoding": "gzip"}
    body = gzip.compress(b'{"name": "a"}')
    answer = await admin.call("POST", "/api/token/", data=body, headers=headers)
    assert (answer.status, answer.body["code"]) == (415, "unsupported_media_type")


MODEL_FORMS = [
    (["a", " b ", "a"], '["a","b"]', True),
    ('["a", "b"]', '["a","b"]', True),
    ("a,b", '["a","b"]', True),
    ("a\nb\r\n\n", '["a","b"]', True),
    ("", "", False),
    (None, "", False),
    ([], "[]", False),
]


async def test_every_form_of_model_limits_is_understood(admin, subtests):
    for sent, shown, enabled in MODEL_FORMS:
        with subtests.test(sent=str(sent)[:80], shown=str(shown)[:80], enabled=str(enabled)[:80]):
            created = await admin.create(model_limits=sent)
            assert (created["model_limits"], created["model_limits_enabled"]) == (shown, enabled)


async def test_model_limits_can_be_kept_and_switched_off(admin):
    created = await admin.create(model_limits="a,b", model_limits_enabled=False)
    assert (created["model_limits"], created["model_limits_enabled"]) == ('["a","b"]', False)
    path = f"/api/token/{created['id']}"
    on = await admin.call("PATCH", path, {"model_limits_enabled": True})
    assert on.data["effective"]["models"] == ["a", "b"]
    off = await admin.call("PATCH", path, {"model_limits": ""})
    assert (off.data["model_limits"], off.data["model_limits_enabled"]) == ("", False)
    empty = await admin.call("PATCH", path, {"model_limits_enabled": True})
    assert empty.status == 422


async def test_addresses_are_normalised_and_answered_by_line(admin):
    created = await admin.create(
        allow_ips="203.0.113.10, 2001:DB8::/32\n::ffff:192.0.2.1", deny_ips=["203.0.113.11"]
    )
    assert created["allow_ips"] == "203.0.113.10\n2001:db8::/32\n192.0.2.1"
    assert created["deny_ips"] == "203.0.113.11"


async def test_a_burst_is_kept_and_shown_with_its_bound(admin):
    sent = [
        {"metric": "requests", "window": "1m", "limit": 60, "burst": 10},
        {"metric": "usd", "window": "1m", "limit": 1.5, "burst": 0.25},
        {"metric": "requests", "window": "1m", "limit": 90},
    ]
    created = await admin.create(limits=sent)
    bursts = [(limit["limit"], limit["burst"], limit["bound"]) for limit in created["limits"]]
    assert bursts == [(60, 10, 70), (1.5, 0.25, 1.75), (90, None, 90)]
    assert created["effective"]["limits"] == created["limits"]
    stored = await admin.pool.fetchval("SELECT limits FROM token WHERE id = $1", created["id"])
    assert [limit["burst"] for limit in stored] == [10, 250_000_000, None]
    shown = await admin.call("GET", f"/api/token/{created['id']}")
    back = await admin.call("PUT", "/api/token/", shown.data)
    assert back.data["limits"] == created["limits"]


async def test_every_answer_shows_own_and_effective_rules(admin):
    inheriting = await admin.create()
    assert inheriting["limits"] is None
    assert inheriting["inherited"] == [
        "group",
        "model_limits",
        "allow_ips",
        "deny_ips",
        "limits",
        "max_concurrency",
    ]
    assert inheriting["effective"] == {
        "models": ["cheap"],
        "allow_ips": ["10.0.0.0/8"],
        "deny_ips": [],
        "limits": [
            {
                "metric": "requests",
                "window": "1m",
                "limit": 60,
                "burst": None,
                "bound": 60,
                "mode": "sliding",
                "models": None,
                "time_zone": "UTC",
                "shadow": False,
            }
        ],
        "max_concurrency": 7,
    }
    own = await admin.create(
        limits=[], allow_ips=[], model_limits=[], deny_ips=[], max_concurrency=0, group="vip"
    )
    assert own["inherited"] == []
    assert own["effective"] == {
        "models": None,
        "allow_ips": [],
        "deny_ips": [],
        "limits": [],
        "max_concurrency": None,
    }


async def test_limits_are_kept_in_nano_dollars_and_shown_in_dollars(admin):
    limit = {"metric": "usd", "window": "1d", "limit": 0.1, "models": ["b", "a"]}
    created = await admin.create(limits=[limit])
    assert created["limits"] == [
        {
            **limit,
            "burst": None,
            "bound": 0.1,
            "models": ["a", "b"],
            "mode": "sliding",
            "time_zone": "UTC",
            "shadow": False,
        }
    ]
    stored = await admin.pool.fetchval("SELECT limits FROM token WHERE id = $1", created["id"])
    assert stored[0]["limit"] == 100_000_000


async def test_a_limit_in_the_shadow_stands_beside_a_real_one_and_comes_back_as_it_was(admin):
    real = {"metric": "requests", "window": "5h", "limit": 100}
    created = await admin.create(limits=[real, real | {"limit": 50, "shadow": True}])
    told = [(each["limit"], each["shadow"]) for each in created["limits"]]
    assert told == [(100, False), (50, True)]
    path = f"/api/token/{created['id']}"
    got = (await admin.call("GET", path)).data
    assert got["limits"] == got["effective"]["limits"] == created["limits"]
    put = await admin.call("PUT", "/api/token/", got | {"name": "another"})
    assert put.data["limits"] == created["limits"]
    stored = await admin.pool.fetchval("SELECT limits FROM token WHERE id = $1", created["id"])
    assert [read_limit(each).shadow for each in stored] == [False, True]


async def test_a_limit_of_the_model_asterisk_is_one_of_all_models(admin):
    limit = {"metric": "requests", "window": "1m", "limit": 1, "models": ["*"]}
    created = await admin.create(limits=[limit])
    assert [shown["models"] for shown in created["limits"]] == [None]
    stored = await admin.pool.fetchval("SELECT limits FROM token WHERE id = $1", created["id"])
    assert read_limit(stored[0]).counts("any-model")


async def test_a_created_token_has_everything_its_calls_need(admin):
    created = await admin.create(group="vip")
    entry = await admin.pool.fetchrow(
        "SELECT delta, kind, actor FROM grant_entry WHERE scope_kind = 't' AND scope_id = $1",
        created["id"],
    )
    assert tuple(entry) == (1000 * UNIT, "create", "user:1")
    assert (
        await admin.pool.fetchval(
            """SELECT count(*) FROM subscription s JOIN "group" g ON g.id = s.group_id
            WHERE s.account_id = 1 AND g.name = 'vip'"""
        )
        == 1
    )
    assert admin.told.notices == [(1, None, [Book(f"t{created['id']}", 1000 * UNIT, 1, 0, 1)])]
    audit = await admin.pool.fetchrow(
        "SELECT * FROM audit WHERE object_kind = 'token' AND object_id = $1",
        str(created["id"]),
    )
    assert (audit["actor"], audit["action"]) == ("user:1", "token.create")
    assert str(audit["address"]) == "127.0.0.1"
    assert audit["request_id"]
    assert audit["after"]["granted"] == 1000 * UNIT


async def test_the_audit_tells_of_a_made_token_what_it_tells_when_it_is_deleted(admin):
    created = await admin.create(
        group="vip",
        expires_in_days=3,
        model_limits="gpt-5.4,o3",
        allow_ips="10.0.0.0/8",
        deny_ips=[],
        limits=[{"metric": "usd", "window": "1d", "limit": 1.5, "models": ["o3"]}],
        max_concurrency=3,
        metadata={"b": [1, 2.5, None], "a": {"é": True}},
    )
    await admin.call("DELETE", f"/api/token/{created['id']}")
    made, deleted = await admin.pool.fetch(
        "SELECT before, after FROM audit WHERE object_kind = 'token' AND object_id = $1 ORDER BY id",
        str(created["id"]),
    )
    told, gone = made["after"], deleted["before"]
    for time in ("created_at", "expires_at"):  # Postgres writes no zeros at the end of a fraction
        assert datetime.fromisoformat(told.pop(time)) == datetime.fromisoformat(gone.pop(time))
    assert told == gone
    assert told["limits"][0]["limit"] == 1_500_000_000


EXPIRY_FORMS = [
    ("expired_time", -1, -1),
    ("expired_time", 0, -1),
    ("expired_time", 1_800_000_001, 1_800_000_001),
    ("expires_in_days", 0, -1),
    ("expires_in_days", 30, 1_800_000_000 + 30 * 86_400),
]


async def test_expiry_forms(admin, subtests):
    for field, value, expired_time in EXPIRY_FORMS:
        with subtests.test(
            field=str(field)[:80], value=str(value)[:80], expired_time=str(expired_time)[:80]
        ):
            assert (await admin.create(**{field: value}))["expired_time"] == expired_time


async def test_status_is_the_effective_one_when_read(admin):
    created = await admin.create(expires_in_days=1)
    token_id = created["id"]
    assert created["status"] == 1
    await admin.spend(token_id, 1000 * UNIT)
    assert (await admin.get(token_id))["status"] == 4
    admin.clock[0] += 2 * 86_400
    assert (await admin.get(token_id))["status"] == 3
    await admin.call("PUT", "/api/token/?status_only=1", {"id": token_id, "status": 2})
    assert (await admin.get(token_id))["status"] == 2


async def test_units_shown_always_add_up(admin):
    created = await admin.create(remain_quota=10)
    await admin.spend(created["id"], 1)
    shown = await admin.get(created["id"])
    assert (shown["used_quota"], shown["remain_quota"]) == (1, 9)
    await admin.spend(created["id"], 11 * UNIT)
    shown = await admin.get(created["id"])
    assert (shown["used_quota"], shown["remain_quota"]) == (12, -2)


ROUND_TRIPS = [
    {},
    {"unlimited_quota": True},
    {"remain_quota": 0},
    {"quota_usd": 0.000003},
    {"expires_in_days": 1, "model_limits": "a,b", "allow_ips": "10.0.0.1", "metadata": {"a": 1.5}},
    {"limits": [], "allow_ips": [], "model_limits": [], "max_concurrency": 0},
    {"limits": [{"metric": "usd", "window": "5h", "limit": 1.25}], "max_concurrency": 3},
    {"group": "vip"},
]


@pytest.mark.parametrize("state", ["fresh", "spent", "overspent", "expired", "disabled"])
async def test_an_object_read_may_be_sent_back_whole_and_changes_nothing(admin, subtests, state):
    for fields in ROUND_TRIPS:
        with subtests.test(fields=str(fields)):
            base = (
                {} if fields.keys() & {"unlimited_quota", "quota_usd"} else {"remain_quota": 1000}
            )
            made = await admin.call("POST", "/api/token/", {"name": "a", **base, **fields})
            token_id = made.data["id"]
            if state == "expired":
                admin.clock[0] += 2 * 86_400
            if state == "disabled":
                await admin.call("PATCH", f"/api/token/{token_id}", {"status": 2})
            if state in {"spent", "overspent"}:
                await admin.spend(token_id, 333 if state == "spent" else 5000 * UNIT)
            read = await admin.get(token_id)
            await admin.spend(token_id, 7)
            before = await admin.pool.fetchrow("SELECT * FROM token WHERE id = $1", token_id)
            answer = await admin.call("PUT", "/api/token/", read)
            assert answer.status == 200, answer.body
            after = await admin.pool.fetchrow("SELECT * FROM token WHERE id = $1", token_id)
            assert dict(after) == dict(before)


async def test_put_keeps_absent_fields(admin):
    created = await admin.create(
        expires_in_days=2, model_limits="a", allow_ips="10.0.0.1", max_concurrency=3
    )
    answer = await admin.call("PUT", "/api/token/", {"id": created["id"], "name": "renamed"})
    kept = {"name", "version", "key", "held_quota"}  # of a new one it is known: nothing is held
    assert answer.data["name"] == "renamed"
    assert answer.data["version"] == created["version"] + 1
    unchanged = created.keys() - kept - {"warnings"}
    assert {n: answer.data[n] for n in unchanged} == {n: created[n] for n in unchanged}


async def test_remain_quota_alone_sets_what_is_left_and_never_overwrites_spend(admin):
    created = await admin.create(remain_quota=1000)
    await admin.spend(created["id"], 300 * UNIT + 1)
    answer = await admin.call("PATCH", f"/api/token/{created['id']}", {"remain_quota": 50})
    assert (answer.data["used_quota"], answer.data["remain_quota"]) == (301, 50)
    row = await admin.pool.fetchrow("SELECT * FROM token WHERE id = $1", created["id"])
    assert row["used"] == 300 * UNIT + 1
    assert (row["granted"], row["gver"], row["version"]) == (351 * UNIT, 2, 2)
    assert admin.told.notices[-1][2] == [
        Book(f"t{created['id']}", 351 * UNIT, 2, 300 * UNIT + 1, 2)
    ]


async def test_remain_quota_with_the_used_quota_it_was_read_with_is_a_grant(admin):
    created = await admin.create(remain_quota=1000)
    read = await admin.get(created["id"])
    await admin.spend(created["id"], 400 * UNIT)
    answer = await admin.call("PUT", "/api/token/", read | {"remain_quota": 1500})
    assert (answer.data["used_quota"], answer.data["remain_quota"]) == (400, 1100)


async def test_unlimited_and_back_keeps_the_sum_of_grants(admin):
    created = await admin.create(remain_quota=1000)
    path = f"/api/token/{created['id']}"
    await admin.spend(created["id"], 100 * UNIT)
    open_ended = await admin.call("PATCH", path, {"unlimited_quota": True})
    assert (open_ended.data["unlimited_quota"], open_ended.data["status"]) == (True, 1)
    assert (await admin.call("PATCH", path, {"unlimited_quota": False})).status == 422
    capped = await admin.call("PATCH", path, {"unlimited_quota": False, "remain_quota": 5})
    assert (capped.data["remain_quota"], capped.data["used_quota"]) == (5, 100)
    entries = await admin.pool.fetch(
        "SELECT kind, delta FROM grant_entry WHERE scope_kind = 't' AND scope_id = $1 ORDER BY id",
        created["id"],
    )
    assert [tuple(entry) for entry in entries] == [
        ("create", 1000 * UNIT),
        ("uncap", -1000 * UNIT),
        ("cap", 105 * UNIT),
    ]


REGRANTS = [
    ({"quota_usd": 2}, 2_000_000_000),
    ({"quota_usd": 0, "unlimited_quota": True}, None),
    ({"quota_usd": 0}, None),
    ({"remain_quota": 0}, 100 * UNIT),
    ({"remain_quota": 7, "quota_usd": 0.002}, 107 * UNIT),  # quota_usd is what it was
    ({"quota_usd": 0.0022, "remain_quota": 1000}, 1100 * UNIT),  # both say the same
]


async def test_a_changed_quota_becomes_the_grant(admin, subtests):
    for sent, granted in REGRANTS:
        with subtests.test(sent=str(sent)[:80], granted=str(granted)[:80]):
            created = await admin.create(remain_quota=1000)  # 0.002 dollars
            await admin.spend(created["id"], 100 * UNIT)
            answer = await admin.call("PATCH", f"/api/token/{created['id']}", sent)
            assert answer.status == 200, answer.body
            assert granted == await admin.pool.fetchval(
                "SELECT granted FROM token WHERE id = $1", created["id"]
            )


BAD_CHANGES = [
    ({"remain_quota": -1}, "may not be negative"),
    ({"remain_quota": -5, "used_quota": 4}, "may not be negative"),
    ({"remain_quota": 2_251_799_813_686}, "units at most"),
    ({"remain_quota": 5, "quota_usd": 7}, "disagree"),
    ({"quota_usd": 0, "unlimited_quota": False}, "0 means unlimited"),
    ({"status": 0}, "status"),
    ({"status": 5}, "status"),
    ({"key": "sk-mine"}, "key: cannot be set"),
    ({"expired_time": 1_799_999_999}, "in the past"),
    ({"expired_time": 1_900_000_000, "expires_in_days": 3}, "disagrees"),
    ({"id": 999}, "but the path says"),
    ({"colour": "red"}, "colour: there is no such field"),
    ({"group": "nowhere"}, "there is no group"),
]


async def test_a_bad_change_changes_nothing(admin, subtests):
    for sent, named in BAD_CHANGES:
        with subtests.test(sent=str(sent)[:80], named=str(named)[:80]):
            created = await admin.create()
            before = await admin.get(created["id"])
            answer = await admin.call("PATCH", f"/api/token/{created['id']}", sent)
            assert answer.status == 422
            assert named in answer.message
            assert await admin.get(created["id"]) == before


async def test_status_only_changes_the_status_and_nothing_else(admin):
    created = await admin.create()
    body = {"id": created["id"], "status": 2, "name": "other", "remain_quota": 5}
    answer = await admin.call("PUT", "/api/token/?status_only=true", body)
    assert (answer.data["status"], answer.data["name"]) == (2, "app")
    assert answer.data["remain_quota"] == 1000
    missing = await admin.call("PUT", "/api/token/?status_only=1", {"id": created["id"]})
    assert missing.status == 422


async def test_a_past_expiry_may_be_repaired_and_enabled_in_one_call(admin):
    created = await admin.create(expires_in_days=1)
    admin.clock[0] += 2 * 86_400
    assert (await admin.get(created["id"]))["status"] == 3
    answer = await admin.call(
        "PUT", "/api/token/", {"id": created["id"], "status": 1, "expired_time": -1}
    )
    assert answer.data["status"] == 1


@pytest.mark.parametrize("where", ["body", "If-Match"])
async def test_a_change_of_an_older_version_is_412(admin, where):
    created = await admin.create()
    path = f"/api/token/{created['id']}"
    await admin.call("PATCH", path, {"name": "first"})
    body = {"name": "second"} | ({"version": 1} if where == "body" else {})
    headers = {"If-Match": '"1"'} if where == "If-Match" else {}
    answer = await admin.call("PATCH", path, body, headers=headers)
    assert answer.status == 412
    assert answer.body["code"] == "version_mismatch"
    assert (await admin.get(created["id"]))["name"] == "first"
    headers = {"If-Match": '"2"'}
    assert (await admin.call("PATCH", path, {"name": "third"}, headers=headers)).status == 200
    assert (await admin.call("DELETE", path, headers=headers)).status == 412


async def test_a_change_that_changes_nothing_keeps_the_version(admin):
    created = await admin.create()
    answer = await admin.call("PATCH", f"/api/token/{created['id']}", {"name": "app"})
    assert answer.data["version"] == 1


async def test_parallel_edits_and_spend_lose_nothing(admin):
    created = await admin.create(remain_quota=0)
    path = f"/api/token/{created['id']}"

    async def post():
        async with admin.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT id FROM account WHERE id = 1 FOR UPDATE")
            await connection.execute(
                "UPDATE token SET used = used + $2 WHERE id = $1", created["id"], UNIT
            )

    edits = [admin.call("PATCH", path, {"remain_quota": n}) for n in range(20)]
    answers = await asyncio.gather(*edits, *(post() for _ in range(20)))
    assert {answer.status for answer in answers if answer is not None} == {200}
    row = await admin.pool.fetchrow("SELECT * FROM token WHERE id = $1", created["id"])
    assert row["used"] == 20 * UNIT
    assert row["granted"] == await admin.pool.fetchval(
        "SELECT sum(delta)::bigint FROM grant_entry WHERE scope_kind = 't' AND scope_id = $1",
        created["id"],
    )


async def test_a_deleted_token_is_gone_and_its_version_rises(admin):
    created = await admin.create()
    answer = await admin.call("DELETE", f"/api/token/{created['id']}")
    assert (answer.status, answer.body) == (200, {"success": True, "message": ""})
    assert admin.told.notices[-1][2][0].version == 2
    for method in ("GET", "DELETE"):
        assert (await admin.call(method, f"/api/token/{created['id']}")).status == 404
    assert (await admin.call("GET", "/api/token/")).data["total"] == 1
    row = await admin.pool.fetchrow("SELECT * FROM token WHERE id = $1", created["id"])
    assert row["deleted_at"] is not None


async def test_a_store_that_was_not_told_is_said_with_202(admin):
    created = await admin.create()
    admin.told.reached = False
    for answer in (
        await admin.call("PATCH", f"/api/token/{created['id']}", {"status": 2}),
        await admin.call("POST", "/api/token/", {"name": "b", "unlimited_quota": True}),
        await admin.call("DELETE", f"/api/token/{created['id']}"),
    ):
        assert answer.status == 202
        assert answer.body["success"] is True
        assert "within 10 seconds" in answer.message


async def test_somebody_elses_token_is_404_and_in_no_list(admin):
    theirs = await admin.create()
    _, token = await admin.user("bob")
    path = f"/api/token/{theirs['id']}"
    for method, body in (("GET", None), ("PATCH", {"name": "mine"}), ("DELETE", None)):
        answer = await admin.call(method, path, body, token=token)
        assert (answer.status, answer.body["code"]) == (404, "not_found")
    put = await admin.call("PUT", "/api/token/", {"id": theirs["id"], "name": "x"}, token=token)
    assert put.status == 404
    assert (await admin.call("GET", "/api/token/", token=token)).data["items"] == []
    listed = await admin.call("GET", "/api/token/?user_id=1", token=token)
    assert listed.status == 403
    assert (await admin.get(theirs["id"]))["name"] == "app"


async def test_an_administrator_lists_own_tokens_unless_a_user_is_named(admin):
    bob_id, token = await admin.user("bob")
    made = await admin.create(token=token)
    own = await admin.call("GET", "/api/token/")
    assert made["id"] not in [item["id"] for item in own.data["items"]]
    bobs = await admin.call("GET", f"/api/token/?user_id={bob_id}")
    assert [item["id"] for item in bobs.data["items"]] == [made["id"]]


async def test_a_group_the_user_may_not_use_is_403(admin):
    _, token = await admin.user("bob")
    for group in ("vip", "nowhere"):
        body = {"name": "a", "group": group}
        answer = await admin.call("POST", "/api/token/", body, token=token)
        assert (answer.status, answer.body["code"]) == (403, "group_not_allowed")
    assert (await admin.create(token=token, group="default"))["group"] == "default"
    assert (await admin.create(token=token, group=""))["group"] == "default"


async def test_a_subscription_lets_a_user_use_its_group_until_it_ends(admin):
    bob_id, token = await admin.user("bob")
    await admin.pool.execute(
        """INSERT INTO subscription (account_id, group_id)
           SELECT u.account_id, g.id FROM "user" u, "group" g WHERE u.id = $1 AND g.name = 'vip'""",
        bob_id,
    )
    made = await admin.create(token=token, group="vip")
    await admin.pool.execute("UPDATE subscription SET ends_at = now() - interval '1 day'")
    answer = await admin.call("POST", "/api/token/", {"name": "a", "group": "vip"}, token=token)
    assert answer.status == 403
    kept = await admin.call("PATCH", f"/api/token/{made['id']}", {"name": "b"}, token=token)
    assert (kept.status, kept.data["group"]) == (200, "vip")


async def test_the_number_of_tokens_per_user_is_bounded(aiohttp_client, postgres_dsn):
    settings = {"admin": {"max_tokens_per_user": 3}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        calls = [admin.call("POST", "/api/token/", {"name": "a"}) for _ in range(8)]
        statuses = sorted(answer.status for answer in await asyncio.gather(*calls))
        assert statuses == [200] * 2 + [409] * 6


ABSENT = ["0", "999999", "9" * 19, "9" * 30]


async def test_a_token_that_is_not_there_is_404(admin, subtests):
    for token_id in ABSENT:
        with subtests.test(token_id=str(token_id)[:80]):
            answer = await admin.call("GET", f"/api/token/{token_id}")
            assert (answer.status, answer.body["code"]) == (404, "not_found")


WRONG_METHODS = [
    ("DELETE", "/api/token/", {"GET", "HEAD", "POST", "PUT"}),
    ("POST", "/api/token/1", {"GET", "HEAD", "PATCH", "DELETE"}),
    ("POST", "/api/token/search", {"GET", "HEAD"}),
]


async def test_a_wrong_method_is_405_with_allow(admin, subtests):
    for method, path, allow in WRONG_METHODS:
        with subtests.test(method=str(method)[:80], path=str(path)[:80], allow=str(allow)[:80]):
            answer = await admin.call(method, path)
            assert (answer.status, answer.body["code"]) == (405, "method_not_allowed")
            assert set(answer.headers["Allow"].replace(" ", "").split(",")) == allow


UNKNOWN_PATHS = ["/api/token/abc", "/api/tokens", "/v1/models", "/api"]


async def test_an_unknown_path_is_404_in_the_envelope(admin, subtests):
    for path in UNKNOWN_PATHS:
        with subtests.test(path=str(path)[:80]):
            answer = await admin.call("GET", path)
            assert (answer.status, answer.body["code"]) == (404, "unknown_url")


async def test_a_lost_database_is_503_and_says_so(admin, postgres_dsn):
    await admin.client.app[SERVICES].pool.close()
    answer = await admin.call("GET", "/api/token/")
    assert (answer.status, answer.body["code"]) == (503, "store_unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert (await admin.bare("GET", "/readyz")).status == 503
    assert (await admin.bare("GET", "/healthz")).status == 200


async def test_each_call_leaves_one_line_without_secrets(admin):
    before = len(admin.lines)
    answer = await admin.call("GET", "/api/token/?keyword=secret")
    (text,) = admin.lines[before:]
    line = json.loads(text)
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/api/token/", 200)
    assert line["user_id"] == 1
    assert "secret" not in text
    assert admin.credentials.access_token not in text
