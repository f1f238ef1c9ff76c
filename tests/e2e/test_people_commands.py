"""`tollhouse user`, `access-token` and `audit-log` as people and scripts use them."""

import re
from collections.abc import Iterator

import pytest

from tests.e2e.product import Product, calling, running, shown

ASK = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
ACCESS_TOKEN = re.compile(r"tht_[0-9A-Za-z]{49}\n")


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running(TOLLHOUSE_GATEWAY__WORKERS="2") as started:
        yield started


async def test_a_user_that_a_script_makes_is_refused_while_disabled_on_every_worker(product, run):
    made = run("user", "create", "ada", "--email", "ada@example.com", "--grant-usd", "5")
    assert made.returncode == 0, made.stderr
    assert len(made.stdout) == 21  # the one-time password, and the end of its line
    assert 'user 2 "ada": enabled, user, group default' in made.stderr
    async with calling(product) as caller:
        body = {"name": "hers", "user_id": 2, "quota_usd": 1}
        key = (await caller.admin("POST", "/api/token", body))[1]["data"]["key"]
        for _ in range(8):
            assert (await caller.chat(key, ASK))[0] == 200
        assert run("user", "disable", "ADA").returncode == 0
        for _ in range(8):
            assert await caller.chat(key, ASK) == (403, "account_disabled")
        assert run("user", "enable", "2").returncode == 0


def test_users_are_listed_shown_changed_and_deleted(run):
    made = shown(run("user", "create", "ben", "--role", "viewer", "--unlimited", "--json"))
    assert (made["role"], made["unlimited_quota"]) == ("viewer", True)
    changed = run("user", "update", "ben", "--display-name", "Ben \x1b[31m", "--role", "operator")
    assert (changed.returncode, changed.stdout) == (1, "")
    assert "display_name: may hold no line breaks" in changed.stderr
    changed = run("user", "update", "ben", "--display-name", "Ben B.", "--email", "b@example.com")
    assert changed.returncode == 0
    assert "Ben B." in run("user", "list", "--keyword", "b@example").stdout
    assert "b@example.com (not verified)" in run("user", "show", "ben").stdout
    stale = run("user", "update", "ben", "--role", "user", "--if-version", "1")
    assert (stale.returncode, "it is at version 2 and not 1" in stale.stderr) == (1, True)
    assert run("user", "update", "ben").returncode == 2
    assert run("user", "delete", "ben").returncode == 2
    assert run("user", "delete", "ben", "--yes").returncode == 0
    gone = run("user", "show", "ben")
    assert (gone.returncode, "There is no user named 'ben'" in gone.stderr) == (1, True)
    last = run("user", "delete", "admin", "--yes")
    assert (last.returncode, "last enabled owner" in last.stderr) == (1, True)


def test_a_one_time_password_is_made_without_the_admin_app(run):
    told = shown(run("user", "password", "admin", "--json"))
    assert (told["username"], len(told["password"])) == ("admin", 20)
    assert run("user", "password", "nobody").returncode == 1


def test_an_access_token_is_made_used_and_ended(product, run):
    made = run("access-token", "create", "backup", "--scope", "self", "--expires-in-days", "2")
    assert ACCESS_TOKEN.fullmatch(made.stdout), made.stderr
    own = {
        "TOLLHOUSE_ADMIN_URL": product.ready["admin_url"],
        "TOLLHOUSE_ACCESS_TOKEN": made.stdout.strip(),
    }
    rows = shown(run("access-token", "list", "--json", **own))
    (row,) = (each for each in rows if each["name"] == "backup")
    assert row["scopes"] == ["self"]
    refused = run("user", "list", **own)
    assert (refused.returncode, "needs the permission user.read" in refused.stderr) == (1, True)
    assert "backup" in run("access-token", "list", "--user", "admin").stdout
    assert run("access-token", "delete", str(row["id"])).returncode == 0
    assert run("access-token", "list", **own).returncode == 1


def test_the_audit_tells_what_was_done_and_goes_on_behind_a_cursor(run):
    made = shown(run("user", "create", "eve", "--json"))
    run("user", "disable", "eve")
    table = run("audit-log", "--object", f"user:{made['id']}").stdout
    assert re.search(r"admin +user\.update +user \d+ .*\"status\":1.*\"status\":2", table)
    first = shown(run("audit-log", "--actor", "1", "--limit", "1", "--json"))
    assert first["items"][0]["action"] == "user.update"
    more = run("audit-log", "--cursor", str(first["next_cursor"]), "--done", "user.create")
    assert "eve" in more.stdout
    assert run("audit-log", "--object", ":1").returncode == 1
