"""What becomes of a grant, whose limits hold, and who manages whom in an account."""

from dataclasses import replace

import pytest

from gateway.domain.limits import MAX_EXACT, Limit, Metric, strictest
from gateway.domain.rejection import Rejected
from gateway.domain.roles import MEMBER_ROLES, may_manage_member
from gateway.domain.wallets import Regrant, regranted

DAY = Limit(Metric.REQUESTS, "1d", 10)
MINUTE = Limit(Metric.REQUESTS, "1m", 60, burst=5)


@pytest.mark.parametrize(
    ("how", "amount", "granted", "used", "becomes"),
    [
        ("to", 7, 3, 5, 7),
        ("to", 7, None, 5, 7),
        ("to", None, 3, 5, None),
        ("to", 0, 3, 5, 0),
        ("add", 7, 3, 5, 10),
        ("add", -3, 3, 5, 0),
        ("remain", 7, 3, 5, 12),
        ("remain", 0, None, 5, 5),
        ("to", MAX_EXACT - 1, 0, 0, MAX_EXACT - 1),
    ],
)
def test_a_grant_becomes_what_was_asked_for(how, amount, granted, used, becomes):
    assert Regrant("field", how, amount).of(granted, used) == becomes


@pytest.mark.parametrize(
    ("how", "amount", "granted", "used"),
    [
        ("add", 1, None, 0),
        ("add", -4, 3, 0),
        ("to", MAX_EXACT, 0, 0),
        ("remain", MAX_EXACT - 1, 0, 1),
    ],
)
def test_what_no_grant_can_become_is_declined_by_its_field(how, amount, granted, used):
    with pytest.raises(Rejected, match=r"^field: "):
        Regrant("field", how, amount).of(granted, used)


def test_a_grant_that_nothing_is_asked_of_stays():
    assert (regranted(None, 3, 5), regranted(None, None, 5)) == (3, None)


def test_of_limits_that_count_the_same_the_lower_one_holds():
    lower = replace(DAY, limit=3)
    assert strictest([DAY], [lower]) == strictest([lower], [DAY]) == (lower,)
    bursts = strictest([MINUTE], [replace(MINUTE, limit=30, burst=9)])
    assert bursts == (replace(MINUTE, limit=30, burst=5),)


def test_limits_that_count_differently_all_hold():
    others = [MINUTE, replace(DAY, models=frozenset({"m"})), replace(DAY, mode="calendar")]
    assert strictest([DAY], others) == (DAY, *others)
    assert strictest([], []) == ()


def test_owners_manage_everybody_admins_plain_members_and_members_nobody():
    managed = {
        role: [other for other in MEMBER_ROLES if may_manage_member(role, other)]
        for role in (None, *MEMBER_ROLES)
    }
    everybody = [*MEMBER_ROLES]
    assert managed == {None: everybody, "owner": everybody, "admin": ["member"], "member": []}
