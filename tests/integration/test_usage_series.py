"""GET /api/token/{id}/usage: what is summed, how it is cut, and who may see it."""

import pytest

from gateway.store.charges import COUNTS
from tests.admin import done
from tests.ledger_lines import posting_calls

DAY = 86_400
NULL = b"\\N"
MIDNIGHT = 1_799_971_200  # the first one before the clock of the app


@pytest.fixture
async def calls(admin, postgres_dsn):
    """Calls of the first token, in partitions of their month."""
    await admin.pool.execute("SELECT ensure_ledger_partitions(to_timestamp($1), 3)", MIDNIGHT)
    async with posting_calls(postgres_dsn, admin.pool, 1) as posting:
        yield posting


async def series(admin, query="", token_id=1):
    return await done(admin, "GET", f"/api/token/{token_id}/usage?{query}")


async def test_days_without_calls_are_shown_as_nothing(admin, calls):
    await calls.post(MIDNIGHT - DAY, 1_500_000_001, input_tokens=10, output_tokens=5)
    await calls.post(MIDNIGHT - 1, 1, input_tokens=1)
    await calls.post(MIDNIGHT, 2_000)
    data = await series(admin)
    (all_calls,) = data["series"]
    assert (data["token_id"], data["by"], all_calls["key"]) == (1, None, None)
    points = all_calls["points"]
    assert [point["start"] for point in points] == [MIDNIGHT - n * DAY for n in range(29, -1, -1)]
    assert [point["requests"] for point in points[-3:]] == [0, 2, 1]
    assert sum(point["requests"] for point in points) == data["total"]["requests"] == 3
    yesterday = points[-2]
    assert (yesterday["input_tokens"], yesterday["output_tokens"]) == (11, 5)
    assert (yesterday["amount_nusd"], yesterday["quota"]) == (1_500_000_002, 750_001)
    assert points[0] == {"start": points[0]["start"], **dict.fromkeys(COUNTS, 0)} | dict.fromkeys(
        ("requests", "errors", "quota", "usd", "amount_nusd"), 0
    ) | dict.fromkeys(("duration_ms", "ttfb_ms"))


async def test_dollars_are_exact_in_the_text_of_the_answer(admin, calls):
    await calls.post(MIDNIGHT, 4_503_599_627_370_495)
    async with admin.client.get(
        "/api/token/1/usage?interval=all",
        headers={"Authorization": f"Bearer {admin.credentials.access_token}"},
    ) as response:
        assert b'"usd":4503599.627370495' in await response.read()


async def test_each_count_of_the_ledger_is_summed(admin, calls):
    for factor in (1, 10):
        counts = {name: factor * n for n, name in enumerate(COUNTS, start=1)}
        await calls.post(MIDNIGHT + factor, 0, **counts)
    total = (await series(admin))["total"]
    assert [total[name] for name in COUNTS] == [11 * n for n in range(1, len(COUNTS) + 1)]


async def test_errors_are_counted_and_times_are_averaged(admin, calls):
    for status, took, first in ((200, 100, 11), (429, 201, 20), (499, 300, NULL), (399, 0, NULL)):
        await calls.post(MIDNIGHT, 0, status=status, duration_ms=took, ttfb_ms=first)
    total = (await series(admin))["total"]
    assert (total["requests"], total["errors"]) == (4, 2)
    assert (total["duration_ms"], total["ttfb_ms"]) == (150, 16)  # half a millisecond is one


async def test_calls_that_no_upstream_answered_have_no_time_to_average(admin, calls):
    await calls.post(MIDNIGHT, 0, status=502, ttfb_ms=NULL)
    await calls.post(MIDNIGHT - DAY, 0, status=502, ttfb_ms=NULL)
    data = await series(admin)
    assert (data["total"]["requests"], data["total"]["ttfb_ms"]) == (2, None)


async def test_a_series_of_a_token_or_a_user_is_told_by_its_name(admin, calls):
    await calls.post(MIDNIGHT, 1)
    name = (await admin.get(1))["name"]
    for by, key, told in (("token_id", "1", name), ("user_id", "1", "admin"), ("model", "m", None)):
        (each,) = (await series(admin, f"by={by}"))["series"]
        assert (each["key"], each["name"]) == (key, told)


async def test_the_start_is_within_and_the_end_is_not(admin, calls):
    for at in (MIDNIGHT - 0.001, MIDNIGHT, MIDNIGHT + DAY - 0.001, MIDNIGHT + DAY):
        await calls.post(at, 1)
    data = await series(admin, f"start={MIDNIGHT}&end={MIDNIGHT + DAY}&interval=hour")
    (all_calls,) = data["series"]
    assert [point["requests"] for point in all_calls["points"]] == [1, *[0] * 22, 1]
    assert data["total"]["amount_nusd"] == 2


async def test_days_are_those_of_the_time_zone(admin, calls):
    await calls.post(MIDNIGHT - 3600, 1)  # after midnight in Berlin
    query = f"start={MIDNIGHT - 2 * DAY}&time_zone=Europe/Berlin"
    (berlin,) = (await series(admin, query))["series"]
    counted = {point["start"]: point["requests"] for point in berlin["points"]}
    assert counted[MIDNIGHT - 3600] == 1


async def test_series_by_model_begin_with_the_dearest_and_add_up(admin, calls):
    for model, amount in (("cheap", 1), ("dear", 100), ("cheap", 2), ("middle", 50)):
        await calls.post(MIDNIGHT, amount, model)
    data = await series(admin, "by=model&interval=all")
    assert [(each["key"], each["total"]["amount_nusd"]) for each in data["series"]] == [
        ("dear", 100),
        ("middle", 50),
        ("cheap", 3),
    ]
    assert data["total"]["amount_nusd"] == 153
    assert (await series(admin, "by=model&end=1"))["series"] == []


async def test_keys_beyond_what_a_chart_can_hold_are_one_series(admin, calls):
    for n in range(12):
        await calls.post(MIDNIGHT, n + 1, f"m{n}")
    query = f"by=model&interval=hour&end={MIDNIGHT + DAY}&start={MIDNIGHT + DAY - 3600 * 1000}"
    assert len((await series(admin, query))["series"]) == 1 + 1
    data = await series(admin, f"{query}&top=99")
    assert [each["key"] for each in data["series"]] == [*(f"m{n}" for n in range(11, 1, -1)), None]
    assert data["series"][-1]["total"]["amount_nusd"] == 1 + 2
    assert data["total"]["amount_nusd"] == sum(range(1, 13))


async def test_as_many_keys_have_a_series_as_are_asked_for(admin, calls):
    used = {
        "dear": (100, 1, 200),
        "wordy": (1, 50, 200),
        "broken": (2, 2, 500),
        "rare": (3, 3, 200),
    }
    for at in (MIDNIGHT - DAY, MIDNIGHT):
        for model, (amount, tokens, status) in used.items():
            await calls.post(at, amount, model, output_tokens=tokens, status=status)
    await calls.post(MIDNIGHT, 0, "rare")
    firsts = {"": "dear", "cost": "dear", "requests": "rare", "tokens": "wordy", "errors": "broken"}
    for by, first in firsts.items():
        for interval, points in (("day", 30), ("all", 1)):
            data = await series(admin, f"by=model&top=1&top_by={by}&interval={interval}")
            assert [each["key"] for each in data["series"]] == [first, None]
            assert data["total"]["amount_nusd"] == 2 * 106
            rest = data["series"][1]
            assert rest["total"]["amount_nusd"] == 2 * (106 - used[first][0])
            assert len(rest["points"]) == points
    assert len((await series(admin, "by=model&top=4"))["series"]) == 4
    assert len((await series(admin, "by=model&top=-7"))["series"]) == 2


async def test_a_correction_counts_once_and_brings_the_exact_figures(admin, calls):
    lost = await calls.post(MIDNIGHT, 100, anomaly=b"lost_worker", input_tokens=900, upstream=b"")
    await calls.repost(lost, MIDNIGHT, 130, input_tokens=7, output_tokens=8)
    total = (await series(admin))["total"]
    assert (total["requests"], total["amount_nusd"]) == (1, 130)
    assert (total["input_tokens"], total["output_tokens"]) == (7, 8)


BAD = {
    "interval=week": "interval",
    "interval=hour&start=1": "interval",
    "start=x": "start",
    "start=1800000000000": "start: counts seconds",
    "end=-1": "end",
    "start=1800000000&end=1800000000": "start: must be before",
    "start=99999999999": "start: must be before",
    "time_zone=Mars/Base": "time_zone",
    "time_zone=../UTC": "time_zone",
    "time_zone=%00": "time_zone",
    "time_zone=Europe": "time_zone",
    "by=password": "by",
    "by='--": "by",
    "models=m": "models",
    "top=x": "top",
    "top_by=luck": "top_by",
}


async def test_a_bad_parameter_is_named(admin, subtests):
    for query, begin in BAD.items():
        with subtests.test(query=query):
            answer = await admin.call("GET", f"/api/token/1/usage?{query}")
            assert (answer.status, answer.body["code"]) == (422, "invalid_field")
            assert answer.message.startswith(begin)


async def test_the_usage_of_somebody_elses_token_is_not_found(admin):
    _, stranger = await admin.user("stranger")
    for token_id in ("1", "99", "9" * 30):
        path = f"/api/token/{token_id}/usage"
        assert (await admin.call("GET", path, token=stranger)).status == 404
    _, operator = await admin.user("operator", role="operator")
    assert (await admin.call("GET", "/api/token/1/usage", token=operator)).status == 200
    _, narrow = await admin.user("narrow", scopes=("self",))
    assert (await admin.call("GET", "/api/token/1/usage", token=narrow)).status == 403
