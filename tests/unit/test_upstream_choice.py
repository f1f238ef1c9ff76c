"""Which upstream comes next, and when one counts as unwell: decided on numbers and told times."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.breaker import BreakerState, PassiveBreaker
from gateway.domain.choice import Fitness, Load, best
from gateway.relay.retry_after import retry_after_s

NEVER = float("-inf")


def load(fitness: Fitness = Fitness.FIT, **members: Any) -> Load:
    figures = {"priority": 0, "weight": 1, "outstanding": 0, "troubled_at": NEVER, "chosen": 0}
    return Load(fitness, **{**figures, **members})


LOADS = st.lists(
    st.builds(
        Load,
        fitness=st.sampled_from(Fitness),
        priority=st.integers(-2, 2),
        weight=st.integers(1, 5),
        outstanding=st.integers(0, 50),
        troubled_at=st.floats(0, 100),
        chosen=st.integers(0, 100),
    ),
    min_size=1,
    max_size=6,
)


@given(LOADS)
def test_nobody_is_fitter_or_of_lower_priority_or_less_loaded_than_the_chosen(loads: list[Load]):
    chosen = loads[best(loads)]
    for other in loads:
        assert chosen.fitness <= other.fitness
        if chosen.fitness != other.fitness:
            continue
        if chosen.fitness is Fitness.UNWELL:
            assert chosen.troubled_at <= other.troubled_at
            continue
        assert chosen.priority <= other.priority
        if chosen.priority == other.priority:
            share = (chosen.outstanding + 1) * other.weight
            others_share = (other.outstanding + 1) * chosen.weight
            assert share <= others_share
            assert share < others_share or chosen.chosen <= other.chosen


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.integers(1, 4))
def test_calls_that_stay_are_shared_out_by_weight(weights: list[int], rounds: int):
    outstanding = [0] * len(weights)
    for _ in range(rounds * sum(weights)):
        loads = [
            load(weight=weight, outstanding=count)
            for weight, count in zip(weights, outstanding, strict=True)
        ]
        outstanding[best(loads)] += 1
    assert outstanding == [rounds * weight for weight in weights]


def test_equals_take_turns():
    turns, chosen = [], [0, 0, 0]
    for turn in range(1, 10):
        index = best([load(chosen=each) for each in chosen])
        chosen[index] = turn
        turns.append(index)
    assert turns == [0, 1, 2] * 3


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        pytest.param([load(Fitness.UNWELL), load(priority=9)], 1, id="unwell comes last"),
        pytest.param([load(Fitness.BUSY), load(priority=9)], 1, id="busy comes later"),
        pytest.param([load(Fitness.UNWELL), load(Fitness.BUSY)], 1, id="busy before unwell"),
        pytest.param(
            [load(Fitness.UNWELL, troubled_at=2.0), load(Fitness.UNWELL, troubled_at=1.0)],
            1,
            id="of the unwell the longest ago",
        ),
    ],
)
def test_fitness_goes_before_everything(loads, expected):
    assert best(loads) == expected


# Breaker


def failing(breaker: PassiveBreaker, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        breaker.failed(now, is_probe=False)


def test_a_breaker_opens_after_failures_in_a_row_only():
    breaker = PassiveBreaker(3, 5, 60)
    failing(breaker, 2)
    breaker.succeeded()
    failing(breaker, 2)
    assert breaker.state is BreakerState.CLOSED
    failing(breaker, 1)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.lets_through(4.9)


def test_half_open_it_lets_one_call_through_and_closes_when_that_is_answered():
    breaker = PassiveBreaker(1, 5, 60)
    failing(breaker, 1)
    assert not breaker.admit(4.9), "sent all the same, for want of another; it finds nothing out"
    assert breaker.lets_through(5)
    assert breaker.admit(5)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.lets_through(6)
    assert not breaker.admit(6)
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.lets_through(6)


def test_each_probe_that_fails_doubles_the_time_up_to_the_longest():
    breaker = PassiveBreaker(1, 5, 30)
    failing(breaker, 1)
    now, openings = 0.0, []
    for _ in range(4):
        openings.append(breaker.open_s)
        assert not breaker.lets_through(now + breaker.open_s - 0.1)
        now += breaker.open_s
        assert breaker.admit(now)
        breaker.failed(now, is_probe=True)
    assert openings == [5, 10, 20, 30]
    breaker.succeeded()
    failing(breaker, 1, now)
    assert breaker.open_s == 5, "after a success it begins anew"


def test_calls_from_before_it_opened_do_not_prolong_it():
    breaker = PassiveBreaker(1, 5, 60)
    failing(breaker, 1)
    failing(breaker, 9, now=4)
    assert breaker.lets_through(5)
    assert breaker.admit(5)
    failing(breaker, 1, now=5)
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.failed_at == 5


def test_a_probe_without_a_word_is_followed_by_another():
    breaker = PassiveBreaker(1, 5, 60)
    failing(breaker, 1)
    assert breaker.admit(5)
    breaker.take_back()
    assert breaker.lets_through(5)
    assert breaker.admit(5)


def test_without_a_number_of_failures_there_is_no_breaker():
    breaker = PassiveBreaker(0, 5, 60)
    failing(breaker, 100)
    assert breaker.state is BreakerState.CLOSED


@given(st.lists(st.tuples(st.sampled_from(["send", "fail", "succeed", "leave"]), st.floats(0, 20))))
def test_there_is_never_more_than_one_probe_at_a_time(steps):
    breaker, now, probing = PassiveBreaker(2, 5, 60), 0.0, False
    states = [breaker.state]
    for step, pause_s in steps:
        now += pause_s
        if step == "send":
            is_probe = breaker.admit(now)
            assert not (is_probe and probing)
            probing = probing or is_probe
        elif step == "fail":
            breaker.failed(now, is_probe=probing)
            probing = False
        elif step == "succeed":
            breaker.succeeded()
            probing = False
        elif probing:
            breaker.take_back()
            probing = False
        states.append(breaker.state)
    assert (BreakerState.CLOSED, BreakerState.HALF_OPEN) not in pairwise(states)


# Retry-After


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"retry-after", b"7")], 7),
        ([(b"retry-after", b"0.5")], 0.5),
        ([(b"retry-after", b"7"), (b"retry-after-ms", b"6500")], 6.5),
        ([(b"retry-after", b"Thu, 01 Jan 1970 00:01:10 GMT")], 10),
        ([(b"retry-after", b"Thu, 01 Jan 1970 00:00:10 GMT")], 0),
        ([(b"retry-after", b"-1")], None),
        ([(b"retry-after", b"nan")], None),
        ([(b"retry-after", b"1e999")], None),
        ([(b"retry-after", b"soon")], None),
        ([(b"retry-after", b"Thu, 01 Jan 99999999999999999999 00:00:10 GMT")], None),
        ([(b"retry-after", b"\xff")], None),
        ([(b"retry-after-ms", b""), (b"retry-after", b"3")], 3),
    ],
)
def test_the_time_to_wait_is_read_in_every_form_and_nonsense_is_none(headers, expected):
    assert retry_after_s(headers, 60.0) == expected
