"""Rows of `name,key` and more."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain import key as keys
from gateway.domain.limits import Limit, Metric
from gateway.imports import plain_keys
from gateway.imports.plan import Candidate, Choices, Left

NOW = datetime(2026, 11, 26, tzinfo=UTC)
USD = 10**9
CHOICES = Choices(now=NOW, groups=frozenset({"default"}))


def read(**cells: str) -> Candidate | Left:
    row: dict[str, Any] = {"line": 2, "name": "one", "key": "any-old-secret-of-mine", **cells}
    return plain_keys.read(row, CHOICES)


def carried(**cells: str) -> Candidate:
    found = read(**cells)
    assert isinstance(found, Candidate), found
    return found


def test_a_name_and_a_key_are_enough_and_the_token_is_unlimited():
    found = carried()
    assert found.secret.sha256 == hashlib.sha256(b"any-old-secret-of-mine").digest()
    assert found.secret.display == "any-old**********mine"
    assert (found.draft.name, found.draft.granted) == ("one", None)
    assert found.draft.metadata == {"imported": {"from": "keys"}}


def test_a_key_may_be_known_by_its_hash_alone():
    sha256 = hashlib.sha256(b"x").hexdigest()
    assert carried(key="", sha256=sha256).secret.sha256.hex() == sha256


def test_the_fields_of_the_token_api_are_columns():
    draft = carried(
        quota_usd="0.5",
        group="default",
        expires_in_days="3",
        model_limits="a, b",
        allow_ips="10.0.0.0/8,::1",
        deny_ips="10.1.1.1",
        limits='[{"metric": "usd", "window": "1d", "limit": 0.25}]',
        max_concurrency="2",
        reserve="estimate",
        metadata='{"cost": 1.5}',
        status="2",
    ).draft
    assert draft.granted == USD // 2
    assert draft.expires_at == NOW + timedelta(days=3)
    assert (draft.models, draft.models_enabled) == (("a", "b"), True)
    assert (draft.allow_ips, draft.deny_ips) == (("10.0.0.0/8", "::1"), ("10.1.1.1",))
    assert draft.limits == (Limit(Metric.USD, "1d", USD // 4),)
    assert (draft.max_concurrency, draft.reserve, draft.status) == (2, "estimate", 2)
    assert draft.metadata == {"cost": 1.5, "imported": {"from": "keys"}}


def test_quotas_mean_what_they_mean_in_the_token_api():
    assert carried(quota_usd="0").draft.granted is None
    assert carried(remain_quota="0").draft.granted == 0
    assert carried(remain_quota="500000").draft.granted == USD
    assert carried(unlimited_quota="true", remain_quota="5").draft.granted is None


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"key": ""}, "key: is empty"),
        ({"key": keys.create_key()[:-1] + "-"}, ""),
        ({"key": "sk-" + "a" * 49}, "checksum"),
        ({"quota_usd": "1", "remain_quota": "1"}, "keep one"),
        ({"quota_usd": "-1"}, "quota_usd"),
        ({"quota_usd": "9999999999"}, "quota_usd"),
        ({"unlimited_quota": "false"}, "no quota is given"),
        ({"expired_time": "1700000000000"}, "Unix seconds"),
        ({"expired_time": "1700000000", "expires_in_days": "1"}, "keep one"),
        ({"allow_ips": "10.0.0.1/8"}, "host bits"),
        ({"limits": '[{"metric": "usd"}]'}, "limits: window"),
        ({"limits": "{}"}, "JSON array"),
        ({"max_concurrency": "-1"}, "max_concurrency"),
        ({"reserve": "none"}, "reserve"),
        ({"status": "3"}, "status"),
        ({"group": "other"}, "no group 'other'"),
        ({"metadata": "[]"}, "JSON object"),
    ],
)
def test_a_row_with_a_fault_is_left_out_with_the_columns_name(cells, reason):
    found = read(**cells)
    if not reason:
        assert isinstance(found, Candidate)  # any text is a key
        return
    assert isinstance(found, Left)
    assert reason in found.reasons[0]


def test_a_short_key_is_carried_with_a_warning():
    assert carried(key="sk-1234").remarks == (
        "key: has 7 characters only, and may be guessed; rotate it soon",
    )
    assert carried().remarks == ()


def test_a_key_of_our_own_making_may_come_too():
    key = keys.create_key()
    assert carried(key=key).secret.display == keys.display(key)


@pytest.mark.parametrize("length", [1, 15, 16, 18, 19, 30])
def test_a_mask_never_tells_much_of_a_short_key(length: int):
    key = "0123456789abcdefghijABCDEFGHIJ"[:length]
    shown = keys.foreign(key)
    if length < 16:
        assert (shown.display, shown.last4) == ("**********", "")
        return
    first, last = shown.display.split("**********")
    assert last == shown.last4 == key[-4:]
    assert key.startswith(first)
    assert len(first) + len(last) <= length - 8
