"""GET /api/refusal and its series: what is counted, who sees it, and how it is cut."""

from datetime import UTC, datetime

import pytest

from gateway.relay.ledger_watch import LedgerWatch
from gateway.store.postgres import open_pool
from gateway.store.refusals import add_refusals
from gateway.store.roles import GATEWAY
from tests.admin import done
from tests.databases import as_role

HOUR = 3600
DAY = 86_400
NOW = 1_800_000_000  # the clock of the app: 08:00 UTC
MIDNIGHT = 1_799_971_200


@pytest.fixture
def count(admin):
    """Counts refusals as a worker does."""

    async def add(at, token_id=1, /, **reasons):
        counts = {(token_id, reason): n for reason, n in reasons.items()}
        await add_refusals(admin.pool, counts, datetime.fromtimestamp(at, UTC))

    return add


async def asked(admin, query="", path="/api/refusal", **options):
    return await done(admin, "GET", f"{path}?{query}", **options)


async def listed(admin, query="", **options):
    return [
        (item["hour"], item["token_id"], item["reason"], item["calls"])
        for item in (await asked(admin, query, **options))["items"]
    ]


async def series(admin, query="", **options):
    return await asked(admin, query, "/api/refusal/series", **options)


async def test_a_count_is_of_one_hour_token_and_reason_and_says_whose_it_is(admin, count):
    await count(NOW + 61, ip_not_allowed=2)
    await count(NOW + 62, ip_not_allowed=3)
    (item,) = (await asked(admin))["items"]
    assert item == {
        "hour": NOW,
        "token_id": 1,
        "token_name": (await admin.get(1))["name"],
        "user_id": 1,
        "username": "admin",
        "reason": "ip_not_allowed",
        "kind": "refusal",
        "calls": 5,
    }


async def test_what_was_not_refused_is_told_apart(admin, count):
    await count(NOW, insufficient_quota=4, upstream_timeout=2, upstream_error=1, shadow=8)
    kinds = {item["reason"]: item["kind"] for item in (await asked(admin))["items"]}
    assert kinds == {
        "insufficient_quota": "refusal",
        "upstream_timeout": "failure",
        "upstream_error": "failure",
        "shadow": "shadow",
    }
    assert (await series(admin, f"end={NOW + HOUR}"))["total"] == {
        "refusals": 4,
        "failures": 3,
        "shadow": 8,
    }


async def test_a_cursor_goes_on_where_the_last_part_ended_while_counts_rise(admin, count):
    for n in range(3):
        await count(NOW - n * HOUR, key_expired=1, key_disabled=2)
    first = await asked(admin, "limit=4")
    await count(NOW, key_expired=5, shadow=1)
    second = await asked(admin, f"limit=4&cursor={first['next_cursor']}")
    seen = [(item["hour"], item["reason"]) for item in first["items"] + second["items"]]
    reasons = ("key_expired", "key_disabled")
    assert seen == [(NOW - n * HOUR, reason) for n in range(3) for reason in reasons]
    assert second["next_cursor"] is None


async def test_filters_choose_by_token_reason_and_time(admin, count):
    other = (await admin.create(name="other"))["id"]
    await count(NOW, key_expired=1)
    await count(NOW - HOUR, key_expired=2, ip_not_allowed=3)
    await count(NOW, other, key_expired=4)
    for query, calls in {
        f"token_id={other}": [4],
        "token_name=other": [4],
        "token_id=1&reason=key_expired": [1, 2],
        "reason=shadow": [],
        f"token_id=1&start={NOW + 5}": [1],  # the hour that it is in counts whole
        f"token_id=1&end={NOW}": [2, 3],
        f"token_id=1&start={NOW - HOUR}&end={NOW}&reason=ip_not_allowed": [3],
    }.items():
        assert sorted(entry[3] for entry in await listed(admin, query)) == calls, query


async def test_one_sees_ones_own_tokens_also_when_they_are_deleted(admin, count):
    _, token = await admin.user("ada")
    made = await admin.create(token=token)
    await count(NOW, made["id"], key_disabled=2)
    await count(NOW, key_disabled=1)
    await count(NOW, 0, invalid_api_key=9)
    mine = [(NOW, made["id"], "key_disabled", 2)]
    assert await listed(admin, token=token) == mine
    assert (await admin.call("DELETE", f"/api/token/{made['id']}", token=token)).status == 200
    assert await listed(admin, token=token) == mine
    assert await listed(admin, "token_id=1", token=token) == []
    total = (await series(admin, f"end={NOW + HOUR}", token=token))["total"]
    assert total["refusals"] == 2


async def test_others_are_for_those_who_may_read_others_tokens(admin, count):
    ada, token = await admin.user("ada")
    _, operator = await admin.user("operator", role="operator")
    _, narrow = await admin.user("narrow", scopes=("self",))
    await count(NOW, key_disabled=1)
    for path in ("/api/refusal", "/api/refusal/series"):
        for whose in ("all", "1"):
            answer = await admin.call("GET", f"{path}?user_id={whose}", token=token)
            assert (answer.status, answer.body["code"]) == (403, "forbidden")
        assert (await admin.call("GET", path, token=narrow)).status == 403
    assert await listed(admin, "user_id=1", token=operator) == [(NOW, 1, "key_disabled", 1)]
    assert await listed(admin, f"user_id={ada}", token=operator) == []


async def test_callers_without_a_token_are_among_everybodys(admin, count):
    await count(NOW, 0, invalid_api_key=9, unknown_url=1)
    await count(NOW, key_expired=2)
    assert len(await listed(admin)) == 1
    nobody = [item for item in (await asked(admin, "user_id=all"))["items"] if not item["token_id"]]
    assert [item["calls"] for item in nobody] == [1, 9]
    assert {(item["token_name"], item["user_id"], item["username"]) for item in nobody} == {
        (None, None, None)
    }
    for by, name in (("token_id", (await admin.get(1))["name"]), ("user_id", "admin")):
        found = (await series(admin, f"user_id=all&by={by}&end={NOW + HOUR}"))["series"]
        assert [(each["key"], each["name"], each["total"]["refusals"]) for each in found] == [
            ("0", None, 10),
            ("1", name, 2),
        ]


async def test_series_have_every_point_and_begin_with_the_most_frequent(admin, count):
    await count(MIDNIGHT - 1, key_expired=1, ip_not_allowed=2)
    await count(MIDNIGHT, ip_not_allowed=3)
    data = await series(admin, "by=reason")
    assert (data["interval"], data["by"], data["end"]) == ("day", "reason", NOW)
    assert [each["key"] for each in data["series"]] == ["ip_not_allowed", "key_expired"]
    points = data["series"][0]["points"]
    assert [point["start"] for point in points] == [MIDNIGHT - n * DAY for n in range(29, -1, -1)]
    assert [point["refusals"] for point in points[-3:]] == [0, 2, 3]
    assert data["total"]["refusals"] == 6
    (whole,) = (await series(admin))["series"]
    assert [point["refusals"] for point in whole["points"][-3:]] == [0, 3, 3]


async def test_keys_beyond_what_a_chart_can_hold_are_one_series(admin, count):
    reasons = [f"r{chr(97 + n)}" for n in range(12)]
    await count(NOW - HOUR, **{reason: n + 1 for n, reason in enumerate(reasons)})
    query = f"by=reason&interval=hour&end={NOW}&start={NOW - HOUR * 1000}"
    found = (await series(admin, query))["series"]
    assert [each["key"] for each in found] == [*reversed(reasons[2:]), None]
    assert found[-1]["total"]["refusals"] == 1 + 2


async def test_an_hour_is_in_the_point_in_which_it_begins(admin, count):
    await count(NOW, key_expired=1)
    await count(NOW - HOUR, key_expired=2)
    query = f"interval=hour&start={NOW - 1800}&end={NOW + 60}"
    (whole,) = (await series(admin, query))["series"]
    assert [(point["start"], point["refusals"]) for point in whole["points"]] == [
        (NOW - 1800, 2),  # the hour that the start is in counts whole
        (NOW, 1),
    ]
    days = await series(admin, f"time_zone=Asia/Kolkata&end={NOW + HOUR}")
    assert days["series"][0]["points"][-1]["refusals"] == 3


async def test_a_bad_parameter_is_named(admin, subtests):
    for path, query, begin in (
        ("", "reason=bad_mood", "reason"),
        ("", "cursor=x", "cursor"),
        ("", "cursor=%C3%A9", "cursor"),
        ("", "start=x", "start"),
        ("", "model=m", "model"),
        ("", "p=2", "p"),
        ("/series", "by=model", "by"),
        ("/series", "interval=hour&start=1", "interval"),
        ("/series", "reason=bad_mood", "reason"),
        ("/series", "limit=3", "limit"),
    ):
        with subtests.test(path=path, query=query):
            answer = await admin.call("GET", f"/api/refusal{path}?{query}")
            assert (answer.status, answer.body["code"]) == (422, "invalid_field")
            assert answer.message.startswith(begin)


async def test_what_is_older_than_400_days_is_forgotten(admin, count, postgres_dsn):
    age = datetime.now(UTC).timestamp()
    await count(age - 401 * DAY, key_expired=1)
    await count(age - 399 * DAY, key_expired=2)
    dsn = as_role(postgres_dsn, GATEWAY)
    async with await open_pool(dsn, size=1, statement_timeout_s=10) as pool:
        await LedgerWatch(pool).look()
    assert [entry[3] for entry in await listed(admin)] == [2]
