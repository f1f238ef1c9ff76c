"""What a body names of what is at the upstream: found wherever it stands, however it is written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ask import Invalid
from gateway.domain.references import is_reference, references


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"model":"m","input_file_id":"file-1"}', {"file-1"}),
        (
            b'{"tools":[{"type":"file_search","vector_store_ids":["vs_1", "vs_2"]}]}',
            {"vs_1", "vs_2"},
        ),
        (b'{"conversation":"conv_1"}', {"conv_1"}),
        (b'{"conversation":{"id":"conv_1"}}', {"conv_1"}),
        (b'{"training_file" : "file-1"}', {"file-1"}),
        (
            b'{"container":"c-1","thread":{"messages":[{"attachments":[{"file_id":"f-1"}]}]}}',
            {"c-1", "f-1"},
        ),
        (b'{"FileID":"file-1"}', {"file-1"}),
        # Readers take the first of two that are alike, or the last.
        (b'{"file_id":"mine","file_id":"theirs"}', {"mine", "theirs"}),
        (b'{"\\u0066ile\\u005fid":"file\\u002d1"}', {"file-1"}),
        (b'{"file_ids":["a\\\\","]\\"","file-1"]}', {"a\\", ']"', "file-1"}),
        # Nothing of these is an id.
        (b'{"file_id":null,"ids":[],"id":1,"file":{"data":"x"}}', set()),
        (b'{"text":"my \\"file_id\\": \\"file-1\\"","of":["file_id","file-1"]}', set()),
        (b'{"file_id":""}', set()),
    ],
)
def test_ids_are_found_under_names_that_say_so(body: bytes, found: set[str]):
    json.loads(body)
    assert set(references(body)) == found


_JSON = st.recursive(
    st.text(min_size=1, max_size=5) | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "file_id", "ids", "text"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def _named(value: object) -> set[str]:
    """The same by parsing it all."""
    if isinstance(value, list):
        return set().union(*map(_named, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(_named, value.values()))
    for name, each in value.items():
        if is_reference(name):
            found |= {each} if isinstance(each, str) else set()
            if isinstance(each, list) and all(isinstance(one, str) for one in each):
                found |= set(each)
    return found


@given(_JSON, st.booleans(), st.sampled_from([None, 1]))
def test_nothing_is_missed_in_any_body(value, ascii_only, indent):
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="surrogatepass")
    assert set(references(body)) >= {each for each in _named(value) if each.isprintable()}


@given(st.binary(max_size=200))
def test_any_bytes_can_be_searched(body: bytes):
    references(b'{"id":"' + body)


def test_a_body_that_names_no_end_of_objects_is_refused():
    with pytest.raises(Invalid, match="more than 20000 objects"):
        references(json.dumps([{"id": "x"}] * 20_001).encode())


def test_names_that_say_that_an_id_stands_there():
    assert all(map(is_reference, ("id", "file_id", "File_IDs", "training_file", "conversation")))
    assert not any(map(is_reference, ("model", "identity", "filename", "ideas")))
