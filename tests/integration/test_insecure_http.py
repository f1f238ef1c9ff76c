"""`admin.insecure_http`: a session over plain http, for callers on private networks, and for nobody else."""

import pytest

from admin_api.cookies import COOKIE, PLAIN_COOKIE
from gateway.domain.network import is_private, parse_address
from tests.admin import running_admin

PASSWORD = "a long password"
INSECURE = {"insecure_http": True}
BEHIND = INSECURE | {"trusted_proxies": ["127.0.0.1"]}
AT_HOME = {"X-Forwarded-For": "192.168.1.5"}


@pytest.fixture
def running(aiohttp_client, postgres_dsn):
    return lambda **admin: running_admin(aiohttp_client, postgres_dsn, {"admin": admin})


async def log_in(admin, **headers):
    """The cookie that a log-in sets, and its attributes."""
    if not await admin.pool.fetchval("""SELECT count(*) FROM "user" WHERE username = 'bob'"""):
        await admin.user("bob", password=PASSWORD)
    body = {"username": "bob", "password": PASSWORD}
    answer = await admin.bare("POST", "/api/user/login", body, headers=headers)
    assert answer.status == 200
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    return cookie, {each.lower() for each in attributes}


async def seen(admin, cookie, **headers):
    sent = {"Cookie": cookie} | headers
    return (await admin.bare("GET", "/api/user/self", headers=sent)).status


async def told(admin, **headers):
    return (await admin.bare("GET", "/api/status", headers=headers)).data["insecure_http"]


async def test_with_the_setting_a_private_address_gets_a_plain_cookie_and_may_use_it(running):
    async with running(**INSECURE) as admin:
        cookie, attributes = await log_in(admin)
        assert cookie.startswith(f"{PLAIN_COOKIE}=")
        assert "secure" not in attributes
        assert {"httponly", "samesite=lax", "path=/"} <= attributes
        assert await seen(admin, cookie) == 200
        assert await told(admin) is True
        origin = str(admin.client.make_url("")).rstrip("/")
        answer = await admin.bare(
            "POST", "/api/user/logout", headers={"Cookie": cookie, "Origin": origin}
        )
        assert answer.headers["Set-Cookie"].startswith(f'{PLAIN_COOKIE}="";')
        assert await seen(admin, cookie) == 401


async def test_without_the_setting_a_plain_cookie_is_neither_set_nor_taken(running):
    async with running() as admin:
        cookie, attributes = await log_in(admin)
        assert cookie.startswith(f"{COOKIE}=")
        assert "secure" in attributes
        assert await seen(admin, cookie) == 200
        plain = cookie.replace(COOKIE, PLAIN_COOKIE)
        assert await seen(admin, plain) == 401
        assert await told(admin) is False


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        (BEHIND, {"X-Forwarded-For": "203.0.113.7"}),
        (BEHIND, AT_HOME | {"X-Forwarded-Proto": "https"}),
        (BEHIND, AT_HOME | {"Forwarded": 'for=192.168.1.5;proto="https"'}),
        (BEHIND, {"X-Forwarded-For": "nonsense"}),
        (INSECURE, AT_HOME),  # of a proxy that nobody trusts
        (INSECURE, {"X-Forwarded-Proto": "http"}),
        (INSECURE, {"X-Forwarded-Proto": "https"}),
    ],
)
async def test_whoever_is_elsewhere_over_https_or_behind_a_strange_proxy_gets_the_strict_one(
    running, settings, headers
):
    async with running(**settings) as admin:
        cookie, attributes = await log_in(admin, **headers)
        assert cookie.startswith(f"{COOKIE}=")
        assert "secure" in attributes
        assert await seen(admin, cookie.replace(COOKIE, PLAIN_COOKIE), **headers) == 401
        assert await told(admin, **headers) is False


async def test_a_page_over_https_gets_the_strict_one_even_if_its_proxy_does_not_say(running):
    async with running(**BEHIND, public_url="https://admin.example") as admin:
        headers = AT_HOME | {"Origin": "https://admin.example"}
        cookie, _ = await log_in(admin, **headers)
        assert cookie.startswith(f"{COOKIE}=")


async def test_behind_a_trusted_proxy_a_private_address_over_http_gets_a_plain_one(running):
    async with running(**BEHIND) as admin:
        headers = AT_HOME | {"X-Forwarded-Proto": "http"}
        cookie, _ = await log_in(admin, **headers)
        assert cookie.startswith(f"{PLAIN_COOKIE}=")
        assert await seen(admin, cookie, **headers) == 200
        # The same cookie from elsewhere opens nothing.
        assert await seen(admin, cookie, **{"X-Forwarded-For": "203.0.113.7"}) == 401


async def test_the_strict_cookie_is_taken_with_the_setting_too(running):
    async with running(**BEHIND) as admin:
        cookie, _ = await log_in(admin, **{"X-Forwarded-For": "203.0.113.7"})
        assert await seen(admin, cookie, **AT_HOME) == 200


@pytest.mark.parametrize(
    ("text", "private"),
    [
        *((each, True) for each in ("10.1.2.3", "172.31.0.1", "192.168.0.1", "127.0.0.1")),
        *((each, True) for each in ("169.254.1.1", "::1", "fd00::1", "fe80::1%eth0")),
        *((each, True) for each in ("::ffff:10.0.0.1",)),
        *((each, False) for each in ("172.32.0.1", "100.64.0.1", "203.0.113.1", "2001:db8::1")),
        *((each, False) for each in ("::ffff:8.8.8.8", "0.0.0.0", "::")),
    ],
)
def test_private_are_networks_that_the_internet_does_not_reach(text, private):
    assert is_private(parse_address(text)) is private
