"""What an audit keeps of what it finds: what persists, so many of it whole, and the number of all."""

from gateway.domain.conservation import Difference, Kind, of_calls
from gateway.domain.findings import Findings

HELD = Difference(Kind.HELD_SUM, "t5", 1, {"live": 1})


def look(*found: Difference, after: Findings | None = None, most: int = 2) -> Findings:
    findings = Findings(after, most=most)
    findings.add(found)
    return findings


def wrong(number: int, kind: Kind = Kind.GRANT_SUM) -> Difference:
    return Difference(kind, f"t{number}", 1, {"granted_nusd": number, "entries_nusd": 0})


def overspent(number: int) -> Difference:
    figures = {"over_nusd": 10, "by_lowering_nusd": 3, "spent_nusd": 50, "granted_nusd": 40}
    return Difference(Kind.OVERSPEND, f"t{number}", 1, figures)


def test_only_what_is_there_at_both_looks_counts():
    was = of_calls(Kind.STUCK, 1, ["a", "b"])
    again = of_calls(Kind.STUCK, 1, ["b", "c"])
    second = look(again, wrong(5, Kind.PENDING_SUM), after=look(was, HELD))
    (found,) = second.differences
    assert (found.ids, found.count) == (("b",), 1)
    assert second.counts == {Kind.STUCK: 1}
    assert not look(of_calls(Kind.STUCK, 1, ["c"]), after=look(was)).wrong
    assert look(HELD, after=look(HELD)).differences == [HELD]


def test_calls_of_two_differences_of_one_kind_and_scope_are_both_remembered():
    one, two = of_calls(Kind.INDEX, 1, ["a"]), of_calls(Kind.INDEX, 1, ["b"])
    assert look(one, two, after=look(two, one)).differences == [one, two]


def test_many_differences_are_counted_and_so_many_of_them_named():
    findings = look(*map(wrong, range(10)), HELD)
    assert findings.differences == [wrong(0), wrong(1)]
    assert findings.counts == {Kind.GRANT_SUM: 10, Kind.HELD_SUM: 1}


def test_remarks_take_no_room_from_differences():
    findings = look(*(wrong(n, Kind.LOWERED) for n in range(10)), wrong(1), wrong(2))
    assert len(findings.remarks) == len(findings.differences) == 2
    assert findings.counts == {Kind.LOWERED: 10, Kind.GRANT_SUM: 2}
    assert not look(*(wrong(n, Kind.LOWERED) for n in range(10))).wrong


def test_no_more_of_what_was_only_counted_persists_than_there_was():
    first = look(*map(wrong, range(5)))
    second = look(*map(wrong, range(1, 10)), after=first)
    assert second.differences == [wrong(1)]
    assert second.counts == {Kind.GRANT_SUM: 1 + 3}
    third = look(wrong(1), after=second)
    assert third.counts == {Kind.GRANT_SUM: 1}


def test_overspend_is_summed_over_all_named_or_not():
    assert look(*map(overspent, range(10))).overspend_nusd == 70


def test_of_one_account_only_its_own_is_found_once_the_owners_are_known():
    findings = Findings(account_id=1)
    mine, another, of_another = (
        Difference(Kind.HELD_SUM, scope, account_id)
        for scope, account_id in (("t5", 0), ("t6", 0), ("a2", 2))
    )
    findings.add([mine, another, of_another])
    assert findings.nameless == {"t5", "t6"}
    findings.own({"t5": 1, "t6": 2})
    assert [each.scope for each in findings.differences] == ["t5"]
