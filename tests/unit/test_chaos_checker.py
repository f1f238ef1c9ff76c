"""The checker of `make chaos` finds every kind of wrong history, and nothing in a right one."""

import pytest

from tests.chaos.checker import Scope, check_scope, check_token
from tests.chaos.plan import MODELS, TokenPlan, address_of, number_of
from tests.chaos.records import (
    Answer,
    Arrival,
    Row,
    answer_line,
    arrival_line,
    read_answers,
    read_arrivals,
)
from tests.chaos.strikes import Strike, Strikes
from tests.chaos.windows import most_at_once, most_within

T0 = 1_800_000_000_000_000
SECOND = 1_000_000
SMALL = MODELS["small"]
TOKEN = TokenPlan(7, 0, 0)
EXACT = SMALL.cost_nusd(20, 5)


def us(ms: int) -> int:
    return T0 + ms * 1000


def id_at(ms: int, tail: int = 1) -> str:
    return f"{us(ms) // 1000:012x}7000{tail:016x}"


def arrival(number: int = 1, ms: int = 2, **fields) -> Arrival:
    right = Arrival(number, us(ms), us(ms + 1), "whole", "small", "fine", 20, 5, 5, usage=True)
    return right._replace(**fields)


def answer(number: int = 1, ms: int = 0, **fields) -> Answer:
    right = Answer(
        number, 0, us(ms), us(ms + 5), 200, "whole", "", id_at(ms + 1, number), "small", 200, 50
    )
    return right._replace(**fields)


def row(call: int = 1, ms: int = 0, **fields) -> Row:
    right = Row(id_at(ms + 1, call), call, 200, EXACT, 0, *(False, ""), 20, 5, "first")
    return right._replace(**fields)


def check(arrivals, answers, rows, *strikes: Strike, token=TOKEN, instants=()):
    return check_token(token, arrivals, answers, rows, Strikes(6.0, list(strikes)), instants)


def kinds(findings) -> list[str]:
    return [violation.kind for violation in findings.violations]


BROKEN = {"outcome": "broken", "status": 0, "request_id": ""}
LOST_WORKER = {
    "number": None, "status": 500, "estimated": True, "anomaly": "lost_worker", "amount": 700_000,
}  # fmt: skip


def killed(kind: str = "kill", ms: int = 4, replica: int = 0) -> Strike:
    return Strike(kind, us(ms), us(ms), replica)


def test_a_right_history_has_no_violation_and_its_sums_are_told():
    findings = check([arrival()], [answer()], [row()], instants=[us(1), us(2)])
    assert kinds(findings) == []
    assert (findings.true_cost, findings.charged, findings.estimated) == (EXACT, EXACT, 0)
    assert findings.counts == {"whole": 1}
    assert findings.spent_before == {us(2): EXACT}


# Lost


def test_an_arrival_without_a_row_is_lost():
    findings = check([arrival()], [answer()], [])
    assert kinds(findings) == ["lost"]
    (violation,) = findings.violations
    assert (violation.token, violation.number, violation.request_id) == (7, 1, id_at(1))


def test_an_arrival_of_a_killed_replica_without_a_row_is_lost_too():
    assert kinds(check([arrival()], [answer(**BROKEN)], [], killed())) == ["lost"]


def test_a_declined_call_has_to_have_a_row():
    declined = arrival(how="declined", usage=False, produced=0)
    refused = answer(outcome="refused", status=503)
    assert kinds(check([declined], [refused], [])) == ["lost"]
    assert kinds(check([declined], [refused], [row(status=503, amount=0)])) == []


def test_a_row_of_another_call_does_not_stand_in_for_a_lost_one():
    findings = check(
        [arrival(), arrival(2, 102)], [answer(**BROKEN), answer(2, 100)], [row(2, 100)], killed()
    )
    assert kinds(findings) == ["lost"]


def test_what_a_double_fault_lost_is_counted_apart_and_only_of_its_replica():
    arrivals, answers = [arrival(), arrival(2)], [answer(), answer(2, replica=1)]
    findings = check(arrivals, answers, [], killed("double"))
    assert [(v.kind, v.number) for v in findings.violations] == [("lost", 2)]
    assert findings.bound == SMALL.bound_nusd(200, 50)
    assert findings.bound_used == EXACT


# Doubled


def test_two_rows_of_one_call_are_doubled():
    findings = check([arrival()], [answer()], [row(), row(request_id=id_at(1, 99))])
    assert kinds(findings) == ["doubled"]


def test_a_call_that_was_taken_is_not_sent_again():
    again = [arrival(how="aborted"), arrival(ms=3)]
    assert kinds(check(again, [answer()], [row()])) == ["doubled"]


@pytest.mark.parametrize("how", ["declined", "unanswered"])
def test_a_call_that_was_not_taken_may_be_sent_again(how):
    again = [arrival(how=how, usage=False, produced=0), arrival(ms=3)]
    findings = check(again, [answer()], [row()])
    assert kinds(findings) == []
    assert findings.true_cost == EXACT


# Wrong


@pytest.mark.parametrize("amount", [EXACT - 1, EXACT + 1, 0])
def test_a_charge_that_is_not_the_truth_is_wrong(amount):
    assert kinds(check([arrival()], [answer()], [row(amount=amount)])) == ["wrong"]


def test_what_is_above_the_hold_is_on_record_beside_the_charge():
    beyond = arrival(output_tokens=1100, produced=1100)
    exact = SMALL.cost_nusd(20, 1100)
    held = SMALL.bound_nusd(200, 50)
    told = row(amount=held, unbilled=exact - held, anomaly="over_hold")
    assert kinds(check([beyond], [answer()], [told])) == []
    assert kinds(check([beyond], [answer()], [told._replace(unbilled=0)])) == ["wrong"]
    assert kinds(check([beyond], [answer()], [row(amount=exact)])) == ["wrong"]


def test_a_charge_without_a_believable_usage_has_to_be_an_estimate():
    unbelievable = arrival(behaviour="huge", usage=False)
    assert kinds(check([unbelievable], [answer()], [row()])) == ["wrong"]
    assert kinds(check([unbelievable], [answer()], [row(estimated=True, amount=9)])) == []


def test_an_estimate_above_the_hold_is_wrong():
    too_much = row(estimated=True, amount=SMALL.bound_nusd(200, 50) + 1)
    cut = arrival(how="reset", usage=False)
    findings = check([cut], [answer(outcome="cut")], [too_much])
    assert kinds(findings) == ["wrong"]


def test_an_estimate_is_wrong_where_the_caller_has_the_whole_answer():
    assert kinds(check([arrival()], [answer()], [row(estimated=True)])) == ["wrong"]
    assert kinds(check([arrival()], [answer()], [row(estimated=True)], killed())) == []


def test_a_lost_workers_charge_is_wrong_where_its_replica_lived():
    history = [arrival(how="aborted", usage=False)], [answer(**BROKEN)], [row(**LOST_WORKER)]
    assert kinds(check(*history)) == ["wrong"]
    assert kinds(check(*history, killed(replica=1))) == ["wrong"]
    assert kinds(check(*history, killed())) == []
    stopped = Strike("pause_long", us(3), us(9000), 0)
    assert kinds(check(*history, stopped)) == []


def test_a_call_that_was_read_to_its_end_after_its_caller_left_is_on_its_way_until_then():
    drained = arrival(how="aborted", usage=False, ended_us=us(3000))
    left = answer(outcome="left", number=1)
    assert kinds(check([drained], [left], [row(**LOST_WORKER)], killed(ms=3000))) == []
    aborted = drained._replace(ended_us=us(6))
    assert kinds(check([aborted], [left], [row(**LOST_WORKER)], killed(ms=3000))) == ["wrong"]


@pytest.mark.parametrize("kind", ["flush", "valkey_rollback", "valkey_lost_replies", "pause"])
def test_no_other_fault_excuses_an_estimate(kind):
    findings = check([arrival()], [answer()], [row(estimated=True)], killed(kind))
    assert kinds(findings) == ["wrong"]


def test_a_charge_is_wrong_where_nothing_arrived():
    refused = answer(outcome="refused", status=503, code="quota_unavailable")
    assert kinds(check([], [refused], [row(**LOST_WORKER)])) == ["wrong"]
    assert kinds(check([], [refused], [row(amount=0, status=503)])) == []


def test_a_declined_call_costs_nothing():
    declined = arrival(how="declined", usage=False, produced=0)
    refused = answer(outcome="refused", status=503)
    assert kinds(check([declined], [refused], [row(status=503, amount=1)])) == ["wrong"]
    gone = answer(outcome="left", status=0)
    assert kinds(check([declined], [gone], [row(status=499, amount=1, estimated=True)])) == []


def test_a_row_of_no_call_is_wrong():
    assert kinds(check([], [], [row(number=5)])) == ["wrong"]
    assert kinds(check([], [], [row(number=None)])) == ["wrong"]


def test_a_row_fits_only_a_call_of_its_time():
    late = row(ms=60_000, **LOST_WORKER)
    findings = check([arrival()], [answer(**BROKEN)], [late], killed())
    assert sorted(kinds(findings)) == ["lost", "wrong"]


def test_rows_of_one_time_are_given_to_as_many_calls_as_can_be():
    """The first row fits both calls, the second one only the longer: taking it for the longer would leave one out."""
    calls = [answer(1, **BROKEN), answer(2, **BROKEN)]
    arrivals = [arrival(1, 5, how="aborted"), arrival(2, 50, how="aborted")]
    rows = [row(1, 2, **LOST_WORKER), row(2, 30, **LOST_WORKER)]
    assert kinds(check(arrivals, calls, rows, killed())) == []


def test_calls_that_had_arrived_come_before_those_that_had_not():
    calls = [answer(1, **BROKEN), answer(2, **BROKEN)]
    findings = check([arrival(2, how="aborted")], calls, [row(2, **LOST_WORKER)], killed())
    assert kinds(findings) == []


@pytest.mark.parametrize("how", ["reset", "aborted", "unanswered", "declined"])
def test_no_caller_gets_a_whole_answer_of_a_broken_one(how):
    broken = arrival(how=how, usage=False)
    assert "wrong" in kinds(check([broken], [answer()], [row(amount=0)]))


def test_a_foreign_answer_is_wrong():
    assert kinds(check([arrival()], [answer(outcome="foreign")], [row()])) == ["wrong"]


def test_an_arrival_that_nobody_sent_is_wrong():
    assert kinds(check([arrival()], [], [])) == ["wrong"]


# Limits


def many(count: int, apart_ms: int):
    arrivals = [arrival(n, n * apart_ms + 2) for n in range(1, count + 1)]
    answers = [answer(n, n * apart_ms) for n in range(1, count + 1)]
    rows = [row(n, n * apart_ms) for n in range(1, count + 1)]
    return arrivals, answers, rows


@pytest.mark.parametrize(("limit", "found"), [(4, ["limit"]), (5, [])])
def test_more_requests_in_a_minute_than_the_limit_are_found(limit, found):
    token = TokenPlan(7, 0, 0, requests_per_minute=limit)
    assert kinds(check(*many(5, 10_000), token=token)) == found


def test_requests_of_different_minutes_are_not_counted_together():
    token = TokenPlan(7, 0, 0, requests_per_minute=1)
    assert kinds(check(*many(5, 60_003), token=token)) == []


@pytest.mark.parametrize(("limit", "found"), [(124, ["limit"]), (125, [])])
def test_more_tokens_in_a_minute_than_the_limit_are_found(limit, found):
    token = TokenPlan(7, 0, 0, tokens_per_minute=limit)
    assert kinds(check(*many(5, 1000), token=token)) == found


def test_more_calls_at_once_than_allowed_are_found():
    arrivals, answers, rows = many(3, 10)
    long = [each._replace(ended_us=each.arrived_us + SECOND) for each in arrivals]
    for allowed, found in ((2, ["limit"]), (3, [])):
        token = TokenPlan(7, 0, 0, max_concurrency=allowed)
        assert kinds(check(long, answers, rows, token=token)) == found


def test_a_call_that_lies_across_a_windows_edge_counts_in_neither():
    spans = [(0, 10, 1), (55, 65, 1)]
    assert most_within(spans, 60) == (1, 10)
    assert most_within(spans, 66)[0] == 2


def test_calls_that_only_touch_are_not_at_once():
    assert most_at_once([(0, 5, 1), (5, 9, 2)]) == (1, 1)
    assert most_at_once([(0, 5, 1), (4, 9, 2)]) == (2, 2)


# Scopes


def scope(**fields) -> Scope:
    right = {
        "name": "t5",
        "granted": 100,
        "used": 90,
        "ledger": 90,
        "entries": ((us(0), 100),),
        "book": (100, 90, 0, 0, 0),
    }
    return Scope(**(right | fields))


def test_a_right_scope_has_no_violation():
    assert check_scope(scope(), {}) == []
    assert check_scope(scope(book=None), {}) == []
    assert check_scope(scope(granted=None, entries=(), book=None), {}) == []


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"used": 101, "ledger": 101, "book": None}, "overspend"),
        ({"ledger": 80}, "unconserved"),
        ({"entries": ((us(0), 90),)}, "unconserved"),
        ({"book": (100, 89, 0, 0, 0)}, "unconserved"),
        ({"book": (99, 90, 0, 0, 0)}, "unconserved"),
        ({"book": (100, 90, 1, 0, 0)}, "unconserved"),
        ({"book": (100, 90, 0, 1, 0)}, "unconserved"),
        ({"book": (100, 90, 0, 0, 1)}, "unconserved"),
    ],
)
def test_each_wrong_sum_of_a_scope_is_found(fields, kind):
    assert [violation.kind for violation in check_scope(scope(**fields), {})] == [kind]


def test_the_cap_is_the_most_that_was_granted_so_far():
    lowered = scope(granted=50, entries=((us(0), 100), (us(9), -50)), book=None)
    assert check_scope(lowered, {}) == []
    raised = scope(granted=200, entries=((us(0), 100), (us(9), 100)), book=None)
    assert check_scope(raised, {us(9): 100}) == []
    (violation,) = check_scope(raised, {us(9): 101})
    assert violation.kind == "overspend"


# Logs


def test_logs_are_read_as_they_were_written(tmp_path):
    file = tmp_path / "log"
    begun = arrival(how="open", ended_us=0, usage=False, produced=0)
    lines = (begun, arrival(), arrival(2))
    file.write_bytes(b"".join(arrival_line(each) for each in lines) + b"3 17")
    assert read_arrivals(file) == [arrival(), arrival(2)]
    answers = [answer(), answer(2, **BROKEN)]
    file.write_bytes(b"".join(answer_line(each) for each in answers))
    assert read_answers(file) == answers
    assert read_answers(tmp_path / "none") == []


@pytest.mark.parametrize("number", [1, 65_536, 16_000_001])
def test_an_address_tells_its_call(number):
    assert number_of(address_of(number)) == number
    assert number_of("127.0.0.1") is None
