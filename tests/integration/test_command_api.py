"""What stands between a command and the admin API: none of it is believed, and the access token goes nowhere else."""

import argparse
import asyncio
import contextlib
from decimal import Decimal

import pytest
from aiohttp import web

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
    options |= {"user": None, "all": False}
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
    query = "/api/log/export?format=csv&start=5&token_id=7"
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
