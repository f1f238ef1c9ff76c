"""The catalog over the admin API: what may be said, what is shown, and what cannot be deleted."""

import asyncio
import json

import pytest

from admin_api.context import SERVICES
from gateway.store.resealing import reseal
from gateway.store.seal import Seal
from gateway.store.upstream_keys import opening
from tests.admin import KEK, declined, done, running_admin
from tests.upstream import Answer, ScriptedUpstream, Turns, refuse

KEY = "sk-provider-0123456789abcdef-wxyz"
OTHER = "sk-provider-0123456789abcdef-abcd"
PUBLIC = {"name": "added", "base_url": "https://1.1.1.1/v1"}
FILE = {
    "upstreams": [
        {
            "name": "of-file",
            "base_url": "http://127.0.0.1:9/v1",
            "models": ["m"],
            "headers": {"X-Team": "secret"},
            "proxy": "http://user:secret@127.0.0.1:3128",
        }
    ],
    "models": [{"name": "m", "input_usd_per_mtok": "0.1", "output_usd_per_mtok": 10}],
    "groups": {"vip": {"ratio": "0.5"}},
}


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn):
    async with running_admin(aiohttp_client, postgres_dsn, FILE) as running:
        yield running


# Upstreams


async def test_an_upstream_is_made_shown_changed_and_deleted(admin):
    made = await done(
        admin, "POST", "/api/upstream", {**PUBLIC, "models": {"fast": "gpt-5.4-mini"}}
    )
    assert (made["source"], made["version"], made["broken"]) == ("api", 1, None)
    assert made["models"] == {"fast": "gpt-5.4-mini"}
    changed = await done(
        admin, "PATCH", "/api/upstream/added", {"weight": 3, "idle_timeout_s": 1.5}
    )
    assert (changed["weight"], changed["idle_timeout_s"], changed["version"]) == (3, 1.5, 2)
    reset = await done(admin, "PATCH", "/api/upstream/added/", {"weight": None, "models": None})
    assert (reset["weight"], reset["models"]) == (1, ["*"])
    await done(admin, "DELETE", "/api/upstream/added")
    await declined(admin, 404, "not_found", "GET", "/api/upstream/added")
    actions = await admin.pool.fetch(
        "SELECT action, before, after FROM audit WHERE object_kind = 'upstream' ORDER BY id"
    )
    assert [row["action"].partition(".")[2] for row in actions] == [
        "create",
        "update",
        "update",
        "delete",
    ]
    assert actions[1]["after"] == {"weight": 3, "idle_timeout_s": 1.5}
    assert len([each for each in admin.told.notices if len(each) == 1]) == 4


async def test_what_get_gave_may_be_sent_back_whole_and_changes_nothing(admin):
    await done(admin, "POST", "/api/upstream", {**PUBLIC, "api_keys": [KEY, OTHER]})
    await done(admin, "POST", "/api/model", {"name": "x", "max_output_tokens": 5})
    await done(
        admin,
        "POST",
        "/api/group",
        {"name": "g", "limits": [{"metric": "usd", "window": "1d", "limit": 1.5}]},
    )
    await done(admin, "POST", "/api/group", {"name": "both", "groups": ["g", "vip"]})
    for path in ("/api/upstream/added", "/api/model/x", "/api/group/g", "/api/group/both"):
        shown = await done(admin, "GET", path)
        assert await done(admin, "PATCH", path, shown) == shown


async def test_keys_are_never_shown_again(admin):
    await done(admin, "POST", "/api/upstream", {**PUBLIC, "api_key": KEY})
    texts = [
        json.dumps(await done(admin, "PATCH", "/api/upstream/added", {"api_keys": [KEY, OTHER]})),
        json.dumps(await done(admin, "GET", "/api/upstream")),
        "\n".join(admin.lines),
    ]
    for table in ("audit", "upstream", "idempotency"):
        texts += [row[0] for row in await admin.pool.fetch(f"SELECT t::text FROM {table} t")]
    for secret in (KEY, OTHER, KEY.encode().hex()):
        assert not any(secret in text for text in texts)
    assert (await done(admin, "GET", "/api/upstream/added"))["api_keys"] == ["…wxyz", "…abcd"]
    assert (await done(admin, "PATCH", "/api/upstream/added", {"api_keys": []}))["api_key"] is None


async def test_a_key_stays_with_the_host_that_it_was_given_for(admin):
    await done(admin, "POST", "/api/upstream", {**PUBLIC, "api_key": KEY})
    for elsewhere in ("https://8.8.8.8/v1", "http://1.1.1.1/v1", "https://1.1.1.1:444/v1"):
        message = await declined(
            admin, 422, "invalid_field", "PATCH", "/api/upstream/added", {"base_url": elsewhere}
        )
        assert message.startswith("api_key: is needed again")
    await done(admin, "PATCH", "/api/upstream/added", {"base_url": "https://1.1.1.1/v2"})
    moved = {"base_url": "https://8.8.8.8/v1", "api_key": OTHER}
    assert (await done(admin, "PATCH", "/api/upstream/added", moved))["api_key"] == "…abcd"


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("base_url", {"base_url": "http://127.0.0.1/v1"}),
        ("base_url", {"base_url": "http://localhost/v1"}),
        ("base_url", {"base_url": "http://127.1/v1"}),
        ("base_url", {"base_url": "https://10.1.2.3/v1"}),
        ("base_url", {"base_url": "https://[::ffff:10.1.2.3]/v1"}),
        ("base_url", {"base_url": "http://169.254.169.254/v1", "allow_cidrs": ["169.254.0.0/16"]}),
        ("base_url", {"base_url": "http://10.1.2.3/v1", "allow_cidrs": ["192.168.0.0/16"]}),
        ("base_url", {"base_url": "file:///etc/passwd"}),
        ("base_url", {"base_url": "https://user:secret@1.1.1.1/v1"}),
        ("base_url", {"base_url": "https://api.openai.com"}),
        ("base_url", {"base_url": "https://1.1.1.1:99999/v1"}),
        ("name", {"name": "a b"}),
        ("name", {"name": "line\nbreak"}),
        ("unix_socket", {"unix_socket": "/var/run/docker.sock"}),
        ("api_key_env", {"api_key_env": "TOLLHOUSE_PEPPER"}),
        ("proxy", {"proxy": "http://10.0.0.1"}),
        ("ca_file", {"ca_file": "/etc/passwd"}),
        ("headers", {"headers": {"Authorization": "x"}}),
        ("headers.X-Team", {"headers": {"X-Team": "a\r\nb: c"}}),
        ("api_key", {"api_key": "line\r\nbreak"}),
        ("api_key", {"api_key": "…wxyz"}),
        ("api_key", {"api_key": KEY, "api_keys": [OTHER]}),
        ("api_keys", {"api_keys": [KEY, KEY]}),
        ("weight", {"weight": 0}),
        ("connect_timeout_s", {"connect_timeout_s": -1}),
        ("allow_cidrs", {"allow_cidrs": ["10.0.0.1/8"]}),
        ("leave_out: must be names of members", {"leave_out": ["se ed"]}),
        ("azure_api_version: must be a date", {"azure_api_version": "v1"}),
    ],
)
async def test_a_bad_upstream_is_refused_with_the_field_that_is_at_fault(admin, field, body):
    message = await declined(
        admin, 422, "invalid_field", "POST", "/api/upstream", {**PUBLIC, **body}
    )
    assert message.startswith(field), message
    assert KEY not in message
    assert await admin.pool.fetchval("SELECT count(*) FROM upstream") == 0


async def test_a_private_address_is_called_where_it_is_allowed(admin):
    inside = {"base_url": "http://10.1.2.3/v1", "allow_cidrs": "10.0.0.0/8\n192.168.0.0/16"}
    made = await done(admin, "POST", "/api/upstream", {**PUBLIC, **inside})
    assert made["allow_cidrs"] == ["10.0.0.0/8", "192.168.0.0/16"]
    message = await declined(
        admin, 422, "invalid_field", "PATCH", "/api/upstream/added", {"allow_cidrs": []}
    )
    assert "10.1.2.3 is not public" in message


async def test_a_name_that_nobody_can_look_up_is_taken_with_a_remark(admin):
    answer = await admin.call(
        "POST", "/api/upstream", {**PUBLIC, "base_url": "https://nowhere.invalid/v1"}
    )
    assert answer.status == 200
    assert "cannot be looked up from here" in answer.message


async def test_entries_of_the_file_are_shown_and_cannot_be_changed(admin):
    shown = await done(admin, "GET", "/api/upstream/of-file")
    assert (shown["source"], shown["version"]) == ("file", 0)
    assert shown["headers"] == {"X-Team": "…"}
    assert shown["file_only"]["proxy"] == "http://127.0.0.1:3128"
    assert (await done(admin, "GET", "/api/model/m"))["effective"]["price"][
        "input_usd_per_mtok"
    ] == 0.1
    assert (await done(admin, "GET", "/api/group/vip"))["ratio"] == 0.5
    for path in ("/api/upstream/of-file", "/api/model/m", "/api/group/vip", "/api/group/default"):
        for method, body in (("PATCH", {}), ("DELETE", None)):
            message = await declined(admin, 409, "read_only", method, path, body)
            assert "configuration file" in message
    for path, body in (
        ("/api/upstream", {**PUBLIC, "name": "of-file"}),
        ("/api/upstream", {**PUBLIC, "name": "openai"}),
        ("/api/model", {"name": "m"}),
        ("/api/group", {"name": "vip"}),
        ("/api/group", {"name": "default"}),
    ):
        await declined(admin, 409, "name_taken", "POST", path, body)


async def test_an_edit_of_an_older_version_is_refused(admin):
    await done(admin, "POST", "/api/upstream", PUBLIC)
    await done(admin, "PATCH", "/api/upstream/added", {"weight": 2}, headers={"If-Match": '"1"'})
    stale = {"headers": {"If-Match": '"1"'}}
    for method, body in (("PATCH", {"weight": 3}), ("DELETE", None)):
        await declined(admin, 412, "version_mismatch", method, "/api/upstream/added", body, **stale)
    await declined(
        admin, 412, "version_mismatch", "PATCH", "/api/upstream/added", {"weight": 3, "version": 1}
    )


async def test_lists_have_pages_and_filters(admin):
    for number in range(12):
        await done(admin, "POST", "/api/upstream", {**PUBLIC, "name": f"u{number:02}"})
    page = await done(admin, "GET", "/api/upstream?p=2&size=5")
    assert [each["name"] for each in page["items"]] == ["u04", "u05", "u06", "u07", "u08"]
    assert page["total"] == 13
    page = await done(admin, "GET", "/api/upstream?keyword=U1&source=api")
    assert [each["name"] for each in page["items"]] == ["u10", "u11"]
    await declined(admin, 422, "invalid_field", "GET", "/api/upstream?source=elsewhere")


async def test_only_who_may_edit_the_catalog_does(admin):
    _, user = await admin.user("ada")
    _, viewer = await admin.user("eve", role="viewer")
    _, operator = await admin.user("olaf", role="operator")
    await declined(admin, 403, "forbidden", "GET", "/api/upstream", token=user)
    await done(admin, "GET", "/api/upstream", token=viewer)
    await declined(admin, 403, "forbidden", "POST", "/api/upstream", PUBLIC, token=viewer)
    await done(admin, "POST", "/api/upstream", PUBLIC, token=operator)


async def test_keys_are_sealed_anew_and_open_for_their_own_upstream_alone(admin):
    await done(admin, "POST", "/api/upstream", {**PUBLIC, "api_key": KEY})
    new = bytes(range(100, 132))
    assert await reseal(admin.pool, Seal(bytes(range(64, 96)))) == (0, 1)
    assert await reseal(admin.pool, Seal(new, KEK)) == (1, 0)
    assert await reseal(admin.pool, Seal(new, KEK)) == (0, 0)
    (row,) = admin.client.app[SERVICES].catalogs.rows
    sealed = await admin.pool.fetchval("SELECT sealed_keys FROM upstream")
    assert opening(Seal(new))(row._replace(sealed_keys=sealed)) == (KEY,)
    with pytest.raises(Exception, match="do not open"):
        opening(Seal(new))(row._replace(sealed_keys=sealed, name="another"))
    with pytest.raises(Exception, match="TOLLHOUSE_KEK is not given"):
        opening(None)(row)


# A provider


@pytest.fixture
async def provider(admin):
    async with ScriptedUpstream() as upstream:
        await done(
            admin,
            "POST",
            "/api/upstream",
            {
                **PUBLIC,
                "base_url": upstream.base_url,
                "allow_cidrs": ["127.0.0.0/8"],
                "api_keys": [KEY, OTHER],
                "models": {"ours": "echo"},
            },
        )
        yield upstream


async def test_a_test_asks_with_every_key_and_tells_what_the_provider_says(admin, provider):
    tested = await done(admin, "POST", "/api/upstream/added/test")
    assert (tested["ok"], tested["called"]) == (True, "GET /models")
    assert [each["api_key"] for each in tested["keys"]] == ["…wxyz", "…abcd"]
    assert [sent.header("authorization") for sent in provider.requests] == [
        f"Bearer {KEY}",
        f"Bearer {OTHER}",
    ]
    provider.answer("", refuse(401, f"Incorrect API key provided: {KEY}"))
    tested = await done(admin, "POST", "/api/upstream/added/test", {})
    assert (tested["ok"], tested["keys"][0]["status"]) == (False, 401)
    assert tested["keys"][0]["message"] == "Incorrect API key provided: (the key)"


async def test_a_test_of_a_model_calls_it_by_the_providers_name(admin, provider):
    tested = await done(admin, "POST", "/api/upstream/added/test", {"model": "ours"})
    assert (tested["ok"], tested["called"]) == (True, "POST /chat/completions")
    sent = json.loads(provider.requests[0].body)
    assert (sent["model"], sent["max_tokens"]) == ("echo", 16)
    message = await declined(
        admin, 422, "invalid_field", "POST", "/api/upstream/added/test", {"model": "theirs"}
    )
    assert "does not serve" in message


async def test_a_provider_that_sends_elsewhere_or_says_nonsense_is_told_so(admin, provider):
    away = Answer(status=302, headers=(("location", "http://169.254.169.254/"),))
    provider.answer("", away)
    tested = await done(admin, "POST", "/api/upstream/added/test")
    assert tested["keys"][0]["status"] == 302
    assert len(provider.requests) == 2
    provider.answer("", Answer((b"<h1>secret</h1>",), status=500, content_type="text/html"))
    tested = await done(admin, "POST", "/api/upstream/added/test")
    assert "secret" not in json.dumps(tested)
    await provider.__aexit__(None, None, None)
    tested = await done(admin, "POST", "/api/upstream/added/test")
    assert tested["keys"][0]["status"] is None
    assert "Cannot connect" in tested["keys"][0]["message"]
    await provider.__aenter__()


async def test_an_address_that_is_not_allowed_any_more_is_not_called_by_a_test(admin, provider):
    await admin.pool.execute("UPDATE upstream SET spec = spec - 'allow_cidrs'")
    await admin.pool.execute("UPDATE catalog SET generation = generation + 1")
    tested = await done(admin, "POST", "/api/upstream/added/test")
    assert "is not public" in tested["keys"][0]["message"]
    assert provider.accepted == 0


async def test_the_providers_own_list_of_models_is_shown(admin, provider):
    (model,) = await done(admin, "GET", "/api/upstream/added/models")
    assert model == {"name": "echo", "is_served": True, "is_priced": False}
    provider.answer("", refuse(403, "not for you"))
    message = await declined(admin, 422, "invalid_field", "GET", "/api/upstream/added/models")
    assert message.endswith("status 403: not for you.")


@pytest.mark.parametrize(
    ("dialect", "pages", "header"),
    [
        (
            "anthropic",
            [
                {"data": [{"id": "a"}], "has_more": True, "last_id": "a&b"},
                {"data": [{"id": "b"}], "has_more": False, "last_id": "b"},
            ],
            "x-api-key",
        ),
        (
            "gemini",
            [
                {"models": [{"name": "models/a"}], "nextPageToken": "t"},
                {"models": [{"name": "models/b"}, {"nonsense": 1}]},
            ],
            "x-goog-api-key",
        ),
    ],
)
async def test_each_dialects_list_is_read_to_its_end(admin, provider, dialect, pages, header):
    provider.answer("", Turns(tuple(Answer((json.dumps(page).encode(),)) for page in pages)))
    await done(admin, "PATCH", "/api/upstream/added", {"dialect": dialect})
    listed = await done(admin, "GET", "/api/upstream/added/models")
    assert [each["name"] for each in listed] == ["a", "b"]
    assert provider.requests[0].header(header) == KEY


# Models


async def test_a_price_is_exact_and_its_history_is_shown(admin):
    price = {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 1.25, "request_usd": 0.002}
    tier = {"above_input_tokens": 1000, "input_usd_per_mtok": 0.2, "output_usd_per_mtok": 2.5}
    made = await done(admin, "POST", "/api/model", {"name": "org/x", **price, "tiers": [tier]})
    assert made["effective"]["price"]["input_usd_per_mtok"] == 0.1
    assert made["effective"]["tiers"][0]["output_usd_per_mtok"] == 2.5
    assert made["effective"]["price_source"] == "api"
    changed = await done(admin, "PATCH", "/api/model/org/x", {"request_usd": None})
    assert [each["price"].get("request_usd") for each in changed["prices"]] == [None, "0.002"]
    assert await done(admin, "GET", "/api/model/org%2Fx/") == changed
    await done(admin, "DELETE", "/api/model/org/x")
    await declined(admin, 404, "not_found", "GET", "/api/model/org/x")


async def test_the_list_of_models_tells_where_prices_are_from(admin):
    models = ["gpt-5.4", "unheard-of"]
    known = {"name": "openai-2", "base_url": "https://api.openai.com/v1", "models": models}
    answer = await admin.call("POST", "/api/upstream", known)
    assert answer.status == 200
    page = await done(admin, "GET", "/api/model?size=100")
    found = {each["name"]: each for each in page["items"]}
    sources = {
        name: (each["source"], each["effective"]["price_source"]) for name, each in found.items()
    }
    assert sources == {
        "m": ("file", "file"),
        "gpt-5.4": ("book", "book"),
        "unheard-of": ("upstream", None),
    }
    assert found["gpt-5.4"]["upstreams"] == ["openai-2"]


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("input_usd_per_mtok", {"input_usd_per_mtok": -1, "output_usd_per_mtok": 1}),
        ("input_usd_per_mtok", {"input_usd_per_mtok": 1_000_000, "output_usd_per_mtok": 1}),
        ("input_usd_per_mtok", {"input_usd_per_mtok": "1", "output_usd_per_mtok": 1}),
        ("model", {"input_usd_per_mtok": 1}),
        ("model", {"members": ["m"], "max_output_tokens": 5}),
        ("tiers", {"tiers": [{"above_input_tokens": 5, "input_usd_per_mtok": 1}]}),
        ("name", {"name": "a\x07b"}),
        ("name", {"name": "a b"}),
        ("name", {"name": "gpt-*"}),
        ("name", {"name": ""}),
        ("members", {"members": ["x"]}),
        ("max_output_tokens", {"max_output_tokens": 0}),
    ],
)
async def test_a_bad_model_is_refused_with_the_field_that_is_at_fault(admin, field, body):
    message = await declined(
        admin, 422, "invalid_field", "POST", "/api/model", {"name": "x", **body}
    )
    assert message.startswith(field), message


async def test_models_that_stand_for_others_do_not_stand_for_each_other(admin):
    await done(admin, "POST", "/api/model", {"name": "both", "members": ["m", "x"]})
    message = await declined(
        admin, 422, "invalid_field", "POST", "/api/model", {"name": "all", "members": ["both"]}
    )
    assert "'both' stands for others itself" in message
    message = await declined(
        admin, 422, "invalid_field", "POST", "/api/model", {"name": "x", "members": ["y"]}
    )
    assert "'both' stands for it" in message
    await done(admin, "POST", "/api/model", {"name": "x"})
    message = await declined(admin, 409, "in_use", "DELETE", "/api/model/x")
    assert "the model 'both' stands for it" in message


# Groups


async def test_a_group_names_what_is_there_and_what_it_names_cannot_be_deleted(admin):
    message = await declined(
        admin, 422, "invalid_field", "POST", "/api/group", {"name": "g", "upstreams": ["added"]}
    )
    assert message == "upstreams: no upstream is named 'added'; there are of-file."
    await done(admin, "POST", "/api/upstream", PUBLIC)
    await done(admin, "POST", "/api/group", {"name": "g", "upstreams": ["added", "of-file"]})
    await done(admin, "POST", "/api/group", {"name": "both", "groups": ["g", "vip"]})
    message = await declined(admin, 409, "in_use", "DELETE", "/api/upstream/added")
    assert "the group 'g' names it in upstreams" in message
    message = await declined(admin, 409, "in_use", "DELETE", "/api/group/g")
    assert "the group 'both' stands for it" in message
    for groups in (["both"], ["nobody"], ["x"]):
        await declined(
            admin, 422, "invalid_field", "POST", "/api/group", {"name": "x", "groups": groups}
        )
    await declined(admin, 422, "invalid_field", "PATCH", "/api/group/g", {"groups": ["vip"]})
    await done(admin, "DELETE", "/api/group/both")
    await done(admin, "DELETE", "/api/group/g")
    await done(admin, "DELETE", "/api/upstream/added")


async def test_a_group_that_somebody_is_in_cannot_be_deleted(admin):
    group = await done(admin, "POST", "/api/group", {"name": "g"})
    token = await admin.create(group="g")
    await admin.pool.execute('UPDATE "user" SET group_id = $1', group["id"])
    message = await declined(admin, 409, "in_use", "DELETE", "/api/group/g")
    assert "users in it: 1;" in message
    assert "tokens in it: 1;" in message
    await admin.pool.execute('UPDATE "user" SET group_id = 1')
    await done(admin, "DELETE", f"/api/token/{token['id']}")
    await done(admin, "DELETE", "/api/group/g")
    again = await done(admin, "POST", "/api/group", {"name": "g"})
    assert again["id"] != group["id"]


async def test_a_group_for_all_users_can_be_chosen_by_every_one(admin):
    _, ada = await admin.user("ada")
    await done(
        admin,
        "POST",
        "/api/group",
        {"name": "open", "users": "all", "ratio": 1.5, "description": "Dear"},
    )
    await done(admin, "POST", "/api/group", {"name": "shut"})
    own = await done(admin, "GET", "/api/user/self/groups", token=ada)
    assert [*own] == ["default", "open"]
    assert (own["open"]["ratio"], own["open"]["desc"]) == (1.5, "Dear")
    await admin.create(token=ada, group="open")
    body = {"name": "app", "group": "shut"}
    await declined(admin, 403, "group_not_allowed", "POST", "/api/token/", body, token=ada)
    await done(admin, "PATCH", "/api/group/open", {"users": "assigned"})
    body["group"] = "open"
    # Whoever has come to it stays: their account subscribes.
    _, eve = await admin.user("eve")
    await declined(admin, 403, "group_not_allowed", "POST", "/api/token/", body, token=eve)


async def test_a_new_token_without_quota_and_expiry_has_those_of_its_group(admin):
    defaults = {"quota_usd": 2.5, "expires_in_days": 30, "max_concurrency": 3}
    await done(admin, "POST", "/api/group", {"name": "g", "token_defaults": defaults})
    made = await done(admin, "POST", "/api/token", {"name": "a", "group": "g"})
    assert (made["quota_usd"], made["warnings"]) == (2.5, [])
    assert made["expired_time"] == int(admin.clock[0]) + 30 * 86_400
    assert made["effective"]["max_concurrency"] == 3
    own = {"name": "b", "group": "g", "remain_quota": 0, "expired_time": -1}
    made = await done(admin, "POST", "/api/token", own)
    assert (made["remain_quota"], made["expired_time"]) == (0, -1)
    await done(admin, "PATCH", "/api/group/g", {"token_defaults": {"quota_usd": 0}})
    made = await done(admin, "POST", "/api/token", {"name": "c", "group": "g"})
    assert made["unlimited_quota"]


async def test_a_page_of_tokens_is_shown_by_groups_that_another_process_has_just_changed(admin):
    await done(admin, "POST", "/api/group", {"name": "g", "token_defaults": {"max_concurrency": 3}})
    await done(admin, "POST", "/api/token", {"name": "a", "group": "g"})
    await admin.pool.execute(
        """UPDATE "group" SET spec = jsonb_set(spec, '{token_defaults,max_concurrency}', '4') WHERE name = 'g'"""
    )
    await admin.pool.execute("UPDATE catalog SET generation = generation + 1")
    (shown,) = (await done(admin, "GET", "/api/token/?group=g"))["items"]
    assert shown["effective"]["max_concurrency"] == 4


async def test_an_account_that_comes_to_a_group_is_granted_what_the_group_grants(admin):
    await done(admin, "POST", "/api/group", {"name": "g", "subscription": {"quota_usd": 20}})
    made = await admin.create(group="g")
    row = await admin.pool.fetchrow(
        """SELECT s.granted, (SELECT sum(delta)::bigint FROM grant_entry
                               WHERE scope_kind = 'g' AND account_id = s.account_id AND scope_id = s.group_id) AS sum
             FROM subscription s JOIN "group" g ON g.id = s.group_id WHERE g.name = 'g'"""
    )
    assert row["granted"] == row["sum"] == 20_000_000_000
    shown = await admin.get(made["id"])
    assert shown["quota"]["subscription"]["granted_nusd"] == 20_000_000_000
    await done(admin, "PATCH", "/api/group/g", {"subscription": {"quota_usd": 1}})
    await admin.create(group="g")
    assert await admin.pool.fetchval("SELECT max(granted) FROM subscription") == 20_000_000_000


async def test_the_files_groups_say_the_same(aiohttp_client, postgres_dsn):
    groups = {"open": {"users": "all", "subscription": {"quota_usd": 3}}}
    async with running_admin(aiohttp_client, postgres_dsn, {"groups": groups}) as admin:
        _, ada = await admin.user("ada")
        await admin.create(token=ada, group="open")
        assert await admin.pool.fetchval("SELECT max(granted) FROM subscription") == 3_000_000_000
    async with running_admin(aiohttp_client, postgres_dsn, {"groups": {"open": {}}}) as admin:
        assert not await admin.pool.fetchval("""SELECT open FROM "group" WHERE name = 'open'""")


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("name", {"name": "a/b"}),
        ("name", {"name": " a"}),
        ("name", {"name": "a\tb"}),
        ("description", {"description": "a\x1b[31m"}),
        ("ratio", {"ratio": -1}),
        ("ratio", {"ratio": 1001}),
        ("limits", {"limits": [{"metric": "usd", "window": "1d", "limit": 1}] * 2}),
        ("limits", {"limits": [{"metric": "usd", "window": "month", "limit": 1}]}),
        (
            "token_defaults.limits",
            {"token_defaults": {"limits": [{"metric": "usd", "window": "1d", "limit": 1e15}]}},
        ),
        ("token_defaults.allow_ips", {"token_defaults": {"allow_ips": "10.0.0.1/8"}}),
        ("token_defaults.quota_usd", {"token_defaults": {"quota_usd": -1}}),
        ("subscription.quota_usd", {"subscription": {"quota_usd": 5_000_000}}),
        ("group", {"groups": ["vip"], "ratio": 2}),
        ("models: 'gpt-*' is a pattern", {"models": ["m", "gpt-*"]}),
        ("token_defaults.models", {"token_defaults": {"models": ["*-mini"]}}),
        (
            "limits.0.models",
            {"limits": [{"metric": "usd", "window": "1d", "limit": 1, "models": ["o*"]}]},
        ),
    ],
)
async def test_a_bad_group_is_refused_with_the_field_that_is_at_fault(admin, field, body):
    message = await declined(
        admin, 422, "invalid_field", "POST", "/api/group", {"name": "x", **body}
    )
    assert message.startswith(field), message


async def test_edits_at_the_same_time_take_turns(admin):
    await done(admin, "POST", "/api/upstream", PUBLIC)
    group = {"name": "g", "upstreams": ["added"]}
    answers = await asyncio.gather(
        admin.call("POST", "/api/group", group), admin.call("DELETE", "/api/upstream/added")
    )
    assert sorted(each.status for each in answers) in ([200, 409], [200, 422])


# Published prices


async def test_what_providers_publish_for_a_model_can_be_set_as_its_price(admin):
    published = await done(admin, "GET", "/api/price?model=gpt-5.4-mini")
    assert [each["provider"] for each in published] == sorted(
        each["provider"] for each in published
    )
    price = next(each["price"] for each in published if each["provider"] == "OpenAI")
    said = {name: value for name, value in price.items() if value}
    made = await done(admin, "POST", "/api/model", {"name": "mine", **said})
    assert made["effective"]["price"] == price
    assert made["effective"]["price_source"] == "api"


async def test_a_name_that_nobody_publishes_has_no_price(admin):
    assert await done(admin, "GET", "/api/price?model=of-the-house") == []
    assert await done(admin, "GET", "/api/price") == []
