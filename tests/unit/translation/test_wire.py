"""Streams, cut into events as the standard reads them, however their bytes come.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.wire import EventCutter

EVENTS = [
    (b"data: {}\n\n", [(b"", b"{}")]),
    (b"data:{}\n\n", [(b"", b"{}")]),
    (b"event: ping\ndata: {}\n\n", [(b"ping", b"{}")]),
    (b"data: {}\nevent: ping\n\n", [(b"ping", b"{}")]),
    (b"event: ping\r\ndata: {}\r\n\r\n", [(b"ping", b"{}")]),
    (b"event: ping\rdata: {}\r\r", [(b"ping", b"{}")]),
    (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
    (b"data:  a\n\n", [(b"", b" a")]),
    (b": still here\n\n", []),
    (b": still here\ndata: {}\n\n", [(b"", b"{}")]),
    (b"event: ping\n\n", []),
    (b"id: 7\nretry: 10\ndata: {}\n\n", [(b"", b"{}")]),
    (b"\xef\xbb\xbfdata: {}\n\n", [(b"", b"{}")]),
    (b"data: a\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
    (b"data: a\r\ndata: b\n\n", [(b"", b"a\nb")]),
]


@pytest.mark.parametrize(("stream", "events"), EVENTS)
def test_an_event_is_its_name_and_its_data(stream, events):
    assert EventCutter(1000).feed(stream) == events


@given(st.lists(st.sampled_from(EVENTS[:7] + EVENTS[8:12]), min_size=1), st.data())
def test_it_does_not_matter_how_the_bytes_come(parts, data):
    stream = b"".join(part for part, _ in parts)
    expected = [event for _, events in parts for event in events]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    cutter = EventCutter(1000)
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += cutter.feed(stream[start:end])
    assert found + cutter.rest() == expected


def test_the_last_event_may_lack_its_blank_line():
    cutter = EventCutter(1000)
    assert cutter.feed(b"data: a\n\ndata: b") == [(b"", b"a")]
    assert cutter.rest() == [(b"", b"b")]
    assert cutter.rest() == []


def test_an_event_without_an_end_is_a_bad_answer():
    cutter = EventCutter(10)
    assert cutter.feed(b"data: abc") == []
    with pytest.raises(BadAnswer, match="endless"):
        cutter.feed(b"defghi")
