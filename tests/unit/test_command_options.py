"""What the options of `tollhouse token` mean, and the bodies that come of them."""

import argparse
import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, strategies

from gateway.cli import _parser
from gateway.commands import values
from gateway.commands.bodies import create_body, needs_current, update_body
from gateway.commands.errors import CommandFailed, WrongUse

UNLIMITED = {"unlimited_quota": True, "quota_usd": 0}
LIMITED = {"unlimited_quota": False, "quota_usd": Decimal("0.1"), "metadata": {"a": "1", "b": "2"}}


def parsed(*words: str) -> argparse.Namespace:
    return _parser().parse_args(["token", *words])


def created(*words: str) -> dict:
    return create_body(parsed("create", "--name", "n", *words))


def changed(*words: str, current=LIMITED) -> dict:
    return update_body(parsed("update", "7", *words), current)


# Values


@pytest.mark.parametrize(
    ("text", "meant"),
    [("5", "5"), ("$5", "5"), ("0.25", "0.25"), ("0", "0"), ("0.000000001", "0.000000001")],
)
def test_dollars_are_exact(text, meant):
    assert values.usd(text) == Decimal(meant)


@pytest.mark.parametrize("text", ["", "-1", "1e3", "NaN", "1,5", "0.0000000001", "5 $", "\u0661"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not an amount in dollars such as 5"):
        values.usd(text)


@given(strategies.integers(min_value=0, max_value=2**52))
def test_every_amount_reaches_the_api_as_it_was_typed(nusd):
    text = format(Decimal(nusd).scaleb(-9), "f")
    encoder = msgspec.json.Encoder(decimal_format="number")
    sent = encoder.encode({"quota_usd": values.usd(text)})
    assert json.loads(sent, parse_float=Decimal, parse_int=Decimal)["quota_usd"] == Decimal(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90s", 90), ("30m", 1800), ("12h", 43200), ("7d", 604800)],
)
def test_a_length_of_time_is_in_seconds(text, seconds):
    assert values.seconds(text) == seconds


def test_a_moment_is_a_date_a_time_unix_seconds_or_so_long_ago():
    day = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
    assert values.moment("2026-11-01") == day
    assert values.moment("2026-11-01T10:00") == day + 36_000
    assert values.moment("2026-11-01T10:00+02:00") == day + 28_800
    assert values.moment("1793491200") == 1_793_491_200
    assert abs(values.moment("7d") - (datetime.now(UTC).timestamp() - 604_800)) < 60
    with pytest.raises(argparse.ArgumentTypeError, match="7d for seven days ago"):
        values.moment("yesterday")


LIMITS = [
    ("requests:5h:100", {"metric": "requests", "window": "5h", "limit": 100}),
    ("usd:1d:2.5", {"metric": "usd", "window": "1d", "limit": Decimal("2.5")}),
    ("tokens:month:9", {"metric": "tokens", "window": "month", "limit": 9, "mode": "calendar"}),
    (
        "requests:1d:9:calendar",
        {"metric": "requests", "window": "1d", "limit": 9, "mode": "calendar"},
    ),
    ("requests:1m:60:burst=10", {"metric": "requests", "window": "1m", "limit": 60, "burst": 10}),
    (
        "requests:5h:100:shadow",
        {"metric": "requests", "window": "5h", "limit": 100, "shadow": True},
    ),
    ("none", "none"),
]


@pytest.mark.parametrize(("text", "meant"), LIMITS, ids=[text for text, _ in LIMITS])
def test_a_limit_is_metric_window_and_number(text, meant):
    assert values.limit(text) == meant


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("100", "METRIC:WINDOW:LIMIT"),
        ("calls:5h:1", "metrics: requests, tokens, usd"),
        ("requests:2h:1", "windows: 1m, 5h, 1d, 7d, 30d, month"),
        ("requests:5h:x", "a whole number from 1"),
        ("requests:5h:0", "a whole number from 1"),
        ("usd:5h:x", "an amount in dollars"),
        ("requests:5h:1:soon", "an option of a limit: calendar, shadow, or burst=NUMBER"),
    ],
)
def test_a_limit_that_cannot_be_one_is_told_how_it_is_written(text, told):
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(told)):
        values.limit(text)


# Bodies


def test_a_token_without_a_quota_is_unlimited_and_else_as_given():
    assert created() == {"name": "n", "unlimited_quota": True}
    assert created("--quota-usd", "5") == {"name": "n", "quota_usd": 5}
    assert created("--remain-quota", "0") == {"name": "n", "remain_quota": 0}


def test_every_option_of_a_creation_reaches_the_body():
    body = created(
        *("--expires-in-days", "30", "--models", "a, b", "--group", "g", "--concurrency", "3"),
        *("--allow-ip", "10.0.0.0/8", "--allow-ip", "::1", "--deny-ip", "10.0.0.1"),
        *("--limit", "requests:5h:100", "--metadata", "team=search=1", "--count", "2"),
        *("--reserve", "strict", "--unlimited"),
    )
    assert body == {
        "name": "n",
        "unlimited_quota": True,
        "expires_in_days": 30,
        "model_limits": ["a", "b"],
        "group": "g",
        "max_concurrency": 3,
        "allow_ips": ["10.0.0.0/8", "::1"],
        "deny_ips": ["10.0.0.1"],
        "limits": [{"metric": "requests", "window": "5h", "limit": 100}],
        "metadata": {"team": "search=1"},
        "count": 2,
        "reserve": "strict",
    }


def test_a_change_holds_only_what_was_given():
    assert changed("--name", "x") == {"name": "x"}
    assert changed("--unlimited") == {"unlimited_quota": True}


def test_a_rule_can_be_left_to_the_group_or_be_none_of_its_own():
    inherit = changed("--models", "inherit", "--limit", "inherit", "--concurrency", "inherit")
    assert inherit == {"model_limits": None, "limits": None, "max_concurrency": None}
    none = changed("--models", "none", "--allow-ip", "none", "--concurrency", "none")
    assert none == {"model_limits": [], "allow_ips": [], "max_concurrency": 0}
    with pytest.raises(WrongUse, match="--allow-ip: none stands alone"):
        changed("--allow-ip", "none", "--allow-ip", "::1")


def test_an_added_quota_goes_on_top_of_the_grant():
    assert needs_current(parsed("update", "7", "--add-quota-usd", "1"))
    assert changed("--add-quota-usd", "0.2") == {"quota_usd": Decimal("0.3")}
    nothing = {"unlimited_quota": False, "quota_usd": None}
    assert changed("--add-quota-usd", "0.2", current=nothing) == {"quota_usd": Decimal("0.2")}
    with pytest.raises(CommandFailed, match="unlimited"):
        changed("--add-quota-usd", "1", current=UNLIMITED)


def test_metadata_that_is_not_named_stays():
    assert needs_current(parsed("update", "7", "--metadata", "a=9"))
    assert changed("--metadata", "b=", "--metadata", "c=3") == {"metadata": {"a": "1", "c": "3"}}


def test_a_change_of_nothing_is_wrong_use():
    with pytest.raises(WrongUse, match="nothing to change"):
        changed()


@pytest.mark.parametrize(
    "words",
    [
        ("create",),
        ("create", "--name", "n", "--quota-usd", "1", "--unlimited"),
        ("create", "--name", "n", "--count", "0"),
        ("update", "7", "--quota-usd", "1", "--add-quota-usd", "1"),
        ("list", "--user", "1", "--all"),
        ("list", "--status", "3"),
        ("rotate", "7", "--overlap", "soon"),
        ("explain", "7"),
        ("explain", "7", "--model", "m", "--body", "call.json"),
        ("vanish", "7"),
    ],
)
def test_wrong_use_ends_with_2(words):
    with pytest.raises(SystemExit) as ended:
        parsed(*words)
    assert ended.value.code == 2
