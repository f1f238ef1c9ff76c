"""Paths of calls: each has one route or a refusal, and none that is passed on leads elsewhere at an upstream."""

import re

from gateway.domain.errors import Refusal
from gateway.domain.passages import ids_in, name_of
from gateway.domain.routes import dialect_of, find_route, is_forwarded
from tests.fuzz.target import Target

_METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "get", "")
_ORDINARY = re.compile(r"(/[A-Za-z0-9_.:~@+{}-]+)*/?")


def keeps(data: bytes) -> None:
    path = data.decode("utf-8", "surrogateescape")
    dialect = dialect_of(path)
    for method in _METHODS:
        found = find_route(method, path, lambda: "http://gateway")
        if isinstance(found, Refusal):
            assert found.message
            continue
        assert method in {found.method, "HEAD"}
        assert _ORDINARY.fullmatch(found.upstream_path)
        assert (
            not {"", ".", ".."} & {*found.upstream_path.split("/")[1:]} or not found.upstream_path
        )
        if found.kind == "passage":
            assert found.upstream_path == path.removeprefix("/v1")
        if found.kind == "forward":
            assert is_forwarded(path) == (method == "POST")
            assert found.dialect == dialect
        if found.says is not None:
            said = found.says(path, "alt=sse")
            assert said.model
            assert "/" not in said.model
    assert len(name_of(path)) <= 64
    assert len(ids_in(path)) <= 8


TARGET = Target(
    "paths",
    keeps,
    (
        *(b"/v1", b"/v1beta", b"/models/", b":generateContent", b"/chat/completions", b"/messages"),
        *(
            b"/..",
            b"/.",
            b"//",
            b"%2e",
            b"%2f",
            b"\\",
            b";x",
            b"?a=1",
            b"#",
            b"\0",
            b"\n",
            b" ",
            b"/",
        ),
        *(
            b"/files/",
            b"/batches",
            b"/dashboard/billing/usage",
            b"/api/usage/token",
            b"*",
            b":",
            b"@",
        ),
        *(b"\xff", b"\xc3\xa9", b"/vector_stores/", b"{model}", b"/realtime", b"%00", b"http://x/"),
    ),
)
