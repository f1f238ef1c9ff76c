"""No log line has what looks like a secret, whoever wrote it."""

import io
import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.key import KEY_PATTERN, create_key
from gateway.domain.redaction import redact, redact_line
from gateway.log import JsonFormatter
from gateway.relay.record import AccessLog

KEY = "sk-" + "Ab1" * 15 + "Wxyz"

SECRETS = [
    ("it said {}", KEY),
    ("b'authorization: Bearer \\\\x00{}'", KEY),
    ("Incorrect API key provided: {}.", "sk-proj-abc_DEF-0123456789"),
    ("[{}]", "sk-ant-api03-AbCdEf-0123456789_x"),
    ("({})", "tht_" + "a1B2" * 10),
    ("secret={}", "whsec_" + "q1W2" * 8 + "=="),
    ("GET /v1beta/models?key={} HTTP/1.1", "AIza" + "x" * 35),
    ("GET /x?a=1&access_token={}&b=2", "a-token-of-nobodys-form"),
    ("GET /x?code={}", "0123abc"),
    ("b'Authorization: Bearer {}'", "a.b-c_d"),
    ("authorization: {}", "raw-value-0123"),
    ("Authorization: Basic {}", "dXNlcjpwYXNz"),
    ("'x-api-key': '{}'", "plain-text-key"),
    ("X-Goog-Api-Key: {}", "plain-text-key"),
    ("cookie: a=b; __Host-tollhouse={}; c=d", "session-value-0123"),
    ("tollhouse={}", "session-value-0123"),
    ("postgres://admin:{}@db/x", "pa55-word"),
    ("redis://:{}@cache:6379", "pa55-word"),
    ("AWS {}", "AKIA" + "A" * 16),
    ("pepper {}", "0123456789abcdef" * 4),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_hidden_and_what_is_around_it_stays(text, secret):
    begun, _, ended = text.partition("{}")
    told = redact(text.format(secret))
    assert secret not in told
    assert "***" in told
    assert told.endswith(ended)
    assert begun.rstrip().split(" ")[0] in told


@pytest.mark.parametrize(
    "text",
    [
        "a call failed: 0192f0c1-7a2b-7c3d-8e4f-0123456789ab",
        "task-runner-model-of-2026 and desk-side-lamp-0001",
        "GET /v1/chat/completions 200",
        "key: is needed again",
        "the token 7 of account 3 at 10.0.0.1:8080",
        "the key's code = 3",
        "sk-Ab12**********wxyz",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_every_key_that_we_make_is_found_by_the_pattern_for_scanners():
    for _ in range(200):
        key = create_key()
        assert re.fullmatch(KEY_PATTERN, key)
        assert key not in redact(f'{{"path":"/v1/{key}"}}')
        assert key.encode() not in redact_line(b'{"model":"%b"}' % key.encode())


@given(st.text(), st.text())
def test_a_key_is_hidden_whatever_stands_around_it(before, after):
    if before[-1:].isalnum() and before[-1:].isascii():
        before += " "
    assert KEY not in redact(before + KEY + after)


@given(st.dictionaries(st.text(), st.text() | st.just(KEY)))
def test_a_line_of_json_stays_one(members):
    line = json.dumps(members, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if b"\xed" not in line:
        assert json.loads(redact_line(line)).__class__ is dict


@given(st.binary())
def test_any_line_is_read(line):
    assert isinstance(redact_line(line), bytes)


def test_both_sinks_hide_secrets_and_break_no_line(tmp_path):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log = logging.getLogger("test of redaction")
    log.propagate = False
    log.addHandler(handler)
    try:
        int(KEY)
    except ValueError:
        log.exception("two\r\nlines with %s", KEY)
    (line,) = stream.getvalue().splitlines()
    assert KEY not in line
    assert json.loads(line)["event"] == "two\r\nlines with ***"
    log.error("no text: %s", "\udcff\ud800")
    assert json.loads(stream.getvalue().splitlines()[1])["event"] == "no text: \\udcff\\ud800"
    path = tmp_path / "access"
    access = AccessLog(str(path))
    access.add(b'{"path":"/v1/%b"}\n' % KEY.encode())
    access.close()
    assert path.read_text() == '{"path":"/v1/***"}\n'
