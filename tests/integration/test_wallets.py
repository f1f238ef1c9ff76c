"""The API of wallets: who may see and change what, and what is declined."""

import asyncio
import re
from datetime import UTC, datetime

import pytest

from gateway.domain.limits import MAX_EXACT
from tests.admin import UNIT, declined, done

USD = 1_000_000_000


async def team(admin, **fields):
    """An account with an owner; its id, the owner's and their access token."""
    owner, token = await admin.user("olga")
    made = await done(admin, "POST", "/api/account", {"name": "team", "owner_id": owner, **fields})
    return made["id"], owner, token


async def entries(admin, account_id, kind="a"):
    return [
        row["delta"]
        for row in await admin.pool.fetch(
            "SELECT delta FROM grant_entry WHERE account_id = $1 AND scope_kind = $2 ORDER BY id",
            account_id,
            kind.encode(),
        )
    ]


# Accounts


async def test_an_account_is_made_with_an_owner_and_a_grant(admin):
    account, owner, token = await team(admin, quota_usd=12.5)
    shown = await done(admin, "GET", f"/api/account/{account}", token=token)
    assert (shown["quota_usd"], shown["used_usd"], shown["remain_usd"]) == (12.5, 0, 12.5)
    assert (shown["name"], shown["role"], shown["status"]) == ("team", "owner", 1)
    assert [(each["user_id"], each["role"]) for each in shown["members"]] == [(owner, "owner")]
    assert shown["quota"]["granted_nusd"] == 12_500_000_000
    assert await entries(admin, account) == [12_500_000_000]


async def test_an_account_is_empty_unless_it_is_said_and_null_is_no_cap(admin):
    assert (await done(admin, "POST", "/api/account", {"name": "a"}))["quota_usd"] == 0
    made = await done(admin, "POST", "/api/account", {"name": "a", "quota_usd": None})
    assert (made["quota_usd"], made["remain_usd"]) == (None, None)


async def test_lists_have_ones_own_accounts_and_administrators_find_all(admin):
    account, owner, token = await team(admin)
    mine = await done(admin, "GET", "/api/account", token=token)
    assert [each["name"] for each in mine["items"]] == ["team", "olga"]
    assert [each["id"] for each in (await done(admin, "GET", "/api/account"))["items"]] == [1]
    everybody = await done(admin, "GET", "/api/account?user_id=all&page_size=2")
    assert (everybody["total"], len(everybody["items"])) == (3, 2)
    assert [(each["owner"], each["member_total"]) for each in everybody["items"]] == [
        ("olga", 1),
        ("olga", 1),
    ]
    hers = await done(admin, "GET", f"/api/account?user_id={owner}&keyword=EA")
    assert [each["id"] for each in hers["items"]] == [account]
    assert (await done(admin, "GET", "/api/account?user_id=all&keyword=%25"))["total"] == 0
    assert (await done(admin, "GET", "/api/account?user_id=all&status=2"))["total"] == 0
    for path in ("/api/account?user_id=all", "/api/account?user_id=1"):
        await declined(admin, 403, "forbidden", "GET", path, token=token)


async def test_accounts_of_others_are_not_there(admin):
    account, _, _ = await team(admin)
    _, stranger = await admin.user("mia")
    path = f"/api/account/{account}"
    for method, more, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("GET", "/member", None),
        ("POST", "/member", {"user_id": 1}),
        ("PATCH", "/member/2", {"role": "member"}),
        ("DELETE", "/member/2", None),
        ("GET", "/subscription", None),
        ("GET", "/history", None),
    ):
        await declined(admin, 404, "not_found", method, path + more, body, token=stranger)
    answer = await admin.call(
        "POST", "/api/redeem/use", {"key": "x", "account_id": account}, token=stranger
    )
    assert answer.status == 404
    for number in (0, 2**63, 10**25):
        await declined(admin, 404, "not_found", "GET", f"/api/account/{number}")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/account", {"name": "mine", "quota_usd": None}),
        ("POST", "/api/account/{}/grant", {"amount_usd": 1}),
        ("POST", "/api/account/{}/top_up", {"amount_usd": 1, "reference": "r"}),
        ("PUT", "/api/account/{}/subscription/default", {}),
        ("DELETE", "/api/account/{}/subscription/default", None),
        ("POST", "/api/redeem", {"amount_usd": 1}),
        ("GET", "/api/redeem", None),
        ("POST", "/api/redeem/revoke", {"batch_id": 1}),
    ],
)
async def test_owners_of_an_account_give_themselves_no_money(admin, method, path, body):
    account, _, token = await team(admin)
    await declined(admin, 403, "forbidden", method, path.format(account), body, token=token)


async def test_owners_name_their_account_and_no_more(admin):
    account, _, token = await team(admin)
    path = f"/api/account/{account}"
    assert (await done(admin, "PATCH", path, {"name": " new "}, token=token))["name"] == "new"
    for body in ({"status": 2}, {"quota_usd": 5}, {"add_quota_usd": 5}, {"remain_usd": 5}):
        await declined(admin, 403, "member_role_required", "PATCH", path, body, token=token)
    assert await entries(admin, account) == [0]


async def test_an_account_is_capped_and_uncapped_and_entries_sum_to_its_grant(admin):
    account, _, _ = await team(admin, quota_usd=3)
    path = f"/api/account/{account}"
    assert (await done(admin, "PATCH", path, {"quota_usd": None}))["quota_usd"] is None
    await admin.pool.execute("UPDATE account SET used = $2 WHERE id = $1", account, 2 * USD)
    assert (await done(admin, "PATCH", path, {"remain_usd": 5}))["quota_usd"] == 7
    shown = await done(admin, "PATCH", path, {"quota_usd": 1})
    assert (shown["remain_usd"], shown["quota_usd"]) == (-1, 1)
    assert await entries(admin, account) == [3 * USD, -3 * USD, 7 * USD, -6 * USD]
    row = await admin.pool.fetchrow("SELECT * FROM account WHERE id = $1", account)
    assert (row["granted"], row["used"], row["gver"], row["version"]) == (USD, 2 * USD, 4, 4)
    (_, _, (book,)) = admin.told.notices[-1]
    assert (book.scope_id, book.granted, book.gver, book.version) == (f"a{account}", USD, 4, 4)


async def test_a_change_that_changes_nothing_writes_nothing(admin):
    account, _, _ = await team(admin, quota_usd=3)
    shown = await done(admin, "PATCH", f"/api/account/{account}", {"name": "team", "quota_usd": 3})
    assert shown["version"] == 1


async def test_an_edit_of_another_version_is_declined(admin):
    account, owner, _ = await team(admin)
    path = f"/api/account/{account}"
    await done(admin, "PUT", f"{path}/subscription/default", {})
    for method, more, body in (
        ("PATCH", "", {"name": "x"}),
        ("PATCH", f"/member/{owner}", {"quota_usd": 1}),
        ("PUT", "/subscription/default", {"quota_usd": 1}),
    ):
        await declined(admin, 412, "version_mismatch", method, path + more, body | {"version": 77})
        await declined(
            admin, 412, "version_mismatch", method, path + more, body, headers={"If-Match": '"77"'}
        )
    for more in (f"/member/{owner}", "/subscription/default"):
        await declined(
            admin, 412, "version_mismatch", "DELETE", path + more, headers={"If-Match": "77"}
        )


# Members


async def test_members_manage_those_below_them(admin):
    account, owner, token = await team(admin)
    path = f"/api/account/{account}/member"
    ada, ada_token = await admin.user("ada")
    ben, ben_token = await admin.user("ben")
    eve, _ = await admin.user("eve")
    await done(admin, "POST", path, {"username": "ADA", "role": "admin"}, token=token)
    await done(admin, "POST", path, {"user_id": ben, "quota_usd": 5}, token=ada_token)
    refused = (403, "member_role_required")
    for method, more, body, who in (
        ("POST", "", {"user_id": eve, "role": "admin"}, ada_token),
        ("PATCH", f"/{ben}", {"role": "admin"}, ada_token),
        ("PATCH", f"/{ada}", {"quota_usd": 5}, ada_token),
        ("PATCH", f"/{owner}", {"role": "member"}, ada_token),
        ("DELETE", f"/{owner}", None, ada_token),
        ("POST", "", {"user_id": eve}, ben_token),
        ("PATCH", f"/{ben}", {"quota_usd": None}, ben_token),
        ("PATCH", f"/{ada}", {"role": "owner"}, ben_token),
        ("DELETE", f"/{ada}", None, ben_token),
    ):
        await declined(admin, *refused, method, path + more, body, token=who)
    await declined(admin, *refused, "GET", f"/api/account/{account}/history", token=ben_token)
    seen = await done(admin, "GET", path, token=ben_token)
    assert [each["user_id"] for each in seen["items"]] == [ben]
    others = await done(admin, "GET", f"/api/account/{account}", token=ben_token)
    assert (others["owner"], others["member_total"]) == (None, None)
    listed = await done(admin, "GET", path, token=ada_token)
    assert [each["role"] for each in listed["items"]] == ["owner", "admin", "member"]
    made = await done(admin, "PATCH", f"{path}/{ben}", {"role": "owner"}, token=token)
    assert (made["role"], made["quota_usd"]) == ("owner", 5)
    await done(admin, "DELETE", f"{path}/{owner}", token=ben_token)


async def test_the_last_owner_stays(admin):
    account, owner, token = await team(admin)
    path = f"/api/account/{account}/member"
    for who in (token, None):
        await declined(admin, 409, "last_owner", "DELETE", f"{path}/{owner}", token=who)
        await declined(
            admin, 409, "last_owner", "PATCH", f"{path}/{owner}", {"role": "admin"}, token=who
        )
    ada, _ = await admin.user("ada")
    await done(admin, "POST", path, {"user_id": ada, "role": "owner"})
    leave = [admin.call("DELETE", f"{path}/{each}") for each in (owner, ada)]
    answers = await asyncio.gather(*leave)
    assert sorted(answer.status for answer in answers) == [200, 409]


async def test_a_members_cap_is_set_raised_and_lifted(admin):
    account, owner, token = await team(admin)
    path = f"/api/account/{account}/member/{owner}"
    limits = [{"metric": "requests", "window": "1m", "limit": 3}]
    shown = await done(
        admin,
        "PATCH",
        path,
        {"quota_usd": 2, "limits": limits, "max_concurrency": 4},
        token=token,
    )
    assert (shown["quota_usd"], shown["max_concurrency"]) == (2, 4)
    assert shown["limits"][0]["limit"] == 3
    await admin.pool.execute("UPDATE member SET used = $1 WHERE user_id = $2", USD, owner)
    shown = await done(admin, "PATCH", path, {"add_quota_usd": 0.5})
    assert (shown["quota_usd"], shown["remain_usd"], shown["max_concurrency"]) == (2.5, 1.5, 4)
    shown = await done(
        admin, "PATCH", path, {"quota_usd": None, "limits": None, "max_concurrency": None}
    )
    assert (shown["quota_usd"], shown["limits"], shown["max_concurrency"]) == (None, [], None)
    assert await entries(admin, account, "m") == [2 * USD, USD // 2, -5 * USD // 2]
    message = await declined(admin, 422, "invalid_field", "PATCH", path, {"add_quota_usd": 1})
    assert message.startswith("add_quota_usd: there is no cap")


async def test_somebody_is_a_member_once_and_comes_back_with_what_they_had_used(admin):
    account, _, _ = await team(admin)
    path = f"/api/account/{account}/member"
    ada, token = await admin.user("ada")
    body = {"user_id": ada, "quota_usd": 5, "role": "admin"}
    await done(admin, "POST", path, body)
    await declined(admin, 409, "already_member", "POST", path, {"user_id": ada})
    await admin.pool.execute("UPDATE member SET used = $1 WHERE account_id = $2", USD, account)
    await done(admin, "DELETE", f"{path}/{ada}", token=token)  # one may leave
    await declined(admin, 404, "not_found", "GET", f"/api/account/{account}", token=token)
    await declined(admin, 404, "not_found", "PATCH", f"{path}/{ada}", {"quota_usd": 1})
    grant = {"user_id": ada, "amount_usd": 1}
    await declined(admin, 404, "not_found", "POST", f"/api/account/{account}/grant", grant)
    back = await done(admin, "POST", path, {"username": "ada"})
    assert (back["role"], back["quota_usd"], back["used_usd"]) == ("member", 5, 1)
    assert back["version"] > 3


async def test_unknown_users_are_told_and_guessing_them_is_slowed(admin):
    account, _, token = await team(admin)
    path = f"/api/account/{account}/member"
    for number in range(5):
        await declined(
            admin, 404, "not_found", "POST", path, {"username": f"u{number}"}, token=token
        )
    for body in ({"username": "u9"}, {"user_id": 1}):
        await declined(admin, 429, "too_many_attempts", "POST", path, body, token=token)
    await declined(admin, 404, "not_found", "POST", path, {"user_id": 10**12})
    for body in ({}, {"user_id": 1, "username": "admin"}):
        await declined(admin, 422, "invalid_field", "POST", path, body)


async def test_a_user_says_to_which_of_their_accounts_new_tokens_belong(admin):
    account, _, token = await team(admin)
    other = (await admin.create(token=token))["account_id"]
    assert other != account
    await done(admin, "PUT", "/api/user/self", {"account_id": account}, token=token)
    assert (await admin.create(token=token))["account_id"] == account
    assert (await admin.create(token=token, account_id=other))["account_id"] == other
    await declined(admin, 404, "not_found", "PUT", "/api/user/self", {"account_id": 1}, token=token)
    body = {"name": "x", "account_id": 1}
    message = await declined(admin, 422, "invalid_field", "POST", "/api/token", body, token=token)
    assert message.startswith("account_id: 1 is no account that the user is a member of")


async def test_who_is_removed_from_the_account_of_their_new_tokens_gets_another(admin):
    account, _, _ = await team(admin)
    path = f"/api/account/{account}/member"
    ada, token = await admin.user("ada")
    ben, ben_token = await admin.user("ben", account_id=account)
    own = (await done(admin, "GET", "/api/user/self", token=token))["account_id"]
    await done(admin, "POST", path, {"user_id": ada})
    await done(admin, "PUT", "/api/user/self", {"account_id": account}, token=token)
    await done(admin, "DELETE", f"{path}/{ada}")
    assert (await done(admin, "GET", "/api/user/self", token=token))["account_id"] == own
    await admin.pool.execute("UPDATE member SET role = 'member' WHERE user_id = $1", ben)
    await done(admin, "DELETE", f"{path}/{ben}")
    self = await done(admin, "GET", "/api/user/self", token=ben_token)
    assert (self["quota"], self["unlimited_quota"]) == (0, False)
    assert (await admin.create(token=ben_token))["account_id"] == self["account_id"] != account
    (mine,) = (await done(admin, "GET", "/api/account", token=ben_token))["items"]
    assert (mine["name"], mine["role"]) == ("ben", "owner")


# Grants


async def test_money_is_given_and_taken_back_and_the_history_tells(admin):
    account, _, token = await team(admin)
    path = f"/api/account/{account}"
    given = await done(admin, "POST", f"{path}/grant", {"amount_usd": 2.5, "note": "November"})
    assert (given["entry"]["amount_usd"], given["quota_usd"]) == (2.5, 2.5)
    await admin.pool.execute("UPDATE account SET used = $2 WHERE id = $1", account, 2 * USD)
    taken = await done(admin, "POST", f"{path}/grant", {"quota": -500_000})
    assert (taken["entry"]["amount_nusd"], taken["quota_usd"]) == (-500_000 * UNIT, 1.5)
    assert taken["remain_usd"] == -0.5  # less than was used is legal: nothing is left
    message = await declined(
        admin, 422, "invalid_field", "POST", f"{path}/grant", {"amount_usd": -1.6}
    )
    assert "from 0 to below 2^52" in message
    shown = await done(admin, "GET", f"{path}/history", token=token)
    assert [(each["kind"], each["amount_usd"], each["note"]) for each in shown["items"]] == [
        ("grant", -1, ""),
        ("grant", 2.5, "November"),
        ("create", 0, ""),
    ]
    assert {(each["actor"], each["actor_name"]) for each in shown["items"]} == {("user:1", "admin")}
    first = await done(admin, "GET", f"{path}/history?limit=2")
    rest = await done(admin, "GET", f"{path}/history?limit=2&cursor={first['next_cursor']}")
    assert [each["kind"] for each in first["items"] + rest["items"]] == ["grant", "grant", "create"]
    assert rest["next_cursor"] is None


async def test_a_grant_that_no_book_can_hold_names_the_bound(admin):
    account, _, _ = await team(admin, quota_usd=(MAX_EXACT - 1) / USD)
    path = f"/api/account/{account}/grant"
    message = await declined(admin, 422, "invalid_field", "POST", path, {"amount_usd": 0.000000001})
    assert "2^52 nano-dollars ($4,503,599)" in message
    for amount in (5_000_000, -5_000_000, 1e300):
        await declined(admin, 422, "invalid_field", "POST", path, {"amount_usd": amount})
    await declined(admin, 422, "invalid_field", "POST", path, {"quota": 10**18})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"amount_usd": 0},
        {"amount_usd": 1, "quota": 1},
        {"amount_usd": "1"},
        {"amount_usd": True},
        {"quota": 1.5},
        {"amount_usd": 1, "note": "a\nb"},
        {"amount_usd": 1, "user_id": 1, "group": "default"},
    ],
)
async def test_a_grant_that_is_not_clear_is_declined(admin, body):
    await declined(admin, 422, "invalid_field", "POST", "/api/account/1/grant", body)


async def test_a_grant_is_given_once_under_one_idempotency_key(admin):
    account, _, _ = await team(admin)
    path, headers = f"/api/account/{account}/grant", {"Idempotency-Key": "one"}
    calls = [admin.call("POST", path, {"amount_usd": 2}, headers=headers) for _ in range(5)]
    answers = await asyncio.gather(*calls)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.data["entry"]["id"] for answer in answers}) == 1
    assert await entries(admin, account) == [0, 2 * USD]
    await declined(
        admin, 422, "idempotency_key_reused", "POST", path, {"amount_usd": 3}, headers=headers
    )


async def test_a_payment_is_booked_once_however_often_it_is_told(admin):
    account, _, _ = await team(admin)
    path = f"/api/account/{account}/top_up"
    body = {"reference": "pay-1", "amount_usd": 2}
    answers = await asyncio.gather(*(admin.call("POST", path, body) for _ in range(8)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.data["entry"]["id"] for answer in answers}) == 1
    assert [a.headers.get("Idempotency-Replayed") for a in answers].count(None) == 1
    assert await entries(admin, account) == [0, 2 * USD]
    assert answers[0].data["entry"]["reference"] == "pay-1"
    (newest, _) = (await done(admin, "GET", f"/api/account/{account}/history"))["items"]
    assert (newest["kind"], newest["reference"]) == ("top_up", "pay-1")


async def test_a_reference_stands_for_one_payment(admin):
    account, owner, _ = await team(admin)
    path = f"/api/account/{account}"
    body = {"reference": "pay-1", "amount_usd": 2}
    await done(admin, "POST", f"{path}/top_up", body)
    await done(admin, "PATCH", f"{path}/member/{owner}", {"quota_usd": 0})
    other = await done(admin, "POST", "/api/account", {"name": "other"})
    for where, changed in (
        (path, {"amount_usd": 3}),
        (path, {"user_id": owner}),
        (f"/api/account/{other['id']}", {}),
    ):
        await declined(admin, 409, "reference_reused", "POST", f"{where}/top_up", body | changed)
    both = [
        admin.call("POST", f"/api/account/{each}/top_up", {"reference": "pay-2", "quota": 1})
        for each in (account, other["id"])
    ]
    assert sorted(answer.status for answer in await asyncio.gather(*both)) == [200, 409]


async def test_members_and_subscriptions_are_topped_up_where_they_have_a_cap(admin):
    account, owner, _ = await team(admin)
    path = f"/api/account/{account}"
    for of in ({"user_id": owner}, {"group": "default"}):
        body = {"reference": f"r-{len(of)}{[*of]}".replace(" ", ""), "amount_usd": 2} | of
        if "group" in of:
            await done(admin, "PUT", f"{path}/subscription/default", {})
        await declined(admin, 422, "invalid_field", "POST", f"{path}/top_up", body)
        where = f"member/{owner}" if "user_id" in of else "subscription/default"
        method = "PATCH" if "user_id" in of else "PUT"
        await done(admin, method, f"{path}/{where}", {"quota_usd": 1})
        assert (await done(admin, "POST", f"{path}/top_up", body))["quota_usd"] == 3
        query = "&".join(f"{name}={value}" for name, value in of.items())
        listed = (await done(admin, "GET", f"{path}/history?{query}"))["items"]
        assert [each["kind"] for each in listed] == ["top_up", "cap"]
    await declined(
        admin, 404, "not_found", "POST", f"{path}/grant", {"amount_usd": 1, "group": "none"}
    )
    await declined(admin, 404, "not_found", "GET", f"{path}/history?group=none")


async def test_an_untold_quota_store_is_told_of_by_the_status(admin):
    account, _, _ = await team(admin)
    admin.told.reached = False
    answer = await admin.call("POST", f"/api/account/{account}/grant", {"amount_usd": 1})
    assert answer.status == 202
    assert "10 seconds" in answer.message


# Codes


async def codes(admin, **fields):
    return await done(admin, "POST", "/api/redeem", {"amount_usd": 5, **fields})


async def test_codes_are_shown_once_and_only_their_digest_is_kept(admin):
    made = await codes(admin, count=3, prefix="Fall26", note="workshop")
    assert len(set(made["codes"])) == 3
    assert all(re.fullmatch(r"Fall26(-[0-9A-HJKMNP-TV-Z]{4}){5}", code) for code in made["codes"])
    listed = (await done(admin, "GET", "/api/redeem"))["items"]
    assert {each["state"] for each in listed} == {"unused"}
    assert all(each["code"].startswith("Fall26-") for each in listed)
    text = str(await admin.pool.fetch("SELECT * FROM redeem_code")) + str(listed)
    assert not any(code.partition("-")[2] in text for code in made["codes"])


async def test_a_code_adds_to_the_callers_account_once(admin):
    _, token = await admin.user("ada")
    (code,) = (await codes(admin, note="workshop"))["codes"]
    typed = f" {code.lower().replace('-', ' ')} "
    used = await done(admin, "POST", "/api/redeem/use", {"key": typed}, token=token)
    assert (used["entry"]["kind"], used["entry"]["note"], used["quota_usd"]) == (
        "redeem",
        "workshop",
        5,
    )
    message = await declined(
        admin, 409, "code_not_usable", "POST", "/api/redeem/use", {"key": code}, token=token
    )
    assert message == "key: the code was used."
    (listed,) = (await done(admin, "GET", "/api/redeem?state=used"))["items"]
    assert listed["account_id"] == used["entry"]["account_id"]
    assert listed["used_by_name"] == "ada"
    assert (await done(admin, "GET", "/api/redeem?state=unused"))["total"] == 0
    self = await done(admin, "GET", "/api/user/self", token=token)
    assert self["quota"] == 2_500_000


async def test_new_apis_name_of_it_answers_the_units(admin):
    _, token = await admin.user("ada")
    (code,) = (await codes(admin))["codes"]
    assert await done(admin, "POST", "/api/user/topup", {"key": code}, token=token) == 2_500_000


async def test_a_code_goes_to_the_account_that_is_named(admin):
    account, _, token = await team(admin)
    (code,) = (await codes(admin))["codes"]
    body = {"key": code, "account_id": account}
    assert (await done(admin, "POST", "/api/redeem/use", body, token=token))["quota_usd"] == 5


async def test_of_many_who_redeem_a_code_at_once_one_wins(admin):
    tokens = [(await admin.user(f"user{number}"))[1] for number in range(4)] * 4
    for _ in range(3):
        (code,) = (await codes(admin))["codes"]
        answers = await asyncio.gather(
            *(admin.call("POST", "/api/redeem/use", {"key": code}, token=each) for each in tokens)
        )
        assert sorted(answer.status for answer in answers) == [200] + [409] * 15
    assert await admin.pool.fetchval(
        "SELECT sum(delta) FROM grant_entry WHERE kind = 'redeem'"
    ) == (15 * USD)
    assert await admin.pool.fetchval("SELECT sum(granted) FROM account") == 15 * USD


async def test_an_expired_or_revoked_code_is_told_so(admin):
    _, token = await admin.user("ada")
    old = await codes(admin, expires_in_days=1, count=2)
    await admin.pool.execute(
        "UPDATE redeem_batch SET expires_at = $1", datetime(2026, 1, 1, tzinfo=UTC)
    )
    gone = await codes(admin, count=3)
    (first, *_) = (await done(admin, "GET", f"/api/redeem?batch_id={gone['batch_id']}"))["items"]
    assert await done(admin, "POST", "/api/redeem/revoke", {"ids": [first["id"]]}) == 1
    revoked = {"batch_id": gone["batch_id"]}
    assert await done(admin, "POST", "/api/redeem/revoke", revoked) == 2
    assert await done(admin, "POST", "/api/redeem/revoke", revoked) == 0
    for code, told in ((old["codes"][0], "has expired"), (gone["codes"][0], "was revoked")):
        message = await declined(
            admin, 409, "code_not_usable", "POST", "/api/redeem/use", {"key": code}, token=token
        )
        assert message == f"key: the code {told}."
    assert (await done(admin, "GET", "/api/redeem?state=expired"))["total"] == 2


async def test_guessing_codes_is_slowed_for_whoever_guesses(admin):
    _, token = await admin.user("ada")
    _, other = await admin.user("ben")
    (code,) = (await codes(admin))["codes"]
    for number in range(5):
        body = {"key": f"wrong{number}"}
        await declined(admin, 404, "not_found", "POST", "/api/redeem/use", body, token=token)
    answer = await admin.call("POST", "/api/user/topup", {"key": code}, token=token)
    assert (answer.status, answer.body["code"]) == (429, "too_many_attempts")
    assert int(answer.headers["Retry-After"]) >= 1
    await done(admin, "POST", "/api/redeem/use", {"key": code}, token=other)


async def test_a_code_is_not_lost_on_an_account_without_a_cap(admin):
    (code,) = (await codes(admin))["codes"]
    await declined(admin, 422, "invalid_field", "POST", "/api/redeem/use", {"key": code})
    _, token = await admin.user("ada")
    await done(admin, "POST", "/api/redeem/use", {"key": code}, token=token)


async def test_codes_are_made_once_under_one_idempotency_key(admin):
    headers = {"Idempotency-Key": "codes"}
    body = {"amount_usd": 5, "count": 1000}
    first = await done(admin, "POST", "/api/redeem", body, headers=headers)
    again = await done(admin, "POST", "/api/redeem", body, headers=headers)
    assert first == again
    assert len(set(first["codes"])) == 1000
    assert (await done(admin, "GET", "/api/redeem"))["total"] == 1000


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"amount_usd": 0},
        {"amount_usd": -1},
        {"quota": 0},
        {"amount_usd": 1, "quota": 1},
        {"amount_usd": 5_000_000},
        {"quota": 10**18},
        {"amount_usd": 1, "count": 1001},
        {"amount_usd": 1, "count": 0},
        {"amount_usd": 1, "prefix": "a b"},
        {"amount_usd": 1, "expired_time": 1},
        {"amount_usd": 1, "expired_time": -1, "expires_in_days": 1},
    ],
)
async def test_codes_that_are_not_clear_are_not_made(admin, body):
    await declined(admin, 422, "invalid_field", "POST", "/api/redeem", body)


# Subscriptions


async def test_a_subscription_opens_its_group_from_its_start_to_its_end(admin):
    account, _, token = await team(admin)
    await admin.pool.execute("""INSERT INTO "group" (name) VALUES ('vip')""")
    path = f"/api/account/{account}/subscription/vip"
    wanted = {"name": "x", "group": "vip", "account_id": account}
    refused = (403, "group_not_allowed", "POST", "/api/token", wanted)
    await declined(admin, *refused, token=token)
    far = 4_000_000_000
    shown = await done(admin, "PUT", path, {"starts_time": far})
    assert (shown["active"], shown["implied"], shown["starts_time"]) == (False, False, far)
    await declined(admin, *refused, token=token)
    shown = await done(admin, "PUT", path, {"starts_time": None, "ends_time": far})
    assert (shown["active"], shown["ends_time"]) == (True, far)
    await done(admin, "POST", "/api/token", wanted, token=token)
    await declined(admin, *refused[:3], refused[3], wanted | {"account_id": None}, token=token)
    assert (await done(admin, "DELETE", path))["active"] is False
    await declined(admin, *refused, token=token)
    for body in ({"starts_time": far, "ends_time": far}, {"starts_time": far * 1000}):
        await declined(admin, 422, "invalid_field", "PUT", path, body)
    for method, name in (("PUT", "none"), ("DELETE", "none"), ("DELETE", "default")):
        where = f"/api/account/{account}/subscription/{name}"
        await declined(admin, 404, "not_found", method, where, {} if method == "PUT" else None)


async def test_a_group_that_an_administrator_gave_a_token_is_not_open_to_all_of_its_account(admin):
    account, _, token = await team(admin)
    await admin.pool.execute("""INSERT INTO "group" (name) VALUES ('vip')""")
    await done(admin, "PUT", "/api/user/self", {"account_id": account}, token=token)
    made = await admin.create(token=token)
    await done(admin, "PATCH", f"/api/token/{made['id']}", {"group": "vip"})
    (_, vip) = await done(admin, "GET", f"/api/account/{account}/subscription", token=token)
    assert (vip["group"], vip["implied"], vip["active"]) == ("vip", True, False)
    await declined(
        admin,
        403,
        "group_not_allowed",
        "POST",
        "/api/token",
        {"name": "x", "group": "vip"},
        token=token,
    )
