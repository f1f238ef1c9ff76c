"""What operators say of their console: `/api/status` tells it, the logo is served as an inert picture."""

import pytest

from gateway.config import ConfigError
from tests.admin import running_admin

SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


async def test_status_tells_name_language_notice_and_currency(aiohttp_client, postgres_dsn):
    console = {
        "name": "Acme AI",
        "language": "zh",
        "notice": "Maintenance on Sunday",
        "currency": "CNY",
        "currency_per_usd": "7.1",
    }
    async with running_admin(aiohttp_client, postgres_dsn, {"console": console}) as admin:
        told = (await admin.bare("GET", "/api/status")).data
    assert (told["system_name"], told["language"]) == ("Acme AI", "zh")
    assert told["notice"] == "Maintenance on Sunday"
    assert told["currency"] == {"code": "CNY", "rate": 7.1}


async def test_without_settings_it_is_tollhouse_in_english_and_dollars(
    aiohttp_client, postgres_dsn
):
    async with running_admin(aiohttp_client, postgres_dsn) as admin:
        told = (await admin.bare("GET", "/api/status")).data
        missing = await admin.bare("GET", "/console/logo")
    assert (told["system_name"], told["language"], told["notice"]) == ("Tollhouse", "en", "")
    assert told["currency"] == {"code": "USD", "rate": 1}
    assert told["logo"] is None
    assert (missing.status, missing.body["code"]) == (404, "unknown_url")


@pytest.mark.parametrize(("content", "kind"), [(SVG, "image/svg+xml"), (PNG, "image/png")])
async def test_a_logo_is_served_so_that_it_runs_and_loads_nothing(
    content, kind, aiohttp_client, postgres_dsn, tmp_path
):
    path = tmp_path / "logo"
    path.write_bytes(content)
    settings = {"console": {"logo": str(path)}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        address = (await admin.bare("GET", "/api/status")).data["logo"]
        async with admin.client.get(address) as answer:
            assert answer.status == 200
            assert await answer.read() == content
            assert answer.headers["Content-Type"] == kind
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "sandbox" in policy


async def test_another_logo_has_another_address(aiohttp_client, postgres_dsn, tmp_path):
    path, seen = tmp_path / "logo.svg", set()
    for content in (b"<svg/>", b"<svg></svg>"):
        path.write_bytes(content)
        settings = {"console": {"logo": str(path)}}
        async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
            seen.add((await admin.bare("GET", "/api/status")).data["logo"])
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"<svg>" + bytes(65_536), "is larger than 65536 bytes"),
        (b"<html></html>", "is neither an SVG nor a PNG file"),
        (b"GIF89a\xff", "is neither an SVG nor a PNG file"),
    ],
)
async def test_what_is_no_logo_stops_the_start_and_says_why(
    content, said, aiohttp_client, postgres_dsn, tmp_path
):
    path = tmp_path / "logo.svg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        async with running_admin(aiohttp_client, postgres_dsn, {"console": {"logo": str(path)}}):
            pass


async def test_ones_profile_tells_the_address_that_the_call_came_from(admin):
    assert (await admin.call("GET", "/api/user/self")).data["address"] == "127.0.0.1"


async def test_behind_a_trusted_proxy_it_is_the_address_that_the_proxy_tells(
    aiohttp_client, postgres_dsn
):
    settings = {"admin": {"trusted_proxies": ["127.0.0.1"]}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        for told, seen in (("203.0.113.7", "203.0.113.7"), ("nonsense", None)):
            answer = await admin.call("GET", "/api/user/self", headers={"X-Forwarded-For": told})
            assert answer.data["address"] == seen
