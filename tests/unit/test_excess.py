"""When something has been too much for too long."""

from gateway.domain.excess import Excess


def stands_at(measures: dict[float, float], excess: Excess) -> list[float]:
    return [now for now, measure in measures.items() if excess.look(measure, now)]


def test_one_late_look_is_no_excess():
    excess = Excess(most=0.1, calm=0.05, for_s=1)
    measures = {0.1 * n: 5.0 if n == 30 else 0.0 for n in range(100)}
    assert stands_at(measures, excess) == []


def test_it_begins_after_its_time_and_ends_after_as_much_calm():
    excess = Excess(most=10, calm=5, for_s=2)
    measures = {float(n): 11 if n < 10 else 4 for n in range(20)}
    assert stands_at(measures, excess) == [float(n) for n in range(2, 12)]


def test_between_the_bounds_nothing_changes():
    excess = Excess(most=10, calm=5, for_s=1)
    assert not any(excess.look(7, now) for now in range(10))
    excess.look(11, 10)
    assert excess.look(11, 11)
    assert all(excess.look(7, now) for now in range(12, 20))
    excess.look(4, 20)
    assert not excess.look(4, 21)


def test_without_a_time_it_begins_and_ends_at_once():
    excess = Excess(most=0.9, calm=0.81, for_s=0)
    assert [excess.look(each, 0) for each in (0.9, 0.91, 0.85, 0.8, 0.85)] == [
        *(False, True, True, False, False)
    ]
