"""Every rule that can refuse has an owner and a remedy."""

from datetime import UTC, datetime

import pytest

from gateway.domain.edit import TokenRow
from gateway.domain.errors import Ground, Reason, Refusal
from gateway.explain.remedies import Rule, remedy_of, rule_of

ROW = TokenRow(
    id=5,
    account_id=1,
    user_id=1,
    name="n",
    status=1,
    group="gold",
    user_group="default",
    expires_at=None,
    models=("m",),
    models_enabled=True,
    allow_ips=(),
    deny_ips=(),
    limits=(),
    max_concurrency=0,
    reserve=None,
    metadata={},
    granted=None,
    gver=1,
    used=0,
    version=1,
    created_at=datetime(2027, 1, 1, tzinfo=UTC),
    accessed_at=None,
    display="",
    recoverable=False,
    username="ada",
    overlap_until=None,
)
SILENT = ROW._replace(
    models=None,
    models_enabled=False,
    allow_ips=None,
    deny_ips=None,
    limits=None,
    max_concurrency=None,
)


def refusal(ground: Ground, scope: str | None = None) -> Refusal:
    return Refusal(Reason.INVALID_REQUEST, "no", scope=scope, ground=ground)


@pytest.mark.parametrize("ground", Ground)
def test_every_ground_has_a_remedy_without_gaps(ground: Ground) -> None:
    told = remedy_of(refusal(ground, "member"), ROW)
    assert told.endswith(".")
    assert "{}" not in told
    assert "None" not in told


def test_a_remedy_is_a_call_that_can_be_copied() -> None:
    assert remedy_of(refusal(Ground.STATUS), ROW) == (
        'Enable the token: PATCH /api/token/5 {"status": 1}.'
    )


@pytest.mark.parametrize(
    ("ground", "own", "inherited"),
    [
        (Ground.ALLOW, "allow_ips", "allow_ips"),
        (Ground.DENY, "deny_ips", "deny_ips"),
        (Ground.OWN_MODELS, "model_limits", "models"),
        (Ground.LIMITS, "limits", "limits"),
        (Ground.CONCURRENCY, "max_concurrency", "max_concurrency"),
    ],
)
def test_a_rule_that_the_token_leaves_to_its_group_is_the_groups(
    ground: Ground, own: str, inherited: str
) -> None:
    refused = refusal(ground, "token")
    assert rule_of(refused, ROW) == Rule("token", own)
    assert rule_of(refused, SILENT) == Rule("group", f"token_defaults.{inherited}", inherited=True)
    assert f"'gold', whose token_defaults.{inherited} " in remedy_of(refused, SILENT)


@pytest.mark.parametrize(
    ("ground", "scope", "rule"),
    [
        (Ground.LIMITS, "subscription", Rule("group", "limits")),
        (Ground.CONCURRENCY, "subscription", Rule("group", "max_concurrency")),
        (Ground.QUOTA, "subscription", Rule("subscription", "quota")),
        (Ground.LIMITS, "member", Rule("member", "limits")),
        (Ground.QUOTA, "account", Rule("account", "quota")),
        (Ground.QUOTA, "token", Rule("token", "quota")),
        (Ground.CALL, None, Rule("call", "")),
    ],
)
def test_a_scopes_rule_is_of_whoever_sets_it(ground: Ground, scope: str | None, rule: Rule) -> None:
    assert rule_of(refusal(ground, scope), SILENT) == rule
