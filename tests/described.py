"""Whether an answer of the admin API is one that its document tells of."""

import functools
import re
from urllib.parse import parse_qsl, urlsplit

from pydantic import TypeAdapter

from admin_api.answers import Nothing
from admin_api.openapi import document_of, path_of
from admin_api.route import Media, Redirect, Route
from admin_api.routes import ROUTES
from gateway.domain.rejection import Problem
from gateway.domain.rules import Rule


@functools.cache
def document() -> dict:
    return document_of(ROUTES, "1")


@functools.cache
def operations() -> dict[tuple[str, str], dict]:
    paths = document()["paths"]
    return {(method.upper(), path): each for path in paths for method, each in paths[path].items()}


@functools.cache
def adapter(route: Route) -> TypeAdapter:
    return TypeAdapter(route.answer)


def route_of(method: str, url: str) -> Route | None:
    """The route that answers, if there is one."""
    path = url.partition("?")[0]
    fitting = (route for pattern, route in patterns(method) if pattern.fullmatch(path))
    return next(fitting, None)


@functools.cache
def patterns(method: str) -> list[tuple[re.Pattern[str], Route]]:
    paths = [(re.sub(r"{\w+:([^}]+)}", r"\1", each.path), each) for each in ROUTES]
    return [
        (re.compile(path.rstrip("/") + "/?"), route)
        for path, route in paths
        if route.method == method
    ]


def check_described(method: str, url: str, sent: object, status: int, body: dict) -> None:
    """Fail where a call, or its status, code or data are not as the document says.

    A route that is not described passes: another test names it.
    """
    route = route_of(method, url)
    if (
        route is None
        or route.answer is None
        or isinstance(route.answer, Media | Redirect)
        or not body
    ):
        return
    called = f"{method} {path_of(route)}"
    operation = operations()[method, path_of(route)]
    told = operation["responses"].get(str(status))
    assert told, f"{called} answered {status}, which its row in ROUTES does not say: {body}"
    if not body["success"]:
        assert f"`{body['code']}`" in told["description"], f"{called} answered {body['code']}"
        check_errors(body)
        return
    parameters = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
    given = {name for name, _ in parse_qsl(urlsplit(url).query)}
    assert given <= parameters, f"{called} takes {given - parameters}, which its row does not say"
    assert sent is None or route.body, f"{called} takes a body, which its row does not say"
    if route.answer is Nothing:
        assert "data" not in body, called
    else:
        adapter(route).validate_python(body["data"], strict=True)


def check_errors(body: dict) -> None:
    """Fail where a failure does not tell its mistakes as the document says."""
    errors = body.get("errors", [])
    schema = document()["components"]["schemas"]["Mistake"]
    assert bool(errors) == (body["code"] in {*Problem}), body
    for each in errors:
        assert [*each] == schema["required"], each
        sentence = Rule(each["code"]).sentence(each["params"])
        assert sentence[1:] in each["message"], each
        assert each["message"].startswith(each["field"] or sentence[0].upper()), each
    if errors:
        assert body["message"] == " ".join(each["message"] for each in errors)
