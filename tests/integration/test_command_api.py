"""What stands between a command and the admin API: none of it is believed, and the access token goes nowhere else."""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from aiohttp import web

from admin_api.logs.objects import CSV_COLUMNS
from gateway.commands.api_client import calling
from gateway.commands.errors import CommandFailed, Declined
from gateway.commands.export import run as export
from gateway.commands.reach import Reach

TOKEN = "tht_" + "s" * 49


class Between:
    """A server at the admin API's address that answers as a test says, and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []
        self.url = ""
        self.answer = lambda _request: web.Response()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get("Authorization", "")
        self.requests.append((request.method, request.path_qs, authorization))
        made = self.answer(request)
        return await made if asyncio.iscoroutine(made) else made


@pytest.fixture
async def between(aiohttp_server):
    made = Between()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    server = await aiohttp_server(app)
    made.url = str(server.make_url("")).rstrip("/")
    return made


@contextlib.asynccontextmanager
async def api_at(url: str):
    async with calling(Reach(url, TOKEN, "the admin API", "it is the test's")) as api:
        yield api


async def failure(between: Between, answer) -> CommandFailed:
    between.answer = answer
    async with api_at(between.url) as api:
        with pytest.raises(CommandFailed) as failed:
            await api.call("GET", "/api/token/")
    assert TOKEN not in str(failed.value)
    return failed.value


async def test_a_redirect_is_told_and_not_followed(between):
    elsewhere = {"Location": f"{between.url}/elsewhere"}
    failed = await failure(between, lambda _: web.Response(status=308, headers=elsewhere))
    assert "sends us on to" in str(failed)
    assert [path for _, path, _ in between.requests] == ["/api/token/"]


async def test_a_page_of_a_proxy_is_no_answer(between):
    failed = await failure(between, lambda _: web.Response(status=502, text="<h1>Bad</h1>"))
    assert "answers with status 502 and not as the admin API does" in str(failed)


async def test_an_answer_that_is_cut_is_told(between):
    failed = await failure(between, cut(b'{"success": tr'))
    assert "does not answer as it should" in str(failed)


async def test_an_unknown_access_token_is_told_with_where_it_is_from(between):
    body = {"success": False, "message": "unknown \x1b[31m", "code": "invalid_access_token"}
    failed = await failure(between, lambda _: web.json_response(body, status=401))
    assert isinstance(failed, Declined)
    assert str(failed) == "unknown \\x1b[31m (it is the test's)"


async def test_each_error_is_told_on_a_line_of_its_own(between):
    errors = [{"field": "a", "message": "a: is required."}, {"message": "b: \x1b is bad."}]
    body = {"success": False, "message": "Both.", "code": "invalid_field", "errors": errors}
    failed = await failure(between, lambda _: web.json_response(body, status=422))
    assert str(failed) == "a: is required.\nb: \\x1b is bad."


async def test_data_is_kept_as_it_came_and_read_exactly(between):
    raw = '{"quota_usd": 4503599.627370495, "name":"\\u00e9"}'
    text = f'{{"success":true,"message":"","data":{raw}}}'
    between.answer = lambda _: web.Response(text=text, content_type="application/json")
    async with api_at(between.url) as api:
        answer = await api.call("POST", "/x", body={"a": Decimal("0.1")}, query={"p": 1})
    assert answer.raw.decode() == raw
    assert answer.data == {"quota_usd": Decimal("4503599.627370495"), "name": "é"}
    assert between.requests == [("POST", "/x?p=1", f"Bearer {TOKEN}")]


def cut(sent: bytes, content_type: str = "application/json"):
    """An answer that says that it goes on, and does not."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(sent)
        assert request.transport
        request.transport.close()
        return response

    return answer


async def exported(between: Between, monkeypatch, **wanted) -> int:
    monkeypatch.setenv("TOLLHOUSE_ADMIN_URL", between.url)
    monkeypatch.setenv("TOLLHOUSE_ACCESS_TOKEN", TOKEN)
    options = {"format": "csv", "start": None, "end": None, "token": None, "model": None}
    options |= {"user": None, "all": False, "output": None, "daily": None, "again": False}
    given = argparse.Namespace(**options | wanted, config=None, insecure=False)
    return await asyncio.to_thread(export, given, [])


async def test_an_export_that_is_cut_leaves_nothing_behind(between, monkeypatch, tmp_path, capsys):
    between.answer = cut(b"a,b\n1,2\n", "text/csv")
    assert await exported(between, monkeypatch, output=str(tmp_path / "rows.csv")) == 1
    assert list(tmp_path.iterdir()) == []
    assert "does not answer as it should" in capsys.readouterr().err


async def test_an_export_is_the_bytes_that_came(between, monkeypatch, tmp_path, capsys):
    rows = b"a,b\n" + b"1,\xc3\xa9\n" * 50_000
    between.answer = lambda _: web.Response(body=rows, content_type="text/csv")
    file = tmp_path / "rows.csv"
    assert await exported(between, monkeypatch, output=str(file), token="7", start=5) == 0
    assert file.read_bytes() == rows
    assert capsys.readouterr().err == f"{file} has 50,001 lines.\n"
    query = "/api/log/export?start=5&format=csv&token_id=7"
    assert between.requests == [("GET", query, f"Bearer {TOKEN}")]


async def test_an_export_that_is_declined_with_200_is_declined(
    between, monkeypatch, tmp_path, capsys
):
    body = {"success": False, "message": "No.", "code": "forbidden"}
    between.answer = lambda _: web.json_response(body)
    assert await exported(between, monkeypatch, output=str(tmp_path / "rows.csv")) == 1
    assert capsys.readouterr().err == "tollhouse: No.\n"
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_cannot_be_written_is_named(between, monkeypatch, tmp_path, capsys):
    file = tmp_path / "missing" / "rows.csv"
    assert await exported(between, monkeypatch, output=str(file)) == 1
    assert f"{file} cannot be written: No such file or directory" in capsys.readouterr().err


CALL = {
    **dict.fromkeys(CSV_COLUMNS),
    "request_id": "019aa000-0000-7000-8000-000000000001",
    "started_at": 1_762_000_000.125,
    "amount_nusd": 4_503_599_627_370_495,
    "usd": 4503599.627370495,
    "model": "m",
    "status": 200,
    "estimated": False,
    "tags": {"team": "a"},
    "attempts": [],
}
DAY_S = 86_400


async def test_days_that_are_over_become_files_each_once(between, monkeypatch, tmp_path, capsys):
    between.answer = lambda _: web.Response(body=b"{}\n{}\n", content_type="application/jsonl")
    today = int(time.time()) // DAY_S * DAY_S
    wanted = {"format": "jsonl", "daily": str(tmp_path), "start": today - 2 * DAY_S - 5}
    assert await exported(between, monkeypatch, **wanted) == 0
    names = [
        f"ledger-{datetime.fromtimestamp(today - n * DAY_S, UTC):%Y-%m-%d}.jsonl" for n in (2, 1)
    ]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert [path for _, path, _ in between.requests] == [
        f"/api/log/export?start={today - n * DAY_S}&format=jsonl&end={today - (n - 1) * DAY_S}"
        for n in (2, 1)
    ]
    (tmp_path / names[0]).unlink()
    assert await exported(between, monkeypatch, **wanted) == 0
    assert len(between.requests) == 3  # what is there stays
    assert "1 days were there already" in capsys.readouterr().err
    assert await exported(between, monkeypatch, **wanted, again=True) == 0
    assert len(between.requests) == 5


async def test_a_day_that_is_cut_leaves_the_days_before_it(between, monkeypatch, tmp_path):
    first = web.Response(body=b"{}\n", content_type="application/jsonl")
    broken = cut(b"{}\n", "application/jsonl")
    between.answer = lambda request: first if len(between.requests) == 1 else broken(request)
    wanted = {"format": "jsonl", "daily": str(tmp_path), "start": int(time.time()) - 3 * DAY_S}
    assert await exported(between, monkeypatch, **wanted) == 1
    assert len(list(tmp_path.iterdir())) == 1


async def test_daily_files_need_a_first_day_and_a_whole_one(between, monkeypatch, tmp_path, capsys):
    for wanted in ({}, {"start": int(time.time()) - 5}):
        assert await exported(between, monkeypatch, daily=str(tmp_path), **wanted) == 2
    assert await exported(between, monkeypatch, format="parquet") == 2
    assert between.requests == []


async def test_parquet_has_every_row_with_its_types_in_groups(between, monkeypatch, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    count = 45_000
    rows = (json.dumps(CALL).encode() + b"\n") * count
    between.answer = lambda _: web.Response(body=rows, content_type="application/jsonl")
    file = tmp_path / "rows.parquet"
    assert await exported(between, monkeypatch, format="parquet", output=str(file)) == 0
    found = parquet.ParquetFile(file)
    assert (found.metadata.num_rows, found.metadata.num_row_groups) == (count, 3)
    assert set(found.schema_arrow.names) == {*CSV_COLUMNS, "attempts"} - {"usd"}
    row = found.read_row_group(2).to_pylist()[-1]
    assert row["started_at"] == datetime.fromtimestamp(1_762_000_000.125, UTC)
    assert row["amount_nusd"] == 4_503_599_627_370_495
    assert (row["tags"], row["attempts"], row["estimated"]) == ('{"team":"a"}', None, False)


async def test_without_pyarrow_it_is_said_what_to_install(between, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    between.answer = lambda _: web.Response(body=b"", content_type="application/jsonl")
    file = tmp_path / "rows.parquet"
    assert await exported(between, monkeypatch, format="parquet", output=str(file)) == 1
    assert "pip install 'tollhouse[parquet]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
