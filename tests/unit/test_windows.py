"""Limits as counters, and the edges of calendar periods."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.limits import RINGS, Limit, Metric
from gateway.store.windows import Kind, period, read_window_id, window_id, windows_of
from tests.quota_rig import token


def instant_ms(*parts: int, zone: str = "UTC") -> int:
    return int(datetime(*parts, tzinfo=ZoneInfo(zone)).timestamp()) * 1000  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("window", "zone", "now", "start", "end"),
    [
        ("month", "UTC", (2024, 2, 29, 23, 59), (2024, 2, 1), (2024, 3, 1)),
        ("month", "UTC", (2026, 12, 31), (2026, 12, 1), (2027, 1, 1)),
        ("month", "Asia/Tokyo", (2026, 1, 31, 23), (2026, 1, 1), (2026, 2, 1)),
        ("7d", "UTC", (2026, 11, 22, 23), (2026, 11, 16), (2026, 11, 23)),
        ("7d", "Europe/Berlin", (2026, 11, 16), (2026, 11, 16), (2026, 11, 23)),
        ("1d", "Europe/Berlin", (2026, 3, 29, 12), (2026, 3, 29), (2026, 3, 30)),
    ],
)
def test_a_period_is_the_zones_own(
    window: str, zone: str, now: tuple[int, ...], start: tuple[int, ...], end: tuple[int, ...]
) -> None:
    got = period(window, zone, instant_ms(*now, zone=zone))
    assert got == (instant_ms(*start, zone=zone), instant_ms(*end, zone=zone))


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_day_on_which_clocks_change_has_its_own_length(day: tuple[int, ...], hours: int) -> None:
    start, end = period("1d", "Europe/Berlin", instant_ms(*day, 12, zone="Europe/Berlin"))
    assert end - start == hours * 3_600_000


def test_a_day_whose_midnight_does_not_exist_begins_with_its_first_instant() -> None:
    # Cuba sets clocks forward at midnight: 2026-03-08 begins at 01:00.
    noon = instant_ms(2026, 3, 8, 12, zone="America/Havana")
    start, end = period("1d", "America/Havana", noon)
    assert start == instant_ms(2026, 3, 8, 1, zone="America/Havana")
    assert end - start == 23 * 3_600_000


@given(
    now=st.integers(0, 4 * 10**12),
    window=st.sampled_from(["1m", "1d", "7d", "month"]),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Pacific/Apia"]
    ),
)
def test_periods_contain_their_instant_and_follow_each_other(
    now: int, window: str, zone: str
) -> None:
    start, end = period(window, zone, now)
    assert start <= now < end
    assert period(window, zone, start) == (start, end)
    assert period(window, zone, end - 1) == (start, end)
    assert period(window, zone, end)[0] == end


@pytest.mark.parametrize("window", ["5h", "30d", "1y", ""])
def test_other_windows_are_no_calendar_periods(window: str) -> None:
    with pytest.raises(ValueError, match="no calendar period"):
        period(window, "UTC", 0)


def test_an_unknown_zone_is_an_error() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        period("month", "Middle/Earth", 0)


def test_a_counters_name_tells_metric_and_window() -> None:
    for metric in Metric:
        for window in [*RINGS, "month"]:
            for models in (None, frozenset({"a", "b"})):
                assert read_window_id(
                    window_id(Limit(metric, "1m", 1, models=models, burst=1))
                ) == (
                    metric,
                    "1m",
                    True,
                )
                for zone in ("UTC", "Asia/Tokyo"):
                    limit = Limit(metric, window, 1, "calendar", models, zone)
                    assert read_window_id(window_id(limit)) == (metric, window, False)


def test_limits_that_count_differently_have_counters_of_their_own() -> None:
    names = [
        window_id(limit)
        for limit in (
            Limit(Metric.TOKENS, "1d", 1),
            Limit(Metric.TOKENS, "7d", 1),
            Limit(Metric.USD, "1d", 1),
            Limit(Metric.TOKENS, "1d", 1, models=frozenset({"a"})),
            Limit(Metric.TOKENS, "1d", 1, models=frozenset({"a", "b"})),
            Limit(Metric.TOKENS, "1d", 1, "calendar"),
            Limit(Metric.TOKENS, "1d", 1, "calendar", time_zone="Asia/Tokyo"),
            Limit(Metric.TOKENS, "1d", 1, "calendar", frozenset({"a"}), "Asia/Tokyo"),
            Limit(Metric.TOKENS, "1m", 1),
            Limit(Metric.TOKENS, "1m", 1, burst=1),
            Limit(Metric.TOKENS, "1m", 1, burst=1, models=frozenset({"a"})),
        )
    ]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 32


def test_many_long_model_names_still_make_a_short_name() -> None:
    models = frozenset(f"vendor/some-model-with-a-long-name-{n}-ü" for n in range(100))
    name = window_id(Limit(Metric.REQUESTS, "1m", 1, models=models))
    assert len(name) <= 32
    assert name.isascii()


def test_of_limits_that_share_a_counter_the_lowest_binds() -> None:
    limits = tuple((0, Limit(Metric.REQUESTS, "1m", n)) for n in (5, 3, 9))
    windows = windows_of(token(limits=(*limits, (1, Limit(Metric.REQUESTS, "1m", 7)))), "m", 0)
    assert [(w.scope, w.limit) for w in windows] == [(0, 3), (1, 7)]


def test_of_bursts_that_share_a_counter_the_lowest_binds() -> None:
    pairs = ((60, 10), (90, 5), (30, 20))
    limits = tuple((0, Limit(Metric.REQUESTS, "1m", n, burst=burst)) for n, burst in pairs)
    (window,) = windows_of(token(limits=limits), "m", 0)
    assert (window.limit, window.second) == (30, 5)


def test_what_counts_in_a_burst_is_as_old_as_its_whole_refill() -> None:
    limit = Limit(Metric.REQUESTS, "1m", 7, burst=10)
    (window,) = windows_of(token(limits=((0, limit),)), "m", 0)
    assert window.since_ms(1_000_000) == 1_000_000 - 85_715, "10 / 7 minutes, rounded up"


def test_only_limits_of_the_model_apply() -> None:
    limit = Limit(Metric.REQUESTS, "1m", 5, models=frozenset({"big"}))
    t = token(limits=((0, limit),))
    assert [len(windows_of(t, model, 0)) for model in ("big", "small")] == [1, 0]


def test_a_month_is_a_calendar_window_whatever_its_mode() -> None:
    now = int(datetime(2026, 5, 9, tzinfo=UTC).timestamp()) * 1000
    (window,) = windows_of(token(limits=((0, Limit(Metric.USD, "month", 5)),)), "m", now)
    assert window.kind is Kind.CALENDAR
    assert window.first <= now < window.second


def test_a_window_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="no calendar period"):
        windows_of(token(limits=((0, Limit(Metric.USD, "2d", 5)),)), "m", 0)


def test_rings_cover_their_windows() -> None:
    lengths = {name: ring.bucket_ms * ring.count for name, ring in RINGS.items()}
    assert lengths == {
        "1m": 60_000,
        "5h": 5 * 3_600_000,
        "1d": 86_400_000,
        "7d": 7 * 86_400_000,
        "30d": 30 * 86_400_000,
    }
    assert all(a < b for a, b in pairwise(lengths.values()))
