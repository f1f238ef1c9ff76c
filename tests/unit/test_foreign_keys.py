"""How many unknown keys are looked up for an address."""

from gateway.domain.network import parse_address
from gateway.relay.foreign_keys import UNKNOWN_PER_S, LookUps


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


ONE, OTHER = parse_address("203.0.113.5"), parse_address("203.0.113.6")


def test_the_fifty_first_of_a_second_is_refused_and_the_next_second_begins_anew():
    clock = Clock()
    look_ups = LookUps(clock)
    assert all(look_ups.take(ONE) for _ in range(UNKNOWN_PER_S))
    assert UNKNOWN_PER_S == 50
    assert not look_ups.take(ONE)
    assert look_ups.take(OTHER)
    clock.now = 100.999
    assert not look_ups.take(ONE)
    clock.now = 101.0
    assert look_ups.take(ONE)


def test_one_that_was_good_is_given_back():
    look_ups = LookUps(Clock())
    for _ in range(10 * UNKNOWN_PER_S):
        assert look_ups.take(ONE)
        look_ups.give_back(ONE)


def test_the_addresses_of_one_subscriber_are_counted_together():
    look_ups = LookUps(Clock())
    for number in range(UNKNOWN_PER_S):
        assert look_ups.take(parse_address(f"2001:db8::{number:x}"))
    assert not look_ups.take(parse_address("2001:db8::ffff:1"))
    assert look_ups.take(parse_address("2001:db8:0:1::1"))


def test_callers_of_whom_nobody_knows_the_address_are_counted_together():
    look_ups = LookUps(Clock())
    assert all(look_ups.take(None) for _ in range(UNKNOWN_PER_S))
    assert not look_ups.take(None)


def test_memory_is_bounded_whatever_addresses_call():
    look_ups = LookUps(Clock())
    taken = [
        look_ups.take(parse_address(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"))
        for n in range(10_100)
    ]
    assert taken.count(True) == 10_000
    assert len(look_ups._taken) == 10_000
