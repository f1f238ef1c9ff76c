"""Who may call the admin API: access tokens, sessions, roles, and what other sites cannot do."""

import asyncio
import json
import re
from datetime import UTC, datetime

import pytest
from aiohttp import web

from admin_api.cookies import COOKIE
from admin_api.envelope import STATUS, Code
from admin_api.routes import ROUTES, Route, add_routes
from gateway.domain.rejection import Problem
from gateway.domain.roles import ROLES, Permission
from gateway.store.passwords import Passwords
from tests.admin import running_admin
from tests.conftest import DEAR_HASHER

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
NEW_PASSWORD = "three plain words"


async def log_in(admin, username, password, **headers):
    """The answer, and the headers of a call with the session."""
    body = {"username": username, "password": password}
    answer = await admin.bare("POST", "/api/user/login", body, headers=headers)
    value = answer.headers.get("Set-Cookie", "").partition(";")[0]
    return answer, {"Cookie": value}


async def test_an_access_token_opens_the_api_with_or_without_the_user_header(admin):
    for headers in ({}, {"New-Api-User": "1"}, {"New-Api-User": "01"}):
        assert (await admin.call("GET", "/api/token/", headers=headers)).status == 200
    bare = {"Authorization": admin.credentials.access_token}
    assert (await admin.bare("GET", "/api/token/", headers=bare)).status == 200
    lower = {"Authorization": f"bearer  {admin.credentials.access_token} "}
    assert (await admin.bare("GET", "/api/token/", headers=lower)).status == 200


async def test_a_wrong_user_header_is_401(admin):
    for claimed in ("2", "x", "", "-1", "1.0", "²", "9" * 5000):
        answer = await admin.call("GET", "/api/token/", headers={"New-Api-User": claimed})
        assert (answer.status, answer.body["code"]) == (401, "user_mismatch"), claimed[:20]


async def test_a_model_key_is_refused_with_the_reason(admin):
    answer = await admin.call("GET", "/api/token/", token=admin.credentials.key)
    assert (answer.status, answer.body["code"]) == (401, "model_key_not_accepted")
    assert "model key" in answer.message


BAD_AUTHORIZATIONS = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer tht_" + "a" * 49,
    "Bearer nonsense",
    "Basic YTpi",
    "Bearer täht",
]


async def test_a_bad_access_token_is_401_with_a_challenge(admin, subtests):
    for sent in BAD_AUTHORIZATIONS:
        with subtests.test(sent=sent):
            answer = await admin.bare("GET", "/api/token/", headers={"Authorization": sent})
            assert (answer.status, answer.body["code"]) == (401, "invalid_access_token")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    nothing = await admin.bare("GET", "/api/token/")
    assert (nothing.status, nothing.body["code"]) == (401, "not_authenticated")


async def test_an_access_token_ends_with_its_expiry(admin):
    past = datetime(2020, 1, 1, tzinfo=UTC)
    _, token = await admin.user("bob", expires_at=past)
    assert (await admin.call("GET", "/api/token/", token=token)).status == 401


async def test_scopes_confine_an_access_token(admin):
    _, token = await admin.user("bob", scopes=("token.read",))
    assert (await admin.call("GET", "/api/token/", token=token)).status == 200
    answer = await admin.call("POST", "/api/token/", {"name": "a"}, token=token)
    assert (answer.status, answer.body["code"]) == (403, "forbidden")
    assert "token.write" in answer.message


async def test_an_access_token_may_be_bound_to_addresses(admin):
    _, here = await admin.user("bob", allow_ips=("127.0.0.0/8",))
    _, elsewhere = await admin.user("eve", allow_ips=("203.0.113.0/24",))
    assert (await admin.call("GET", "/api/token/", token=here)).status == 200
    forged = {"X-Forwarded-For": "203.0.113.5"}
    answer = await admin.call("GET", "/api/token/", token=elsewhere, headers=forged)
    assert (answer.status, answer.body["code"]) == (403, "address_not_allowed")


async def test_a_trusted_proxy_tells_the_address(aiohttp_client, postgres_dsn):
    settings = {"admin": {"trusted_proxies": ["127.0.0.1"]}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        _, token = await admin.user("eve", allow_ips=("203.0.113.0/24",))
        headers = {"X-Forwarded-For": "203.0.113.5"}
        answer = await admin.call("GET", "/api/token/", token=token, headers=headers)
        assert answer.status == 200
        headers = {"X-Forwarded-For": "203.0.113.5, 198.51.100.1"}
        answer = await admin.call("GET", "/api/token/", token=token, headers=headers)
        assert answer.status == 403


async def test_only_the_configured_header_of_a_trusted_proxy_is_believed(
    aiohttp_client, postgres_dsn
):
    proxied = {"trusted_proxies": ["127.0.0.1"], "client_header": "forwarded"}
    async with running_admin(aiohttp_client, postgres_dsn, {"admin": proxied}) as admin:
        _, token = await admin.user("eve", allow_ips=("203.0.113.0/24",))
        for headers, status in (
            ({"Forwarded": "for=203.0.113.5;proto=https"}, 200),
            ({"Forwarded": "for=198.51.100.1", "X-Forwarded-For": "203.0.113.5"}, 403),
            ({"X-Forwarded-For": "203.0.113.5"}, 403),
            ({"Forwarded": "for=_hidden"}, 403),
        ):
            answer = await admin.call("GET", "/api/token/", token=token, headers=headers)
            assert answer.status == status, headers


async def test_a_disabled_user_is_403_at_once(admin):
    bob_id, token = await admin.user("bob", password="a long password")
    _, session = await log_in(admin, "bob", "a long password")
    await admin.pool.execute('UPDATE "user" SET status = 2 WHERE id = $1', bob_id)
    for answer in (
        await admin.call("GET", "/api/token/", token=token),
        await admin.bare("GET", "/api/token/", headers=session),
        (await log_in(admin, "bob", "a long password"))[0],
    ):
        assert (answer.status, answer.body["code"]) == (403, "user_disabled")


async def test_a_viewer_sees_everything_and_changes_nothing(admin):
    _, token = await admin.user("watcher", role="viewer")
    made = await admin.create()
    assert (await admin.call("GET", f"/api/token/{made['id']}", token=token)).status == 200
    assert (await admin.call("GET", "/api/token/?user_id=1", token=token)).data["total"] == 2
    answer = await admin.call("DELETE", f"/api/token/{made['id']}", token=token)
    assert answer.status == 403


async def test_an_operator_sees_all_tokens_and_changes_only_their_own(admin):
    _, token = await admin.user("op", role="operator")
    theirs = await admin.create()
    own = await admin.create(token=token)
    assert (await admin.call("GET", f"/api/token/{theirs['id']}", token=token)).status == 200
    assert (await admin.call("DELETE", f"/api/token/{theirs['id']}", token=token)).status == 404
    assert (await admin.call("DELETE", f"/api/token/{own['id']}", token=token)).status == 200


async def test_the_use_of_an_access_token_is_noted(admin):
    query = "SELECT last_used_at FROM access_token WHERE user_id = 1"
    assert await admin.pool.fetchval(query) is None
    await admin.call("GET", "/api/token/")
    first = await admin.pool.fetchval(query)
    assert first is not None
    await admin.call("GET", "/api/token/")
    assert await admin.pool.fetchval(query) == first


async def test_a_login_sets_a_cookie_that_scripts_and_other_sites_cannot_use(admin):
    await admin.user("bob", password="a long password")
    answer, session = await log_in(admin, "BOB", "a long password")
    assert answer.status == 200
    assert answer.data["username"] == "bob"
    attributes = {part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")[1:]}
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= attributes
    assert not any(part.startswith("domain") for part in attributes)
    assert answer.headers["Set-Cookie"].startswith(f"{COOKIE}=")
    shown = await admin.bare("GET", "/api/user/self", headers=session)
    assert (shown.status, shown.data["username"]) == (200, "bob")
    value = session["Cookie"].partition("=")[2]
    assert not [
        row for row in await admin.pool.fetch("SELECT * FROM session") if value in str(dict(row))
    ]


async def test_unknown_user_and_wrong_password_get_the_same_answer(admin):
    await admin.user("bob", password="a long password")
    await admin.user("nopass")
    answers = [
        (await log_in(admin, name, "wrong password"))[0] for name in ("bob", "nobody", "nopass")
    ]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.message for answer in answers}) == 1
    assert not any("Set-Cookie" in answer.headers for answer in answers)


async def test_guessing_is_slowed_and_the_right_password_waits_too(admin):
    await admin.user("bob", password="a long password")
    for _ in range(5):
        assert (await log_in(admin, "bob", "wrong"))[0].status == 401
    answer, _ = await log_in(admin, "bob", "a long password")
    assert (answer.status, answer.body["code"]) == (429, "too_many_attempts")
    assert int(answer.headers["Retry-After"]) >= 1
    other, _ = await log_in(admin, "admin", admin.credentials.password)
    assert other.status == 200


async def test_a_logout_ends_the_session(admin):
    await admin.user("bob", password="a long password")
    _, session = await log_in(admin, "bob", "a long password")
    answer = await admin.bare("POST", "/api/user/logout", headers=session | SAME_SITE)
    assert answer.status == 200
    assert "max-age=0" in answer.headers["Set-Cookie"].lower()
    assert (await admin.bare("GET", "/api/user/self", headers=session)).status == 401


ENDED = [
    "UPDATE session SET seen_at = now() - interval '31 minutes'",
    "UPDATE session SET expires_at = now() - interval '1 second'",
    "DELETE FROM session",
]


async def test_a_session_ends_when_idle_when_old_and_when_removed(admin, subtests):
    await admin.user("bob", password="a long password")
    for statement in ENDED:
        with subtests.test(statement=statement):
            _, session = await log_in(admin, "bob", "a long password")
            assert (await admin.bare("GET", "/api/user/self", headers=session)).status == 200
            await admin.pool.execute(statement)
            answer = await admin.bare("GET", "/api/user/self", headers=session)
            assert (answer.status, answer.body["code"]) == (401, "not_authenticated")


CROSS_SITE = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
]


async def test_other_sites_cannot_make_a_browser_change_anything(admin, subtests):
    await admin.user("bob", password="a long password")
    _, session = await log_in(admin, "bob", "a long password")
    for headers in CROSS_SITE:
        with subtests.test(headers=str(headers)):
            answer = await admin.bare(
                "POST", "/api/token/", {"name": "a"}, headers=session | headers
            )
            assert (answer.status, answer.body["code"]) == (403, "cross_site")
    own = f"http://{admin.client.host}:{admin.client.port}"
    for headers in (SAME_SITE, {"Origin": own}):
        answer = await admin.bare("POST", "/api/token/", {"name": "a"}, headers=session | headers)
        assert answer.status == 200
    form = session | SAME_SITE | {"Content-Type": "text/plain"}
    answer = await admin.bare("POST", "/api/token/", headers=form, data=b'{"name": "a"}')
    assert (answer.status, answer.body["code"]) == (415, "unsupported_media_type")


async def test_other_sites_cannot_log_a_browser_in(admin):
    password = admin.credentials.password
    foreign, _ = await log_in(admin, "admin", password, **{"Sec-Fetch-Site": "cross-site"})
    assert (foreign.status, foreign.body["code"]) == (403, "cross_site")
    form = {"Content-Type": "text/plain"}
    answer = await admin.bare("POST", "/api/user/login", headers=form, data=b"{}")
    assert answer.status == 415


async def test_a_one_time_password_only_lets_its_owner_choose_another(admin):
    answer, session = await log_in(admin, "admin", admin.credentials.password)
    assert answer.data["password_change_required"] is True
    headers = session | SAME_SITE
    refused = await admin.bare("GET", "/api/token/", headers=headers)
    assert (refused.status, refused.body["code"]) == (403, "password_change_required")
    assert (await admin.bare("GET", "/api/user/self", headers=headers)).status == 200
    body = {"original_password": admin.credentials.password, "password": NEW_PASSWORD}
    changed = await admin.bare("PUT", "/api/user/self", body, headers=headers)
    assert changed.status == 200
    assert (await admin.bare("GET", "/api/token/", headers=headers)).status == 401
    renewed = {"Cookie": changed.headers["Set-Cookie"].partition(";")[0]}
    assert (await admin.bare("GET", "/api/token/", headers=renewed)).status == 200
    assert (await log_in(admin, "admin", admin.credentials.password))[0].status == 401
    again, _ = await log_in(admin, "admin", NEW_PASSWORD)
    assert again.data["password_change_required"] is False
    assert (await admin.call("GET", "/api/token/")).status == 200


BAD_PASSWORDS = [
    ({"password": NEW_PASSWORD}, 422, "original_password: is required"),
    ({"original_password": "wrong", "password": NEW_PASSWORD}, 403, "not your present"),
    ({"original_password": "a long password", "password": "short"}, 422, "12 to 256"),
    ({"original_password": "a long password", "password": "x" * 257}, 422, "12 to 256"),
    ({"original_password": "a long password", "password": "a long password"}, 422, "have now"),
    ({"original_password": "a long password", "password": "bob-the-builder"}, 422, "username"),
    ({}, 422, "send at least one of them"),
    ({"role": "owner"}, 422, "role: there is no such field"),
]


async def test_a_bad_new_password_changes_nothing(admin, subtests):
    _, token = await admin.user("Bob-the-builder", password="a long password")
    for body, status, said in BAD_PASSWORDS:
        with subtests.test(said=said):
            answer = await admin.call("PUT", "/api/user/self", body, token=token)
            assert answer.status == status
            assert said in answer.message
    assert (await log_in(admin, "bob-the-builder", "a long password"))[0].status == 200


async def test_self_shows_the_account_in_units(admin):
    bob_id, token = await admin.user("bob")
    await admin.pool.execute(
        """UPDATE account SET granted = 10000, used = 4001
            WHERE id = (SELECT account_id FROM "user" WHERE id = $1)""",
        bob_id,
    )
    data = (await admin.call("GET", "/api/user/self", token=token)).data
    assert (data["quota"], data["used_quota"], data["unlimited_quota"]) == (2, 3, False)
    renamed = await admin.call("PUT", "/api/user/self", {"display_name": " Bob "}, token=token)
    assert renamed.status == 200
    data = (await admin.call("GET", "/api/user/self", token=token)).data
    assert (data["display_name"], data["role"], data["group"]) == ("Bob", "user", "default")
    assert (await admin.call("GET", "/api/user/self")).data["unlimited_quota"] is True


async def test_status_and_page_need_nobody_and_name_the_addresses(aiohttp_client, postgres_dsn):
    settings = {
        "gateway": {"public_url": "https://llm.example/"},
        "admin": {"public_url": 'https://admin.example/"><script>'},
    }
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        data = (await admin.bare("GET", "/api/status")).data
        assert data["quota_per_unit"] == 500_000
        assert data["openai_base_url"] == "https://llm.example/v1"
        async with admin.client.get("/") as page:
            text = await page.text()
            policy = page.headers["Content-Security-Policy"]
        assert "<script>" not in text
        assert "$" not in text
        assert "default-src 'none'" in policy
        async with admin.client.head("/api/status") as head:
            assert head.status == 200


async def test_a_fault_of_ours_tells_the_caller_nothing_but_where_to_look(admin, caplog):
    await admin.pool.execute("ALTER TABLE token RENAME COLUMN deleted_at TO gone_at")
    answer = await admin.call("GET", "/api/token/")
    assert (answer.status, answer.body["code"]) == (500, "internal_error")
    assert answer.headers["X-Request-Id"] in answer.message
    assert "title" not in answer.message
    assert "UndefinedColumnError" in caplog.text


async def test_parallel_logins_are_bounded(admin, monkeypatch):
    monkeypatch.setattr(Passwords, "hasher", DEAR_HASHER)
    answers = await asyncio.gather(*(log_in(admin, f"nobody{n}", "wrong") for n in range(60)))
    statuses = [answer.status for answer, _ in answers]
    assert set(statuses) == {401, 429}
    assert statuses.count(401) >= 32


def test_a_route_without_a_permission_stops_the_start():
    async def handler(request):
        return web.Response()

    with pytest.raises(RuntimeError, match="GET /x declares no permission"):
        add_routes(web.Application(), [Route("GET", "/x", handler, None)])
    app = web.Application()
    app.router.add_get("/stray", handler)
    with pytest.raises(RuntimeError, match="stand in no table"):
        add_routes(app, [Route("GET", "/x", handler, Permission.PUBLIC)])


async def test_every_route_but_the_public_ones_needs_a_caller(admin, subtests):
    for route in ROUTES:
        with subtests.test(route=f"{route.method} {route.path}"):
            path = re.sub(r"{\w+:[^}]*}", "1", route.path)
            answer = admin.client.request(route.method, path, data=b"", allow_redirects=False)
            async with answer as response:
                protected = route.permission is not Permission.PUBLIC
                assert (response.status == 401) == protected


async def test_every_route_is_open_to_the_roles_of_its_permission_alone(admin, subtests):
    """K10: each role calls each route; what a route asks for decides, and nothing else does."""
    nobody = str(2**62)
    for role, permissions in ROLES.items():
        _, token = await admin.user(f"some-{role}", role=role)
        for route in ROUTES:
            if route.permission is Permission.PUBLIC:
                continue
            with subtests.test(role=role, route=f"{route.method} {route.path}"):
                path = re.sub(r"{\w+:[^}]*}", nobody, route.path)
                headers = {"Authorization": f"Bearer {token}"}
                async with admin.client.request(
                    route.method, path, data=b"", headers=headers, allow_redirects=False
                ) as response:
                    body = await response.json() if response.status >= 400 else {}
                forbidden = body.get("code") == "forbidden"
                assert forbidden == (route.permission not in permissions), (response.status, body)


async def test_every_answer_tells_browsers_to_run_and_frame_nothing_else(
    aiohttp_client, postgres_dsn
):
    """C05, C07: errors, too; and no other origin may read an answer."""
    settings = {"admin": {"public_url": "https://admin.example"}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        for path in (
            "/",
            "/api/docs",
            "/api/status",
            "/api/token",
            "/nowhere",
            "/api/logo",
            "/link",
        ):
            headers = {"Origin": "https://evil.example"}
            async with admin.client.get(path, headers=headers, allow_redirects=False) as answer:
                told = answer.headers
            assert "default-src 'none'" in told["Content-Security-Policy"], path
            assert "frame-ancestors 'none'" in told["Content-Security-Policy"], path
            assert told["X-Content-Type-Options"] == "nosniff"
            assert told["Referrer-Policy"] == "no-referrer"
            assert told["Cross-Origin-Opener-Policy"] == "same-origin"
            assert told["Strict-Transport-Security"].startswith("max-age=")
            assert not [name for name in told if name.lower().startswith("access-control-")]


async def test_a_change_that_cannot_be_audited_is_not_made(admin):
    """K17."""
    made = await admin.create()
    before = await everything(admin)
    await admin.pool.execute("ALTER TABLE audit RENAME TO elsewhere")
    for method, path, body in (
        ("POST", "/api/token", {"name": "another"}),
        ("PATCH", f"/api/token/{made['id']}", {"name": "renamed"}),
        ("DELETE", f"/api/token/{made['id']}", None),
        ("POST", "/api/upstream", {"name": "u", "base_url": "https://1.1.1.1/v1"}),
        ("POST", "/api/user", {"username": "bob", "role": "user"}),
    ):
        assert (await admin.call(method, path, body)).status == 500, path
    assert await everything(admin) == before


async def everything(admin):
    """What the calls above would change."""
    return [
        await admin.pool.fetch(f'SELECT * FROM "{table}" ORDER BY 1')
        for table in ("token", "token_secret", "upstream", "user", "grant_entry")
    ]


async def test_a_stored_digest_opens_nothing(admin):
    """K12: what a thief of the database has is not what the API takes."""
    await admin.user("bob", password="a long password")
    stored = await admin.pool.fetchval(
        """SELECT password_hash FROM "user" WHERE username = 'bob'"""
    )
    answer, _ = await log_in(admin, "bob", stored)
    assert answer.status == 401
    for digest in await admin.pool.fetch("SELECT digest FROM access_token"):
        for form in (digest[0].hex(), "tht_" + digest[0].hex()):
            answer = await admin.call("GET", "/api/token", token=form)
            assert answer.status == 401
    for path in ("/api/user", "/api/user/self", "/api/token", "/api/audit"):
        body = json.dumps((await admin.call("GET", path)).body)
        assert stored not in body
        assert "argon2" not in body


def test_every_code_has_a_status():
    assert set(STATUS) == {*Code, *Problem}
