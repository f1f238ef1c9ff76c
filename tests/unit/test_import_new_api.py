"""Rows of New-API's table: what carries, what does not, and why."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.domain.key import foreign
from gateway.domain.token import DISABLED, ENABLED
from gateway.imports import new_api
from gateway.imports.plan import Candidate, Choices, Left, without_repeats

NOW = datetime(2026, 11, 26, tzinfo=UTC)
KEY = "abcdEFGHijklMNOPqrstUVWXyz0123456789abcdefghijkl"
USD = 10**9


def choices(**settings: Any) -> Choices:
    return Choices(now=NOW, groups=frozenset({"default", "vip"}), **settings)


def row(**cells: Any) -> dict[str, Any]:
    """A row as Postgres has it, after `cells`."""
    usual = {
        "id": 7,
        "user_id": 3,
        "key": KEY,
        "status": 1,
        "name": "ci",
        "created_time": 1_700_000_000,
        "accessed_time": 1_700_000_001,
        "expired_time": -1,
        "remain_quota": 250_000,
        "unlimited_quota": False,
        "model_limits_enabled": False,
        "model_limits": "",
        "allow_ips": None,
        "used_quota": 1234,
        "group": "",
        "cross_group_retry": False,
        "deleted_at": None,
    }
    return usual | cells


def carried(cells: dict[str, Any], **settings: Any) -> Candidate:
    found = new_api.read(row(**cells), choices(**settings))
    assert isinstance(found, Candidate), found
    return found


def left_out(cells: dict[str, Any], **settings: Any) -> str:
    found = new_api.read(row(**cells), choices(**settings))
    assert isinstance(found, Left), found
    return "; ".join(found.reasons)


def test_what_remains_becomes_the_grant_and_what_was_used_is_noted():
    found = carried({})
    assert found.draft.granted == USD // 2
    assert found.draft.metadata == {
        "imported": {
            "from": "new-api",
            "id": 7,
            "user_id": 3,
            "created_time": 1_700_000_000,
            "used_quota": 1234,
        }
    }
    assert found.secret == foreign(f"sk-{KEY}")
    assert found.remarks == ()


@pytest.mark.parametrize(
    ("cells", "granted"),
    [
        ({"remain_quota": 1}, 2000),
        ({"remain_quota": 0}, 0),
        ({"remain_quota": -5}, 0),
        ({"remain_quota": -5, "unlimited_quota": True}, None),
    ],
)
def test_a_grant_is_never_below_nothing_and_unlimited_is_uncapped(cells, granted):
    assert carried(cells).draft.granted == granted


def test_units_are_those_that_the_operator_names():
    assert carried({"remain_quota": 7}, units_per_usd=3).draft.granted == 2_333_333_333


def test_a_grant_that_cannot_be_kept_leaves_the_row_out_unless_it_may_be_unlimited():
    cells = {"remain_quota": 500_000_000_000_000}
    assert "$4.5 million" in left_out(cells)
    found = carried(cells, loosen=True)
    assert found.draft.granted is None
    assert found.remarks


@pytest.mark.parametrize(
    ("cells", "status"),
    [
        ({"status": 1}, ENABLED),
        ({"status": 2}, DISABLED),
        (
            {"status": 3, "expired_time": 1_700_000_000},
            ENABLED,
        ),  # it is expired, and says so itself
        ({"status": 3}, DISABLED),
        ({"status": 4, "remain_quota": 0}, ENABLED),
        ({"status": 4, "remain_quota": 5}, DISABLED),
        ({"status": 9}, DISABLED),
    ],
)
def test_a_key_that_is_refused_there_is_refused_here(cells, status):
    assert carried(cells).draft.status == status


def test_an_expiry_carries_even_where_it_is_past():
    found = carried({"expired_time": 1_700_000_000})
    assert found.draft.expires_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert carried({"expired_time": -1}).draft.expires_at is None
    assert "expired_time" in left_out({"expired_time": 1_700_000_000_000})


def test_model_lists_carry_with_their_switch():
    on = carried({"model_limits_enabled": True, "model_limits": "gpt-5.4, claude,gpt-5.4"}).draft
    assert (on.models, on.models_enabled) == (("gpt-5.4", "claude"), True)
    off = carried({"model_limits": "gpt-5.4"}).draft
    assert (off.models, off.models_enabled) == (("gpt-5.4",), False)
    assert "no model can be called" in left_out({"model_limits_enabled": True})


def test_addresses_carry_as_they_are_understood_there():
    found = carried({"allow_ips": "10.0.0.7/8\r\n203.0.113.5\n\nnonsense\n1.1.1.1,2.2.2.2"})
    assert found.draft.allow_ips == ("10.0.0.0/8", "203.0.113.5")
    assert len(found.remarks) == 2
    assert "nobody could use this key" in left_out({"allow_ips": "1.1.1.1,2.2.2.2"})


def test_the_lists_of_one_api_are_on_when_they_are_not_empty():
    one_api = {"models": "gpt-5.4,claude", "subnet": "10.0.0.1/8, 203.0.113.5"}
    draft = carried(one_api).draft
    assert (draft.models, draft.models_enabled) == (("gpt-5.4", "claude"), True)
    assert draft.allow_ips == ("10.0.0.0/8", "203.0.113.5")
    empty = carried({"models": "", "subnet": ""}).draft
    assert (empty.models, empty.models_enabled, empty.allow_ips) == (None, False, None)


def test_groups_are_mapped_left_behind_or_a_reason():
    assert carried({"group": "vip"}).draft.group == "vip"
    assert carried({"group": "pro"}, group_map={"pro": "vip"}).draft.group == "vip"
    assert "no group 'pro'" in left_out({"group": "pro"})
    without = carried({"group": "pro"}, without_group=True)
    assert without.draft.group is None
    assert "no group 'pro'" in without.remarks[0]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"deleted_at": "2026-01-01 00:00:00+00"}, "deleted"),
        ({"key": ""}, "is empty"),
        ({"key": "with space"}, "no header can carry it"),
        ({"key": "a" * 49}, "checksum"),
        ({"remain_quota": "many"}, "remain_quota: must be a number"),
        ({"remain_quota": "1e999999"}, "remain_quota: must be a number"),
        ({"remain_quota": "1.5"}, "whole number"),
        ({"unlimited_quota": "perhaps"}, "unlimited_quota: must be true or false"),
        ({"model_limits": "a" * 201}, "no model's name"),
        ({"model_limits": "gpt-4-gizmo-*"}, "patterns alone"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_with_the_reason(cells, reason):
    assert reason in left_out(cells)


def test_a_pattern_among_models_is_left_out_with_a_remark():
    found = carried({"model_limits": "m,gpt-4-gizmo-*", "model_limits_enabled": True})
    assert found.draft.models == ("m",)
    assert "patterns are left out" in found.remarks[0]


def test_names_become_names_that_a_token_may_have():
    assert carried({"name": ""}).draft.name == "imported 7"
    found = carried({"name": "a\nb" + "c" * 200})
    assert found.draft.name == "a b" + "c" * 97
    assert found.remarks


def test_the_texts_of_a_csv_mean_the_same():
    values = row(remain_quota=5, model_limits_enabled=True, model_limits="m", expired_time=-1)
    texts = {name: "" if value is None else str(value) for name, value in values.items()}
    null = texts | {"allow_ips": "NULL", "deleted_at": "\\N"}
    expected = new_api.read(values, choices())
    assert new_api.read(texts, choices()) == expected
    assert new_api.read(null, choices()) == expected


def test_a_key_that_comes_twice_is_carried_once():
    found = [new_api.read(row(id=number), choices()) for number in (1, 2)]
    first, second = without_repeats(found)
    assert isinstance(first, Candidate)
    assert isinstance(second, Left)
    assert "token 1" in second.reasons[0]
