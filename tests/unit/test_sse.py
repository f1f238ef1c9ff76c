"""Observed events: what goes out is what came in, less exactly the usage that is to be hidden."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.dialects.openai import OpenAIMeter
from gateway.domain.usage import Usage
from gateway.relay.sse import MAX_EVENT_BYTES, EventObserver

TERMINATORS = (b"data: [DONE]", b"data:[DONE]")
USAGE = b'{"prompt_tokens":3,"completion_tokens":4}'

line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
contents = st.one_of(
    st.sampled_from(
        [
            b'data: {"choices":[{"delta":{"content":"data: [DONE]"}}]}',
            b'data: {"choices":[{"delta":{}}],"usage":null}',
            b'data: {"choices":[{"delta":{}}],"usage":' + USAGE + b"}",
            b'data: {"choices":[],"prompt_filter_results":[]}',
            b'data: {"choices":[],"usage":{"prompt_tokens":-1}}',
            b'data: {"choices":[{"delta":{"content":"\\"usage\\": {"}}]}',
            b"data: not JSON",
            b"data:",
            b"event: message\ndata: {}",
            b": keep-alive",
            b"retry: 10",
        ]
    ),
    # What begins as JSON has to be JSON: that is another test's.
    st.binary(min_size=1, max_size=40)
    .map(lambda data: data.replace(b"\n", b"").replace(b"\r", b""))
    .filter(lambda data: not data.strip().startswith((b"{", b"[")))
    .map(lambda data: b"data: " + data),
)
hidden_usages = st.sampled_from(
    [
        b'data: {"choices":[],"usage":' + USAGE + b"}",
        b'data: {"id":"x", "choices": [], "usage" : ' + USAGE + b', "object":"chunk"}',
        b'id: 7\nevent: message\ndata: {"choices":[],"usage": ' + USAGE + b"}",
        b'data: {"choices":[],\ndata: "usage":' + USAGE + b"}",
    ]
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[tuple[bytes, bool]], list[int]]:
    """Events as (bytes, whether it is a usage event), and where the whole is cut into pieces."""
    end = draw(line_ends)
    events = []
    for _ in range(draw(st.integers(0, 8))):
        hidden = draw(st.integers(0, 4)) == 0
        text = draw(hidden_usages if hidden else contents)
        events.append((text.replace(b"\n", end) + end * 2, hidden))
    if draw(st.booleans()):
        events.append((b"data: [DONE]" + end * 2, False))
    size = sum(len(event) for event, _ in events)
    cuts = draw(st.lists(st.integers(0, size), max_size=30).map(sorted))
    return events, cuts


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *cuts, len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def observe(observer: EventObserver, parts: list[bytes]) -> list[bytes]:
    """What each part lets out, and last what was left."""
    return [*(observer.feed(part) for part in parts if part), observer.rest()]


@given(streams(), st.booleans())
def test_what_goes_out_is_what_came_in_less_the_hidden_usage(stream, hide):
    events, cuts = stream
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=hide)
    out = observe(observer, pieces(b"".join(event for event, _ in events), cuts))
    assert b"".join(out) == b"".join(event for event, hidden in events if not (hidden and hide))
    if any(hidden for _, hidden in events):
        assert observer.usage == Usage(3, 4)
    assert observer.ended == any(event.startswith(b"data: [DONE]") for event, _ in events)


@given(streams())
def test_only_whole_events_go_out_before_the_end(stream):
    events, cuts = stream
    data = b"".join(event for event, _ in events)
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=False)
    ends, position = set(), 0
    for event, _ in events:
        position += len(event)
        ends.add(position)
    sent = 0
    for part in pieces(data, cuts):
        sent += len(observer.feed(part)) if part else 0
        assert sent == 0 or sent in ends
    rest = len(observer.rest())
    assert sent + rest == len(data)
    assert rest == 0 or (observer.ended and observer.usage is None), "only the end waits"


def test_the_end_waits_for_the_usage_and_for_nothing_else():
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=True)
    assert observer.feed(b"data: 1\n\ndata: [DONE]\n\n") == b"data: 1\n\n"
    assert observer.feed(b": comment\n\n") == b""
    usage = b'data: {"choices":[],"usage":' + USAGE + b"}\n\n"
    assert observer.feed(usage) == b"data: [DONE]\n\n: comment\n\n"
    assert observer.feed(b": more\n\n") == b": more\n\n"
    assert observer.rest() == b""


def test_every_byte_by_itself():
    data = b'data: {"choices":[{}]}\r\n\r\ndata: {"choices":[],"usage":' + USAGE + b"}\r\n\r\n"
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=True)
    out = observe(observer, [data[n : n + 1] for n in range(len(data))])
    assert b"".join(out) == b'data: {"choices":[{}]}\r\n\r\n'
    assert observer.usage == Usage(3, 4)


def test_an_unfinished_event_waits_for_the_end():
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=True)
    assert observer.feed(b"data: one\n\ndata: two\n") == b"data: one\n\n"
    assert observer.rest() == b"data: two\n"
    assert observer.rest() == b""


def test_usage_in_an_unfinished_last_event_counts():
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=True)
    assert observer.feed(b'data: {"choices":[],"usage":' + USAGE + b"}") == b""
    assert observer.rest() == b""
    assert observer.usage == Usage(3, 4)


def test_the_last_usage_counts_and_an_unbelievable_one_is_noted():
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=False)
    for count in (1, 2):
        observer.feed(
            b'data: {"choices":[{}],"usage":{"prompt_tokens":1,"completion_tokens":%d}}\n\n' % count
        )
    assert observer.usage == Usage(1, 2)
    bad = b'data: {"choices":[],"usage":{"prompt_tokens":"many"}}\n\n'
    assert observer.feed(bad) == bad, "what is not understood is not hidden"
    assert (observer.usage, observer.bad_usage) == (Usage(1, 2), True)


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        (b"data: [DONE]\n\n", True),
        (b"data:[DONE]\n\n", True),
        (b"data: {}\n\ndata: [DONE]\r\n\r\n", True),
        (b'data: {"content":"data: [DONE]"}\n\n', False),
        (b"data: x data: [DONE]\n\n", False),
    ],
)
def test_a_terminator_stands_at_the_start_of_a_line(text, ended):
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=False)
    observer.feed(text)
    assert observer.ended == ended


def test_an_event_may_be_large_but_not_endless():
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=False)
    large = b"data: " + b"x" * (MAX_EVENT_BYTES - 6)
    assert observer.feed(large) == b""
    assert observer.feed(b"\n\n") == large + b"\n\n"
    observer.feed(large)
    with pytest.raises(BadAnswer):
        observer.feed(b"x")


def test_events_are_counted_whichever_way_they_come():
    text = b"data: 1\n\nevent: x\ndata:2\n\n: comment\n\ndata: [DONE]\n\n"
    for size in (1, 7, len(text)):
        observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=False)
        for start in range(0, len(text), size):
            observer.feed(text[start : start + size])
        assert observer.events == 3


def test_a_line_may_be_long_but_not_endless():
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=False, max_line_bytes=100)
    event = b"data: " + b"x" * 90 + b"\r\n"
    assert observer.feed(event * 3) == b""
    assert observer.feed(b"\r\n") == event * 3 + b"\r\n"
    assert observer.feed(b"data: " + b"x" * 94) == b""
    with pytest.raises(BadAnswer, match="endless line"):
        observer.feed(b"x")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_of_broken_json_is_refused_and_what_was_before_it_passes(end):
    good, broken = b'data: {"choices":[]}' + end * 2, b'data: {"id": "chatcmpl-' + end * 2
    for data in (good + broken, good + broken + good, good + broken + b"data: {"):
        observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=False)
        with pytest.raises(BadAnswer, match="malformed") as bad:
            observer.feed(data)
        assert bad.value.before == good
        assert observer.events == 1
        assert observer.rest() == b""


@pytest.mark.parametrize(
    "text",
    [
        b'data: {"content":"data: data: {"}\n\n',
        b'data: {"a":\ndata: 1\ndata: }\n\n',
        b"data: [DONE]\n\n",
        b"data: plain text\n\n",
        b"data:\n\n",
        b": a comment\n\n",
        b"id: 1\ndata: {}\nevent: x\n\n",
    ],
)
def test_what_only_looks_unusual_passes(text):
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=True)
    assert observer.feed(text) + observer.rest() == text


def test_a_byte_order_mark_hides_no_usage():
    observer = EventObserver((), meter=OpenAIMeter(), hide_usage=False)
    text = b'\xef\xbb\xbfdata: {"choices":[{}],"usage":' + USAGE + b"}\n\n"
    assert observer.feed(text) == text
    assert observer.usage == Usage(3, 4)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_a_stream_is_whole_with_its_terminator_however_that_ends(end):
    observer = EventObserver(TERMINATORS, meter=OpenAIMeter(), hide_usage=False)
    out = observer.feed(b"data: {}\n\n")
    assert not observer.is_whole
    out += observer.feed(b"data: [DONE]" + end) + observer.rest()
    assert observer.is_whole
    assert out == b"data: {}\n\ndata: [DONE]" + end
