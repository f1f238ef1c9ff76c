"""Where an access token may be sent, and how a command finds its admin API."""

import json
from pathlib import Path

import pytest

from gateway.commands.errors import WrongUse
from gateway.commands.reach import beside_run, by_environment, check_url
from gateway.config import load

TOKEN = "tht_secret"


def environment(url: str = "", token: str = TOKEN) -> dict[str, str]:
    return {"TOLLHOUSE_ADMIN_URL": url, "TOLLHOUSE_ACCESS_TOKEN": token}


@pytest.mark.parametrize(
    "url",
    [
        "https://admin.example.com",
        "https://admin.example.com/tollhouse/",
        "http://127.0.0.1:8081",
        "http://127.8.9.1",
        "http://[::1]:8081",
        "http://localhost:8081",
    ],
)
def test_an_access_token_is_sent_over_https_and_to_this_machine(url):
    check_url(url, insecure=False)


@pytest.mark.parametrize(
    "url", ["http://admin.example.com", "http://10.0.0.1:8081", "http://localhost.example.com"]
)
def test_plain_http_to_another_machine_needs_insecure(url):
    with pytest.raises(WrongUse, match="not sent over plain http"):
        check_url(url, insecure=False)
    check_url(url, insecure=True)


@pytest.mark.parametrize(
    "url",
    [
        "admin.example.com",
        "ftp://admin.example.com",
        "https://",
        "https://[::1",
        "https://admin.example.com:port",
        "https://admin.example.com?x=1",
        "https://eva:secret@admin.example.com",
    ],
)
def test_what_is_no_address_is_refused_without_being_shown(url):
    with pytest.raises(WrongUse, match="TOLLHOUSE_ADMIN_URL") as refused:
        check_url(url, insecure=True)
    assert "secret" not in str(refused.value)


def test_both_variables_are_given_or_neither():
    assert by_environment({}, insecure=False) is None
    with pytest.raises(WrongUse, match="TOLLHOUSE_ADMIN_URL is not"):
        by_environment(environment(), insecure=False)
    with pytest.raises(WrongUse, match="TOLLHOUSE_ACCESS_TOKEN is not"):
        by_environment(environment("https://a.example", ""), insecure=False)
    reach = by_environment(environment("https://a.example/x/"), insecure=False)
    assert reach
    assert (reach.url, reach.access_token) == ("https://a.example/x", TOKEN)
    assert TOKEN not in repr(reach)


@pytest.mark.parametrize("token", ["sk-abc", "tht_a b", "tht_a\nb", "tht_\u00e9"])
def test_what_cannot_be_an_access_token_is_told_without_being_shown(token):
    with pytest.raises(WrongUse, match="TOLLHOUSE_ACCESS_TOKEN") as refused:
        by_environment(environment("https://a.example", token), insecure=False)
    assert token not in str(refused.value)


def test_the_address_of_the_admin_api_is_no_misspelt_setting():
    load(environment("https://a.example"))


def written(path: Path, **members) -> Path:
    ready = path / "ready.json"
    known = {"admin_url": "http://127.0.0.1:9", "access_token": TOKEN, "database_url": "pg://a"}
    ready.write_text(json.dumps(known | members))
    return ready


def test_a_running_installation_is_used_unless_another_database_is_configured(tmp_path):
    ready = written(tmp_path)
    for configured in ("", "pg://a"):
        reach = beside_run(ready, configured)
        assert reach
        assert (reach.url, reach.access_token) == ("http://127.0.0.1:9", TOKEN)
    assert beside_run(ready, "pg://b") is None
    assert beside_run(written(tmp_path, access_token=None), "") is None
    assert beside_run(tmp_path / "missing.json", "") is None
