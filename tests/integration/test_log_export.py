"""GET /api/log/export: files of calls, sent as they are read."""

import asyncio
import contextlib
import csv
import io
import json

import aiohttp
import pytest

from tests.integration.rig import until

NOW = 1_800_000_000  # the clock of the app
LONG = 30_000  # calls, whose lines are more than what sockets take unread


@pytest.fixture
async def admin(admin):
    await admin.pool.execute("SELECT ensure_ledger_partitions(to_timestamp($1), 3)", NOW)
    return admin


async def fill(admin, count):
    """Calls that cost 1, 2, 3, … nano-dollars; the first 80,000 are of the model `old`."""
    for first in range(1, count, 10_000):
        await admin.pool.execute(
            """
            INSERT INTO ledger (request_id, kind, account_id, token_id, user_id, group_id, model, upstream,
                                dialect, route, status, started_at, duration_ms, amount)
            SELECT (left(uuid7_floor(at)::text, 13) || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                   'c', 1, 1, 1, 1,
                   CASE WHEN n <= 80000 THEN 'old' ELSE 'new' END, 'u', 'openai', 'chat_completions', 200, at, 1, n
              FROM (SELECT n, to_timestamp($2 + n / 1000) AS at FROM generate_series($1, $1 + 9999) n) each
            """,
            first,
            NOW,
        )


def exported(admin, query=""):
    headers = {"Authorization": f"Bearer {admin.credentials.access_token}"}
    return admin.client.get(f"/api/log/export?{query}", headers=headers)


async def test_a_file_is_csv_with_a_head_and_exact_dollars(admin, calls):
    first = await calls.post(NOW, 1_000_000_001, input_tokens=7)
    await calls.post(NOW + 1, 5, "n")
    async with exported(admin, "model=m") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
        assert response.headers["Content-Disposition"] == 'attachment; filename="calls.csv"'
        assert len(response.headers["X-Request-Id"]) == 32
        text = (await response.read()).decode()
    assert text.count("\r\n") == 2
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["request_id"].replace("-", "").encode() == first
    assert row["started_at"] == "2027-01-15T08:00:00.000+00:00"
    assert (row["usd"], row["amount_nusd"], row["quota"]) == ("1.000000001", "1000000001", "500001")
    assert (row["input_tokens"], row["estimated"], row["anomaly"]) == ("7", "false", "")


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
async def test_no_cell_of_a_csv_file_is_a_formula(admin, calls, begin):
    payload = f'{begin}HYPERLINK("http://x","a,b")\n'
    await calls.post(NOW, 1, payload)
    async with exported(admin) as response:
        text = (await response.read()).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["model"] == f"'{payload}"


async def test_a_file_of_json_lines_has_the_objects_of_the_list(admin, calls):
    for n in range(3):
        await calls.post(NOW + n, n, "=m")
    async with exported(admin, "format=jsonl") as response:
        assert response.headers["Content-Type"] == "application/jsonl"
        lines = (await response.read()).splitlines()
    listed = await admin.call("GET", "/api/log/")
    assert [json.loads(line) for line in lines] == listed.data["items"]


async def test_an_export_without_calls_is_a_head_or_nothing(admin):
    async with exported(admin) as response:
        assert (await response.read()).startswith(b"request_id,started_at,")
    async with exported(admin, "format=jsonl") as response:
        assert (response.status, await response.read()) == (200, b"")
    async with admin.client.head(
        "/api/log/export", headers={"Authorization": f"Bearer {admin.credentials.access_token}"}
    ) as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_a_bad_parameter_of_an_export_is_named(admin):
    for query in ("format=xlsx", "limit=5", "models=m"):
        async with exported(admin, query) as response:
            assert response.status == 422
            assert (await response.json())["message"].startswith(query.partition("=")[0])


async def test_rows_are_read_at_the_pace_of_whoever_takes_them(admin):
    """What is deleted after the first line has come does not come: it had not been read. All else comes once."""
    await fill(admin, 100_000)
    async with exported(admin, "format=jsonl") as response:
        first = await response.content.readline()
        assert json.loads(first)["amount_nusd"] == 100_000
        await admin.pool.execute("DELETE FROM ledger WHERE model = 'old'")
        rest = [json.loads(line)["amount_nusd"] async for line in response.content]
    assert rest == list(range(99_999, 80_000, -1))


async def test_a_slow_reader_keeps_no_connection_of_the_pool(admin):
    await fill(admin, LONG)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(admin.pool.get_max_size() + 1):
            await stack.enter_async_context(exported(admin, "format=jsonl"))
        assert (await admin.call("GET", "/api/log/")).status == 200


async def test_a_client_that_leaves_ends_the_reading(admin):
    await fill(admin, LONG)
    admin.client.server.handler.handler_cancellation = False  # as outside of tests
    response = await exported(admin, "format=jsonl")
    await response.content.readline()
    response.close()
    async with asyncio.timeout(60):
        await until(lambda: any("/api/log/export" in line for line in admin.lines))
    assert admin.pool.get_idle_size() == admin.pool.get_size()


async def test_an_export_that_breaks_off_never_looks_whole(admin):
    await fill(admin, LONG)
    async with exported(admin, "format=jsonl") as response:
        await response.content.readline()
        await admin.pool.execute("ALTER TABLE ledger RENAME TO gone")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
