"""What is read of a caller's `traceparent`, which calls are traced, and what an upstream is told."""

import pytest

from gateway.config import ConfigError, read_trace_headers
from gateway.domain.trace import Trace, read_traceparent, traceparent
from gateway.relay.headers import request_head
from gateway.relay.plain import Fields
from gateway.relay.spans import Tracer
from gateway.settings import Config

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
REQUEST = b"1" * 32
ON = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("told", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_what_the_recommendation_allows_is_read(told: str, sampled: bool):
    assert read_traceparent(told) == Trace(TRACE, SPAN, "", sampled)


@pytest.mark.parametrize(
    "told",
    [
        "",
        "00-1-2-03",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_anything_else_is_as_if_nothing_were_told(told: str):
    assert read_traceparent(told) is None
    begun = Tracer(ON, 1, {}).begin(told, REQUEST)
    assert begun is not None
    assert (begun.trace_id, begun.parent_id, begun.sampled) == (REQUEST.decode(), "", True)


@pytest.mark.parametrize("ratio", [0, 1])
@pytest.mark.parametrize("flag", ["00", "01"])
def test_the_callers_decision_counts_and_not_the_ratio(ratio: float, flag: str):
    begun = Tracer(ON, ratio, {}).begin(f"00-{TRACE}-{SPAN}-{flag}", REQUEST)
    assert begun is not None
    assert (begun.trace_id, begun.parent_id, begun.sampled) == (TRACE, SPAN, flag == "01")
    assert bool(begun.span_id) == begun.sampled


def test_of_calls_without_a_parent_none_are_traced_at_ratio_0_and_without_an_endpoint():
    assert Tracer(ON, 0, {}).begin(None, REQUEST) is None
    assert Tracer("", 1, {}).begin(None, REQUEST) is None
    kept = Tracer("", 1, {}).begin(f"00-{TRACE}-{SPAN}-01", REQUEST)
    assert kept == Trace(TRACE, SPAN, "", sampled=False)


SENT = Fields(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="a=1,b=2")


def test_an_upstream_is_told_our_span_in_the_place_of_the_callers():
    own = traceparent(TRACE, "a" * 16)
    head = request_head(b"", "openai", SENT, b"", own).decode()
    assert f"traceparent: 00-{TRACE}-{'a' * 16}-01\r\n" in head
    assert SPAN not in head
    assert "tracestate: a=1,b=2\r\n" in head


def test_the_state_of_a_trace_that_does_not_go_on_is_left_out():
    head = request_head(b"", "openai", SENT, b"", traceparent(TRACE, "a" * 16), goes_on=False)
    assert b"tracestate" not in head


def test_of_a_call_that_is_not_traced_the_callers_own_pass():
    head = request_head(b"", "openai", SENT, b"")
    assert f"traceparent: {SENT['traceparent']}\r\n".encode() in head


def headers(text: str) -> dict[str, str]:
    config = Config.model_validate({"traces": {"headers_env": "COLLECTOR"}})
    return read_trace_headers({"COLLECTOR": text}, config)


def test_headers_for_the_collector_are_read_as_opentelemetry_writes_them():
    assert headers("authorization=Basic%20abc=, x-team = a") == {
        "authorization": "Basic abc=",
        "x-team": "a",
    }


@pytest.mark.parametrize("text", ["", "secret", "a b=secret", "a=x%0d%0ab: secret"])
def test_headers_that_cannot_be_sent_are_told_and_not_shown(text: str):
    with pytest.raises(ConfigError, match="COLLECTOR") as told:
        headers(text)
    assert "secret" not in str(told.value)
