"""The log of calls: who sees which, filters, cursors, pages and sums."""

import re
import uuid
from datetime import UTC, datetime

import pytest

from gateway.store.attempts import AttemptRow, add_attempts
from gateway.store.ledger_calls import CALLS, CallFilter, where_of
from tests.admin import done, running_admin
from tests.ledger_lines import posting_calls

NOW = 1_800_000_000  # the clock of the app


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn):
    settings = {"groups": {"vip": {}}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as running:
        await running.pool.execute("SELECT ensure_ledger_partitions(to_timestamp($1), 3)", NOW)
        yield running


def text(request_id):
    return str(uuid.UUID(request_id.decode()))


async def listed(admin, query="", path="/api/log/", **options):
    return await done(admin, "GET", f"{path}?{query}", **options)


async def ids(admin, query=""):
    return [item["request_id"] for item in (await listed(admin, query))["items"]]


async def test_a_call_is_shown_with_all_that_the_ledger_has(admin, calls):
    made = await calls.post(
        NOW + 0.25, 1_000_000_001, "gpt-5.4", input_tokens=10, cached_input_tokens=4, unbilled=7
    )
    (item,) = (await listed(admin))["items"]
    expected = {
        "request_id": text(made),
        "started_at": NOW + 0.25,
        "user_id": 1,
        "username": "admin",
        "account_id": 1,
        "token_id": 1,
        "token_name": (await admin.get(1))["name"],
        "group": "default",
        "model": "gpt-5.4",
        "upstream": "scripted",
        "dialect": "openai",
        "route": "chat_completions",
        "status": 200,
        "ttfb_ms": 1,
        "duration_ms": 2,
        "address": "127.0.0.1",
        "input_tokens": 10,
        "cached_input_tokens": 4,
        "quota": 500_001,
        "usd": 1.000000001,
        "amount_nusd": 1_000_000_001,
        "correction_nusd": 0,
        "unbilled_nusd": 7,
        "estimated": False,
        "anomaly": None,
        "price_version": 1,
    }
    assert expected.items() <= item.items()


async def test_each_try_at_an_upstream_is_shown_where_one_was_not_enough(admin, calls):
    several = (await calls.post(NOW)).decode()
    await calls.post(NOW)
    rows = [
        AttemptRow(several, 2, "second", 200, None, 0, NOW + 2.5),
        AttemptRow(several, 1, "first", None, "it is away", 7, NOW + 1.5),
    ]
    await add_attempts(admin.pool, rows)
    once, twice = (await listed(admin))["items"]
    assert once["attempts"] == []
    assert twice["attempts"] == [
        {"upstream": "first", "status": None, "at": NOW + 1.5},
        {"upstream": "second", "status": 200, "at": NOW + 2.5},
    ]


async def test_a_correction_is_shown_with_the_call_that_it_corrects(admin, calls):
    lost = await calls.post(NOW, 100, anomaly=b"lost_worker", upstream=b"", status=500)
    await calls.repost(lost, NOW, 130, status=200, input_tokens=7)
    (item,) = (await listed(admin))["items"]
    assert (item["amount_nusd"], item["correction_nusd"], item["anomaly"]) == (
        130,
        30,
        "lost_worker",
    )
    assert (item["status"], item["upstream"], item["input_tokens"]) == (200, "scripted", 7)
    assert (await listed(admin, path="/api/log/stat"))["amount_nusd"] == 130


async def test_a_cursor_goes_on_where_the_last_part_ended_while_calls_are_added(admin, calls):
    made = [text(await calls.post(NOW + n, 1)) for n in range(7)][::-1]
    first = await listed(admin, "limit=3")
    assert [item["request_id"] for item in first["items"]] == made[:3]
    await calls.post(NOW + 100, 1)
    second = await listed(admin, f"limit=3&cursor={first['next_cursor']}")
    assert [item["request_id"] for item in second["items"]] == made[3:6]
    last = await listed(admin, f"size=3&cursor={second['next_cursor']}")
    assert [item["request_id"] for item in last["items"]] == made[6:]
    assert last["next_cursor"] is None


async def test_a_part_that_ends_with_the_last_call_says_so(admin, calls):
    for n in range(3):
        await calls.post(NOW + n, 1)
    assert (await listed(admin, "limit=3"))["next_cursor"] is None
    assert (await listed(admin, "limit=2"))["next_cursor"] is not None


async def test_calls_are_filtered(admin, calls, postgres_dsn, subtests):
    other = (await admin.create(name="other", group="vip"))["id"]
    vip = await admin.pool.fetchval("SELECT id FROM \"group\" WHERE name = 'vip'")
    async with posting_calls(postgres_dsn, admin.pool, other) as of_other:
        of_other.token.group.id = vip
        a = text(await calls.post(NOW - 86_400 * 40, 5, "m"))
        b = text(await calls.post(NOW - 60, 50, "m", status=429, upstream=b"openai"))
        c = text(await of_other.post(NOW, 500, "n", status=499))
    for query, expected in {
        "": [c, b, a],
        f"token_id={other}": [c],
        "token_name=other": [c],
        "model=m": [b, a],
        "model_name=m": [b, a],
        "group=vip": [c],
        "group=nothing": [],
        "upstream=openai": [b],
        "status=429": [b],
        "status=4xx": [c, b],
        f"start={NOW - 60}": [c, b],
        f"start_timestamp={NOW - 59}&end_timestamp=0&type=0": [c],
        f"end={NOW - 60}": [a],
        f"start={NOW - 60}&end={NOW}": [b],
        f"request_id={b}": [b],
        f"request_id={b.replace('-', '')}&type=2": [b],
        "min_amount_nusd=50": [c, b],
        "max_amount_nusd=50": [b, a],
        "min_amount_nusd=50&max_amount_nusd=50&model=m&status=4xx": [b],
        "model=M": [],
    }.items():
        with subtests.test(query=query):
            assert await ids(admin, query) == expected
            stat = await listed(admin, query, "/api/log/stat")
            assert stat["requests"] == len(expected)


async def test_sums_tell_the_pace_of_the_last_minute(admin, calls):
    await calls.post(NOW - 61, 3, input_tokens=100)
    await calls.post(NOW - 59, 2_000, input_tokens=10, output_tokens=5)
    for path in ("/api/log/stat", "/api/log/self/stat"):
        stat = await listed(admin, "", path)
        assert (stat["requests"], stat["amount_nusd"], stat["quota"]) == (2, 2003, 2)
        assert (stat["rpm"], stat["tpm"], stat["input_tokens"]) == (1, 15, 110)
    assert (await listed(admin, f"end={NOW - 60}", "/api/log/stat"))["rpm"] == 0


async def test_pages_are_as_new_apis_clients_read_them(admin, calls):
    made = [text(await calls.post(NOW + n, 2_000 * n, duration_ms=1600)) for n in range(5)][::-1]
    page = await listed(admin, "p=2&page_size=2&type=0&model_name=&group=", "/api/log/self")
    assert (page["page"], page["page_size"], page["total"]) == (2, 2, 5)
    assert page["total_is_more"] is False
    assert [item["request_id"] for item in page["items"]] == made[2:4]
    item = page["items"][0]
    assert (item["created_at"], item["type"], item["quota"]) == (NOW + 2, 2, 2)
    assert (item["model_name"], item["use_time"], item["ip"]) == ("m", 2, "127.0.0.1")
    assert (await listed(admin, "", "/api/log/self"))["page"] == 1
    following = await listed(admin, f"limit=9&cursor={page['next_cursor']}", "/api/log/self")
    assert [item["request_id"] for item in following["items"]] == made[4:]


async def test_series_over_all_calls_take_the_same_filters(admin, calls, postgres_dsn):
    other = (await admin.create(name="other"))["id"]
    async with posting_calls(postgres_dsn, admin.pool, other) as of_other:
        await of_other.post(NOW - 1, 7, "m", status=500)
        await of_other.post(NOW - 1, 9, "n")
    await calls.post(NOW - 2, 1)
    data = await listed(admin, "interval=all&by=token_id&model=m", "/api/usage")
    assert [(each["key"], each["total"]["amount_nusd"]) for each in data["series"]] == [
        (str(other), 7),
        ("1", 1),
    ]
    assert (await listed(admin, "status=5xx", "/api/usage"))["total"]["amount_nusd"] == 7


async def test_everybody_sees_their_own_calls_and_administrators_those_of_others(
    admin, calls, postgres_dsn
):
    user_id, user = await admin.user("user")
    token_id = (await admin.create(token=user))["id"]
    async with posting_calls(postgres_dsn, admin.pool, token_id) as of_user:
        theirs = text(await of_user.post(NOW, 1))
    ours = text(await calls.post(NOW, 1))
    assert await ids(admin) == [ours]
    assert await ids(admin, f"user_id={user_id}") == [theirs]
    assert await ids(admin, "user_id=all") == sorted([ours, theirs], reverse=True)
    assert [item["request_id"] for item in (await listed(admin, token=user))["items"]] == [theirs]
    assert (await listed(admin, f"request_id={ours}", token=user))["items"] == []
    assert (await listed(admin, "token_id=1", token=user))["items"] == []
    for path in ("/api/log", "/api/log/self", "/api/log/stat", "/api/log/export", "/api/usage"):
        for query in ("user_id=1", "user_id=all"):
            answer = await admin.call("GET", f"{path}?{query}", token=user)
            assert (answer.status, answer.body["code"]) == (403, "forbidden")


async def test_a_user_of_several_accounts_sees_the_calls_in_all(admin, calls, postgres_dsn):
    user_id, user = await admin.user("mover")
    first = (await admin.create(token=user))["id"]
    await admin.pool.execute('UPDATE "user" SET account_id = 1 WHERE id = $1', user_id)
    second = (await admin.create(token=user))["id"]
    made = []
    for token_id in (first, second):
        async with posting_calls(postgres_dsn, admin.pool, token_id) as posting:
            made.append(text(await posting.post(NOW + token_id, 1)))
    assert [item["request_id"] for item in (await listed(admin, token=user))["items"]] == made[::-1]


async def test_calls_of_a_revoked_token_stay_in_the_log(admin, calls):
    made = text(await calls.post(NOW, 1))
    await admin.call("DELETE", "/api/token/1")
    assert await ids(admin) == [made]


BAD = [
    "user_id=x",
    "token_id=1.5",
    "model=" + "x" * 257,
    "model=%00",
    "status=42",
    "status=9xx",
    "status=-1",
    "start=1800000000000",
    "end=soon",
    "request_id=1",
    "request_id=" + "-" * 32,
    "min_amount_nusd=0.5",
    "max_amount_nusd=x",
    "cursor=x",
    "cursor=%C3%A4",
    "cursor=" + "A" * 21,
    "limit=x",
    "p=x",
    "p=1001",
    "type=1",
    "keyword=x",
    "p=x&cursor=" + "A" * 22,
    "end_timestamp=soon&end=1",
    "size=x&limit=1",
]


async def test_a_bad_parameter_of_the_log_is_named(admin, subtests):
    for query in BAD:
        with subtests.test(query=query[:40]):
            answer = await admin.call("GET", f"/api/log/?{query}")
            assert (answer.status, answer.body["code"]) == (422, "invalid_field")
            assert answer.message.startswith(query.partition("=")[0])


async def test_no_filter_is_read_as_anything_but_a_value(admin, calls):
    await calls.post(NOW, 1)
    for payload in ("'%20OR%201=1--", "%25", "m';DROP%20TABLE%20ledger;--", "<script>", "{}", "$1"):
        for name in ("model", "group", "upstream", "token_name"):
            assert await ids(admin, f"{name}={payload}") == []


async def test_a_stretch_of_time_is_read_from_its_partitions_alone(admin, calls):
    """Ids are times: a plan for a month begins at its partition alone."""
    chosen = CallFilter(
        user_id=None,
        start=datetime(2027, 1, 2, tzinfo=UTC),
        end=datetime(2027, 1, 3, tzinfo=UTC),
    )
    async with admin.pool.acquire() as connection:
        where = await where_of(connection, chosen)
        plan = await connection.fetch(
            f"EXPLAIN SELECT count(*) FROM {CALLS} WHERE {where}", *where.values
        )
    scanned = {
        found for row in plan for found in re.findall(r" on (ledger_\w+) l(?:_\d+)?\b", row[0])
    }
    assert scanned == {"ledger_202701"}
