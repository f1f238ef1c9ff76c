"""Lists of tokens: pages, filters and order."""

import pytest

from tests.admin import UNIT, running_admin


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn):
    async with running_admin(aiohttp_client, postgres_dsn, {"groups": {"vip": {}}}) as running:
        yield running


@pytest.mark.parametrize("path", ["/api/token/", "/api/token/search"])
async def test_lists_are_paged_newest_first(admin, path):
    made = [(await admin.create(name=f"n{n}"))["id"] for n in range(12)]
    newest = list(reversed([1, *made]))
    first = (await admin.call("GET", path)).data
    assert (first["page"], first["page_size"], first["total"]) == (1, 10, 13)
    assert [item["id"] for item in first["items"]] == newest[:10]
    second = (await admin.call("GET", f"{path}?p=2")).data
    assert [item["id"] for item in second["items"]] == newest[10:]
    beyond = (await admin.call("GET", f"{path}?p=999999999999")).data
    assert (beyond["items"], beyond["total"]) == ([], 13)


PAGES = [
    ("", 1, 10),
    ("p=0", 1, 10),
    ("p=-5", 1, 10),
    ("size=0", 1, 1),
    ("size=-1", 1, 1),
    ("size=1000", 1, 100),
    ("page_size=7", 1, 7),
    ("ps=8", 1, 8),
    ("page_size=7&ps=8&size=9", 1, 7),
    ("p=&size=", 1, 10),
]


async def test_page_parameters_are_clamped(admin, subtests):
    for query, page, size in PAGES:
        with subtests.test(query=str(query)[:80], page=str(page)[:80], size=str(size)[:80]):
            data = (await admin.call("GET", f"/api/token/?{query}")).data
            assert (data["page"], data["page_size"]) == (page, size)


BAD_PARAMETERS = [
    "p=x",
    "p=1.5",
    "p=" + "9" * 16,
    "size=x",
    "size=x&page_size=1",
    "status=9",
    "status=x",
    "sort=password",
    "order=up",
    "keyword=" + "x" * 201,
    "keyword=a%00b",
    "user_id=x",
    "token=abc",
    "token=sk-AbCd*wxy",
    "token=sk-" + "A" * 49,
]


async def test_a_bad_parameter_of_a_list_is_named(admin, subtests):
    for query in BAD_PARAMETERS:
        with subtests.test(query=str(query)[:80]):
            answer = await admin.call("GET", f"/api/token/?{query}")
            assert answer.status == 422
            assert answer.message.startswith(query.partition("=")[0])


async def test_a_keyword_is_literal_text_anywhere_in_the_name(admin):
    names = ["50%_off", "50 percent", "a\\b", "PROD-backend", "x_y", "xzy"]
    for name in names:
        await admin.create(name=name)

    async def found(keyword):
        answer = await admin.call("GET", f"/api/token/?keyword={keyword}&sort=name&order=asc")
        return [item["name"] for item in answer.data["items"]]

    assert await found("50%25") == ["50%_off"]
    assert await found("%25") == ["50%_off"]
    assert await found("_") == ["50%_off", "x_y"]
    assert await found("%5C") == ["a\\b"]
    assert await found("prod") == ["PROD-backend"]
    assert await found("nothing") == []


async def test_lists_filter_by_effective_status_and_group(admin):
    await admin.call("DELETE", "/api/token/1")
    enabled = await admin.create(name="enabled", group="vip")
    disabled = await admin.create(name="disabled")
    expired = await admin.create(name="expired", expires_in_days=1)
    exhausted = await admin.create(name="exhausted", remain_quota=0)
    await admin.call("PATCH", f"/api/token/{disabled['id']}", {"status": 2})
    admin.clock[0] += 2 * 86_400
    for status, token in enumerate((enabled, disabled, expired, exhausted), start=1):
        items = (await admin.call("GET", f"/api/token/?status={status}")).data["items"]
        assert [(item["id"], item["status"]) for item in items] == [(token["id"], status)]
    vip = (await admin.call("GET", "/api/token/?group=vip")).data
    assert [item["name"] for item in vip["items"]] == ["enabled"]
    own = (await admin.call("GET", "/api/token/?group=default")).data
    assert own["total"] == 3


@pytest.mark.parametrize(
    ("sort", "ascending"),
    [
        ("id", ["b", "a", "C"]),
        ("name", ["a", "b", "C"]),
        ("remain_quota", ["C", "b", "a"]),
        ("used_quota", ["a", "b", "C"]),
        ("expired_time", ["C", "b", "a"]),
        ("created_time", ["b", "a", "C"]),
    ],
)
async def test_lists_are_sorted_both_ways(admin, sort, ascending):
    await admin.call("DELETE", "/api/token/1")
    await admin.create(name="b", remain_quota=20, expires_in_days=2)
    await admin.create(name="a", unlimited_quota=True)
    last = await admin.create(name="C", remain_quota=10, expires_in_days=1)
    await admin.spend(last["id"], 5 * UNIT)
    for order, names in (("asc", ascending), ("desc", ascending[::-1])):
        answer = await admin.call("GET", f"/api/token/?sort={sort}&order={order}")
        shown = [item["name"] for item in answer.data["items"]]
        if sort == "used_quota":  # two are equal: their ids decide
            names = {"asc": ["b", "a", "C"], "desc": ["C", "a", "b"]}[order]  # noqa: PLW2901
        assert shown == names


async def test_everybody_s_tokens_are_listed_to_administrators_alone(admin):
    bob_id, bob = await admin.user("bob")
    made = await admin.create(token=bob, name="bob's")
    mine = (await admin.call("GET", "/api/token/")).data
    assert [item["id"] for item in mine["items"]] == [1]
    theirs = (await admin.call("GET", f"/api/token/?user_id={bob_id}")).data
    assert [item["id"] for item in theirs["items"]] == [made["id"]]
    everybodys = (await admin.call("GET", "/api/token/?user_id=all")).data
    assert [item["id"] for item in everybodys["items"]] == [made["id"], 1]
    default = (await admin.call("GET", "/api/token/?user_id=ALL&group=default")).data
    assert (default["total"], default["total_is_estimate"]) == (2, False)
    for asked in ("all", "1"):
        refused = await admin.call("GET", f"/api/token/?user_id={asked}", token=bob)
        assert (refused.status, refused.body["code"]) == (403, "forbidden")
    assert (await admin.call("GET", f"/api/token/?user_id={bob_id}", token=bob)).status == 200


async def test_empty_parameters_filter_nothing(admin):
    for n in range(3):
        await admin.create(name=f"n{n}")
    cleared = "keyword=&token=&status=&group=&sort=&order=&user_id=&p=&size="
    for path in ("/api/token/", "/api/token/search"):
        assert (await admin.call("GET", f"{path}?{cleared}")).data["total"] == 4


async def test_a_group_that_is_not_there_has_no_tokens(admin):
    data = (await admin.call("GET", "/api/token/?group=nobody")).data
    assert (data["total"], data["items"]) == (0, [])


async def test_a_token_is_found_by_what_its_mask_shows_and_by_nothing_more_of_the_key(admin):
    made = await admin.create(name="wanted")
    key, mask = made["key"], (await admin.get(made["id"]))["key"]

    async def found(text):
        answer = await admin.call("GET", f"/api/token/search?token={text}")
        assert answer.status == 200, answer.body
        return [item["id"] for item in answer.data["items"]]

    for shown in (mask, key[3:7], f"sk-{key[3:7]}", key[-4:], f"{key[3:7]}*{key[-4:]}"):
        assert await found(shown) == [made["id"]]
    assert await found(key[7:11]) == []
    assert await found(f"{key[-4:]}****{key[3:7]}") == []
    whole = await admin.call("GET", f"/api/token/search?token={key}")
    assert whole.status == 422
    assert key not in whole.message
    both = await admin.call("GET", f"/api/token/search?token={key[-4:]}&keyword=other")
    assert both.data["total"] == 0
