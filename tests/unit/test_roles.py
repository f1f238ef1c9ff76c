"""Roles: what they may do, and who stands above whom."""

import pytest

from gateway.domain.people import check_role, reaches
from gateway.domain.rejection import Rejected
from gateway.domain.roles import ROLES, Permission, may_manage

BELOW = {
    "owner": {"owner", "admin", "operator", "viewer", "user"},
    "admin": {"operator", "viewer", "user"},
    "operator": {"viewer", "user"},
    "viewer": set(),
    "user": set(),
}


def test_a_rank_manages_those_below_it_and_owners_manage_each_other():
    assert {role: {each for each in ROLES if may_manage(role, each)} for role in ROLES} == BELOW


@pytest.mark.parametrize("role", [*ROLES, None])
def test_users_are_reached_by_those_who_may_write_them_and_stand_above(role):
    writes = role is not None and Permission.USER_WRITE in ROLES[role]
    reached = {each for each in ROLES if reaches(role, each)}
    assert reached == (BELOW[role] if writes else set())
    for each in ROLES.keys() - reached:
        with pytest.raises(Rejected, match=f"role: '{each}' is not yours to give"):
            check_role(role, each)


def test_nobody_may_do_what_somebody_of_a_higher_rank_may_not():
    assert ROLES["viewer"] <= ROLES["operator"] <= ROLES["admin"] <= ROLES["owner"]
    assert ROLES["user"] <= ROLES["operator"]
