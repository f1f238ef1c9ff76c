"""`tollhouse account`, `grant` and `redeem` as people and scripts use them."""

import re
from collections.abc import Iterator

import pytest

from tests.e2e.product import Product, calling, running, shown

ASK = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
CODE = re.compile(r"(?:[0-9A-Z]{4}-){4}[0-9A-Z]{4}")


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running(TOLLHOUSE_GATEWAY__WORKERS="2") as started:
        yield started


async def test_a_code_lets_an_exhausted_account_go_on_on_every_worker(product, run):
    made = shown(run("account", "create", "--name", "team", "--owner", "1", "--json"))
    token = run("token", "create", "--name", "t", "--account", str(made["id"]))
    key = token.stdout.strip()
    async with calling(product) as caller:
        for _ in range(4):
            assert await caller.chat(key, ASK) == (429, "insufficient_quota")
        codes = run("redeem", "create", "--amount-usd", "2", "--count", "2").stdout.split()
        assert all(CODE.fullmatch(code) for code in codes)
        used = run("redeem", "use", codes[0], "--account", "team")
        assert used.returncode == 0, used.stderr
        assert "Gave $2.00 (account of account" in used.stderr
        for _ in range(8):
            assert (await caller.chat(key, ASK))[0] == 200
    again = run("redeem", "use", codes[0], "--account", "team")
    assert (again.returncode, "the code was used" in again.stderr) == (1, True)
    assert "Revoked 1 code." in run("redeem", "revoke", "--batch", "1").stderr
    assert " used " in run("redeem", "list", "--state", "used").stdout


def test_money_is_given_taken_back_and_told(run):
    account = str(shown(run("account", "create", "--name", "till", "--json"))["id"])
    assert run("grant", "till", "25.5", "--note", "November").returncode == 0
    assert "Took back $0.50" in run("grant", account, "--", "-0.5").stderr
    for _ in range(2):
        booked = shown(run("grant", "till", "5", "--reference", "pay-1", "--json"))
        assert booked["quota_usd"] == 30
    other = run("grant", "till", "6", "--reference", "pay-1")
    assert (other.returncode, "'pay-1' was booked" in other.stderr) == (1, True)
    rows = run("account", "history", "till").stdout.splitlines()
    assert len(rows) == 5
    assert "pay-1" in rows[1]
    assert "$25.50" in rows[3]
    assert "November" in rows[3]


def test_accounts_members_and_groups_are_listed_and_changed(run):
    made = shown(run("account", "create", "--name", "crew", "--quota-usd", "20", "--json"))
    assert made["quota_usd"] == 20
    added = run("account", "member", "add", "crew", "ADMIN", "--quota-usd", "5")
    assert (added.returncode, "Added admin (member)" in added.stderr) == (0, True)
    bound = ("--add-quota-usd", "2.5", "--limit", "usd:1d:1", "--concurrency", "3")
    changed = run("account", "member", "update", "crew", "1", *bound)
    assert changed.returncode == 0, changed.stderr
    listed = run("account", "member", "list", "crew").stdout
    assert "$7.50" in listed
    assert "$1.00 per 1d; 3 at once" in listed
    until = run("account", "subscription", "set", "crew", "default", "--end", "2099-01-01")
    assert "The subscription to default is active." in until.stderr
    assert "2099" in run("account", "show", "crew").stdout
    ended = run("account", "subscription", "end", "crew", "default")
    assert "is not active" in ended.stderr
    assert run("account", "update", "crew", "--unlimited", "--name", "crew 2").returncode == 0
    assert "no cap" in run("account", "list", "--keyword", "crew").stdout
    for action, word in (("disable", "disabled"), ("enable", "enabled")):
        assert word in run("account", action, "crew 2").stderr
    removed = run("account", "member", "remove", "crew 2", "1")
    assert removed.returncode == 0, removed.stderr


def test_what_is_not_there_or_says_nothing_is_told(run):
    for words, status, told in (
        (("account", "show", "nothing of this name"), 1, "There is no account named"),
        (("account", "update", "1"), 2, "nothing to change"),
        (("account", "member", "update", "1", "1"), 2, "nothing to change"),
        (("account", "member", "remove", "1", "admin"), 1, "Name the member by id"),
        (("account", "member", "add", "1", "nobody"), 1, "there is no user 'nobody'"),
        (("grant", "1", "five"), 2, "is not an amount in dollars"),
        (("redeem", "revoke"), 2, "one of the arguments --batch --code is required"),
    ):
        done = run(*words)
        assert (done.returncode, told in done.stderr) == (status, True), (words, done.stderr)
