"""Lists of objects, with and without some of them."""

import json

import orjson
import pytest

from gateway.domain.lists import ids_in_list, without

ITEMS = [{"id": name, "n": 1.50} for name in "abc"]
LIST = {"object": "list", "data": ITEMS, "first_id": "a", "last_id": "c", "has_more": True}


def test_the_ids_of_a_list():
    assert ids_in_list(orjson.dumps(LIST)) == ("a", "b", "c")


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"{}", b'{"data":5}', b'{"data":[1]}'])
def test_what_is_no_list_has_none(body):
    assert ids_in_list(body) == ()


@pytest.mark.parametrize(
    ("hidden", "left", "ends"),
    [
        ({"b"}, "ac", ("a", "c")),
        ({"a"}, "bc", ("b", "c")),
        ({"c", "b"}, "a", ("a", "a")),
        ({"a", "b", "c"}, "", (None, None)),
    ],
)
def test_a_list_without_some(hidden, left, ends):
    told = json.loads(without(orjson.dumps(LIST), hidden))
    assert "".join(each["id"] for each in told["data"]) == left
    assert (told["first_id"], told["last_id"], told["has_more"]) == (*ends, True)


def test_other_members_keep_their_bytes():
    body = b'{"x": 1.500, "data": [{"id": "a", "y":1e2},{"id":"b"}]}'
    assert without(body, {"b"}) == b'{"x":1.500,"data":[{"id": "a", "y":1e2}]}'
