"""Which node has which shard, as the nodes of a cluster tell it."""

import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.domain.token import SHARDS
from gateway.store.cluster import SLOTS, Place, agreed, read_slots, shards_in

A, B = Place("10.0.0.1", 1), Place("10.0.0.2", 2)


def test_the_shards_of_slots_are_those_whose_tag_lies_there():
    assert (SLOTS[0], SLOTS[255]) == (12234, 12026), "as CLUSTER KEYSLOT of Valkey 9.1 says"
    assert sorted(shards_in(0, 16383)) == list(range(SHARDS))
    assert all(shard in shards_in(slot, slot) for shard, slot in enumerate(SLOTS))
    assert [s for s in range(SHARDS) if SLOTS[s] < 5461] == sorted(shards_in(0, 5460))


def test_an_address_that_the_nodes_do_not_know_is_the_one_that_was_asked():
    reply = [[0, 8000, [b"10.0.0.1", 1, b"id", []], [b"10.0.0.9", 9, b"id", []]],
             [8001, 16383, [b"", 2, b"id", []]]]  # fmt: skip
    found = read_slots(reply, "10.0.0.2")
    assert len(found) == SHARDS
    assert all(found[shard] == (A if SLOTS[shard] <= 8000 else B) for shard in range(SHARDS))
    nowhere = [[0, 8000, [None, 1, b"id"]]]
    assert set(read_slots(nowhere, "h").values()) == {Place("h", 1)}


@pytest.mark.parametrize("reply", [b"OK", [[1]], [[b"a", b"b", b"c"]], [[0, 1, []]]])
def test_what_is_no_list_of_slots_is_a_store_that_cannot_be_used(reply):
    with pytest.raises(StoreUnavailable):
        read_slots(reply, "h")


@pytest.mark.parametrize(
    ("said", "present", "expected"),
    [
        ([A, B, B], A, B),  # a primary that was cut off goes on naming itself
        ([A, B], A, A),
        ([A, B], B, B),
        ([A, B], None, A),
        ([], A, None),
    ],
)
def test_a_shard_is_where_most_nodes_say(said, present, expected):
    answers = [{7: place} for place in said]
    shown = [present] * SHARDS
    assert agreed(answers, shown) == ({7: expected} if said else {})
