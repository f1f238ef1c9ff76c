"""Figures: how they are written, how those of several workers become one, and how many there can be."""

from collections.abc import Iterator
from types import MappingProxyType
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from gateway.domain.catalog import PPM, Catalog, Model, Price, Upstream
from gateway.domain.families import (
    DURATION_S,
    FAMILIES,
    FIRST_TOKEN_S,
    GEN_AI_DURATION_S,
    GEN_AI_FIRST_TOKEN_S,
    LAG_S,
    Kind,
)
from gateway.domain.figures import Exemplar, Figure, Spread, Workers, merged, narrowed
from gateway.domain.network import parse_address
from gateway.domain.routes import Route, find_route
from gateway.domain.usage import Usage
from gateway.metrics import render
from gateway.relay.call import Call, Outcome, Terms
from gateway.relay.counters import CallCounters
from gateway.relay.figures import call_figures
from gateway.relay.plain import Fields, Head
from gateway.relay.request import PlainRequest
from gateway.store.prepared import Prepared

SLOW = {3: Exemplar(0.25, 1_800_000_000.5, "0" * 32, "f" * 32)}
LAGS = Spread([0, 1, 2, 1, *[0] * (len(LAG_S) - 3)], 0.75, SLOW)
FIGURES = [
    Figure("tollhouse_quota_held_nusd", {(): 2**60}),
    Figure("tollhouse_denied_total", {('odd"\\\nreason',): 3}),
    Figure("tollhouse_settle_lag_seconds", {(): LAGS}),
    Figure("tollhouse_connections", {}),
]


@pytest.mark.parametrize("is_open", [False, True], ids=["Prometheus", "OpenMetrics"])
def test_what_is_written_is_what_others_read(is_open: bool):
    text = render(FIGURES, open_metrics=is_open).decode()
    families = {each.name: each for each in (open_metrics if is_open else prometheus)(text)}
    assert families["tollhouse_quota_held_nusd"].samples[0].value == 2**60
    (denied,) = families["tollhouse_denied"].samples
    assert (denied.name, denied.labels, denied.value) == (
        "tollhouse_denied_total",
        {"reason": 'odd"\\\nreason'},
        3,
    )
    lag = families["tollhouse_settle_lag_seconds"]
    assert (lag.type, families["tollhouse_denied"].type) == ("histogram", "counter")
    buckets = {s.labels["le"]: s.value for s in lag.samples if s.name.endswith("_bucket")}
    assert [*buckets.values()][:4] == [0, 1, 3, 4]
    assert (buckets["0.05"], buckets["+Inf"]) == (0, 4)
    assert {s.name: s.value for s in lag.samples if "le" not in s.labels} == {
        "tollhouse_settle_lag_seconds_count": 4,
        "tollhouse_settle_lag_seconds_sum": 0.75,
    }
    examples = [s.exemplar for s in lag.samples if s.exemplar]
    if is_open:
        (example,) = examples
        assert example.labels == {"request_id": "0" * 32, "trace_id": "f" * 32}
        assert (example.value, float(example.timestamp)) == (0.25, 1_800_000_000.5)
    else:
        assert not examples


def test_a_family_that_has_nothing_yet_is_named_all_the_same():
    assert b"# TYPE tollhouse_connections gauge\n" in render(FIGURES)


def test_every_family_is_named_by_the_rules_and_described():
    for name, family in FAMILIES.items():
        assert name.startswith(("tollhouse_", "gen_ai_"))
        assert name.endswith("_total") == (family.kind is Kind.COUNTER)
        assert (family.kind is Kind.HISTOGRAM) == bool(family.bounds)
        assert list(family.bounds) == sorted(family.bounds)
        assert not set('\\\n"') & set(family.means)
        assert not {"key", "token", "user", "account"} & set(family.labels)


# Of several workers


def test_counters_and_histograms_are_added_and_gauges_by_their_nature():
    def worker(up: int, calls: int) -> list[Figure]:
        return [
            Figure("tollhouse_redis_up", {(): up}),
            Figure("tollhouse_upstream_breaker", {("u",): 2 * (1 - up)}),
            Figure("tollhouse_connections", {(): calls}),
            Figure("tollhouse_shed_calls_total", {(): calls}),
            Figure("tollhouse_settle_lag_seconds", {(): LAGS}),
        ]

    told = {each.name: each.values for each in merged([worker(1, 5), worker(0, 7)])}
    assert [*told] == [*FAMILIES]
    assert told["tollhouse_redis_up"] == {(): 0}
    assert told["tollhouse_upstream_breaker"] == {("u",): 2}
    assert told["tollhouse_connections"] == told["tollhouse_shed_calls_total"] == {(): 12}
    lag = told["tollhouse_settle_lag_seconds"][()]
    assert isinstance(lag, Spread)
    assert (sum(lag.counts), lag.total, lag.slow) == (8, 1.5, SLOW)


COUNTER = "tollhouse_shed_calls_total"


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from(["counts", "is asked", "starts anew", "is silent"])
        ),
        max_size=40,
    )
)
def test_a_sum_never_falls_whatever_becomes_of_workers_and_misses_what_nobody_asked_for_alone(
    events: list[tuple[int, str]],
):
    workers = Workers()
    counts, births, asked = [0] * 3, [0] * 3, [0] * 3
    lost, last = 0, 0
    for number, event in events:
        if event == "counts":
            counts[number] += 1
        elif event == "starts anew":
            lost += counts[number] - asked[number]
            counts[number], asked[number] = 0, 0
            births[number] += 1
        else:
            heard = [n for n in range(3) if event == "is asked" or n != number]
            for each in heard:
                told = [
                    Figure(COUNTER, {(): counts[each]}),
                    Figure("tollhouse_connections", {(): 1}),
                ]
                workers.hear(each, str(births[each]), told)
                asked[each] = counts[each]
            now = {each.name: each.values.get((), 0) for each in workers.all(heard)}
            assert now["tollhouse_connections"] == len(heard)
            assert now[COUNTER] >= last
            last = now[COUNTER]
    for each in range(3):
        workers.hear(each, str(births[each]), [Figure(COUNTER, {(): counts[each]})])
    everything = sum(event == "counts" for _, event in events)
    (total,) = [each.values[()] for each in workers.all(range(3)) if each.name == COUNTER]
    assert total == everything - lost


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [(DURATION_S, GEN_AI_DURATION_S), (FIRST_TOKEN_S, GEN_AI_FIRST_TOKEN_S)],
)
def test_with_fewer_bounds_a_histogram_says_the_same_of_those_that_it_has(bounds, kept):
    counts = [*range(1, len(bounds) + 2)]
    narrow = narrowed(Spread(counts, 7.0), bounds, kept)
    assert (sum(narrow.counts), narrow.total) == (sum(counts), 7.0)
    for place, bound in enumerate(kept):
        below = sum(n for n, each in zip(counts, bounds, strict=False) if each <= bound)
        assert sum(narrow.counts[: place + 1]) == below


# How many there can be

PRICE = Price(1, 1, 1, 1)
UPSTREAM = Upstream(
    "u", "openai", urlsplit("http://u/v1"), (), MappingProxyType({"*": "*", "served": "served"})
)
CATALOG = Catalog(
    1,
    MappingProxyType({"listed": Model("listed", PRICE)}),
    MappingProxyType({}),
    (UPSTREAM,),
)


class _Connection:
    """The caller's."""

    transport = None
    peer = parse_address("127.0.0.1")
    is_ending = False


def call(model: str, path: str = "/v1/chat/completions", method: str = "POST") -> Call:
    """A call of a model that was sent to `u` after 1 ms, and once more after 2."""
    request = PlainRequest(_Connection(), Head(path, "", Fields(), 0), b"")  # type: ignore[arg-type]
    made = Call(request, b"1" * 32, 1.0, 1_800_000_000.0)
    route = find_route(method, path, lambda: "")
    assert isinstance(route, Route)
    made.route, made.dialect, made.catalog = route, route.dialect, CATALOG
    made.terms = Terms(
        model=CATALOG.model(model),
        ratio_ppm=PPM,
        capped=False,
        strict=False,
        steps=False,
        catalog=CATALOG,
        targets=(),
        prepared=Prepared(1, 0, b"", (), b"", b"", b""),
        ledger_constant=b"",
        log_constant=b"",
    )
    made.upstream_name, made.was_sent = "u", True
    made.sent_at, made.asked_at = 1.001, 1.002
    return made


def count(counters: CallCounters, of: Call, status: int = 200, reason: str = "") -> None:
    counters.count(of, Outcome(status), Usage(10, 5), 3.0, 7, reason)


def labels(counters: CallCounters, name: str) -> Iterator[tuple[str, ...]]:
    (figure,) = [each for each in call_figures(counters) if each.name == name]
    yield from figure.values


def test_a_model_that_nobody_has_listed_makes_no_series_of_its_own():
    counters = CallCounters()
    for n in range(50):
        count(counters, call(f"made up {n}"))
    count(counters, call("listed"))
    count(counters, call("served"))
    models = {model for _, model, *_ in labels(counters, "tollhouse_requests_total")}
    assert models == {"other", "listed", "served"}


def test_of_a_path_that_is_passed_on_the_first_word_is_told():
    counters = CallCounters()
    for path in ("/v1/files", "/v1/files/file-1", "/v1/files/file-1/content"):
        count(counters, call("", path, "GET"))
    assert {route for route, *_ in labels(counters, "tollhouse_requests_total")} == {"files"}


def test_beyond_the_most_kinds_of_ends_calls_are_counted_without_model_and_upstream():
    counters = CallCounters(most=3)
    for status in range(200, 210):
        count(counters, call("listed"), status)
    found = list(labels(counters, "tollhouse_requests_total"))
    assert [each[1:3] for each in found] == [("listed", "u")] * 3 + [("other", "other")] * 7
    assert sum(sum(each.durations) for each in counters.ended.values()) == 10


def test_a_call_is_counted_once_in_every_family_that_it_belongs_to():
    counters = CallCounters()
    count(counters, call("listed"))
    count(counters, call("listed"), 502, "upstream_error")
    told = {each.name: each.values for each in call_figures(counters)}
    one = ("chat_completions", "listed", "u")
    assert told["tollhouse_requests_total"] == {
        (*one, "200", ""): 1,
        (*one, "502", "upstream_error"): 1,
    }
    durations = told["tollhouse_request_duration_seconds"][one]
    assert isinstance(durations, Spread)
    assert (sum(durations.counts), durations.total) == (2, 4.0)
    overhead = told["tollhouse_overhead_seconds"][("chat_completions",)]
    assert isinstance(overhead, Spread)
    assert overhead.total == pytest.approx(0.002)
    upstream = told["tollhouse_upstream_duration_seconds"][("listed", "u")]
    assert isinstance(upstream, Spread)
    assert upstream.total == pytest.approx(2 * 1.998)
    assert told["tollhouse_tokens_total"][("listed", "u", "output")] == 10
    assert told["tollhouse_cost_nusd_total"] == {("listed", "u"): 14}
    by_error = told["gen_ai_server_request_duration_seconds"]
    assert {each[-1] for each in by_error} == {"", "upstream_error"}


def test_a_slow_call_is_told_by_its_id():
    counters = CallCounters()
    counters.count(call("listed"), Outcome(200), Usage(1, 1), 11.5, 0, "")
    text = render(call_figures(counters), open_metrics=True).decode()
    assert f'le="20.48"}} 1 # {{request_id="{"1" * 32}"}} 10.500000 1800000000.000' in text
