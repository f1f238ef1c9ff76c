"""What a long run is judged by: slopes that single bad minutes do not bend, of minutes in which the machine was one."""

import itertools
from collections.abc import Sequence

import pytest

from bench.trend import even, growth, memory_bound_mib, warm


def minutes(paces: list[float], stolen: Sequence[float] = ()) -> list[dict[str, float]]:
    shares = itertools.chain(stolen, itertools.repeat(0.0))
    return [
        {"minute": number, "pace_ns": pace, "stolen": share}
        for number, (pace, share) in enumerate(zip(paces, shares, strict=False), 1)
    ]


def test_what_rises_steadily_has_grown_by_what_it_rose():
    rows = minutes([100] * 10)
    grown = growth("p99", "ms", rows, [5 + 0.5 * each["minute"] for each in rows], 1)
    assert grown.rose == pytest.approx(4.5)
    assert not grown.steady


def test_single_bad_minutes_are_no_growth():
    rows = minutes([100] * 10)
    assert growth("p99", "ms", rows, [5, 5, 5, 900, 5, 5, 5, 5, 8000, 5], 1).rose == 0


def test_what_sinks_is_in_order():
    rows = minutes([100] * 5)
    assert growth("memory", "MiB", rows, [9, 8, 7, 6, 5], 0).steady


def test_the_first_fifth_warms_up():
    assert [each["minute"] for each in warm(minutes([100] * 10))] == list(range(3, 11))


def test_minutes_in_which_the_machine_was_slower_are_left_out():
    rows = minutes([100, 104, 140, 102, 109, 180])
    assert [each["minute"] for each in even(rows)] == [1, 2, 4, 5]


def test_minutes_in_which_the_host_gave_the_machine_to_others_are_left_out():
    rows = minutes([100] * 6, stolen=[0.5, 0.4, 9, 0.5, 1.2, 2])
    assert [each["minute"] for each in even(rows)] == [1, 2, 4, 5]


def test_a_machine_that_is_slow_all_the_time_is_one_machine():
    assert len(even(minutes([300, 310, 305, 320], stolen=[6, 6.5, 6.2, 6.3]))) == 4


def test_small_processes_may_seem_to_grow_by_a_mebibyte():
    assert (memory_bound_mib(5), memory_bound_mib(100)) == (1, 3)
