"""Stretches of time in days and hours of a zone."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.intervals import TooManyPoints, default_start, edges

BERLIN = ZoneInfo("Europe/Berlin")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
]
HOUR = timedelta(hours=1)


def at(text, zone=UTC):
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def test_days_are_the_zones_and_have_23_or_25_hours_where_clocks_change():
    found = edges(at("2026-03-28", BERLIN), at("2026-03-31", BERLIN), "day", BERLIN, 10)
    assert [(b - a) // HOUR for a, b in itertools.pairwise(found)] == [24, 23, 24]
    found = edges(at("2026-10-24", BERLIN), at("2026-10-27", BERLIN), "day", BERLIN, 10)
    assert [(b - a) // HOUR for a, b in itertools.pairwise(found)] == [24, 25, 24]


def test_a_day_that_begins_at_one_begins_where_midnight_would_have_been():
    zone = ZoneInfo("America/Sao_Paulo")  # at midnight of 4 November 2018 it became one
    found = edges(at("2018-11-03", zone), at("2018-11-05", zone), "day", zone, 10)
    assert found[1] == at("2018-11-04T03:00:00")


@pytest.mark.parametrize("changed", ["2021-04-03T15:00:00", "2021-10-02T15:30:00"])
def test_an_hour_is_half_an_hour_longer_where_clocks_change_by_that(changed):
    zone = ZoneInfo("Australia/Lord_Howe")
    found = edges(at(changed) - 3 * HOUR, at(changed) + 3 * HOUR, "hour", zone, 10)
    local = [each.astimezone(zone) for each in found[1:-1]]
    assert {each.minute for each in local} == {0}
    assert sorted((b - a) / HOUR for a, b in itertools.pairwise(found[1:-1]))[-2:] == [1, 1.5]


def test_clocks_that_are_a_quarter_of_an_hour_off_have_days_of_their_own_and_hours_of_utc():
    found = edges(at("2026-11-01", KATHMANDU), at("2026-11-02", KATHMANDU), "hour", KATHMANDU, 30)
    assert [f"{each.astimezone(UTC):%H:%M}" for each in (*found[:3], found[-1])] == [
        "18:15",
        "19:00",
        "20:00",
        "18:15",
    ]
    assert len(edges(found[0], found[-1] + HOUR, "day", KATHMANDU, 30)) == 3
    start = default_start(at("2026-11-26T07:50:00"), "hour", KATHMANDU)
    assert start == at("2026-11-25T08:00:00")


def test_the_first_and_last_point_are_cut_where_the_stretch_begins_and_ends():
    found = edges(at("2026-11-01T10:30:00"), at("2026-11-03T00:00:01"), "day", UTC, 10)
    assert [each.isoformat()[5:19] for each in found] == [
        "11-01T10:30:00",
        "11-02T00:00:00",
        "11-03T00:00:00",
        "11-03T00:00:01",
    ]
    assert edges(found[0], found[-1], "all", UTC, 1) == (found[0], found[-1])


def test_a_series_that_says_no_start_has_30_days_or_24_hours():
    end = at("2026-11-26T07:30:00")
    for interval, points in (("day", 30), ("hour", 24)):
        start = default_start(end, interval, BERLIN)
        assert len(edges(start, end, interval, BERLIN, 100)) == points + 1


def test_more_points_than_allowed_are_told_before_they_are_made():
    start = at("1970-01-01T00:00:00")
    with pytest.raises(TooManyPoints):
        edges(start, at("5000-01-01T00:00:00"), "hour", UTC, 1000)
    assert len(edges(start, start + 1000 * HOUR, "hour", UTC, 1000)) == 1001
    with pytest.raises(TooManyPoints):
        edges(start + HOUR / 2, start + 1000.6 * HOUR, "hour", UTC, 1000)


@given(
    st.integers(1_000_000_000, 2_000_000_000),
    st.integers(1, 500 * 3600),
    st.sampled_from(["hour", "day", "all"]),
    st.sampled_from(ZONES),
)
def test_points_follow_each_other_without_gap_and_begin_on_the_clock(start, length, interval, zone):
    zone = ZoneInfo(zone)
    first = datetime.fromtimestamp(start, UTC)
    last = first + timedelta(seconds=length)
    found = edges(first, last, interval, zone, 10_000)
    assert (found[0], found[-1]) == (first, last)
    assert list(found) == sorted(set(found))
    for edge in found[1:-1]:
        local = edge.astimezone(zone)
        assert interval == "hour" or local.hour in {0, 1}
        if interval == "hour" and local.utcoffset() % (HOUR / 2):
            local = edge
        assert (local.minute, local.second) == (0, 0)
    longest = {"hour": 1.5 * HOUR, "day": 25 * HOUR}.get(interval, last - first)
    assert all(b - a <= longest for a, b in itertools.pairwise(found))
