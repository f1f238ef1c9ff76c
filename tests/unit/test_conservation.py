"""The comparison of the books: each difference found, and nothing else."""

from typing import Any

import pytest

from gateway.domain.conservation import (
    MEANINGS,
    Difference,
    Kind,
    Record,
    Row,
    Shard,
    Stored,
    compare_scope,
    compare_shard,
    spent,
)

NOW_MS, LATE_MS = 1_800_000_000_000, 20_000
SCOPES = ("t5", "m1.2", "g1.3", "a1")
ROW = Row("t5", 1, 1000, 2, 300, 4, strict=True, entries=1000, ceiling=1000, charged=300)
STORED = Stored("t5", 1000, 2, 280, 20, 100, 1, 4, current=True)
HELD = Record(1, "a" * 32, SCOPES, 100, settled=False, due_ms=NOW_MS + 1)
SETTLED = Record(1, "b" * 32, SCOPES, 20, settled=True, due_ms=NOW_MS - LATE_MS)


def shard(
    stored: Stored = STORED, *records: Record, watched: dict[str, int] | None = None
) -> Shard:
    held = records or (HELD, SETTLED)
    due = {r.request_id: r.due_ms for r in held if r.due_ms is not None} | (watched or {})
    return Shard(NOW_MS, {"t5": stored}, [*held], {(1, each): at for each, at in due.items()})


def compared(of: Shard, late_ms: int) -> list[Difference]:
    return [*compare_shard(of, late_ms)]


def kinds(found: list[Difference]) -> list[Kind]:
    return [each.kind for each in found]


def test_every_kind_has_a_meaning():
    assert set(MEANINGS) == set(Kind)


# The quota store against itself


def test_a_shard_whose_sums_are_those_of_its_records_has_no_difference():
    assert compared(shard(), LATE_MS) == []


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"reserved": 101}, Kind.HELD_SUM),
        ({"live": 2}, Kind.HELD_SUM),
        ({"pending": 19}, Kind.PENDING_SUM),
        ({"used": -1}, Kind.NEGATIVE),
    ],
)
def test_a_book_that_its_records_contradict_is_a_difference(members: dict[str, Any], kind: Kind):
    (found,) = compared(shard(STORED._replace(**members)), LATE_MS)
    assert (found.kind, found.scope) == (kind, "t5")


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (SETTLED._replace(due_ms=None), Kind.INDEX),
        (SETTLED._replace(due_ms=NOW_MS - LATE_MS - 1), Kind.STUCK),
        (SETTLED._replace(request_id=HELD.request_id), Kind.CHARGED_AND_HELD),
    ],
)
def test_a_record_that_is_not_as_it_should_be_is_a_difference(record: Record, kind: Kind):
    (found,) = compared(shard(STORED, HELD, record), LATE_MS)
    assert (found.kind, found.account_id, found.ids) == (kind, 1, (record.request_id,))


def test_a_record_below_zero_is_a_difference():
    book = STORED._replace(pending=-20)
    found = compared(shard(book, HELD, SETTLED._replace(amount=-20)), LATE_MS)
    assert kinds(found) == [Kind.NEGATIVE, Kind.NEGATIVE]


def test_what_is_watched_and_not_there_is_a_difference():
    stray = "c" * 32
    (found,) = compared(shard(watched={stray: NOW_MS - LATE_MS - 1}), LATE_MS)
    assert (found.kind, found.ids) == (Kind.INDEX, (stray,))


def test_what_was_voided_before_it_came_is_watched_for_a_while():
    assert compared(shard(watched={"c" * 32: NOW_MS + 1}), LATE_MS) == []


def test_a_scope_that_has_no_book_yet_is_no_difference():
    assert compared(shard()._replace(stored={}), LATE_MS) == []


# The stores against each other


def test_stores_that_are_as_far_apart_as_a_posting_allows_have_no_difference():
    assert compare_scope(ROW, STORED, used_before=300, unposted=100) == []


@pytest.mark.parametrize("ending", [None, STORED._replace(used=0, current=False)])
def test_a_book_that_was_not_loaded_in_this_run_need_not_count_anything(ending: Stored | None):
    assert compare_scope(ROW, ending, used_before=300) == []


@pytest.mark.parametrize(
    ("row", "stored", "kind"),
    [
        ({"charged": 299}, {}, Kind.LEDGER_SUM),
        ({"entries": 999}, {}, Kind.GRANT_SUM),
        ({"granted": None}, {"granted": None}, Kind.GRANT_SUM),
        ({"used": -1, "charged": -1}, {"used": -1, "pending": 200}, Kind.NEGATIVE),
        ({}, {"used": 301, "pending": 0}, Kind.AHEAD),
        ({}, {"gver": 3}, Kind.AHEAD),
        ({}, {"version": 5}, Kind.AHEAD),
        ({}, {"granted": 999}, Kind.AHEAD),
        ({}, {"granted": None}, Kind.AHEAD),
        ({}, {"used": 100, "reserved": 99}, Kind.BEHIND),
    ],
)
def test_stores_that_contradict_each_other_are_a_difference(
    row: dict[str, Any], stored: dict[str, Any], kind: Kind
):
    found = compare_scope(ROW._replace(**row), STORED._replace(**stored), used_before=220)
    assert kinds(found) == [kind]
    assert (found[0].scope, found[0].account_id) == ("t5", 1)


def test_an_older_grant_in_the_quota_store_is_no_difference():
    """An edit has been committed, and the quota store is about to be told."""
    assert compare_scope(ROW, STORED._replace(granted=5, gver=1, version=3), used_before=300) == []


# Overspend


@pytest.mark.parametrize(
    ("granted", "ceiling", "kind", "over", "by_lowering"),
    [
        (400, 400, None, 0, 0),
        (399, 399, Kind.OVERSPEND, 1, 0),
        (350, 400, Kind.LOWERED, 50, 50),
        (350, 380, Kind.OVERSPEND, 50, 30),
        (350, None, Kind.LOWERED, 50, 50),
        (350, 100, Kind.OVERSPEND, 50, 0),
    ],
)
def test_spend_beyond_the_grant_is_legal_as_far_as_the_grant_once_reached(
    granted: int, ceiling: int | None, kind: Kind | None, over: int, by_lowering: int
):
    row = ROW._replace(granted=granted, entries=granted, ceiling=ceiling)
    stored = STORED._replace(granted=granted)
    found = compare_scope(row, stored, used_before=300, unposted=100)
    assert kinds(found) == ([] if kind is None else [kind])
    for each in found:
        assert each.figures["over_nusd"] == over
        assert each.figures["by_lowering_nusd"] == by_lowering


def test_a_scope_that_is_not_strict_has_no_overspend():
    row = ROW._replace(granted=1, entries=1, ceiling=1, strict=False)
    assert compare_scope(row, STORED._replace(granted=1), used_before=300) == []


def test_a_charge_that_is_counted_twice_on_its_way_is_no_spend():
    """The row has it already, and its record is still there: whoever counts less is right."""
    assert spent(ROW, STORED._replace(used=300), unposted=100) == 400
    assert spent(ROW, STORED, unposted=120) == 400
    assert spent(ROW, None, unposted=100) == 300
