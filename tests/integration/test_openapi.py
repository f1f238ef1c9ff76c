"""The API's document: it describes every route, the app does what it says, and people can read it."""

import asyncio
import re
from enum import StrEnum
from html.parser import HTMLParser

import pytest
from pydantic import BaseModel

from admin_api import answers, queries
from admin_api.console.files import CONSOLE
from admin_api.envelope import STATUS
from admin_api.openapi import document_of, path_of, undescribed
from admin_api.page import page_of
from admin_api.people.answers import OwnProfile
from admin_api.route import Media, Route
from admin_api.routes import ROUTES
from admin_api.tokens import answers as token_answers
from admin_api.tokens.queries import query_of
from gateway.domain.roles import Permission
from gateway.store.token_pages import SORTS
from tests.conftest import empty_valkey
from tests.databases import fresh_database
from tests.openapi_run import call_everything, served

# The table


def test_every_route_is_described():
    lacking = {f"{route.method} {route.path}": undescribed(route) for route in ROUTES}
    assert not {name: lacks for name, lacks in lacking.items() if lacks}


def test_a_route_that_is_not_described_is_named_with_what_it_lacks():
    async def handler(request):
        """What it does is not said in the form that the document reads."""

    route = Route("POST", "/api/x/{id:[0-9]+}/y", handler, Permission.TOKEN_WRITE)
    assert undescribed(route) == ["answer", "docstring"]
    operation = document_of([route], "1")["paths"]["/api/x/{id}/y"]["post"]
    assert operation["summary"] == "POST /api/x/{id}/y"


def test_every_field_says_what_it_means():
    document = document_of(ROUTES, "1")
    schemas = document["components"]["schemas"]
    described = {name for route in ROUTES if route.body for name in [route.body.__name__]}
    silent = [
        f"{name}.{field}"
        for name in described | {"LimitBody"}
        for field, schema in schemas[name]["properties"].items()
        if not schema.get("description")
    ]
    silent += [
        f"{path}: {parameter['name']}"
        for path, methods in document["paths"].items()
        for operation in methods.values()
        for parameter in operation["parameters"]
        if parameter["in"] != "path" and not parameter.get("description")
    ]
    assert not silent


def test_the_parameters_of_lists_are_those_that_are_read():
    read = set()

    class Parameters(dict):
        def get(self, name, default=None):
            read.add(name)
            return default

    query_of(Parameters(), 1)
    assert read == set(queries.ListQuery.model_fields)
    assert [each for each in SORTS if each] == parameters_enum("sort")


def parameters_enum(name):
    schema = queries.ListQuery.model_json_schema()["properties"][name]
    return [each for each in schema["enum"] if each]


# What is served


async def test_the_document_is_served_to_everybody(admin):
    answer = await admin.bare("GET", "/api/openapi.json")
    assert answer.status == 200
    assert answer.body["openapi"] == "3.1.0"
    named = {
        (method.upper(), path)
        for path, methods in answer.body["paths"].items()
        for method in methods
    }
    assert named == {(route.method, path_of(route)) for route in ROUTES}


def test_a_code_stands_at_its_status():
    statuses = {str(code): str(status) for code, status in STATUS.items()}
    for methods in document_of(ROUTES, "1")["paths"].values():
        for operation in methods.values():
            for status, told in operation["responses"].items():
                for code in re.findall(r"`(\w+)`", told["description"]):
                    assert statuses[code] == status


async def test_operations_have_names_of_their_own(admin):
    document = (await admin.bare("GET", "/api/openapi.json")).body
    names = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert len(names) == len(set(names))


async def test_answers_have_the_fields_that_are_described(admin):
    made = await admin.create(limits=[{"metric": "usd", "window": "1d", "limit": 1.5}])
    page = (await admin.call("GET", "/api/token/")).data
    limit = made["limits"][0]
    told = {
        token_answers.CreatedToken: made,
        token_answers.Token: page["items"][0],
        token_answers.TokenPage: page,
        token_answers.TokenWithQuota: await admin.get(made["id"]),
        answers.Limit: limit,
        answers.Effective: made["effective"],
        OwnProfile: (await admin.call("GET", "/api/user/self")).data,
        answers.Installation: (await admin.bare("GET", "/api/status")).data,
    }
    for kind, shown in told.items():
        assert set(shown) == set(kind.model_fields), kind
        kind.model_validate(shown, strict=True)


def test_examples_are_what_they_are_examples_of():
    for route in ROUTES:
        for kind in (route.body, route.answer):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                extra = kind.model_config.get("json_schema_extra") or {}
                for example in extra.get("examples", ()):
                    kind.model_validate(example)


# The page


class Page(HTMLParser):
    """What a page links to, loads and names; and whether its tags are closed."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.loaded, self.ids, self.levels = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        self.loaded += [given[name] for name in ("src", "href") if name in given and tag != "a"]
        self.levels += [int(tag[1])] if re.fullmatch(r"h[1-6]", tag) else []
        assert not any(name.startswith("on") or name == "style" for name in given)
        assert tag not in {"script", "style"}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_tells_types_that_are_no_objects():
    class Colour(StrEnum):
        RED = "red"

    class Painted(BaseModel):
        colour: Colour
        by_name: dict[str, list[Colour]]

    async def handler(request):
        """GET /x: something of a colour."""

    route = Route("GET", "/x", handler, Permission.SELF, Painted)
    text = page_of(document_of([route], "1"), "http://x", "/x.css")
    Page(text)
    assert '<a href="#object-Colour">Colour</a>' in text
    assert "<p><code>&quot;red&quot;</code></p>" in text


def test_an_answer_may_be_of_several_types():
    async def handler(request):
        """GET /x: calls, in one form or the other."""

    route = Route("GET", "/x", handler, Permission.SELF, Media(("text/csv", "text/plain")))
    document = document_of([route], "1")
    assert [*document["paths"]["/x"]["get"]["responses"]["200"]["content"]] == [*route.answer.types]
    assert "<code>text/csv</code> or <code>text/plain</code>" in page_of(
        document, "http://x", "/x.css"
    )


async def test_the_page_tells_every_call_and_loads_nothing_from_elsewhere(admin):
    async with admin.client.get("/api/docs") as answer:
        text = await answer.text()
        assert answer.content_type == "text/html"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    page = Page(text)
    assert page.loaded == [CONSOLE.address("plain.css")]
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= {*page.ids}
    assert {link for link in page.links if not link.startswith("#")} == {"/api/openapi.json"}
    assert page.levels[0] == 1
    steps = zip(page.levels, page.levels[1:], strict=False)
    assert all(after <= before + 1 for before, after in steps)
    for route in ROUTES:
        assert f"<code>{route.method} {path_of(route)}</code>" in text


def test_what_the_document_holds_cannot_break_the_page():
    async def handler(request):
        """GET /x: <script>alert(1)</script> & `<b>`."""

    route = Route("GET", "/x", handler, Permission.PUBLIC, answers.Nothing)
    text = page_of(document_of([route], '"><script>'), 'http://x"><script>', "/x.css")
    Page(text)
    assert "<script>" not in text


# Every way to call it


# What plain users may not call, and others do below.
THEIRS = "^/api/(upstream|model|group|invite|audit|redeem$|user/{|user/(search|manage))"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("phases", ["examples,coverage", "fuzzing,stateful"])
def test_the_app_does_what_the_document_says(phases, server_addresses, worker_id):
    """All checks of schemathesis; `python -m tests.openapi_run` does it at length."""

    async def call_it():
        async with fresh_database(server_addresses) as dsn, served(dsn, valkey_url) as admin:
            options = (
                *("--phases", phases, "--max-examples", "5", "--generation-deterministic"),
                *("--exclude-path-regex", THEIRS),
            )
            return await call_everything(admin, *options)

    with empty_valkey(server_addresses, worker_id) as valkey_url:
        status, report = asyncio.run(call_it())
    assert status == 0, report


@pytest.mark.timeout(900)
def test_the_catalog_does_what_the_document_says_for_those_who_edit_it(server_addresses, worker_id):
    """Operators see the same entries, and no provider is called."""

    async def call_it():
        async with fresh_database(server_addresses) as dsn, served(dsn, valkey_url) as admin:
            options = (
                *("--phases", "examples,coverage", "--generation-deterministic"),
                *("--include-path-regex", "/api/(upstream|model|group)"),
                *("--exclude-path-regex", "/api/upstream/.*/"),
                *("--exclude-checks", "positive_data_acceptance,object_level_authorization"),
            )
            return await call_everything(admin, *options, role="operator")

    with empty_valkey(server_addresses, worker_id) as valkey_url:
        status, report = asyncio.run(call_it())
    assert status == 0, report


@pytest.mark.timeout(900)
def test_people_and_wallets_do_what_the_document_says_for_administrators(
    server_addresses, worker_id
):
    """Both see everybody, and neither may manage the other."""

    async def call_it():
        async with fresh_database(server_addresses) as dsn, served(dsn, valkey_url) as admin:
            options = (
                *("--phases", "examples,coverage", "--generation-deterministic"),
                *("--include-path-regex", "^/api/(user|account|redeem|invite|audit)"),
                *("--exclude-path-regex", "^/api/user/(self|log)"),
                *("--exclude-checks", "positive_data_acceptance,object_level_authorization"),
            )
            found = await call_everything(admin, *options, role="admin")
            changed = await admin.pool.fetch("SELECT DISTINCT object_kind AS kind FROM audit")
            assert {"user", "account", "redeem", "invite"} <= {row["kind"] for row in changed}
            return found

    with empty_valkey(server_addresses, worker_id) as valkey_url:
        status, report = asyncio.run(call_it())
    assert status == 0, report
