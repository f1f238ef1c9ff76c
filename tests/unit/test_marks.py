"""A mark is told when it is come past, once, and again only after the value had fallen below it."""

from gateway.domain.marks import DaysBefore, PerCent, Reading, crossing, remember

MARKS = PerCent((80, 100))
DAY_S = 86_400


class Watched:
    """A value that is looked at again and again."""

    def __init__(self, marks=MARKS, **options):
        self.marks, self.options = marks, options
        self.kept = None
        self.now = 1_000_000

    def look(self, value, bound=100, after_s=10):
        self.now += after_s
        reading = Reading("t1", "quota", value, bound, self.marks, **self.options)
        mark = crossing(reading, self.kept, self.now)
        self.kept = remember(reading, self.kept, told=mark is not None, now=self.now)
        return mark


def test_each_mark_is_told_once():
    watched = Watched()
    assert [watched.look(value) for value in (0, 79, 80, 85, 99, 100, 100, 120)] == [
        *(None, None, 80, None, None, 100, None, None)
    ]


def test_who_comes_past_several_marks_at_once_is_told_the_last():
    assert Watched().look(100) == 100


def test_what_is_below_every_mark_is_not_remembered():
    watched = Watched()
    watched.look(79)
    assert watched.kept is None


def test_a_quota_that_was_raised_is_told_again_when_it_runs_out_again():
    watched = Watched()
    assert watched.look(100) == 100
    assert watched.look(101, bound=200) is None
    assert watched.look(160, bound=200) == 80
    assert watched.look(200, bound=200) == 100


def test_even_when_it_was_raised_and_used_between_two_looks():
    watched = Watched()
    watched.look(100)
    assert watched.look(200, bound=200) == 100


def test_a_quota_that_was_raised_a_little_is_not_told_again():
    watched = Watched()
    assert watched.look(90) == 80
    assert watched.look(90, bound=105) is None
    assert watched.look(91, bound=105) is None


def test_within_the_quiet_time_the_same_mark_is_not_told_again_but_the_next_one_is():
    watched = Watched(quiet_s=3600)
    assert watched.look(80) == 80
    assert watched.look(10) is None
    assert watched.look(81) is None
    assert watched.look(100) == 100
    assert watched.look(10) is None
    assert watched.look(85, after_s=3600) == 80


def test_what_was_not_seen_for_long_has_fallen_meanwhile():
    watched = Watched(forgotten_s=60)
    assert watched.look(100) == 100
    assert watched.look(100, after_s=60) is None
    assert watched.look(100, after_s=61) == 100


def test_a_bound_of_nothing_reaches_no_mark():
    assert Watched().look(0, bound=0) is None


def test_days_before_an_expiry_are_told_as_they_come():
    watched = Watched(DaysBefore((7, 1)))
    expiry = watched.now + 8 * DAY_S
    looks = [watched.look(watched.now + DAY_S, expiry, after_s=DAY_S) for _ in range(9)]
    assert looks == [7, None, None, None, None, None, 1, None, None]


def test_an_expiry_that_was_moved_is_told_again_in_its_time():
    watched = Watched(DaysBefore((7, 1)))
    expiry = watched.now + DAY_S
    assert watched.look(watched.now, expiry) == 1
    assert watched.look(watched.now, expiry + 30 * DAY_S) is None
    assert watched.look(expiry + 25 * DAY_S, expiry + 30 * DAY_S) == 7
