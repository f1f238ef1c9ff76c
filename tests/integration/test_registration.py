"""How people become users by themselves, and get in again: registration, links in e-mails, invites."""

import asyncio
import time

import pytest

from admin_api.console.files import CONSOLE
from admin_api.people.links import ANSWERED_AFTER_S
from tests.admin import done, running_admin
from tests.integration.test_admin_auth import NEW_PASSWORD, SAME_SITE, log_in
from tests.mail import link_in

PASSWORD = "a long password"
ADA = {"username": "ada", "email": "ada@example.com", "password": PASSWORD}


@pytest.fixture
def with_settings(aiohttp_client, postgres_dsn, box):
    """The app with `[admin]` as given, and a mail server."""

    def running(**settings):
        settings = {"mail": box.settings(), "admin": {"registration": "open", **settings}}
        return running_admin(aiohttp_client, postgres_dsn, settings)

    return running


@pytest.fixture
async def admin(with_settings):
    async with with_settings() as running:
        yield running


def register(admin, **fields):
    return admin.bare("POST", "/api/user/register", {**ADA, **fields})


async def session_of(admin, username, password):
    answer, session = await log_in(admin, username, password)
    assert answer.status == 200, answer.body
    return session | SAME_SITE


async def with_email(admin, username="bob", email="bob@example.com", password=PASSWORD):
    user_id, token = await admin.user(username, password=password)
    await admin.pool.execute('UPDATE "user" SET email = $2 WHERE id = $1', user_id, email)
    return user_id, token


async def invite(admin, **fields):
    return await done(admin, "POST", "/api/invite", fields)


def declined(answer):
    return answer.status, answer.body["code"]


# The whole way of a new person


async def test_somebody_registers_verifies_logs_in_and_makes_a_key(with_settings, box):
    settings = {"require_verified_email": True, "registration_grant_usd": 5}
    async with with_settings(**settings) as admin:
        made = await register(admin)
        assert made.data["email_verification_sent"] is True
        session = await session_of(admin, "ADA", PASSWORD)
        early = await admin.bare("POST", "/api/token", {"name": "app"}, headers=session)
        assert declined(early) == (403, "email_not_verified")
        assert "POST /api/user/self/verify" in early.message

        letter = await box.letter()
        assert letter["To"] == "ada@example.com"
        secret = link_in(letter, "verify")
        assert (await admin.bare("POST", "/api/user/verify", {"token": secret})).status == 200
        own = (await admin.bare("GET", "/api/user/self", headers=session)).data
        assert (own["email"], own["email_verified"]) == ("ada@example.com", True)
        assert (own["quota"], own["unlimited_quota"]) == (2_500_000, False)
        key = await admin.bare("POST", "/api/token", {"name": "app"}, headers=session)
        assert key.data["key"].startswith("sk-")

        query = "SELECT delta, kind, actor FROM grant_entry WHERE account_id = $1"
        entry = await admin.pool.fetchrow(query, own["account_id"])
        assert tuple(entry) == (5_000_000_000, "create", "nobody")
        stored = await admin.pool.fetch("SELECT * FROM link")
        assert not [row for row in stored if secret in str(dict(row))]


async def test_administrators_make_keys_without_an_address(with_settings):
    async with with_settings(require_verified_email=True) as admin:
        await admin.create()
        _, token = await admin.user("op", role="operator")
        answer = await admin.call("POST", "/api/token", {"name": "app"}, token=token)
        assert declined(answer) == (403, "email_not_verified")


# Registration


@pytest.mark.parametrize("mode", ["closed", "invite"])
async def test_nobody_registers_by_themselves_where_the_operator_does_not_want_it(
    with_settings, mode
):
    async with with_settings(registration=mode) as admin:
        answer = await register(admin)
        assert declined(answer) == (403, "registration_closed")
        assert await admin.pool.fetchval('SELECT count(*) FROM "user"') == 1
        assert (await admin.bare("GET", "/api/status")).data["registration"] == mode
        made = await admin.call("POST", "/api/invite", {})
        assert made.status == (403 if mode == "closed" else 200)  # nobody could use it


WRONG = [
    ({"username": ""}, "username: must have 1 to 64 letters"),
    ({"username": "a b"}, "username: must have 1 to 64 letters"),
    ({"username": "a\u202eb"}, "username: must have 1 to 64 letters"),
    ({"username": "a\n"}, "username: must have 1 to 64 letters"),
    ({"username": "x" * 65}, "username: must have 1 to 64 letters"),
    ({"email": "nobody"}, "no e-mail address such as"),
    ({"email": "a@b\nBcc: eve@example.com"}, "no e-mail address such as"),
    ({"password": "short"}, "password: must have 12 to 256"),
    ({"username": "three-plain-words", "password": "three-plain-words"}, "may not be the username"),
    ({"role": "owner"}, "role: there is no such field"),
]


async def test_a_bad_registration_makes_nobody(admin, subtests):
    for fields, said in WRONG:
        with subtests.test(**fields):
            answer = await register(admin, **fields)
            assert answer.status == 422
            assert said in answer.message
    assert await admin.pool.fetchval('SELECT count(*) FROM "user"') == 1
    assert await admin.pool.fetchval("SELECT count(*) FROM account") == 1


async def test_a_name_and_an_address_are_one_users_only(admin):
    assert (await register(admin)).status == 200
    assert declined(await register(admin, email="eve@example.com")) == (409, "name_taken")
    taken = await register(admin, username="eve", email="ADA@example.com")
    assert declined(taken) == (409, "email_taken")
    assert await admin.pool.fetchval('SELECT count(*) FROM "user"') == 2


async def test_registrations_from_one_network_are_rationed(admin):
    statuses = [(await register(admin, password="short")).status for _ in range(21)]
    assert statuses == [422] * 20 + [429]
    assert int((await register(admin)).headers["Retry-After"]) > 0


async def test_other_sites_cannot_register_or_reset_for_a_visitor(admin, subtests):
    for method, path in (
        ("POST", "/api/user/register"),
        ("POST", "/api/user/reset"),
        ("PUT", "/api/user/reset"),
        ("POST", "/api/user/verify"),
    ):
        with subtests.test(path=path):
            headers = {"Sec-Fetch-Site": "cross-site"}
            answer = await admin.bare(method, path, {}, headers=headers)
            assert declined(answer) == (403, "cross_site")
            form = {"Content-Type": "text/plain"}
            answer = await admin.bare(method, path, data=b"{}", headers=form)
            assert declined(answer) == (415, "unsupported_media_type")


async def test_without_a_mail_server_people_register_and_the_rest_says_what_is_lacking(
    aiohttp_client, postgres_dsn
):
    settings = {"admin": {"registration": "open"}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        assert (await admin.bare("GET", "/api/status")).data["mail"] is False
        assert (await register(admin)).data["email_verification_sent"] is False
        session = await session_of(admin, "ada", PASSWORD)
        for answer in (
            await admin.bare("POST", "/api/user/self/verify", headers=session),
            await admin.bare("POST", "/api/user/reset", {"email": "ada@example.com"}),
            await admin.call("POST", "/api/invite", {"email": "eve@example.com"}),
        ):
            assert declined(answer) == (409, "mail_not_set_up")
        assert await admin.pool.fetchval("SELECT count(*) FROM outbox") == 0


# Links


async def ask_reset(admin, box, email="bob@example.com"):
    answer = await admin.bare("POST", "/api/user/reset", {"email": email})
    assert answer.status == 200, answer.body
    return link_in(await box.letter(), "reset")


def reset(admin, secret, password=NEW_PASSWORD):
    return admin.bare("PUT", "/api/user/reset", {"token": secret, "password": password})


async def test_a_forgotten_password_is_replaced_by_a_link_and_all_sessions_end(admin, box):
    await with_email(admin)
    session = await session_of(admin, "bob", PASSWORD)
    secret = await ask_reset(admin, box, "BOB@example.com")
    assert (await admin.bare("GET", "/api/user/self", headers=session)).status == 200
    assert (await reset(admin, secret)).status == 200
    told = await box.letter()
    assert told["To"] == "bob@example.com"
    assert told["Subject"] == "Your password was changed"
    assert (await admin.bare("GET", "/api/user/self", headers=session)).status == 401
    assert (await log_in(admin, "bob", PASSWORD))[0].status == 401
    renewed = await session_of(admin, "bob", NEW_PASSWORD)
    own = (await admin.bare("GET", "/api/user/self", headers=renewed)).data
    assert own["email_verified"] is True


async def test_a_reset_ends_the_pause_that_wrong_passwords_brought(admin, box):
    await with_email(admin)
    for _ in range(6):
        await log_in(admin, "bob", "wrong")
    assert (await log_in(admin, "bob", PASSWORD))[0].status == 429
    assert (await reset(admin, await ask_reset(admin, box))).status == 200
    await session_of(admin, "bob", NEW_PASSWORD)


async def test_a_reset_does_not_tell_who_has_an_address(admin, box):
    await with_email(admin)
    gone_id, _ = await with_email(admin, "gone", "gone@example.com")
    await admin.pool.execute('UPDATE "user" SET deleted_at = now() WHERE id = $1', gone_id)
    answers = []
    for email in ("nobody@example.com", "gone@example.com", "bob@example.com"):
        begun = time.monotonic()
        answers.append(await admin.bare("POST", "/api/user/reset", {"email": email}))
        assert time.monotonic() - begun > ANSWERED_AFTER_S * 0.99
    assert len({(each.status, each.message) for each in answers}) == 1
    assert (await box.letter())["To"] == "bob@example.com"
    assert await admin.pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_resets_are_rationed_by_address_and_by_network(admin):
    async def ask(email):
        return (await admin.bare("POST", "/api/user/reset", {"email": email})).status

    same = await asyncio.gather(*(ask("bob@example.com") for _ in range(6)))
    assert sorted(same) == [200] * 5 + [429]
    others = await asyncio.gather(*(ask(f"n{number}@example.com") for number in range(15)))
    assert sorted(others) == [200] * 14 + [429]


ENDED = [
    "UPDATE link SET expires_at = now()",
    "UPDATE link SET used_at = now()",
    "UPDATE \"user\" SET email = 'new@example.com' WHERE username = 'bob'",
    "UPDATE \"user\" SET deleted_at = now() WHERE username = 'bob'",
]


@pytest.mark.parametrize("statement", ENDED)
async def test_a_link_ends_when_old_when_used_and_with_the_address(admin, box, statement):
    await with_email(admin)
    secret = await ask_reset(admin, box)
    await admin.pool.execute(statement)
    answer = await reset(admin, secret)
    assert declined(answer) == (410, "invalid_link")
    assert "POST /api/user/reset sends another" in answer.message


async def test_a_link_is_for_one_purpose_and_one_use(admin, box):
    await with_email(admin)
    first, second = await ask_reset(admin, box), await ask_reset(admin, box)
    for secret in (first, "x", "ä", "", "x" * 129):
        answer = await admin.bare("POST", "/api/user/verify", {"token": secret})
        assert answer.status in {410, 422}
    assert (await reset(admin, first, "short")).status == 422  # and the link still works
    assert (await reset(admin, first)).status == 200
    for secret in (first, second):  # whoever asked twice has no second way in left
        assert declined(await reset(admin, secret)) == (410, "invalid_link")


async def test_of_several_uses_of_one_link_at_once_one_wins(admin, box):
    await with_email(admin)
    secret = await ask_reset(admin, box)
    answers = await asyncio.gather(
        *(reset(admin, secret, f"three plain words {number}") for number in range(8))
    )
    assert sorted(answer.status for answer in answers) == [200] + [410] * 7


async def test_a_verification_is_sent_again_until_it_is_done(admin, box):
    await register(admin)
    await box.letter()
    session = await session_of(admin, "ada", PASSWORD)
    again = await admin.bare("POST", "/api/user/self/verify", headers=session)
    assert again.status == 200
    secret = link_in(await box.letter(), "verify")
    assert (await admin.bare("POST", "/api/user/verify", {"token": secret})).status == 200
    done = await admin.bare("POST", "/api/user/self/verify", headers=session)
    assert "verified already" in done.message
    lacking = await admin.call("POST", "/api/user/self/verify")
    assert lacking.status == 422
    assert "email: you have none" in lacking.message


async def test_a_new_address_is_asked_whose_it_is(admin, box):
    user_id, _ = await with_email(admin)
    for email in ("new@example.com", "new@example.com"):  # the second changes nothing
        changed = await admin.call("PATCH", f"/api/user/{user_id}", {"email": email})
        assert changed.status == 200, changed.body
    letter = await box.letter()
    assert letter["To"] == "new@example.com"
    verified = await admin.bare("POST", "/api/user/verify", {"token": link_in(letter, "verify")})
    assert verified.status == 200
    assert await admin.pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_letters_to_one_address_are_rationed(admin):
    await register(admin)
    session = await session_of(admin, "ada", PASSWORD)
    for _ in range(5):
        answer = await admin.bare("POST", "/api/user/self/verify", headers=session)
        assert answer.status == 200
    answer = await admin.bare("POST", "/api/user/self/verify", headers=session)
    assert declined(answer) == (429, "too_many_attempts")


async def test_links_lead_to_a_page_that_only_our_script_can_act_on(with_settings, box):
    async with with_settings(public_url="https://admin.example.com/") as admin:
        await register(admin)
        assert "https://admin.example.com/link#verify=" in (await box.letter()).get_content()
        async with admin.client.get("/link") as page:
            policy = page.headers["Content-Security-Policy"]
            assert page.headers["Cache-Control"] == "no-store"
            text = await page.text()
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert f'<script type="module" src="{CONSOLE.address("main.js")}"></script>' in text
        async with admin.client.get(CONSOLE.address("main.js")) as script:
            assert script.content_type == "text/javascript"


# Invites


async def test_an_invited_person_becomes_what_the_invite_says(with_settings, box):
    settings = {"registration": "invite", "registration_grant_usd": 5}
    async with with_settings(**settings) as admin:
        made = await invite(admin, role="operator", email="ada@example.com")
        letter = await box.letter()
        assert letter["To"] == "ada@example.com"
        assert link_in(letter, "invite") == made["invite"]
        assert made["link"].endswith(f"/link#invite={made['invite']}")
        assert (await register(admin, invite=made["invite"])).status == 200
        session = await session_of(admin, "ada", PASSWORD)
        own = (await admin.bare("GET", "/api/user/self", headers=session)).data
        assert (own["role"], own["quota"]) == ("operator", 2_500_000)
        shown = (await admin.call("GET", "/api/invite")).data["items"][0]
        assert (shown["used"], shown["uses"], shown["username"]) == (1, 1, "admin")
        assert made["invite"] not in str(shown)
        again = await register(admin, username="eve", email="e@b.c", invite=made["invite"])
        assert declined(again) == (410, "invalid_invite")


async def test_an_invite_gives_what_it_says_in_the_place_of_the_operators_grant(
    with_settings, subtests
):
    async with with_settings(registration_grant_usd=5) as admin:
        query = """SELECT a.granted, g.delta, g.note FROM "user" u JOIN account a ON a.id = u.account_id
                     JOIN grant_entry g ON g.account_id = a.id AND g.scope_kind = 'a' WHERE u.username = $1"""
        for n, (fields, granted, note) in enumerate(
            [
                ({"grant_usd": 12.5}, 12_500_000_000, "invite {id}"),
                ({"grant_usd": 0}, 0, "invite {id}"),
                ({}, 5_000_000_000, ""),
            ]
        ):
            with subtests.test(**fields):
                made = await invite(admin, **fields)
                assert made["grant_usd"] == fields.get("grant_usd")
                name = {"username": f"ada{n}", "email": f"ada{n}@example.com"}
                answer = await register(admin, **name, invite=made["invite"])
                assert answer.status == 200
                row = await admin.pool.fetchrow(query, name["username"])
                expected = (granted, granted, note.format(id=made["id"]))
                assert (row["granted"], row["delta"], row["note"]) == expected
                after = await admin.pool.fetchval(
                    "SELECT after FROM audit WHERE action = 'user.register' ORDER BY id DESC LIMIT 1"
                )
                said = {"invite_id": made["id"]} | ({"granted": granted} if note else {})
                assert after == said


async def test_money_is_given_by_an_invite_of_those_alone_who_may_give_it(admin):
    _, token = await admin.user("eve", role="admin")
    made = (await admin.call("POST", "/api/invite", {"grant_usd": 5, "uses": 2}, token=token)).data
    assert (await register(admin, invite=made["invite"])).status == 200
    await admin.pool.execute("""UPDATE "user" SET role = 'operator' WHERE username = 'eve'""")
    bob = {"username": "bob", "email": "bob@example.com"}
    assert declined(await register(admin, **bob, invite=made["invite"])) == (410, "invalid_invite")
    shown = (await admin.call("GET", "/api/invite")).data["items"][0]
    assert (shown["grant_usd"], shown["used"]) == (5, 1)


async def test_letters_name_the_installation_as_the_operator_does(
    aiohttp_client, postgres_dsn, box
):
    settings = {
        "mail": box.settings(),
        "console": {"name": "Acme {AI}"},
        "admin": {"registration": "open"},
    }
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        await with_email(admin)
        await invite(admin, email="ada@example.com")
        invited = await box.letter()
        assert invited["Subject"] == "An invitation to Acme {AI}"
        assert (await reset(admin, await ask_reset(admin, box))).status == 200
        changed = await box.letter()
        for letter in (invited, changed):
            assert "Acme {AI} at http" in letter.get_content()
            assert "Tollhouse" not in letter.get_content()


async def test_an_invite_into_a_wallet_makes_members_who_share_it(admin):
    made = await invite(admin, account_id=1, uses=2)
    assert (await register(admin, invite=made["invite"])).status == 200
    session = await session_of(admin, "ada", PASSWORD)
    own = (await admin.bare("GET", "/api/user/self", headers=session)).data
    assert own["account_id"] == 1
    query = "SELECT role FROM member WHERE account_id = 1 AND user_id = $1"
    assert await admin.pool.fetchval(query, own["id"]) == "member"
    assert await admin.pool.fetchval("SELECT count(*) FROM account") == 1


async def test_an_invite_is_never_used_more_often_than_it_says(admin):
    made = await invite(admin, uses=3)
    answers = await asyncio.gather(
        *(
            register(admin, username=f"u{n}", email=f"u{n}@example.com", invite=made["invite"])
            for n in range(12)
        )
    )
    assert sorted(answer.status for answer in answers) == [200] * 3 + [410] * 9
    assert await admin.pool.fetchval("SELECT used FROM invite") == 3
    assert await admin.pool.fetchval('SELECT count(*) FROM "user"') == 4


async def test_a_registration_that_fails_uses_no_invite(admin):
    made = await invite(admin)
    assert (await register(admin, username="admin", invite=made["invite"])).status == 409
    assert await admin.pool.fetchval("SELECT used FROM invite") == 0
    assert (await register(admin, invite=made["invite"])).status == 200


NO_LONGER = [
    "UPDATE invite SET expires_at = now()",
    "UPDATE invite SET revoked_at = now()",
    "UPDATE \"user\" SET status = 2 WHERE username = 'boss'",
    "UPDATE \"user\" SET role = 'user' WHERE username = 'boss'",
]


@pytest.mark.parametrize("statement", NO_LONGER)
async def test_an_invite_ends_with_its_time_and_with_its_makers_right(admin, statement):
    _, token = await admin.user("boss", role="admin")
    made = await admin.call("POST", "/api/invite", {}, token=token)
    await admin.pool.execute(statement)
    answer = await register(admin, invite=made.data["invite"])
    assert declined(answer) == (410, "invalid_invite")


async def test_nobody_invites_to_their_own_rank_or_sees_such_invites(admin):
    _, boss = await admin.user("boss", role="admin")
    _, op = await admin.user("op", role="operator")
    above = await invite(admin, role="admin")
    answer = await admin.call("POST", "/api/invite", {"role": "admin"}, token=boss)
    assert declined(answer) == (403, "forbidden")
    assert (await admin.call("POST", "/api/invite", {}, token=op)).status == 403
    own = (await admin.call("POST", "/api/invite", {"role": "operator"}, token=boss)).data
    seen = (await admin.call("GET", "/api/invite", token=boss)).data
    assert [each["id"] for each in seen["items"]] == [own["id"]]
    hidden = await admin.call("DELETE", f"/api/invite/{above['id']}", token=boss)
    assert declined(hidden) == (404, "not_found")
    assert (await admin.call("DELETE", f"/api/invite/{own['id']}", token=boss)).status == 200
    assert (await admin.call("DELETE", f"/api/invite/{own['id']}", token=boss)).status == 404
    for beyond in (2**63, 10**25):
        assert (await admin.call("DELETE", f"/api/invite/{beyond}")).status == 404


async def test_neither_a_place_in_an_account_nor_money_is_given_away_without_the_permission(admin):
    _, token = await admin.user("boss", role="admin", scopes=("user.write",))
    assert (await admin.call("POST", "/api/invite", {}, token=token)).status == 200
    for fields in ({"account_id": 1}, {"grant_usd": 5}):
        answer = await admin.call("POST", "/api/invite", fields, token=token)
        assert declined(answer) == (403, "forbidden")
        assert "account.write_any" in answer.message


WRONG_INVITES = [
    ({"role": "king"}, "role: "),
    ({"group": "nowhere"}, "group: there is no group 'nowhere'"),
    ({"account_id": 99}, "account_id: there is no account 99"),
    ({"grant_usd": -1}, "grant_usd: "),
    ({"grant_usd": 5, "account_id": 1}, "grant_usd: and account_id exclude each other"),
    ({"uses": 0}, "uses: "),
    ({"expires_in_days": 366}, "expires_in_days: "),
    ({"email": "x"}, "no e-mail address such as"),
]


async def test_a_bad_invite_is_not_made(admin, subtests):
    for fields, said in WRONG_INVITES:
        with subtests.test(**fields):
            answer = await admin.call("POST", "/api/invite", fields)
            assert answer.status == 422
            assert said in answer.message
    assert (await admin.call("GET", "/api/invite")).data["total"] == 0


async def test_an_invite_that_is_asked_for_twice_is_made_once(admin):
    headers = {"Idempotency-Key": "one"}
    first = await admin.call("POST", "/api/invite", {}, headers=headers)
    again = await admin.call("POST", "/api/invite", {}, headers=headers)
    assert first.data == again.data
    assert (await admin.call("GET", "/api/invite?p=2&page_size=1")).data == {
        "page": 2,
        "page_size": 1,
        "total": 1,
        "items": [],
    }


async def test_what_people_do_by_themselves_is_audited_without_secrets(admin, box):
    made = await invite(admin)
    await register(admin, invite=made["invite"])
    secret = link_in(await box.letter(), "verify")
    await admin.bare("POST", "/api/user/verify", {"token": secret})
    rows = await admin.pool.fetch("SELECT * FROM audit")
    actions = {row["action"]: row for row in rows}
    assert {"invite.create", "user.register", "user.verify_email"} <= set(actions)
    assert actions["user.register"]["actor"] == "nobody"
    assert str(actions["user.register"]["address"]) == "127.0.0.1"
    for row in rows:
        assert made["invite"] not in str(dict(row))
        assert secret not in str(dict(row))


async def test_another_address_of_ones_own_needs_the_password_and_is_asked_whose_it_is(admin, box):
    _, token = await with_email(admin)
    wanted = {"email": "robert@example.com"}
    for more, status in (({}, 422), ({"original_password": "wrong"}, 403)):
        answer = await admin.call("PUT", "/api/user/self", wanted | more, token=token)
        assert answer.status == status
    right = wanted | {"original_password": PASSWORD}
    assert (await admin.call("PUT", "/api/user/self", right, token=token)).status == 200
    mine = (await admin.call("GET", "/api/user/self", token=token)).data
    assert (mine["email"], mine["email_verified"]) == ("robert@example.com", False)
    verified = {"token": link_in(await box.letter(), "verify")}
    assert (await admin.bare("POST", "/api/user/verify", verified)).status == 200
    assert (await admin.call("GET", "/api/user/self", token=token)).data["email_verified"]


async def test_an_address_of_somebody_else_is_not_taken(admin):
    await with_email(admin, "eve", "eve@example.com")
    _, token = await with_email(admin)
    wanted = {"email": "EVE@example.com", "original_password": PASSWORD}
    answer = await admin.call("PUT", "/api/user/self", wanted, token=token)
    assert (answer.status, answer.body["code"]) == (409, "email_taken")


async def test_warnings_by_mail_are_ones_own_choice(admin):
    _, token = await with_email(admin)
    assert (
        await admin.call("PUT", "/api/user/self", {"mail_warnings": False}, token=token)
    ).status == 200
    assert not (await admin.call("GET", "/api/user/self", token=token)).data["mail_warnings"]
