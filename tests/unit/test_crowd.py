"""Whose connections are counted together, and that what is counted is counted off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.crowd import Crowd, place_of
from gateway.domain.network import Blocks, parse_address

PROXIES = Blocks.of(["10.0.0.0/8", "fd00::1"])


def crowd(most: int) -> Crowd:
    return Crowd(most, PROXIES, lambda _begun: b"")


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("0.0.0.1", "::1", False),
    ],
)
def test_an_ipv4_address_and_a_network_of_ipv6_are_one_place(one, other, together):
    assert (place_of(parse_address(one)) == place_of(parse_address(other))) is together


def test_proxies_may_have_as_many_as_they_like():
    bounded = crowd(1)
    for text in ("10.1.2.3", "fd00::1"):
        assert all(bounded.enter(parse_address(text)) for _ in range(5))
    # The proxy's network has others in it, who are nobody's proxies.
    assert bounded.enter(parse_address("fd00::2"))
    assert not bounded.enter(parse_address("fd00::3"))


def test_without_a_bound_nobody_is_one_too_many():
    assert all(crowd(0).enter(parse_address("192.0.2.1")) for _ in range(5000))


ADDRESSES = st.sampled_from(
    ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "10.0.0.1", "fd00::1", "fd00::2"]
).map(parse_address)


@given(st.lists(st.tuples(ADDRESSES, st.booleans()), max_size=200))
def test_after_the_last_has_left_nothing_is_counted(steps):
    bounded, here = crowd(3), []
    for address, enters in steps:
        if enters:
            if bounded.enter(address):
                here.append(address)
        elif address in here:
            here.remove(address)
            bounded.leave(address)
        assert bounded.open == len(here)
        assert max(bounded._counts.values(), default=0) <= 3
    for address in here:
        bounded.leave(address)
    assert (bounded.open, bounded._counts) == (0, {})
