"""What is read of a body, and what is refused of it."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ask import Ask, read_ask, rewrite
from gateway.domain.errors import Reason, Refusal
from gateway.domain.openai_ask import OpenAIForm, with_usage_asked

CHAT = OpenAIForm(("max_completion_tokens", "max_tokens"), usage_option=True, entries="messages")


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"", None, "not JSON"),
        (b"{", None, "not JSON"),
        (b"\xff\xfe", None, "not JSON"),
        (b"[]", None, "The body must be an object, not an array."),
        (b'{"messages":[]}', "model", "'model' is missing"),
        (b'{"model":""}', "model", "'model' is empty"),
        (b'{"model":7}', "model", "'model' must be a string, not a whole number."),
        (b'{"model":"%b"}' % (b"x" * 257), "model", "longer than 256"),
        (b'{"model":"a","model":"b"}', "model", "occurs twice"),
        (b'{"model":"a","\\u006dodel":"b"}', "model", "occurs twice"),
        (b'{"model":"a", "stream":true,\n "stream":false}', "stream", "occurs twice"),
        (b'{"model":"a","max_tokens":1,"max_tokens":9}', "max_tokens", "occurs twice"),
        (b'{"model":"a","max_tokens":0}', "max_tokens", "whole number"),
        (b'{"model":"a","max_tokens":-1}', "max_tokens", "whole number"),
        (b'{"model":"a","max_tokens":4294967296}', "max_tokens", "whole number"),
        (b'{"model":"a","max_tokens":9223372036854775808}', "max_tokens", "whole number"),
        (b'{"model":"a","max_tokens":1e3}', "max_tokens", "must be a whole number, not one with"),
        (b'{"model":"a","max_tokens":1e99}', "max_tokens", "must be a whole number, not one with"),
        (b'{"model":"a","max_tokens":"5"}', "max_tokens", "must be a whole number, not a string."),
        (b'{"model":"a","n":0}', "n", "1 to 128"),
        (b'{"model":"a","n":100000}', "n", "1 to 128"),
        (b'{"model":"a","n":-1}', "n", "1 to 128"),
        (b'{"model":"a","n":1.5}', "n", "must be a whole number, not one with"),
        (b'{"model":"a","best_of":9223372036854775808}', "best_of", "1 to 128"),
        (b'{"model":"a","tools":[],"tools":[{"type":"mcp"}]}', "tools", "occurs twice"),
        (b'{"model":"a", "speed":null, "\\u0073peed":"fast"}', "speed", "occurs twice"),
        (b'{"model":"a","messages":' + b'[{"content":' * 50_000, None, ""),
        (b'{"model":"a","stream":"yes"}', "stream", "must be true or false, not a string."),
        (b'{"model":"a","stream_options":3}', "stream_options", "must be an object"),
        (b'{"model":"a","stream":true,"stream_options":{"\xff":1}}', None, "not JSON"),
        (b'{"model":"a","x":' + b"[" * 100_000, None, ""),
    ],
)
def test_a_bad_body_is_refused_with_its_member_named(body, param, words):
    refusal = read_ask(body, CHAT)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.INVALID_REQUEST
    assert refusal.param == param
    assert words in refusal.message


def test_text_that_is_not_utf_8_is_refused_wherever_it_stands():
    form = OpenAIForm(entries="input")
    for content in (b'"\xff"', b'[{"type":"input_image","image_url":"\xff"}]'):
        refusal = read_ask(b'{"model":"m","input":[{"role":"user","content":%b}]}' % content, form)
        assert isinstance(refusal, Refusal)
        assert "not JSON" in refusal.message


def test_members_of_nested_objects_are_not_the_bodys():
    ask = read_ask(b'{"model":"a","tools":[{"model":"b","n":9}],"metadata":{"model":"c"}}', CHAT)
    assert isinstance(ask, Ask)
    assert (ask.model, ask.choices) == ("a", 1)


def test_the_larger_of_two_maxima_bounds_the_cost():
    ask = read_ask(b'{"model":"a","max_tokens":5,"max_completion_tokens":9}', CHAT)
    assert isinstance(ask, Ask)
    assert (ask.max_output_tokens, ask.max_field) == (9, "max_completion_tokens")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    st.lists,
    max_leaves=5,
)
names = st.text(max_size=8) | st.sampled_from(["model", "stream", "n", "messages"])


@given(
    members=st.lists(st.tuples(names, values), max_size=6),
    spaced=st.booleans(),
    ascii_only=st.booleans(),
)
def test_a_checked_member_that_occurs_twice_is_never_let_through(members, spaced, ascii_only):
    separators = (", ", ": ") if spaced else (",", ":")
    pairs = [("model", "a"), *members]
    text = separators[0].join(
        json.dumps(name, ensure_ascii=ascii_only)
        + separators[1]
        + json.dumps(value, ensure_ascii=ascii_only, separators=separators)
        for name, value in pairs
    )
    found = read_ask(f"{{{text}}}".encode(errors="surrogatepass"), CHAT)
    checked = {"model", "stream", "max_tokens", "max_completion_tokens", "n", "best_of"}
    given_names = [name for name, _ in pairs]
    if any(given_names.count(name) > 1 for name in checked):
        assert isinstance(found, Refusal)
    elif isinstance(found, Ask):
        assert found.model == "a"


def test_rewriting_keeps_the_bytes_of_every_other_member():
    body = b'{"model": "a",  "temperature" : 1.50, "x":"\\u00e9","big":12345678901234567890}'
    changed = rewrite(body, {"model": b'"b"', "max_tokens": b"7"})
    assert changed == (
        b'{"model":"b","temperature":1.50,"x":"\\u00e9","big":12345678901234567890,"max_tokens":7}'
    )
    assert rewrite(body, {}) is body


def test_asking_for_usage_keeps_other_stream_options():
    assert msgspec.json.decode(
        with_usage_asked(b'{"stream_options":{"a":1,"include_usage":false}}')
    ) == {
        "a": 1,
        "include_usage": True,
    }
    assert with_usage_asked(b'{"stream_options":null}') == b'{"include_usage":true}'
