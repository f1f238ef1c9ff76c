"""A call's record: its id, its instants, its line in the ledger's format."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.record import (
    AccessLog,
    RequestIds,
    instant_text,
    ledger_constant,
    log_constant,
    uuid_text,
)
from gateway.store.charges import copy_text

NOW = 1_800_000_000.123


def test_an_id_is_a_uuid_of_version_7_with_its_instant():
    made = RequestIds().next(NOW)
    read = uuid.UUID(made.decode())
    assert (len(made), read.version, read.variant) == (32, 7, uuid.RFC_4122)
    assert read.int >> 80 == int(NOW * 1000)
    assert uuid_text(made) == str(read)


def test_ids_are_unique_and_in_order_within_a_process():
    ids = RequestIds()
    made = [ids.next(NOW + n // 1000 / 1000) for n in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_processes_begin_at_different_places():
    assert len({RequestIds().next(NOW) for _ in range(1000)}) == 1000


def test_the_counter_carries_over_version_and_variant_untouched():
    ids = RequestIds()
    ids._counter = (1 << 60) - 1  # the lower part is full: the next carries into the upper
    made = [uuid.UUID(ids.next(NOW).decode()) for _ in range(2)]
    ids._counter = (1 << 72) - 1  # all of it is full: it begins again
    made.append(uuid.UUID(ids.next(NOW).decode()))
    assert {(read.version, read.variant) for read in made} == {(7, uuid.RFC_4122)}
    assert made[0] < made[1]


@given(st.integers(0, 4_000_000_000_000))
def test_an_instant_is_utc_to_the_millisecond(milliseconds):
    text = instant_text(milliseconds / 1000).decode()
    read = datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f+00").replace(tzinfo=UTC)
    # A float of seconds may fall a millisecond short.
    assert abs(round(read.timestamp() * 1000) - milliseconds) <= 1


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def uncopied(data: bytes) -> str:
    """What COPY reads: https://www.postgresql.org/docs/current/sql-copy.html (text format)."""
    escapes = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
    out, characters = [], iter(data.decode())
    for character in characters:
        escaped = next(characters) if character == "\\" else None
        out.append(character if escaped is None else escapes.get(escaped, escaped))
    return "".join(out)


@given(texts)
def test_a_text_in_the_ledgers_line_is_read_back_as_it_was(text):
    data = copy_text(text)
    assert not set(data) & set(b"\t\n\r\0")
    assert uncopied(data) == text.replace("\0", "\ufffd")


def test_text_that_is_no_unicode_is_stored_all_the_same():
    assert copy_text("a\udcffb") == b"a?b"


def test_a_text_that_looks_like_null_or_the_end_is_text():
    assert copy_text("\\N") == b"\\\\N"
    assert copy_text("\\.") == b"\\\\."


@given(texts)
def test_a_models_name_cannot_leave_its_field(model):
    assert ledger_constant(1, 2, 3, 4, model).count(b"\t") == 4
    line = orjson.loads(b"{" + log_constant(1, 2, 3, "g", model) + b"}")
    assert line == {"account": 1, "token": 2, "user": 3, "group": "g", "model": model}


def test_the_log_is_appended_and_flushed_at_its_end(tmp_path):
    path = tmp_path / "calls.log"
    path.write_bytes(b"before\n")
    log = AccessLog(str(path))
    log.add(b"one\n")
    assert path.read_bytes() == b"before\n"
    log.flush()
    log.add(b"two\n")
    log.close()
    assert path.read_bytes() == b"before\none\ntwo\n"


def test_a_log_that_cannot_be_written_loses_lines_and_no_call():
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    log = AccessLog("/dev/full")
    log.add(b"one\n")
    log.add(b"two\n")
    log.flush()
    assert log.dropped == 2
    log.close()
