"""The table of refusals: a row per reason, a shape per dialect, the head's lines."""

import orjson
import pytest

from gateway.domain.errors import Reason, Refusal
from gateway.relay.envelopes import WIRE, body_of, event_of, headers_of, status_of

ID = "0199d2a0-0000-7000-8000-000000000000"
DIALECTS = ("openai", "anthropic", "gemini")


def refusal(reason: Reason) -> Refusal:
    details: dict[str, int | str | None] = (
        {"allow": "POST"} if reason is Reason.METHOD_NOT_ALLOWED else {}
    )
    return Refusal(reason, "Why, and what to do.", cause="for our log only", details=details)


def test_every_reason_has_a_row_and_no_row_is_without_a_reason():
    assert set(WIRE) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_refusal_has_a_message_and_its_id_in_every_dialect(reason, dialect):
    body = body_of(refusal(reason), dialect, ID)
    members = orjson.loads(body)
    assert members["error"]["message"] == "Why, and what to do."
    assert ID.encode() in body
    assert b"for our log only" not in body
    assert 400 <= status_of(refusal(reason)) < 600


def test_the_shape_of_openai():
    told = Refusal(Reason.QUOTA_RESERVED, "m", param="p", scope="member", details={"held_nusd": 5})
    assert orjson.loads(body_of(told, "openai", ID)) == {
        "error": {
            "message": "m",
            "type": "rate_limit_error",
            "param": "p",
            "code": "quota_reserved",
            "request_id": ID,
            "scope": "member",
            "details": {"held_nusd": 5},
        }
    }
    plain = orjson.loads(body_of(refusal(Reason.INVALID_API_KEY), "openai", ID))["error"]
    assert set(plain) == {"message", "type", "param", "code", "request_id"}


def test_the_shape_of_anthropic():
    assert orjson.loads(body_of(refusal(Reason.INVALID_API_KEY), "anthropic", ID)) == {
        "type": "error",
        "error": {"type": "authentication_error", "message": "Why, and what to do."},
        "request_id": ID,
    }


def test_the_shape_of_gemini():
    error = orjson.loads(body_of(refusal(Reason.RATE_LIMIT_EXCEEDED), "gemini", ID))["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    (info,) = error["details"]
    assert (info["reason"], info["metadata"]) == ("RATE_LIMIT_EXCEEDED", {"request_id": ID})


@pytest.mark.parametrize("reason", Reason)
def test_statuses_say_who_can_do_something(reason):
    status = status_of(refusal(reason))
    ours = {
        Reason.INTERNAL_ERROR,
        Reason.UPSTREAM_BUSY,
        Reason.UPSTREAM_ERROR,
        Reason.UPSTREAM_TIMEOUT,
        Reason.UPSTREAM_UNAVAILABLE,
        Reason.QUOTA_UNAVAILABLE,
        Reason.KEY_STORE_UNAVAILABLE,
        Reason.OVERLOADED,
        Reason.SHUTTING_DOWN,
    }
    assert (status >= 500) == (reason in ours)


def test_only_an_exhausted_quota_has_a_status_by_setting():
    assert status_of(refusal(Reason.INSUFFICIENT_QUOTA), 402) == 402
    assert status_of(refusal(Reason.QUOTA_RESERVED), 402) == 429


def test_an_exhausted_quota_is_not_worth_a_retry():
    assert b"x-should-retry: false\r\n" in headers_of(refusal(Reason.INSUFFICIENT_QUOTA))
    assert b"x-should-retry" not in headers_of(refusal(Reason.RATE_LIMIT_EXCEEDED))


@pytest.mark.parametrize(
    ("retry_after_s", "lines"),
    [
        (0.0004, b"retry-after: 1\r\nretry-after-ms: 1\r\n"),
        (1, b"retry-after: 1\r\nretry-after-ms: 1000\r\n"),
        (1.001, b"retry-after: 2\r\nretry-after-ms: 1001\r\n"),
        (59.5, b"retry-after: 60\r\nretry-after-ms: 59500\r\n"),
    ],
)
def test_when_to_come_back_is_rounded_up(retry_after_s, lines):
    told = Refusal(Reason.RATE_LIMIT_EXCEEDED, "m", retry_after_s=retry_after_s)
    assert headers_of(told) == lines


def test_a_wrong_method_names_the_right_one_and_a_wrong_key_the_scheme():
    assert headers_of(refusal(Reason.METHOD_NOT_ALLOWED)) == b"allow: POST\r\n"
    for reason in (Reason.INVALID_API_KEY, Reason.KEY_DISABLED, Reason.KEY_EXPIRED):
        assert headers_of(refusal(reason)) == b'www-authenticate: Bearer realm="tollhouse"\r\n'


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_error_in_a_stream_is_one_event_of_the_same_body(dialect):
    event = event_of(refusal(Reason.UPSTREAM_ERROR), dialect, ID)
    name = b"event: error\n" if dialect == "anthropic" else b""
    assert (
        event == name + b"data: " + body_of(refusal(Reason.UPSTREAM_ERROR), dialect, ID) + b"\n\n"
    )
    assert event.count(b"\n\n") == 1
    assert b"[DONE]" not in event
