"""The console's files over HTTP: kept for good under an address that changes with them, and inert in any other page."""

import re

import pytest

from admin_api.console.files import CONSOLE

PAGES = ("/", "/link")


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_runs_our_own_scripts_alone(admin, path):
    async with admin.client.get(path) as answer:
        text = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
    assert answer.content_type == "text/html"
    assert "unsafe" not in policy
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= {
        *policy.split("; ")
    }
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", text)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_asked_for_each_time_and_its_files_once(admin, path):
    async with admin.client.get(path) as answer:
        assert answer.headers["Cache-Control"] in {"no-cache", "no-store"}
        addresses = set(re.findall(r'(?:src|href)="(/console/[^"]+)"', await answer.text()))
    assert addresses
    for address in addresses:
        async with admin.client.get(address) as file:
            assert file.status == 200
            assert "immutable" in file.headers["Cache-Control"]
            assert file.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_file_is_sent_compressed_to_whoever_takes_that(admin):
    address = CONSOLE.address("main.js")
    plain = {"Accept-Encoding": "identity"}
    async with (
        admin.client.get(address, auto_decompress=False) as packed,
        admin.client.get(address, headers=plain) as whole,
    ):
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in whole.headers
        assert packed.headers["Vary"] == whole.headers["Vary"] == "Accept-Encoding"
        assert len(await packed.read()) < len(await whole.read())


@pytest.mark.parametrize(
    "address",
    [
        "/console/000000000000/main.js",
        CONSOLE.address("nothing.js"),
        CONSOLE.address("../files.py"),
        CONSOLE.address("%2e%2e/files.py"),
        CONSOLE.address("vendor/preact.licence"),
    ],
)
async def test_what_is_no_file_of_this_release_is_not_found(admin, address):
    async with admin.client.get(address) as answer:
        assert answer.status == 404
        assert (await answer.json())["code"] == "unknown_url"
