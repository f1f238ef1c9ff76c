"""Rows of LiteLLM's table: what carries, what does not, and why."""

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain.key import foreign
from gateway.domain.limits import Limit, Metric
from gateway.domain.token import DISABLED
from gateway.imports import litellm
from gateway.imports.plan import Candidate, Choices, Left

NOW = datetime(2026, 11, 26, tzinfo=UTC)
SHA256 = hashlib.sha256(b"sk-abcdefghijklmnopqrstuv").hexdigest()
USD = 10**9


def choices(**settings: Any) -> Choices:
    return Choices(now=NOW, groups=frozenset({"default", "vip"}), **settings)


def row(**cells: Any) -> dict[str, Any]:
    """A row as Postgres has it, after `cells`."""
    usual = {
        "token": SHA256,
        "key_name": "sk-...stuv",
        "key_alias": "billing",
        "spend": Decimal("1.25"),
        "expires": None,
        "models": [],
        "aliases": {},
        "config": {},
        "user_id": "u-1",
        "team_id": None,
        "permissions": {},
        "max_parallel_requests": None,
        "metadata": {},
        "blocked": None,
        "tpm_limit": None,
        "rpm_limit": None,
        "max_budget": None,
        "budget_duration": None,
        "model_max_budget": {},
        "budget_id": None,
    }
    return usual | cells


def carried(cells: dict[str, Any], **settings: Any) -> Candidate:
    found = litellm.read(row(**cells), choices(**settings))
    assert isinstance(found, Candidate), found
    return found


def left_out(cells: dict[str, Any], **settings: Any) -> str:
    found = litellm.read(row(**cells), choices(**settings))
    assert isinstance(found, Left), found
    return "; ".join(found.reasons)


def test_the_hash_is_what_is_kept_and_the_mask_is_that_of_the_table():
    found = carried({})
    assert found.secret.sha256.hex() == SHA256
    assert (found.secret.display, found.secret.last4) == ("sk-**********stuv", "stuv")
    assert found.draft.granted is None
    assert found.draft.metadata == {
        "imported": {"from": "litellm", "user_id": "u-1", "spend_usd": "1.25"}
    }
    assert carried({"key_name": "odd"}).secret.display == "sk-**********"
    assert carried({"token": "sk-abcdefghijklmnopqrstuv"}).secret == foreign(
        "sk-abcdefghijklmnopqrstuv"
    )
    assert "token" in left_out({"token": "zz"})


def test_neither_a_key_nor_its_unpeppered_hash_is_told_or_stored():
    found = carried({"token": "sk-abcdefghijklmnopqrstuv"})
    assert "abcdefghij" not in repr((found.row, found.draft, found.remarks))
    assert SHA256 not in repr(carried({}).draft)


@pytest.mark.parametrize(
    ("cells", "granted"),
    [
        ({"max_budget": Decimal(2)}, 750_000_000),
        ({"max_budget": Decimal(1)}, 0),
        ({"max_budget": Decimal("0.1"), "spend": Decimal("0.0000000001")}, 99_999_999),
        ({"max_budget": Decimal(2), "budget_duration": "90d"}, 750_000_000),
        ({"max_budget": Decimal(0), "budget_duration": "30d", "spend": Decimal(0)}, 0),
    ],
)
def test_what_is_left_of_a_budget_becomes_the_grant(cells, granted):
    assert carried(cells).draft.granted == granted


@pytest.mark.parametrize(
    ("duration", "window", "mode"),
    [
        ("1d", "1d", "sliding"),
        ("24h", "1d", "sliding"),
        ("1w", "7d", "sliding"),
        ("30d", "30d", "sliding"),
        ("18000s", "5h", "sliding"),
        ("1mo", "month", "calendar"),
    ],
)
def test_a_budget_of_a_period_becomes_a_limit_in_the_window_of_that_length(duration, window, mode):
    found = carried({"max_budget": Decimal("20.5"), "budget_duration": duration})
    assert found.draft.granted is None
    assert found.draft.limits == (Limit(Metric.USD, window, 20_500_000_000, mode=mode),)
    assert "begins empty" in found.remarks[0]


def test_rates_and_parallel_calls_become_limits():
    cells = {
        "rpm_limit": 10,
        "tpm_limit": 1000,
        "max_parallel_requests": 4,
        "metadata": {"model_rpm_limit": {"gpt-5.4": 3}},
        "model_max_budget": {"gpt-5.4": {"budget_limit": "0.5", "time_period": "1d"}},
    }
    draft = carried(cells).draft
    assert draft.max_concurrency == 4
    only = frozenset({"gpt-5.4"})
    assert draft.limits == (
        Limit(Metric.USD, "1d", USD // 2, models=only),
        Limit(Metric.REQUESTS, "1m", 10),
        Limit(Metric.REQUESTS, "1m", 3, models=only),
        Limit(Metric.TOKENS, "1m", 1000),
    )


@pytest.mark.parametrize("models", [[], ["*"], ["all-proxy-models", "gpt-5.4"]])
def test_no_list_and_a_list_of_everything_are_the_groups_models(models):
    draft = carried({"models": models}).draft
    assert (draft.models, draft.models_enabled) == (None, False)


def test_a_list_carries_as_it_is():
    draft = carried({"models": ["gpt-5.4", "claude"]}).draft
    assert (draft.models, draft.models_enabled) == (("gpt-5.4", "claude"), True)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"models": ["openai/*", "gpt-5.4"]}, "is a pattern"),
        ({"models": ["all-team-models"]}, "all-team-models"),
        ({"budget_id": "b"}, "budget_id"),
        ({"allowed_routes": ["/chat/completions"]}, "allowed_routes"),
        ({"rpm_limit": 0}, "rpm_limit"),
        ({"max_parallel_requests": 0}, "max_parallel_requests"),
        ({"model_max_budget": {"m": {"budget_limit": 1, "time_period": "90d"}}}, "fits no window"),
    ],
)
def test_a_restriction_that_cannot_carry_leaves_the_row_out_unless_it_may_be_lost(cells, reason):
    assert reason in left_out(cells)
    assert any(reason in remark for remark in carried(cells, loosen=True).remarks)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"models": ["no-default-models"]}, "could call no model"),
        ({"team_id": "litellm-dashboard"}, "session"),
        ({"expires": "soon"}, "expires: must be an instant"),
        ({"metadata": "{"}, "metadata: must be JSON"),
        ({"metadata": []}, "metadata: must be a JSON object"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"metadata": {"a": "\ud800"}}, "metadata"),
        ({"budget_duration": "often", "max_budget": 1}, "budget_duration"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_whatever_may_be_lost(cells, reason):
    assert reason in left_out(cells, loosen=True)


def test_a_team_is_a_group_where_the_operator_says_which():
    assert "no group 't-1'" in left_out({"team_id": "t-1"})
    cells = {"team_id": "t-1", "models": ["all-team-models"]}
    draft = carried(cells, group_map={"t-1": "vip"}).draft
    assert (draft.group, draft.models) == ("vip", None)


def test_blocked_keys_are_disabled_and_expiries_are_utc():
    draft = carried({"blocked": True, "expires": "2027-01-31T12:00:00.5"}).draft
    assert draft.status == DISABLED
    assert draft.expires_at == datetime(2027, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)
    assert carried({"expires": "2027-01-31 12:00:00+00"}).draft.expires_at == datetime(
        2027, 1, 31, 12, tzinfo=UTC
    )


def test_of_metadata_tags_and_short_words_carry_and_nothing_that_may_be_a_secret():
    metadata = {
        "tags": ["a"],
        "project": "x",
        "langfuse_secret_key": "sk-lf",
        "logging": [{"callback_vars": {"secret": "s"}}],
    }
    found = carried({"metadata": metadata})
    kept = {name: v for name, v in found.draft.metadata.items() if name != "imported"}
    assert kept == {"tags": ["a"], "project": "x"}
    assert "'langfuse_secret_key', 'logging'" in found.remarks[0]


def test_the_texts_of_a_csv_mean_the_same():
    values = row(
        models=["gpt-5.4", "a b"],
        max_budget=Decimal(2),
        metadata={"a": 1},
        rpm_limit=5,
        blocked=False,
    )
    texts = values | {
        "models": '{gpt-5.4,"a b"}',
        "metadata": '{"a": 1}',
        "aliases": "{}",
        "config": "{}",
        "permissions": "{}",
        "model_max_budget": "{}",
        "max_budget": "2",
        "spend": "1.25",
        "rpm_limit": "5",
        "blocked": "f",
        "team_id": "",
    }
    assert litellm.read(texts, choices()) == litellm.read(values, choices())
    as_json = texts | {"models": '["gpt-5.4", "a b"]'}
    assert litellm.read(as_json, choices()) == litellm.read(values, choices())
