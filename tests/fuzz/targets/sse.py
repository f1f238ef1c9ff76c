"""Event streams of every dialect, cut anywhere, against a slow reader of the standard."""

import re
from itertools import islice
from typing import Any

import orjson

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.routes import Route, find_route
from gateway.relay.sse import EventObserver
from tests.fuzz.target import Target

_PATHS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1beta/models/m:streamGenerateContent",
)
_LINE_END = re.compile(rb"\r\n|\n|\r")


def _route(path: str) -> Route:
    route = find_route("POST", path, str)
    assert isinstance(route, Route)
    return route


_ROUTES = tuple(map(_route, _PATHS))


def keeps(data: bytes) -> None:
    for route in _ROUTES:
        whole = _observed(route, data, len(data) or 1)
        for size in (1, 7, len(data) or 1):
            out, problem, *understood = _observed(route, data, size)
            # Of broken JSON only what looks broken is looked at closely, which depends on what comes with it.
            assert data.startswith(out) if problem else out == data
            assert problem or whole[1] or tuple(understood) == whole[2:], (
                "cut elsewhere, it is another"
            )
        _hides_usage_alone(route, data)


def _observed(route: Route, data: bytes, size: int, *, hide: bool = False) -> tuple[Any, ...]:
    """All that goes out, what stopped it, and what was understood, of a stream that comes in pieces of a size."""
    observer = EventObserver(
        route.terminators, route.text_members, meter=route.meter(), hide_usage=hide
    )
    out = b""
    try:
        for start in range(0, len(data), size):
            out += observer.feed(data[start : start + size])
        out += observer.rest()
    except BadAnswer as error:
        return out + error.before, error.problem
    assert observer.output_tokens <= max(observer.events, len(data))
    return out, "", observer.usage, observer.events, observer.ended


def _hides_usage_alone(route: Route, data: bytes) -> None:
    out, problem, *_ = _observed(route, data, len(data) or 1, hide=True)
    assert isinstance(out, bytes)
    if problem:
        return
    shown = iter(_standard_events(out))
    follows = next(shown, None)
    for event in _standard_events(data):
        if event == follows:
            follows = next(shown, None)
            continue
        answer = orjson.loads(event)
        assert answer["choices"] == []
        assert answer["usage"] or answer["response"]["usage"], "what is left out tells usage"
    assert [follows, *islice(shown, 1)] == [None], "nothing is told that did not come"


def _standard_events(stream: bytes) -> list[bytes]:
    """The data of each event, as https://html.spec.whatwg.org/multipage/server-sent-events.html reads it.

    An event that the stream's end cuts off counts, for it is passed on, too.
    """
    events: list[bytes] = []
    data: list[bytes] = []
    for line in [*_LINE_END.split(stream.removeprefix(b"\xef\xbb\xbf")), b""]:
        if not line:
            events += [b"\n".join(data)] if data else []
            data = []
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
    return events


TARGET = Target(
    "sse",
    keeps,
    (
        *(b"\n", b"\r\n", b"\r", b"\n\n", b"\r\r", b"\r\n\r\n", b"data:", b"data: ", b": ping\n\n"),
        *(
            b"data: [DONE]\n\n",
            b"event: message_stop\n",
            b"event: response.completed\n",
            b"id: 1\n",
        ),
        *(b'"usage":null', b'"usage": {', b'"usageMetadata":{', b'"choices":[]', b'"type":"'),
        *(b"{", b"}", b"[", b"]", b'"', b"\\", b"\xef\xbb\xbf", b"\0", b"\xff", b"retry: 1\n"),
        *(b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n', b":"),
    ),
)
