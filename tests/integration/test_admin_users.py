"""Users as administrators manage them: who may do what to whom, and what becomes of their keys."""

import asyncio
import hashlib
import json

import pytest

from tests.admin import done, running_admin
from tests.integration.beside import Beside
from tests.integration.rig import chat, until
from tests.integration.test_admin_auth import SAME_SITE, log_in

GROUPS = {"groups": {"default": {}, "vip": {"ratio": 2, "description": "for the impatient"}}}
USD = 10**9


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn):
    async with running_admin(aiohttp_client, postgres_dsn, GROUPS) as running:
        yield running


async def make(admin, username, token=None, **fields):
    """Make a user over the API; the answer's object."""
    return await done(admin, "POST", "/api/user", {"username": username, **fields}, token=token)


# Making


async def test_a_user_is_made_with_a_one_time_password_that_lets_them_choose_their_own(admin):
    made = await make(admin, "ada", email="ada@example.com", display_name="Ada L.", group="vip")
    shown = (await admin.call("GET", f"/api/user/{made['id']}")).data
    password = made.pop("password")
    assert shown == made
    assert (shown["username"], shown["display_name"], shown["email"]) == (
        "ada",
        "Ada L.",
        "ada@example.com",
    )
    assert (shown["role"], shown["status"], shown["group"]) == ("user", 1, "vip")
    assert (shown["quota"], shown["unlimited_quota"]) == (0, False)
    answer, session = await log_in(admin, "Ada", password)
    assert answer.data["password_change_required"] is True
    refused = await admin.bare("GET", "/api/token", headers=session | SAME_SITE)
    assert (refused.status, refused.body["code"]) == (403, "password_change_required")
    stored = json.dumps([dict(row) for row in await admin.pool.fetch("SELECT after FROM audit")])
    assert password not in stored


async def test_a_password_that_was_given_is_theirs_and_is_not_answered(admin):
    made = await make(admin, "ada", password="three plain words")
    assert made["password"] is None
    answer, _ = await log_in(admin, "ada", "three plain words")
    assert answer.data["password_change_required"] is False


async def test_money_on_an_account_of_their_own_is_entered_as_a_grant(admin, subtests):
    for n, (sent, quota, unlimited) in enumerate(
        (
            ({"grant_usd": 2.5}, 1_250_000, False),
            ({"quota": 7}, 7, False),
            ({"unlimited_quota": True}, 0, True),
            ({"unlimited_quota": False}, 0, False),
            ({"grant_usd": 0}, 0, False),
        )
    ):
        with subtests.test(sent=str(sent)):
            made = await make(admin, f"u{n}", **sent)
            assert (made["quota"], made["unlimited_quota"]) == (quota, unlimited)
            entered = await admin.pool.fetchval(
                "SELECT sum(delta) FROM grant_entry WHERE scope_kind = 'a' AND account_id = $1",
                made["account_id"],
            )
            granted = await admin.pool.fetchval(
                "SELECT granted FROM account WHERE id = $1", made["account_id"]
            )
            assert (entered, granted) == ((None, None) if unlimited else (quota * 2000,) * 2)


async def test_a_user_who_joins_an_account_is_its_member_and_not_its_owner(admin):
    first = await make(admin, "ada", grant_usd=5)
    second = await make(admin, "ben", account_id=first["account_id"])
    assert (second["account_id"], second["quota"]) == (first["account_id"], 2_500_000)
    roles = await admin.pool.fetch(
        "SELECT user_id, role FROM member WHERE account_id = $1 ORDER BY user_id",
        first["account_id"],
    )
    assert [tuple(row) for row in roles] == [(first["id"], "owner"), (second["id"], "member")]


async def test_a_repeatable_creation_keeps_nothing_that_a_password_could_be_guessed_from(admin):
    body = b'{"username": "ada", "password": "three plain words"}'
    headers = {"Idempotency-Key": "once", "Content-Type": "application/json"}
    made = await admin.call("POST", "/api/user", headers=headers, data=body)
    assert made.status == 200
    kept = await admin.pool.fetchval("SELECT body_digest FROM idempotency")
    assert kept != hashlib.sha256(b"POST /api/user\n" + body).digest()


async def test_a_repeated_creation_makes_one_user_and_tells_the_same_password(admin):
    headers = {"Idempotency-Key": "once"}
    first = await admin.call("POST", "/api/user", {"username": "ada"}, headers=headers)
    again = await admin.call("POST", "/api/user", {"username": "ada"}, headers=headers)
    assert (again.status, again.data) == (200, first.data)
    other = await admin.call("POST", "/api/user", {"username": "ben"}, headers=headers)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")


BAD = [
    ({}, 422, "username: is required"),
    ({"username": ""}, 422, "1 to 64 letters"),
    ({"username": "x" * 65}, 422, "1 to 64 letters"),
    ({"username": "a b"}, 422, "username: must have"),
    ({"username": "a\nb"}, 422, "username: must have"),
    ({"username": "a\x00b"}, 422, "U+0000"),
    ({"username": "ad\u0430"}, 422, "letters from A to Z"),
    ({"username": "<script>alert(1)</script>"}, 422, "letters from A to Z"),
    ({"username": 'x\'; DROP TABLE "user"; --'}, 422, "letters from A to Z"),
    ({"username": "-rf"}, 422, "begin with a letter"),
    ({"username": 5}, 422, "username: must be of type string, not integer"),
    ({"username": "ADMIN"}, 409, "username: 'ADMIN' is taken"),
    ({"username": "ada", "email": "EVE@example.com"}, 409, "email: 'EVE@example.com'"),
    ({"username": "ada", "email": "nobody"}, 422, "email: 'nobody' is no e-mail address"),
    ({"username": "ada", "email": "a@b\r\nBcc: x@y"}, 422, "email: "),
    (
        {"username": "ada", "display_name": "a\x1b[31m"},
        422,
        "display_name: may hold no line breaks",
    ),
    ({"username": "ada", "display_name": "x" * 101}, 422, "may have 100 characters at most"),
    ({"username": "ada", "role": "root"}, 422, "role: must be one of owner, admin"),
    ({"username": "ada", "role": 100}, 422, "role: must be of type string"),
    ({"username": "ada", "group": "nowhere"}, 422, "group: there is no group 'nowhere'"),
    ({"username": "ada", "group": ""}, 422, "group: "),
    ({"username": "ada", "account_id": 99}, 422, "account_id: there is no account 99"),
    ({"username": "ada", "account_id": 10**30}, 422, "account_id: "),
    ({"username": "ada", "account_id": 1, "grant_usd": 1}, 422, "grant_usd: and account_id"),
    ({"username": "ada", "grant_usd": 1, "quota": 1}, 422, "grant_usd: and quota exclude"),
    ({"username": "ada", "grant_usd": -1}, 422, "grant_usd: "),
    ({"username": "ada", "grant_usd": 5_000_000}, 422, "grant_usd: "),
    ({"username": "ada", "quota": 10**30}, 422, "quota: the grant may be"),
    ({"username": "ada", "password": "short"}, 422, "12 to 256 characters"),
    ({"username": "adalovelace99", "password": "AdaLovelace99"}, 422, "may not be the username"),
    ({"username": "ada", "status": 2}, 422, "status: there is no such field"),
]


async def test_bad_input_is_refused_with_field_rule_and_remedy_and_makes_nobody(admin, subtests):
    await make(admin, "eve", email="eve@example.com")
    before = await admin.pool.fetchval('SELECT count(*) FROM "user"')
    for sent, status, told in BAD:
        with subtests.test(sent=str(sent)[:60]):
            answer = await admin.call("POST", "/api/user", sent)
            assert (answer.status, told in answer.message) == (status, True), answer.body
    assert await admin.pool.fetchval('SELECT count(*) FROM "user"') == before
    assert await admin.pool.fetchval("SELECT count(*) FROM account") == before


async def test_what_is_stored_as_text_stays_text(admin):
    name = "<img src=x onerror=alert(1)> '; DROP TABLE token; --"
    made = await make(admin, "ada", display_name=name)
    assert made["display_name"] == name
    found = (await admin.call("GET", "/api/user?keyword=%3Cimg")).data
    assert [each["id"] for each in found["items"]] == [made["id"]]
    for keyword in ("%25", "_", "%27%20OR%201%3D1", "\\"):
        answer = await admin.call("GET", f"/api/user?keyword={keyword}")
        assert answer.status == 200
        assert all(each["username"] != "admin" for each in answer.data["items"])


# Lists


async def test_lists_are_pages_that_filters_narrow_down(admin):
    for n in range(12):
        await make(admin, f"user{n}", group="vip" if n % 2 else "default")
    await admin.user("watcher", role="viewer")
    await admin.call("PUT", "/api/user", {"id": 2, "status": 2, "email": "first@example.com"})
    page = (await admin.call("GET", "/api/user/?p=2&page_size=5")).data
    assert (page["page"], page["page_size"], page["total"]) == (2, 5, 14)
    assert [each["id"] for each in page["items"]] == [9, 8, 7, 6, 5]
    for query, total in (
        ("keyword=USER1", 3),
        ("keyword=first@ex", 1),
        ("group=vip", 6),
        ("role=viewer", 1),
        ("status=2", 1),
        ("status=2&role=viewer", 0),
        ("group=nowhere", 0),
        ("p=100", 14),
    ):
        for path in ("/api/user", "/api/user/search"):
            answer = await admin.call("GET", f"{path}?{query}")
            assert (answer.status, answer.data["total"]) == (200, total), query


async def test_a_list_refuses_what_it_does_not_know(admin, subtests):
    for query, told in (
        ("role=root", "role: must be one of"),
        ("status=3", "status: must be one of"),
        ("keyword=%00", "control characters"),
        ("rôle=admin", "there is no such parameter"),
        ("p=x", "p: must be a whole number"),
    ):
        with subtests.test(query=query):
            async with admin.client.get(
                f"/api/user?{query}",
                headers={"Authorization": f"Bearer {admin.credentials.access_token}"},
            ) as answer:
                assert answer.status == 422
                assert told in (await answer.json())["message"]


# Who may


async def test_only_those_whose_role_says_so_see_and_manage_users(admin, subtests):
    made = await make(admin, "ada")
    path = f"/api/user/{made['id']}"
    for role, sees, manages in (
        ("admin", 200, 200),
        ("operator", 200, 403),
        ("viewer", 200, 403),
        ("user", 403, 403),
    ):
        with subtests.test(role=role):
            _, token = await admin.user(f"a-{role}", role=role)
            for answer in (
                await admin.call("GET", "/api/user", token=token),
                await admin.call("GET", path, token=token),
            ):
                assert answer.status == sees
            changed = await admin.call("PATCH", path, {"display_name": role}, token=token)
            assert changed.status == manages


async def test_nobody_manages_their_own_rank_or_a_higher_one(admin, subtests):
    _, token = await admin.user("boss", role="admin")
    other, _ = await admin.user("other", role="admin")
    own = (await admin.call("GET", "/api/user/self", token=token)).data["id"]
    for user_id in (1, other, own, 999, 2**63 - 1):
        for method, path, body in (
            ("PUT", "/api/user", {"id": user_id, "display_name": "x"}),
            ("PATCH", f"/api/user/{user_id}", {"status": 2}),
            ("DELETE", f"/api/user/{user_id}", None),
            ("POST", f"/api/user/{user_id}/password", None),
            ("POST", "/api/user/manage", {"id": user_id, "action": "demote"}),
            ("POST", "/api/token", {"name": "x", "user_id": user_id}),
        ):
            if user_id == own and path == "/api/token":
                continue
            with subtests.test(user_id=user_id, method=method, path=path):
                answer = await admin.call(method, path, body, token=token)
                assert (answer.status, answer.body["code"]) == (404, "not_found")
    assert (await admin.call("GET", "/api/user/self", token=token)).status == 200


async def test_ids_that_no_row_can_have_are_not_found(admin):
    for path in ("0", "9" * 19, "9" * 40):
        answer = await admin.call("GET", f"/api/user/{path}")
        assert (answer.status, answer.body["code"]) == (404, "not_found")


async def test_nobody_gives_a_role_of_their_own_rank(admin, subtests):
    _, token = await admin.user("boss", role="admin")
    ada = await make(admin, "ada", token)
    for role, allowed in (
        ("operator", True),
        ("viewer", True),
        ("user", True),
        ("admin", False),
        ("owner", False),
    ):
        with subtests.test(role=role):
            for answer in (
                await admin.call(
                    "POST", "/api/user", {"username": role, "role": role}, token=token
                ),
                await admin.call("PATCH", f"/api/user/{ada['id']}", {"role": role}, token=token),
            ):
                assert (answer.status == 200) == allowed, answer.body
                if not allowed:
                    assert (answer.status, answer.body["code"]) == (403, "role_not_allowed")
    promoted = {"id": ada["id"], "action": "promote"}
    assert (await admin.call("POST", "/api/user/manage", promoted, token=token)).status == 403
    assert (await admin.call("POST", "/api/user/manage", promoted)).data["role"] == "admin"


async def test_an_access_token_without_the_permission_for_money_gives_none(admin):
    _, token = await admin.user("boss", role="admin", scopes=("user.write", "user.read"))
    for fields in ({"grant_usd": 1}, {"unlimited_quota": True}, {"account_id": 1}):
        body = {"username": "ada", **fields}
        answer = await admin.call("POST", "/api/user", body, token=token)
        assert (answer.status, answer.body["code"]) == (403, "forbidden")
        assert "account.write_any" in answer.message
    await make(admin, "ada", token)


# The last owner


async def test_the_last_enabled_owner_stays(admin, subtests):
    second, token = await admin.user("second", role="owner")
    disabled = await admin.call("PATCH", f"/api/user/{second}", {"status": 2})
    assert disabled.status == 200
    for method, path, body in (
        ("PATCH", "/api/user/1", {"role": "admin"}),
        ("PATCH", "/api/user/1", {"status": 2}),
        ("DELETE", "/api/user/1", None),
        ("POST", "/api/user/manage", {"id": 1, "action": "demote"}),
        ("POST", "/api/user/manage", {"id": 1, "action": "delete"}),
    ):
        with subtests.test(method=method, body=str(body)):
            answer = await admin.call(method, path, body)
            assert (answer.status, answer.body["code"]) == (409, "last_owner")
    await admin.call("PATCH", f"/api/user/{second}", {"status": 1})
    assert (await admin.call("PATCH", "/api/user/1", {"role": "admin"})).status == 200
    assert (await admin.call("GET", "/api/user/1", token=token)).data["role"] == "admin"


ENDINGS = [
    (method, body, whom)
    for method, body in (("PATCH", {"role": "user"}), ("PATCH", {"status": 2}), ("DELETE", None))
    for whom in ("each other", "themselves")
]


async def test_of_two_owners_who_end_each_other_or_themselves_at_once_one_stays(admin, subtests):
    await admin.pool.execute("""UPDATE "user" SET role = 'user'""")
    for n, (method, body, whom) in enumerate(ENDINGS * 3):
        with subtests.test(method=method, body=str(body), whom=whom):
            owners = [await admin.user(f"{name}{n}", role="owner") for name in "ab"]
            ids = [each for each, _ in owners]
            targets = ids[::-1] if whom == "each other" else ids
            answers = await asyncio.gather(
                *(
                    admin.call(method, f"/api/user/{target}", body, token=token)
                    for (_, token), target in zip(owners, targets, strict=True)
                )
            )
            left = await admin.pool.fetch(
                """SELECT id FROM "user" WHERE role = 'owner' AND status = 1 AND deleted_at IS NULL"""
            )
            assert len(left) == 1
            assert min(answer.status for answer in answers) == 200
            await admin.pool.execute("""UPDATE "user" SET role = 'user'""")


# Changing


async def test_a_change_keeps_what_is_absent_and_an_object_may_be_sent_back_whole(admin):
    ada = await make(admin, "ada", email="ada@example.com", grant_usd=1)
    del ada["password"]
    sent_back = await admin.call("PUT", "/api/user", ada)
    assert (sent_back.status, sent_back.data) == (200, ada)
    changed = await admin.call("PATCH", f"/api/user/{ada['id']}", {"display_name": "Ada"})
    assert changed.data == ada | {"display_name": "Ada", "version": ada["version"] + 1}
    gone = await admin.call("PATCH", f"/api/user/{ada['id']}", {"email": ""})
    assert gone.data["email"] is None


async def test_a_change_of_another_version_changes_nothing(admin):
    ada = await make(admin, "ada")
    path = f"/api/user/{ada['id']}"
    for headers, body in (
        ({"If-Match": '"7"'}, {"display_name": "x"}),
        ({}, {"display_name": "x", "version": 7}),
    ):
        answer = await admin.call("PATCH", path, body, headers=headers)
        assert (answer.status, answer.body["code"]) == (412, "version_mismatch")
    assert (await admin.call("DELETE", path, headers={"If-Match": "7"})).status == 412
    right = {"If-Match": f'"{ada["version"]}"'}
    assert (await admin.call("PATCH", path, {"display_name": "x"}, headers=right)).status == 200


BAD_CHANGES = [
    ({"username": "other"}, 422, "username: is 'ada' and stays so"),
    ({"id": 1}, 422, "id: is 1, but the path says"),
    ({"email": "admin@example.com"}, 409, "email: 'admin@example.com'"),
    ({"email": "x"}, 422, "email: "),
    ({"group": "nowhere"}, 422, "group: there is no group"),
    ({"status": 3}, 422, "status: "),
    ({"status": True}, 422, "status: "),
    ({"password": "three plain words"}, 422, "password: there is no such field"),
]


async def test_a_bad_change_changes_nothing(admin, subtests):
    await admin.call("PATCH", "/api/user/1", {"email": "Admin@example.com"})
    ada = await make(admin, "ada")
    for sent, status, told in BAD_CHANGES:
        with subtests.test(sent=str(sent)):
            answer = await admin.call("PATCH", f"/api/user/{ada['id']}", sent)
            assert (answer.status, told in answer.message) == (status, True), answer.body
    after = (await admin.call("GET", f"/api/user/{ada['id']}")).data
    assert after["version"] == ada["version"]


async def test_a_new_address_is_an_unverified_one(admin):
    ada = await make(admin, "ada", email="ada@example.com")
    await admin.pool.execute('UPDATE "user" SET email_verified_at = now()')
    path = f"/api/user/{ada['id']}"
    kept = await admin.call("PATCH", path, {"email": "ADA@example.com"})
    assert kept.data["email_verified"] is True
    other = await admin.call("PATCH", path, {"email": "ada@example.org"})
    assert other.data["email_verified"] is False


async def test_every_change_is_in_the_audit_with_what_it_was(admin):
    ada = await make(admin, "ada")
    await admin.call("PATCH", f"/api/user/{ada['id']}", {"role": "viewer", "group": "vip"})
    await admin.call("POST", f"/api/user/{ada['id']}/password")
    await admin.call("DELETE", f"/api/user/{ada['id']}")
    rows = await admin.pool.fetch(
        "SELECT actor, action, before, after FROM audit WHERE object_id = $1 AND object_kind = 'user'"
        " ORDER BY id",
        str(ada["id"]),
    )
    assert [row["action"] for row in rows] == [
        "user.create",
        "user.update",
        "user.password",
        "user.delete",
    ]
    assert {row["actor"] for row in rows} == {"user:1"}
    assert rows[1]["before"] == {"role": "user", "group": "default", "version": 1}
    assert rows[1]["after"] == {"role": "viewer", "group": "vip", "version": 2}


async def test_new_api_s_actions_do_what_they_say(admin):
    ada = await make(admin, "ada")
    for action, shown in (
        ("disable", (2, "user")),
        ("enable", (1, "user")),
        ("promote", (1, "admin")),
        ("demote", (1, "user")),
        ("delete", (1, "user")),
    ):
        answer = await admin.call("POST", "/api/user/manage", {"id": ada["id"], "action": action})
        assert (answer.data["status"], answer.data["role"]) == shown, action
    assert (await admin.call("GET", f"/api/user/{ada['id']}")).status == 404


# Ends


async def test_a_new_one_time_password_ends_the_sessions_and_the_old_password(admin):
    ada = await make(admin, "ada", password="three plain words")
    _, session = await log_in(admin, "ada", "three plain words")
    renewed = await admin.call("POST", f"/api/user/{ada['id']}/password")
    assert renewed.data["username"] == "ada"
    assert (await admin.bare("GET", "/api/user/self", headers=session)).status == 401
    assert (await log_in(admin, "ada", "three plain words"))[0].status == 401
    answer, _ = await log_in(admin, "ada", renewed.data["password"])
    assert answer.data["password_change_required"] is True


async def test_a_deleted_user_is_gone_and_their_name_and_address_are_free(admin):
    user_id, token = await admin.user("ada", password="three plain words")
    path = f"/api/user/{user_id}"
    await admin.call("PATCH", path, {"email": "ada@example.com"})
    made = await admin.create(token=token)
    _, session = await log_in(admin, "ada", "three plain words")
    assert (await admin.call("DELETE", path)).status == 200
    for answer in (
        await admin.call("GET", "/api/token", token=token),
        await admin.bare("GET", "/api/user/self", headers=session),
        (await log_in(admin, "ada", "three plain words"))[0],
    ):
        assert answer.status == 401
    for answer in (
        await admin.call("GET", path),
        await admin.call("DELETE", path),
        await admin.call("PATCH", path, {"status": 1}),
        await admin.call("GET", f"/api/token/{made['id']}"),
    ):
        assert (answer.status, answer.body["code"]) == (404, "not_found")
    again = await make(admin, "ada", email="ada@example.com")
    assert again["id"] != user_id


# Their keys


async def test_a_disabled_users_key_is_refused_on_its_next_call_and_an_enabled_ones_passes_again(
    beside: Beside,
):
    ada = await beside.call("POST", "/api/user", {"username": "ada", "unlimited_quota": True})
    made = await beside.call(
        "POST", "/api/token", {"name": "a", "user_id": ada["id"], "unlimited_quota": True}
    )
    path = f"/api/user/{ada['id']}"
    for _ in range(3):
        assert await beside.status(made["key"]) == 200
        await beside.call("PATCH", path, {"status": 2})
        async with beside.rig.post(made["key"], chat()) as answer:
            assert answer.status == 403
            assert (await answer.json())["error"]["code"] == "account_disabled"
        await beside.call("PATCH", path, {"status": 1})
        # The refusal was decided on a fresh row, which the notice makes the worker forget.
        await until(lambda: beside.rig.gateway.tokens.get(made["key"]) is None)
    assert await beside.status(made["key"]) == 200
    await beside.call("DELETE", path)
    assert await beside.status(made["key"]) == 401


async def test_another_group_binds_the_next_call_of_tokens_that_name_none(beside: Beside):
    await beside.admin.pool.execute("""INSERT INTO "group" (name) VALUES ('closed')""")
    ada = await beside.call("POST", "/api/user", {"username": "ada", "unlimited_quota": True})
    keys = [
        (await beside.call("POST", "/api/token", body | {"unlimited_quota": True}))["key"]
        for body in (
            {"name": "a", "user_id": ada["id"]},
            {"name": "b", "user_id": ada["id"], "group": "default"},
        )
    ]
    assert [await beside.status(key) for key in keys] == [200, 200]
    # Nobody's catalog knows that group: it lets nothing through.
    await beside.call("PATCH", f"/api/user/{ada['id']}", {"group": "closed"})
    assert [await beside.status(key) for key in keys] == [403, 200]
    await beside.call("PATCH", f"/api/user/{ada['id']}", {"group": "default"})
    assert await beside.status(keys[1]) == 200


async def test_a_store_that_is_not_told_is_a_202(admin):
    ada = await make(admin, "ada")
    admin.told.reached = False
    answer = await admin.call("PATCH", f"/api/user/{ada['id']}", {"status": 2})
    assert answer.status == 202
    ((account_id, _, (book,)),) = admin.told.notices[-1:]
    assert (account_id, book.scope_id) == (ada["account_id"], f"m{ada['account_id']}.{ada['id']}")
    assert book.version == 2
    assert admin.told.users[-1:] == [ada["id"]]


# Tokens for others


async def test_an_administrator_makes_tokens_that_are_somebody_elses(admin):
    user_id, token = await admin.user("ada")
    made = await admin.create(user_id=user_id)
    account_id = (await admin.call("GET", f"/api/user/{user_id}")).data["account_id"]
    assert (made["user_id"], made["account_id"]) == (user_id, account_id)
    assert (await admin.call("GET", f"/api/token/{made['id']}", token=token)).status == 200
    own = await admin.create(user_id=1)
    assert own["user_id"] == 1


async def test_others_make_tokens_for_themselves_alone(admin):
    user_id, _ = await admin.user("ada")
    for role in ("operator", "viewer", "user"):
        _, token = await admin.user(role, role=role)
        body = {"name": "x", "user_id": user_id}
        answer = await admin.call("POST", "/api/token", body, token=token)
        assert (answer.status, answer.body["code"]) == (403, "forbidden")
