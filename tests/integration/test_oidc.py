"""Signing in with an OpenID provider: a real one, with PKCE, in a process of its own."""

import asyncio
import contextlib
import dataclasses
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc.jwk import KeySet, RSAKey

from admin_api.context import SERVICES
from gateway.config import ServiceSecrets
from tests.admin import running_admin
from tests.integration.test_admin_auth import SAME_SITE
from tests.oidc_server import provider_running

ADA = {"email": "ada@example.com", "email_verified": True, "preferred_username": "ada"}
COOKIE = "__Host-tollhouse-signin"


@pytest.fixture(scope="module")
def issuer():
    with provider_running() as url:
        yield url


@pytest.fixture
async def browser():
    """Somebody's browser, for what is not ours."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def with_settings(aiohttp_client, postgres_dsn, issuer, browser):
    @contextlib.asynccontextmanager
    async def running(*, secret="any", admin=None, **settings):
        oidc = {"issuer": issuer, "client_id": "tollhouse", **settings}
        whole = {"oidc": oidc, "admin": {"registration": "open", **(admin or {})}}
        secrets = ServiceSecrets(oidc_client_secret=secret)
        started = running_admin(aiohttp_client, postgres_dsn, whole, service_secrets=secrets)
        async with started as running_app:
            yield Person(running_app, browser, issuer)

    return running


class Person:
    """Somebody with a browser in front of the app and the provider."""

    def __init__(self, admin, browser, issuer):
        self.admin, self.browser, self.issuer = admin, browser, issuer

    async def is_known(self, subject, **claims):
        """At the provider."""
        url = f"{self.issuer}/users/{quote(subject)}"
        async with self.browser.put(url, json=claims) as answer:
            assert answer.status == 204

    async def begin(self, query=""):
        """At our log-in; the provider's URL, and the cookie."""
        path = f"/api/oidc/login{query}"
        async with self.admin.client.get(path, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
            return answer.headers["Location"], answer.headers["Set-Cookie"].partition(";")[0]

    async def agree(self, url, subject):
        """At the provider; the query that it sends the browser back with."""
        form = {"sub": subject} if subject else {"action": "deny"}
        async with self.browser.post(url, data=form, allow_redirects=False) as answer:
            assert answer.status == 302, await answer.text()
            back = urlsplit(answer.headers["Location"])
            assert back.path == "/api/oidc/callback"
            return back.query

    async def come_back(self, query, cookie):
        return await self.admin.bare(
            "GET", f"/api/oidc/callback?{query}", headers={"Cookie": cookie}
        )

    async def sign_in(self, subject, query=""):
        """All three; the last answer."""
        url, cookie = await self.begin(query)
        return await self.come_back(await self.agree(url, subject), cookie)

    async def profile(self, answer):
        """Who the session of an answer is."""
        assert answer.status == 303, answer.body
        cookies = [each.partition(";")[0] for each in answer.headers.getall("Set-Cookie")]
        assert f"{COOKIE}=" in "".join(cookies)
        session = {"Cookie": "; ".join(cookies), **SAME_SITE}
        return (await self.admin.bare("GET", "/api/user/self", headers=session)).data

    def rows(self, table):
        return self.admin.pool.fetchval(f'SELECT count(*) FROM "{table}"')


def declined(answer):
    return answer.status, answer.body["code"]


async def test_a_newcomer_becomes_a_user_once_and_is_known_again(with_settings):
    async with with_settings(admin={"registration_grant_usd": 5}) as person:
        await person.is_known("sub-1", **ADA)
        own = await person.profile(await person.sign_in("sub-1"))
        assert (own["username"], own["email"]) == ("ada", "ada@example.com")
        assert (own["email_verified"], own["quota"]) == (True, 2_500_000)
        await person.is_known("sub-1", **ADA | {"email": "other@example.com"})
        again = await person.profile(await person.sign_in("sub-1"))
        assert again["id"] == own["id"]
        assert await person.rows("user") == 2
        status = (await person.admin.bare("GET", "/api/status")).data
        assert status["oidc_providers"][0]["login_url"].endswith("/api/oidc/login")


async def test_the_provider_is_asked_with_pkce_state_and_nonce_which_only_the_cookie_knows(
    with_settings,
):
    async with with_settings() as person:
        url, cookie = await person.begin()
        asked = parse_qs(urlsplit(url).query)
        assert asked["response_type"] == ["code"]
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["scope"] == ["openid email profile"]
        for name in ("state", "nonce", "code_challenge"):
            assert len(asked[name][0]) == 43
            assert asked[name][0] not in cookie


async def test_an_answer_without_its_browser_is_refused(with_settings):
    async with with_settings() as person:
        await person.is_known("sub-1", **ADA)
        url, cookie = await person.begin()
        query = await person.agree(url, "sub-1")
        _, of_another = await person.begin()
        for wrong in ("", f"{COOKIE}=x", f"{COOKIE}=", f"{COOKIE}=ä", of_another):
            assert declined(await person.come_back(query, wrong)) == (403, "sign_in_failed")
        person.admin.clock[0] += 601
        assert declined(await person.come_back(query, cookie)) == (403, "sign_in_failed")
        person.admin.clock[0] -= 601
        assert (await person.come_back(query, cookie)).status == 303
        again = await person.come_back(query, cookie)
        assert declined(again) == (403, "sign_in_failed")  # a code is for one use
        assert await person.rows("user") == 2


async def test_a_code_of_another_sign_in_is_refused(with_settings):
    async with with_settings() as person:
        for subject in ("sub-1", "sub-2"):
            await person.is_known(subject, **ADA | {"email": f"{subject}@example.com"})
        url, cookie = await person.begin()
        other, _ = await person.begin()
        stolen = parse_qs(await person.agree(other, "sub-2"))["code"][0]
        state = parse_qs(urlsplit(url).query)["state"][0]
        answer = await person.come_back(f"code={stolen}&state={state}", cookie)
        assert declined(answer) == (403, "sign_in_failed")
        assert await person.rows("user") == 1


async def test_who_says_no_at_the_provider_is_not_signed_in(with_settings):
    async with with_settings() as person:
        url, cookie = await person.begin()
        state = parse_qs(urlsplit(url).query)["state"][0]
        query = f"{await person.agree(url, None)}&state={state}"
        answer = await person.come_back(query, cookie)
        assert declined(answer) == (403, "sign_in_failed")
        assert "access_denied" in answer.message


async def test_a_wrong_client_secret_is_refused_and_a_right_one_taken(
    with_settings, browser, issuer
):
    redirect = "http://127.0.0.1:8081/api/oidc/callback"
    client = {"redirect_uris": [redirect], "token_endpoint_auth_method": "client_secret_basic"}
    async with browser.post(f"{issuer}/oauth2/clients", json=client) as answer:
        made = await answer.json()
    for secret, status in ((made["client_secret"], 303), ("wrong", 403)):
        settings = {"client_id": made["client_id"], "client_secret_env": "X"}
        async with with_settings(secret=secret, **settings) as person:
            await person.is_known("sub-1", **ADA)
            assert (await person.sign_in("sub-1")).status == status


async def test_an_address_that_only_the_userinfo_endpoint_tells_counts(with_settings):
    async with with_settings() as person:
        await person.is_known("quiet-1", **ADA)
        own = await person.profile(await person.sign_in("quiet-1"))
        assert (own["username"], own["email"]) == ("ada", "ada@example.com")


async def test_a_provider_that_signs_with_new_keys_is_believed(with_settings):
    async with with_settings() as person:
        await person.is_known("sub-1", **ADA)
        url, cookie = await person.begin()
        provider = person.admin.client.app[SERVICES].provider
        old = KeySet([RSAKey.generate_key(2048)])
        provider._known = dataclasses.replace(provider._known, keys=old)
        answer = await person.come_back(await person.agree(url, "sub-1"), cookie)
        assert answer.status == 303


# Whom somebody is linked to


async def test_a_verified_address_links_to_the_user_who_has_verified_it(with_settings):
    async with with_settings(create_users="never") as person:
        user_id, _ = await person.admin.user("ada-l")
        await person.admin.pool.execute(
            """UPDATE "user" SET email = 'Ada@example.com', email_verified_at = now() WHERE id = $1""",
            user_id,
        )
        await person.is_known("sub-1", **ADA)
        assert (await person.profile(await person.sign_in("sub-1")))["id"] == user_id


@pytest.mark.parametrize("side", ["ours", "theirs"])
async def test_an_address_that_one_side_has_not_verified_links_nobody(with_settings, side):
    async with with_settings() as person:
        user_id, _ = await person.admin.user("mallory")
        verified = "now()" if side == "theirs" else "NULL"
        await person.admin.pool.execute(
            f"UPDATE \"user\" SET email = 'ada@example.com', email_verified_at = {verified} WHERE id = $1",
            user_id,
        )
        await person.is_known("sub-1", **ADA | {"email_verified": side == "ours"})
        answer = await person.sign_in("sub-1")
        if side == "ours":
            assert declined(answer) == (409, "email_taken")
        else:
            own = await person.profile(answer)
            assert (own["id"] != user_id, own["email"]) == (True, None)


async def test_unknown_people_become_users_only_where_the_operator_wants_it(
    with_settings, subtests
):
    cases = [
        ("never", "open", "sign_in_failed"),
        ("registration", "closed", "registration_closed"),
        ("registration", "invite", "registration_closed"),
        ("always", "closed", None),
    ]
    for create, mode, code in cases:
        with subtests.test(create=create, mode=mode):
            async with with_settings(create_users=create, admin={"registration": mode}) as person:
                await person.is_known("sub-1", **ADA)
                answer = await person.sign_in("sub-1")
                assert answer.status == 303 if code is None else declined(answer) == (403, code)


async def test_an_invite_is_used_on_the_way(aiohttp_client, with_settings):
    async with with_settings(admin={"registration": "invite"}) as person:
        body = {"role": "operator", "account_id": 1}
        made = (await person.admin.call("POST", "/api/invite", body)).data
        await person.is_known("sub-1", **ADA)
        query = f"?invite={made['invite']}"
        own = await person.profile(await person.sign_in("sub-1", query))
        assert (own["role"], own["account_id"]) == ("operator", 1)
        await person.is_known("sub-2", **ADA | {"email": "eve@example.com"})
        assert declined(await person.sign_in("sub-2", query)) == (410, "invalid_invite")


async def test_only_verified_addresses_of_allowed_domains_sign_in(with_settings):
    async with with_settings(allowed_domains=["Example.com"]) as person:
        await person.is_known("in", **ADA)
        assert (await person.sign_in("in")).status == 303
        await person.is_known("out", **ADA | {"email": "ada@example.com.evil.test"})
        await person.is_known("unverified", **ADA | {"email_verified": False})
        for subject in ("out", "unverified"):
            assert declined(await person.sign_in(subject)) == (403, "sign_in_failed")
        await person.is_known("in", **ADA | {"email": "ada@elsewhere.test"})
        assert declined(await person.sign_in("in")) == (403, "sign_in_failed")


async def test_a_disabled_user_does_not_get_in(with_settings):
    async with with_settings() as person:
        await person.is_known("sub-1", **ADA)
        await person.sign_in("sub-1")
        await person.admin.pool.execute("""UPDATE "user" SET status = 2 WHERE username = 'ada'""")
        assert declined(await person.sign_in("sub-1")) == (403, "user_disabled")


async def test_a_deleted_user_begins_anew(with_settings):
    async with with_settings() as person:
        await person.is_known("sub-1", **ADA)
        first = await person.profile(await person.sign_in("sub-1"))
        await person.admin.pool.execute(
            'UPDATE "user" SET deleted_at = now() WHERE id = $1', first["id"]
        )
        second = await person.profile(await person.sign_in("sub-1"))
        assert second["id"] != first["id"]


async def test_a_name_that_is_taken_gets_a_number(with_settings):
    async with with_settings() as person:
        for number in range(12):
            email = f"ada{number}@example.com"
            await person.is_known(f"sub-{number}", **ADA | {"email": email})
            assert (await person.sign_in(f"sub-{number}")).status == 303
        names = await person.admin.pool.fetch('SELECT username FROM "user" ORDER BY id')
        assert [row["username"] for row in names][1:4] == ["ada", "ada-2", "ada-3"]
        assert len({row["username"] for row in names}) == 13


async def test_two_first_sign_ins_at_once_make_one_user(with_settings):
    async with with_settings() as person:
        await person.is_known("sub-1", **ADA)
        answers = await asyncio.gather(*(person.sign_in("sub-1") for _ in range(4)))
        assert [answer.status for answer in answers] == [303] * 4
        assert await person.rows("user") == 2


# Where it does not work


async def test_a_browser_that_is_refused_gets_a_page_that_says_why(with_settings):
    async with with_settings() as person:
        path = "/api/oidc/callback?error=%3Cscript%3E"
        async with person.admin.client.get(path, headers={"Accept": "text/html"}) as answer:
            assert (answer.status, answer.content_type) == (403, "text/html")
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
            text = await answer.text()
        assert (
            '<meta name="refused" content="sign_in_failed" data-message="Signing in failed' in text
        )
        assert "<script>" not in text


async def test_without_a_provider_it_says_so(aiohttp_client, postgres_dsn):
    async with running_admin(aiohttp_client, postgres_dsn) as admin:
        for path in ("/api/oidc/login", "/api/oidc/callback"):
            assert declined(await admin.bare("GET", path)) == (409, "sign_in_not_set_up")
        assert (await admin.bare("GET", "/api/status")).data["oidc_providers"] == []


async def test_a_provider_that_is_away_or_another_is_told(aiohttp_client, postgres_dsn, issuer):
    for wrong in ("http://127.0.0.1:9", f"{issuer}/", f"{issuer}/elsewhere"):
        settings = {"oidc": {"issuer": wrong, "client_id": "tollhouse"}}
        async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
            answer = await admin.bare("GET", "/api/oidc/login")
            assert declined(answer) == (503, "provider_unavailable")


async def test_a_token_is_never_sent_where_the_provider_does_not_speak_https(
    aiohttp_client, postgres_dsn, caplog
):
    told = {"userinfo_endpoint": "ftp://provider.example/me"}

    async def metadata(_: web.Request) -> web.Response:
        return web.json_response(told)

    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", metadata)
    async with TestServer(app) as server:
        issuer = str(server.make_url("/")).rstrip("/")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            told[name] = f"{issuer}/{name}"
        told["issuer"] = issuer
        settings = {"oidc": {"issuer": issuer, "client_id": "tollhouse"}}
        async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
            answer = await admin.bare("GET", "/api/oidc/login")
            assert declined(answer) == (503, "provider_unavailable")
    assert "its userinfo_endpoint is no https:// URL" in caplog.text


async def test_a_name_that_leads_inside_is_not_called(aiohttp_client, postgres_dsn, caplog):
    settings = {"oidc": {"issuer": "https://ip6-localhost", "client_id": "tollhouse"}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        answer = await admin.bare("GET", "/api/oidc/login")
        assert declined(answer) == (503, "provider_unavailable")
    assert "oidc.allow_cidrs" in caplog.text or "Cannot connect" in caplog.text
