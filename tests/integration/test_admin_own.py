"""What is one's own: sessions, access tokens, groups and models; and how log-ins that fail are told."""

import asyncio
import json
import time

import pytest

from admin_api.context import SERVICES
from gateway.domain.roles import ROLES
from tests.admin import running_admin
from tests.integration.test_admin_auth import SAME_SITE, log_in

SETTINGS = {
    "groups": {
        "default": {"models": ["small"]},
        "vip": {
            "ratio": "2.5",
            "description": "for the impatient",
            "token_defaults": {"models": ["small"], "max_concurrency": 3},
        },
        "closed": {},
    },
    "models": [{"name": "small"}, {"name": "large"}, {"name": "unserved"}],
    "upstreams": [
        {
            "name": "one",
            "dialect": "openai",
            "base_url": "http://127.0.0.1:1/v1",
            "api_key_env": "ONE",
            "models": ["small", "large"],
        }
    ],
    "admin": {"trusted_proxies": ["127.0.0.1"]},
}
PASSWORD = "three plain words"
NO_RULES = {"models": None, "allow_ips": [], "deny_ips": [], "limits": [], "max_concurrency": None}


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn):
    async with running_admin(aiohttp_client, postgres_dsn, SETTINGS) as running:
        yield running


def from_(address):
    return {"X-Forwarded-For": address}


# Sessions


async def test_sessions_are_listed_with_where_they_were_begun_and_which_one_asks(admin):
    await admin.user("ada", password=PASSWORD)
    agent = {"User-Agent": "<b>browser</b>"}
    _, first = await log_in(admin, "ada", PASSWORD, **from_("203.0.113.5"), **agent)
    _, second = await log_in(admin, "ada", PASSWORD)
    shown = (await admin.bare("GET", "/api/user/self/session", headers=first)).data
    assert [each["current"] for each in shown] == [False, True]
    assert (shown[1]["address"], shown[1]["user_agent"]) == ("203.0.113.5", "<b>browser</b>")
    assert abs(shown[1]["created_time"] - time.time()) < 60
    assert shown[1]["expired_time"] - shown[1]["created_time"] == 12 * 3600
    value = second["Cookie"].partition("=")[2]
    assert value not in json.dumps(shown)


async def test_one_session_is_ended_or_all_others(admin):
    await admin.user("ada", password=PASSWORD)
    sessions = [(await log_in(admin, "ada", PASSWORD))[1] for _ in range(4)]
    shown = (await admin.bare("GET", "/api/user/self/session", headers=sessions[0])).data
    newest, own = shown[0]["id"], sessions[0] | SAME_SITE
    ended = await admin.bare("DELETE", f"/api/user/self/session/{newest}", headers=own)
    assert ended.status == 200
    again = await admin.bare("DELETE", f"/api/user/self/session/{newest}", headers=own)
    assert (again.status, again.body["code"]) == (404, "not_found")
    others = await admin.bare("DELETE", "/api/user/self/session", headers=own)
    assert others.data == 2
    states = [(await admin.bare("GET", "/api/user/self", headers=each)).status for each in sessions]
    assert states == [200, 401, 401, 401]


async def test_an_access_token_ends_all_sessions_of_its_user(admin):
    _, token = await admin.user("ada", password=PASSWORD)
    await log_in(admin, "ada", PASSWORD)
    assert (await admin.call("DELETE", "/api/user/self/session", token=token)).data == 1


async def test_nobody_ends_a_session_of_somebody_else_but_who_manages_them(admin):
    ada, _ = await admin.user("ada", password=PASSWORD)
    _, session = await log_in(admin, "ada", PASSWORD)
    _, boss = await admin.user("boss", role="admin")
    _, eve = await admin.user("eve")
    shown = (await admin.call("GET", f"/api/user/{ada}/session", token=boss)).data
    (only,) = shown
    assert only["current"] is False
    own = await admin.call("DELETE", f"/api/user/self/session/{only['id']}", token=eve)
    assert own.status == 404
    for method in ("GET", "DELETE"):
        assert (await admin.call(method, f"/api/user/{ada}/session", token=eve)).status == 403
        assert (await admin.call(method, "/api/user/1/session", token=boss)).status == 404
    assert (await admin.call("DELETE", f"/api/user/{ada}/session", token=boss)).data == 1
    assert (await admin.bare("GET", "/api/user/self", headers=session)).status == 401


# Access tokens


async def test_an_access_token_is_shown_once_and_works_until_it_is_deleted(admin):
    _, token = await admin.user("ada")
    body = {"name": "backup", "scopes": ["token.read"], "allow_ips": "127.0.0.0/8, ::1"}
    made = (await admin.call("POST", "/api/user/self/access_token", body, token=token)).data
    secret = made.pop("access_token")
    assert (made["scopes"], made["allow_ips"]) == (["token.read"], ["127.0.0.0/8", "::1"])
    assert (made["expired_time"], made["last_used_time"]) == (-1, 0)
    assert (await admin.call("GET", "/api/token", token=secret)).status == 200
    assert (await admin.call("POST", "/api/token", {"name": "x"}, token=secret)).status == 403
    elsewhere = await admin.call("GET", "/api/token", token=secret, headers=from_("203.0.113.5"))
    assert (elsewhere.status, elsewhere.body["code"]) == (403, "address_not_allowed")
    listed = (await admin.call("GET", "/api/user/self/access_token", token=token)).data
    assert listed[0] | {"last_used_time": 0} == made
    assert listed[0]["last_used_time"] > 0
    assert secret not in json.dumps(listed)
    audit = await admin.pool.fetch("SELECT before, after FROM audit")
    assert secret not in json.dumps([dict(row) for row in audit])
    path = f"/api/user/self/access_token/{made['id']}"
    assert (await admin.call("DELETE", path, token=token)).status == 200
    assert (await admin.call("DELETE", path, token=token)).status == 404
    assert (await admin.call("GET", "/api/token", token=secret)).status == 401


async def test_a_one_time_password_makes_no_access_token(admin):
    await admin.user("ada", password=PASSWORD, once=True)
    _, session = await log_in(admin, "ada", PASSWORD)
    headers = session | SAME_SITE
    body = {"name": "a"}
    answer = await admin.bare("POST", "/api/user/self/access_token", body, headers=headers)
    assert (answer.status, answer.body["code"]) == (403, "password_change_required")


async def test_an_access_token_ends_when_it_was_told_to(admin):
    admin.clock[0] = time.time()
    _, token = await admin.user("ada")
    body = {"name": "short", "expires_in_days": 2}
    made = (await admin.call("POST", "/api/user/self/access_token", body, token=token)).data
    assert abs(made["expired_time"] - time.time() - 2 * 86400) < 60
    await admin.pool.execute("UPDATE access_token SET expires_at = now() WHERE name = 'short'")
    assert (await admin.call("GET", "/api/token", token=made["access_token"])).status == 401


async def test_a_confined_access_token_makes_none_that_may_do_more(admin, subtests):
    scopes = ("self", "token.read")
    _, confined = await admin.user("ada", scopes=scopes, allow_ips=("127.0.0.0/8", "10.0.0.1"))
    for sent, made_scopes, made_ips in (
        ({}, ["self", "token.read"], ["127.0.0.0/8", "10.0.0.1"]),
        ({"scopes": ["token.read"]}, ["token.read"], ["127.0.0.0/8", "10.0.0.1"]),
        ({"allow_ips": ["10.0.0.1"]}, ["self", "token.read"], ["10.0.0.1"]),
        ({"scopes": ["token.write"]}, None, "scopes: 'token.write' is not yours to give"),
        ({"allow_ips": "0.0.0.0/0"}, None, "allow_ips: your access token is bound to"),
    ):
        with subtests.test(sent=str(sent)):
            body = {"name": "x", **sent}
            answer = await admin.call("POST", "/api/user/self/access_token", body, token=confined)
            if made_scopes is None:
                assert (answer.status, made_ips in answer.message) == (422, True)
            else:
                assert (answer.data["scopes"], answer.data["allow_ips"]) == (made_scopes, made_ips)


async def test_no_access_token_may_do_more_than_its_users_role(admin, subtests):
    for role in ("user", "viewer", "operator"):
        _, token = await admin.user(role, role=role)
        for scope in ("user.write", "account.write_any", "token.write"):
            with subtests.test(role=role, scope=scope):
                body = {"name": "x", "scopes": [scope]}
                answer = await admin.call("POST", "/api/user/self/access_token", body, token=token)
                assert (answer.status == 200) == (scope in ROLES[role])


async def test_a_demoted_users_access_tokens_may_do_no_more_than_they_do(admin):
    user_id, token = await admin.user("ada", role="admin", scopes=("user.read", "self"))
    assert (await admin.call("GET", "/api/user", token=token)).status == 200
    await admin.call("PATCH", f"/api/user/{user_id}", {"role": "user"})
    assert (await admin.call("GET", "/api/user", token=token)).status == 403


BAD_ACCESS_TOKENS = [
    ({}, "name: is required"),
    ({"name": ""}, "name: must have 1 to 100"),
    ({"name": "a\nb"}, "name: may hold no line breaks"),
    ({"name": "a", "scopes": "token.read"}, "scopes: "),
    ({"name": "a", "scopes": ["root"]}, "scopes: 'root' is not yours"),
    ({"name": "a", "expired_time": 1_700_000_000}, "in the past"),
    ({"name": "a", "expired_time": 1_900_000_000_000}, "seconds, not milliseconds"),
    ({"name": "a", "expired_time": -1, "expires_in_days": 3}, "disagrees"),
    ({"name": "a", "expires_in_days": 40_000}, "expires_in_days"),
    ({"name": "a", "allow_ips": "10.0.0.1\nx"}, "allow_ips: line 2: 'x'"),
    ({"name": "a", "user_id": 1}, "user_id: there is no such field"),
]


async def test_a_bad_access_token_is_refused_with_field_and_rule(admin, subtests):
    for sent, told in BAD_ACCESS_TOKENS:
        with subtests.test(sent=str(sent)):
            answer = await admin.call("POST", "/api/user/self/access_token", sent)
            assert (answer.status, told in answer.message) == (422, True), answer.body


async def test_a_repeated_creation_makes_one_access_token(admin):
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(
            admin.call("POST", "/api/user/self/access_token", {"name": "a"}, headers=headers)
            for _ in range(3)
        )
    )
    assert len({answer.data["access_token"] for answer in answers}) == 1


async def test_a_user_has_no_more_than_a_hundred_access_tokens_however_many_are_made_at_once(admin):
    user_id, token = await admin.user("ada")
    await admin.pool.execute(
        """INSERT INTO access_token (user_id, digest, pepper_version, name)
           SELECT $1, sha256(n::text::bytea), 1, 'many' FROM generate_series(1, 97) n""",
        user_id,
    )
    answers = await asyncio.gather(
        *(
            admin.call("POST", "/api/user/self/access_token", {"name": "a"}, token=token)
            for _ in range(5)
        )
    )
    assert sorted(answer.status for answer in answers) == [200, 200, 409, 409, 409]


async def test_who_manages_a_user_sees_and_ends_their_access_tokens(admin):
    ada, token = await admin.user("ada")
    _, boss = await admin.user("boss", role="admin")
    (shown,) = (await admin.call("GET", f"/api/user/{ada}/access_token", token=boss)).data
    assert shown["name"] == "t"
    mine = f"/api/user/self/access_token/{shown['id']}"
    assert (await admin.call("DELETE", mine, token=boss)).status == 404
    assert (await admin.call("GET", "/api/user/1/access_token", token=boss)).status == 404
    theirs = f"/api/user/{ada}/access_token/{shown['id']}"
    assert (await admin.call("DELETE", theirs, token=boss)).status == 200
    assert (await admin.call("GET", "/api/user/self", token=token)).status == 401


# Groups and models


async def test_ones_groups_are_ones_own_and_those_subscribed_to(admin):
    user_id, token = await admin.user("ada")
    for path in ("/api/user/groups", "/api/user/self/groups"):
        shown = (await admin.call("GET", path, token=token)).data
        (group,) = shown.values()
        assert group == {"ratio": 1.0, "desc": "", "models": ["small"], "token_defaults": NO_RULES}
    await admin.pool.execute(
        """INSERT INTO subscription (account_id, group_id, ends_at)
           SELECT u.account_id, g.id, CASE g.name WHEN 'closed' THEN now() END FROM "user" u, "group" g
            WHERE u.id = $1 AND g.name IN ('vip', 'closed')""",
        user_id,
    )
    shown = (await admin.call("GET", "/api/user/groups", token=token)).data
    assert shown["vip"]["ratio"] == 2.5
    assert shown["vip"]["desc"] == "for the impatient"
    assert shown["vip"]["models"] == ["large", "small"]
    rules = NO_RULES | {"models": ["small"], "max_concurrency": 3}
    assert shown["vip"]["token_defaults"] == rules
    assert [*shown] == ["default", "vip"]
    assert [*(await admin.call("GET", "/api/user/groups")).data] == ["closed", "default", "vip"]


async def test_ones_models_are_those_that_ones_groups_can_call(admin):
    user_id, token = await admin.user("ada")
    assert (await admin.call("GET", "/api/user/models", token=token)).data == ["small"]
    await admin.call("PATCH", f"/api/user/{user_id}", {"group": "vip"})
    assert (await admin.call("GET", "/api/user/models", token=token)).data == ["large", "small"]


# Log-ins that fail


async def guess(admin, username, times):
    for n in range(times):
        answer, _ = await log_in(admin, username, "wrong", **from_(f"10.1.{n}.1"))
        assert answer.status == 401


async def test_guesses_from_everywhere_hold_nobody_up_who_is_known_where_they_are(admin):
    await admin.user("ada", password=PASSWORD)
    assert (await log_in(admin, "ada", PASSWORD, **from_("192.0.2.1")))[0].status == 200
    assert (await log_in(admin, "ada", PASSWORD, **from_("2001:db8::1")))[0].status == 200
    brake = admin.client.app[SERVICES].brake
    for name in ("ada", "nobody"):
        for n in range(60):
            brake.failed(name, f"10.1.{n}.1")
    answers = [
        (await log_in(admin, name, PASSWORD, **from_("192.0.2.9")))[0] for name in ("ada", "nobody")
    ]
    assert [(each.status, each.body["code"]) for each in answers] == [
        (429, "too_many_attempts")
    ] * 2
    assert (await log_in(admin, "Ada", PASSWORD, **from_("192.0.2.1")))[0].status == 200
    assert (await log_in(admin, "ada", PASSWORD, **from_("2001:db8::9")))[0].status == 200


async def test_a_thousand_wrong_passwords_are_few_rows_of_the_audit_and_name_nobody(admin):
    user_id, _ = await admin.user("ada", password=PASSWORD)
    await guess(admin, "ada", 25)
    await guess(admin, "my secret password", 25)
    rows = await admin.pool.fetch(
        "SELECT * FROM audit WHERE action = 'user.login_failed' ORDER BY id"
    )
    assert [(row["object_id"], row["after"]["failures"]) for row in rows] == [
        (str(each), count) for each in (user_id, 0) for count in (5, 10, 20)
    ]
    assert {row["actor"] for row in rows} == {"nobody"}
    assert str(rows[0]["address"]) == "10.1.4.1"
    assert "my secret password" not in str([dict(row) for row in rows])
