"""What `make chaos` does is told by its seed, and comes as bytes that the upstream understands."""

import itertools
import json

from tests.chaos.cluster import STORES
from tests.chaos.nemesis import FIRST_PROBE, KINDS, Nemesis, kinds_of, schedule
from tests.chaos.plan import BEHAVIOURS, Draw, address_of, input_tokens, make_plan, number_of
from tests.chaos.report import Report
from tests.chaos.strikes import Strike


def test_one_seed_draws_the_same_calls_and_another_draws_others():
    plan = make_plan(1000)
    one, same, other = (Draw(plan, seed) for seed in (1, 1, 2))
    calls = [one.call(number) for number in range(500)]
    assert calls == [same.call(number) for number in range(500)]
    assert calls != [other.call(number) for number in range(500)]


def test_every_behaviour_token_and_way_to_leave_is_drawn():
    plan = make_plan(1000)
    draw = Draw(plan, 1)
    calls = [draw.call(number) for number in range(5000)]
    assert {call.behaviour for call in calls} == set(BEHAVIOURS)
    assert {call.token for call in calls} == set(range(plan.probe))
    assert {call.leave for call in calls} == {"", "waiting", "reading"}


def test_a_calls_body_holds_its_marker_and_more_bytes_than_the_upstream_counts():
    draw = Draw(make_plan(1000), 1)
    for number in range(500):
        call = draw.call(number)
        body = json.loads(call.body)
        marker = body["user"].split("/")
        assert marker[:3] == [str(number), str(call.token), call.behaviour]
        assert body.get("max_tokens", 0) == call.max_output_tokens
        assert len(call.body) >= input_tokens(number)


def test_no_call_of_the_load_shares_an_address_with_a_probe():
    assert number_of(address_of(FIRST_PROBE + 1)) == FIRST_PROBE + 1
    assert FIRST_PROBE + 700_000 < 1 << 24


def test_a_schedule_has_every_fault_in_each_round_and_is_told_by_its_seed():
    size = len(KINDS)
    first, again = (list(itertools.islice(schedule(5, KINDS), 2 * size)) for _ in range(2))
    assert first == again
    assert sorted(first[:size]) == sorted(first[size:]) == sorted(KINDS)
    assert first[size - 1] == "double"
    assert first[:size] != list(itertools.islice(schedule(6, KINDS), size))
    assert list(schedule(5, ())) == []


def test_every_fault_is_one_that_can_be_done():
    kinds = {kind for store in STORES for kind in kinds_of(store)}
    assert kinds > set(KINDS)
    assert all(callable(getattr(Nemesis, f"_{kind}")) for kind in kinds)


def test_a_report_says_what_failed_and_when():
    report = Report({"seed": "5"}, [Strike("kill", 2_000_000, 2_500_000, 1, 0.25)], 1_000_000)
    assert "**Passed**: 0 overspend, 0 lost, 0 doubled, 0 wrong" in report.text()
    assert "| 1.0 s | kill | 0.50 s | 0.25 s | replica 1 |" in report.text()
