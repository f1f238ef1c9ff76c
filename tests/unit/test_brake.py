"""The brake: what slows the guessing of passwords, and whom it does not hold up."""

import pytest

from admin_api.brake import Brake, Braked


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def brake(clock):
    return Brake(clock)


def fails(brake, username, address, **how):
    with brake.attempt(username, address, **how):
        return brake.failed(username, address)


def pause_s(brake, username, address, **how):
    """How long an attempt has to wait; 0 for none."""
    try:
        with brake.attempt(username, address, **how):
            return 0
    except Braked as braked:
        return braked.retry_after_s


def test_five_failures_are_free_and_each_further_one_doubles_the_pause_to_five_minutes(
    brake, clock
):
    pauses = []
    for _ in range(16):
        fails(brake, "ada", "10.0.0.1")
        pauses.append(pause_s(brake, "ADA", "10.0.0.1"))
        clock.now += pauses[-1]
    assert pauses[:7] == [0, 0, 0, 0, 1, 2, 4]
    assert pauses[-1] == 300
    assert pause_s(brake, "ada", "10.0.0.2") == 0


def test_the_right_password_makes_the_address_forget(brake):
    for _ in range(4):
        fails(brake, "ada", "10.0.0.1")
    brake.succeeded("ada", "10.0.0.1")
    for _ in range(4):
        fails(brake, "ada", "10.0.0.1")
    assert pause_s(brake, "ada", "10.0.0.1") == 0


def test_guesses_of_one_name_from_many_addresses_are_slowed_but_not_who_is_known_there(brake):
    for n in range(60):
        address = f"10.0.{n}.1"
        if pause_s(brake, "ada", address):
            break
        fails(brake, "ada", address)
    assert n == 50
    assert brake.slows("ada", "192.0.2.1")
    assert pause_s(brake, "ada", "192.0.2.1") > 0
    assert pause_s(brake, "ada", "192.0.2.1", known=True) == 0
    assert pause_s(brake, "ben", "192.0.2.1") == 0


def test_guesses_of_many_names_from_one_address_are_slowed_but_not_who_is_known_there(brake):
    for n in range(100):
        fails(brake, f"user{n}", "10.0.0.1")
    assert pause_s(brake, "ada", "10.0.0.1") > 0
    assert pause_s(brake, "ada", "10.0.0.1", known=True) == 0
    assert pause_s(brake, "ada", "10.0.0.2") == 0


def test_what_slows_many_is_never_longer_than_a_minute(brake, clock):
    for n in range(200):
        clock.now += pause_s(brake, "ada", f"10.0.{n}.1")
        fails(brake, "ada", f"10.0.{n}.1")
    assert pause_s(brake, "ada", "192.0.2.1") == 60


def test_being_known_does_not_lift_the_pause_of_ones_own_guesses(brake):
    for _ in range(5):
        fails(brake, "ada", "10.0.0.1", known=True)
    assert pause_s(brake, "ada", "10.0.0.1", known=True) > 0


def test_the_addresses_of_an_ipv6_network_are_one(brake):
    for n in range(5):
        fails(brake, "ada", f"2001:db8:0:1::{n}")
    assert pause_s(brake, "ada", "2001:db8:0:1:ffff::1") > 0
    assert pause_s(brake, "ada", "2001:db8:0:2::1") == 0


def test_an_hour_without_a_failure_forgets(brake, clock):
    for _ in range(5):
        fails(brake, "ada", "10.0.0.1")
    clock.now += 3601
    assert fails(brake, "ada", "10.0.0.1") == 1
    assert pause_s(brake, "ada", "10.0.0.1") == 0


def test_few_attempts_run_at_once(brake):
    running = [brake.attempt(f"user{n}", "10.0.0.1") for n in range(32)]
    for each in running:
        each.__enter__()
    assert pause_s(brake, "ada", "10.0.0.2") == 1
    running[0].__exit__(None, None, None)
    assert pause_s(brake, "ada", "10.0.0.2") == 0
