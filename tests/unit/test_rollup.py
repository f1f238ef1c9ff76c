"""What is read of the rollup and what of the ledger: each call counts once, in the point that it is in."""

from bisect import bisect_right
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.intervals import edges
from gateway.domain.rollup import DAY, EPOCH, HALF, HOUR, QUARTER, STRETCH, Parts, Span, parts_of

START = datetime(2026, 3, 1, tzinfo=UTC)
OF_ALL = {DAY: EPOCH, HOUR: EPOCH, QUARTER: EPOCH}


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def of_keys(halves_from: datetime = EPOCH) -> dict[timedelta, datetime]:
    return {DAY: EPOCH, HOUR: EPOCH, HALF: halves_from}


def of_wholes(stretches_from: datetime = EPOCH) -> dict[timedelta, datetime]:
    return {STRETCH: stretches_from, **of_keys()}


def spans(*pairs: tuple[float, float]) -> tuple[Span, ...]:
    return tuple(Span(at(start), at(end)) for start, end in pairs)


def read(parts: Parts) -> dict[timedelta, tuple[Span, ...]]:
    return {layer.length: layer.spans for layer in parts.layers if layer.spans}


def test_whole_days_are_read_as_days_and_the_tail_of_the_ledger():
    parts = parts_of([at(0), at(24), at(60.5)], of_keys(), at(50), EPOCH)
    assert read(parts) == {DAY: spans((0, 50))}
    assert (parts.moved, parts.tail) == ((), *spans((50, 60.5)))


def test_days_of_a_zone_are_those_of_utc_and_the_hours_between():
    parts = parts_of([at(-2), at(22), at(46), at(70)], of_keys(), at(100), EPOCH)
    assert read(parts) == {DAY: spans((0, 72)), HOUR: spans((-2, 0), (22, 24), (46, 48), (70, 72))}
    assert not parts.moved
    parts = parts_of([at(5), at(29), at(53)], of_keys(), at(100), EPOCH)
    assert read(parts) == {DAY: spans((0, 48)), HOUR: spans((0, 5), (24, 29), (48, 53))}


def test_within_the_hours_that_are_cut_their_halves_are_read_and_calls_where_there_are_none():
    points = [at(18.5), at(42.5), at(66.5)]
    parts = parts_of(points, of_keys(), at(100), EPOCH)
    assert read(parts)[HALF] == spans((18, 18.5), (42, 42.5), (66, 66.5))
    assert not parts.moved
    parts = parts_of(points, of_keys(at(60)), at(100), EPOCH)
    assert read(parts)[HALF] == spans((66, 66.5))
    assert parts.moved == spans((18, 18.5), (42, 42.5))


def test_hours_are_read_as_hours():
    parts = parts_of([at(n) for n in range(30)], of_keys(), at(100), EPOCH)
    assert read(parts) == {HOUR: spans((0, 29))}


def test_a_year_is_read_as_stretches_and_the_days_that_they_have_too_many_or_too_few():
    begin, end = START - 365 * DAY, START - HOUR
    parts = parts_of([begin, end], of_wholes(), START, EPOCH)
    (stretches,) = read(parts)[STRETCH]
    assert not (stretches.start - EPOCH) % STRETCH
    assert stretches.end == START  # the last is as long as what is rolled of it
    days = read(parts)[DAY]
    assert sum((span.end - span.start for span in days), timedelta()) <= STRETCH
    assert read(parts)[HOUR] == spans((-1, 0))
    # Where the year begins before there were any, and where it has points, days are fewer.
    assert STRETCH not in read(parts_of([begin, end], of_wholes(START - 200 * DAY), START, EPOCH))
    points = [begin + n * DAY for n in range(366)]
    assert STRETCH not in read(parts_of(points, of_wholes(), START, EPOCH))


def test_of_months_that_are_gone_what_is_cut_is_in_the_point_in_which_it_begins():
    points = [at(18.75), at(42.75), at(66.75)]
    parts = parts_of(points, of_keys(), at(100), at(48))
    assert parts.edges == (at(19), at(43), at(66.75))
    assert parts.moved == spans((66.5, 66.75))
    assert parts_of(points, of_keys(at(60)), at(100), at(72)).edges == (at(19), at(43), at(67))


ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Kathmandu", "Etc/GMT+12"]
)
MINUTES = st.integers(0, 60 * 24 * 12)
STEP = timedelta(minutes=5)


@given(
    MINUTES,
    MINUTES,
    MINUTES,
    st.integers(0, 24 * 12),
    ZONES,
    st.sampled_from(["hour", "day", "all"]),
    st.booleans(),
)
def test_each_call_is_counted_once_in_its_point(
    start, length, rolled, halves, zone, interval, of_all
):
    begin = START + timedelta(minutes=start - start % 5)
    end = begin + timedelta(minutes=5 + length - length % 5)
    points = edges(begin, end, interval, ZoneInfo(zone), 10_000)
    rolled_before = START + timedelta(minutes=rolled)
    parts = parts_of(points, OF_ALL if of_all else of_keys(at(halves)), rolled_before, EPOCH)
    assert parts.edges == points
    call = START
    while call < end + DAY:
        counted = {n: times for n, times in counts(parts, call, rolled_before).items() if times}
        point = bisect_right(points, call)
        assert counted == ({point: 1} if 1 <= point < len(points) else {}), call
        call += STEP


@given(
    st.integers(0, 24 * 400),
    st.integers(1, 24 * 400),
    st.integers(0, 24 * 500),
    st.integers(0, 24 * 500),
    ZONES,
)
def test_each_call_of_a_long_time_is_counted_once(start, length, rolled, stretches, zone):
    begin = at(start).astimezone(ZoneInfo(zone)).replace(hour=0)
    points = (begin.astimezone(UTC), at(start + length) + DAY)
    rolled_before = at(rolled)
    since = at(stretches) + (EPOCH - at(stretches)) % STRETCH
    parts = parts_of(points, of_wholes(since), rolled_before, EPOCH)
    call = points[0] - DAY
    while call < points[1] + DAY:
        counted = {n: times for n, times in counts(parts, call, rolled_before).items() if times}
        assert counted == ({1: 1} if points[0] <= call < points[1] else {}), call
        call += timedelta(hours=2.75)


def counts(parts: Parts, call: datetime, rolled_before: datetime) -> Counter[int]:
    """How often a call is in which point, as a statement of these parts counts it."""
    counted: Counter[int] = Counter()
    before = None
    for layer in parts.layers:
        begin = call - (call - EPOCH) % layer.length
        # Of halves there are the first ones.
        there = layer.length != HALF or not (begin - EPOCH) % HOUR
        if call < rolled_before and there and within(begin, layer.spans):
            counted[bisect_right(layer.edges, begin)] += 1
            if before is not None:
                counted[bisect_right(before, begin)] -= 1
        before = layer.edges
    if within(call, parts.moved):
        counted[bisect_right(parts.edges, call)] += 1
        counted[bisect_right(before, call)] -= 1
    if within(call, [parts.tail]):
        counted[bisect_right(parts.edges, call)] += 1
    return Counter({n: times for n, times in counted.items() if 1 <= n < len(parts.edges)})


def within(instant: datetime, some) -> bool:
    return any(span.start <= instant < span.end for span in some)
