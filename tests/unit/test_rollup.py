"""What is read of the rollup and what of the ledger: each instant once."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.intervals import edges
from gateway.domain.rollup import HOUR, QUARTER, Parts, Span, parts_of

START = datetime(2026, 3, 1, tzinfo=UTC)
ALL_THERE = datetime(1970, 1, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def spans(*pairs: tuple[float, float]) -> list[Span]:
    return [Span(at(start), at(end)) for start, end in pairs]


def test_whole_days_are_read_as_days_and_the_tail_of_the_ledger():
    parts = parts_of([at(0), at(24), at(60.5)], at(50), ALL_THERE, step=HOUR)
    assert parts == Parts(spans((0, 48)), spans((48, 50)), spans((50, 60.5)))


def test_hours_of_days_that_are_cut_are_joined():
    parts = parts_of([at(2), at(26), at(60.5)], at(49), ALL_THERE, step=HOUR)
    assert parts == Parts([], spans((2, 49)), spans((49, 60.5)))


def test_days_of_a_zone_that_begin_within_an_hour_read_the_cut_hours_of_the_ledger():
    parts = parts_of([at(0.5), at(24.5), at(48.5)], at(100), ALL_THERE, step=HOUR)
    assert parts == Parts([], spans((1, 24), (25, 48)), spans((0.5, 1), (24, 25), (48, 48.5)))


def test_quarters_of_an_hour_make_the_days_of_every_zone():
    points = [at(0.5), at(24.5), at(48.5), at(50)]
    parts = parts_of(points, at(49), ALL_THERE, step=QUARTER)
    assert parts == Parts([], spans((0.5, 49)), spans((49, 50)))


def test_of_months_that_are_gone_an_hour_is_in_the_point_in_which_it_begins():
    parts = parts_of([at(0.5), at(24.5), at(48.5)], at(100), at(24), step=HOUR)
    assert parts == Parts([], spans((1, 24), (25, 48)), spans((24, 25), (48, 48.5)))
    parts = parts_of([at(0.5), at(24.5), at(48.5)], at(100), at(90), step=HOUR)
    assert parts == Parts([], spans((1, 49)), [])


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"])
MINUTES = st.integers(0, 60 * 24 * 40)


@given(
    MINUTES,
    MINUTES,
    st.integers(0, 24 * 40),
    ZONES,
    st.sampled_from(["hour", "day", "all"]),
    st.sampled_from([HOUR, QUARTER]),
)
def test_parts_are_each_instant_once_and_no_more_than_there_is(
    start, length, rolled, zone, interval, step
):
    begin = START + timedelta(minutes=start)
    points = edges(begin, begin + timedelta(minutes=1 + length), interval, ZoneInfo(zone), 10_000)
    parts = parts_of(points, at(rolled), ALL_THERE, step=step)
    found = sorted([*parts.days, *parts.steps, *parts.calls])
    assert (found[0].start, found[-1].end) == (points[0], points[-1])
    assert all(before.end == after.start for before, after in pairwise(found))
    assert all(span.start < span.end for span in found)
    for span in (*parts.days, *parts.steps):
        assert span.end <= at(rolled)
        assert not (span.start - START) % step
        assert not (span.end - START) % step
    # No step or day of the rollup lies in two points.
    inner = {edge for edge in points[1:-1] if any(s.start < edge < s.end for s in parts.steps)}
    assert not any((edge - START) % step for edge in inner)
    inner = {edge for edge in points[1:-1] if any(s.start < edge < s.end for s in parts.days)}
    assert all(edge == edge.replace(hour=0, minute=0) for edge in inner)
