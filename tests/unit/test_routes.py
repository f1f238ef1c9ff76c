"""Which calls exist; every other is told what would be right."""

import pytest

from gateway.domain.errors import Reason, Refusal
from gateway.domain.passages import Metering, Rule
from gateway.domain.routes import Route, dialect_of, find_route

BASE = "https://gateway.example"


def find(method: str, path: str) -> Route | Refusal:
    return find_route(method, path, lambda: BASE)


@pytest.mark.parametrize(
    ("method", "path", "name", "kind"),
    [
        ("POST", "/v1/chat/completions", "chat_completions", "forward"),
        ("POST", "/v1/completions", "completions", "forward"),
        ("POST", "/v1/embeddings", "embeddings", "forward"),
        ("POST", "/v1/responses", "responses", "forward"),
        ("GET", "/v1/models", "models", "models"),
        ("HEAD", "/v1/models", "models", "models"),
        ("GET", "/v1/models/gpt-5.4", "models", "models"),
        ("GET", "/v1/models/meta/llama-3", "models", "models"),
    ],
)
def test_a_call_has_its_route(method, path, name, kind):
    route = find(method, path)
    assert isinstance(route, Route)
    assert (route.name, route.kind, route.dialect) == (name, kind, "openai")
    if kind == "forward":
        assert route.upstream_path == path.removeprefix("/v1")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "no page here"),
        ("/chat/completions", "lacks /v1"),
        ("/models", "lacks /v1"),
        ("/v1/v1/messages", "The right one is https://gateway.example/v1/messages; SDKs"),
        ("/v1/v1beta/models/m:generateContent", "example/v1beta/models/m:generateContent; SDKs"),
        ("/v1/chat/completions/", "without the slash"),
        ("/v1/models/", "without the slash"),
        ("/v1", "The base URL is"),
        ("/v1/", "The base URL is"),
        ("/V1/chat/completions", "The base URL is"),
        ("//v1/chat/completions", "The base URL is"),
        ("/v1/../v1/chat/completions", "The base URL is"),
        ("/v1/chat%2fcompletions", "The base URL is"),
        ("/v1/chat/completions;x", "The base URL is"),
        ("/v1/organization/users", "The base URL is"),
        ("/v1/realtime/client_secrets", "The base URL is"),
        ("/v1/files/../organization/users", "The base URL is"),
        ("/v1/files/%2e%2e/x", "The base URL is"),
        ("/v1/files/./x", "The base URL is"),
        ("/v1/files//x", "The base URL is"),
        ("/v1/files/a b", "The base URL is"),
    ],
)
def test_a_path_that_does_not_exist_is_told_the_base_url(path, words):
    refusal = find("POST", path)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.UNKNOWN_URL
    assert words in refusal.message
    assert f"{BASE}/v1" in refusal.message


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("HEAD", "/v1/chat/completions", "POST"),
        ("GET", "/v1/responses", "POST"),
        ("GET", "/v1/messages", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/m", "GET"),
        ("GET", "/v1beta/models/g:generateContent", "POST"),
        ("post", "/v1/embeddings", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(method, path, right):
    refusal = find(method, path)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.METHOD_NOT_ALLOWED
    assert refusal.details == {"allow": right}


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/messages", "anthropic"),
        ("/v1/messages/count_tokens", "anthropic"),
        ("/v1beta/models/g:generateContent", "gemini"),
        ("/v1/chat/completions", "openai"),
        ("/", "openai"),
        ("/nothing", "openai"),
    ],
)
def test_every_path_has_a_dialect_even_where_it_is_refused(path, dialect):
    assert dialect_of(path) == dialect


@pytest.mark.parametrize(
    ("path", "model", "query", "stream"),
    [
        ("/v1beta/models/g-1.5:generateContent", "g-1.5", "", False),
        ("/v1/models/g:streamGenerateContent", "g", "alt=sse", True),
        ("/v1beta/models/g:streamGenerateContent", "g", "", False),
        ("/v1beta/models/g:streamGenerateContent", "g", "x=1&alt=sse", True),
        ("/v1alpha/models/g:countTokens", "g", "alt=sse", False),
    ],
)
def test_a_path_of_gemini_names_the_model(path, model, query, stream):
    route = find("POST", path)
    assert isinstance(route, Route)
    assert route.dialect == "gemini"
    assert route.says is not None
    assert route.says(path, query) == (model, stream)


@pytest.mark.parametrize(
    ("method", "path", "name", "metering"),
    [
        ("GET", "/v1/files", "files", Metering.FREE),
        ("GET", "/v1/files/file-1/content", "files/content", Metering.FREE),
        ("POST", "/v1/responses/resp_1/cancel", "responses/cancel", Metering.FREE),
        ("GET", "/v1/chat/completions", "chat/completions", Metering.FREE),
        ("POST", "/v1/batches", "batches", Metering.UNCAPPED),
        ("POST", "/v1/threads/t-1/runs", "threads/runs", Metering.UNCAPPED),
        ("GET", "/v1/vector_stores/vs_1/search", "vector_stores/search", Metering.UNCAPPED),
        ("POST", "/v1/images/generations", "images/generations", Metering.UNCAPPED),
        ("PATCH", "/v1/next-years/thing", "other", Metering.UNCAPPED),
    ],
)
def test_whatever_else_is_below_v1_is_a_passage(method, path, name, metering):
    route = find(method, path)
    assert isinstance(route, Route)
    assert (route.kind, route.name, route.method) == ("passage", name, method)
    assert route.upstream_path == path.removeprefix("/v1")
    assert route.rule is not None
    assert route.rule.metering is metering


def test_the_operators_rules_come_first():
    own = Rule("/v1/images/**", frozenset({"POST"}), Metering.CALL, 40)
    never = Rule("/v1/files/**", frozenset(), Metering.NEVER)
    route = find_route("POST", "/v1/images/generations", lambda: BASE, (own,))
    assert isinstance(route, Route)
    assert (route.rule, route.metering) == (own, "call")
    assert isinstance(find_route("GET", "/v1/files/f", lambda: BASE, (never,)), Refusal)


def test_terminators_are_no_prefix_of_other_lines():
    """A terminator is sought at the start of a line: an ordinary event must not begin so."""
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"):
        route = find("POST", path)
        assert isinstance(route, Route)
        assert route.terminators
        for line in (b"data: {", b"event: response.created", b"event: response.output_text.delta"):
            assert not line.startswith(route.terminators)
