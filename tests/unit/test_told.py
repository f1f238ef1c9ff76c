"""What callers tell of a call: whom it is for, and tags. Their text is bounded and never trusted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ask import read_ask
from gateway.domain.routes import find_route
from gateway.store.charges import COLUMNS, NOTHING_TOLD, told_text

ASKS = {
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "Hello"}]},
    "/v1/responses": {"model": "m", "input": "Hello"},
    "/v1/embeddings": {"model": "m", "input": "Hello"},
}
TEXTS = st.text(max_size=600)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=20),
    max_leaves=30,
)


def read(path="/v1/chat/completions", body=None, **members):
    if body is None:
        body = json.dumps(ASKS.get(path, {"model": "m"}) | members).encode()
    route = find_route("POST", path, lambda: "", ())
    return read_ask(body, route.form)


@pytest.mark.parametrize("path", ASKS)
def test_user_and_metadata_are_read_of_every_route_of_openais(path):
    ask = read(path, user="bob", metadata={"team": "search", "env": "prod"})
    assert (ask.end_user, ask.tags) == ("bob", {"team": "search", "env": "prod"})
    ask = read(path)
    assert (ask.end_user, ask.tags) == ("", None)


def test_a_safety_identifier_is_the_end_user_where_no_user_is_named():
    assert read(safety_identifier="h4sh").end_user == "h4sh"
    assert read(safety_identifier="h4sh", user="bob").end_user == "bob"
    assert read(safety_identifier="h4sh", user=None).end_user == "h4sh"


def test_anthropics_user_id_is_the_end_user_and_no_tag():
    body = {"model": "m", "max_tokens": 1, "messages": [], "metadata": {"user_id": "bob", "a": "b"}}
    ask = read("/v1/messages", json.dumps(body).encode())
    assert (ask.end_user, ask.tags) == ("bob", None)
    body["metadata"] = {"user_id": None}
    assert read("/v1/messages", json.dumps(body).encode()).end_user == ""


def test_what_is_too_long_or_no_text_is_not_noted_and_refuses_no_call():
    assert read(user="x" * 512).end_user == "x" * 512
    assert read(user="x" * 513).end_user == ""
    assert read(user=7, metadata=[1]).tags is None
    tags = {"k" * 64: "v" * 512, "k" * 65: "v", "long": "v" * 513, "n": 1, "o": {"a": "b"}, "": "v"}
    assert read(metadata=tags).tags == {"k" * 64: "v" * 512}
    assert len(read(metadata={f"k{n}": "v" for n in range(100)}).tags) == 16


def test_control_characters_and_turned_writing_are_dropped():
    ask = read(user=" a\0b\x1b[31m\u202ec\n", metadata={"k\0": "x\r\ny\t\u2028", "\n": "v"})
    assert (ask.end_user, ask.tags) == ("ab[31mc", {"k": "xy"})


@pytest.mark.parametrize("user", [b'"\\ud800"', b'"a', b"{}", b"[" * 1000 + b"]" * 1000, b"nul"])
def test_a_user_that_is_no_text_is_nobody_or_no_json(user):
    body = b'{"model": "m", "messages": [], "user": %b, "metadata": {"k": %b}}' % (user, user)
    ask = read(body=body)
    assert not getattr(ask, "end_user", "")
    assert not getattr(ask, "tags", None)


@given(ANYTHING, ANYTHING)
def test_whatever_is_told_is_bounded_and_one_line_of_the_ledger(user, metadata):
    ask = read(user=user, metadata=metadata)
    assert len(ask.end_user) <= 512
    for key, value in (ask.tags or {}).items():
        assert 1 <= len(key) <= 64
        assert len(value) <= 512
    text = told_text(ask.end_user, ask.tags)
    assert text.count(b"\t") == 2
    assert not set(text.decode()) & {"\n", "\r", "\0"}
    assert text == NOTHING_TOLD or (ask.end_user or ask.tags)


def test_what_is_told_are_the_last_columns():
    assert COLUMNS[-3:] == ("end_user", "tags", "from_console")
