"""Server-sent events, observed: bytes pass as they are, whole events only. Pure.

Holding back the start of an unfinished event costs nothing where events arrive whole, and lets a cut stream end in a
clean error event. Event streams: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import re
from collections.abc import Callable, Iterator

import orjson

from gateway.domain.catalog import Dialect
from gateway.domain.dialects.meter import BadAnswer, BadUsage, Meter
from gateway.domain.usage import Usage

MAX_EVENT_BYTES = 8 * 1024 * 1024

HEARTBEATS: dict[Dialect, bytes] = {
    "openai": b": keep-alive\n\n",
    "anthropic": b": keep-alive\n\n",
    # Google's own SDK takes every line that is neither empty nor data for JSON:
    # https://github.com/googleapis/python-genai/blob/main/google/genai/_api_client.py
    "gemini": b"\r\n",
}
"""What stands between two events of a silent stream and means nothing to those who read it."""

# An event with more text than this carries several tokens. English text has about four bytes a token.
_MOST_BYTES_OF_A_TOKEN = 16
_BYTES_PER_TOKEN = 4

_BLANK_LINES = (b"\n\n", b"\n\r\n")
_DONE = (b"\ndata: [DONE]\n\n", b"\ndata:[DONE]\n\n", b"\ndata: [DONE]\r\n\r\n")
# Carriage returns alone end lines, too. Nobody is known to write so: such streams take the longer way.
_ALL_BLANK_LINES = (*_BLANK_LINES, b"\r\r")
_END_OF_EVENT = re.compile(rb"\n\r?\n|\r\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Nulls stand in every event of some providers; an object is worth a look.
_OBJECT = re.compile(rb"\s*:\s*\{")


def first_data(events: bytes) -> bytes:
    """The data of the first event among these that has any."""
    for line in events.splitlines():
        if line.startswith(b"data:"):
            return line[5:]
    return b""


class EventCounts:
    """How much output events are taken for."""

    __slots__ = ("events", "text_bytes")

    def __init__(self, events: int = 0, text_bytes: int = 0) -> None:
        self.events = events
        self.text_bytes = text_bytes

    @property
    def output_tokens(self) -> int:
        """A token each, or as many as their text has where they carry several."""
        if self.text_bytes <= self.events * _MOST_BYTES_OF_A_TOKEN:
            return self.events
        return -(-self.text_bytes // _BYTES_PER_TOKEN)


class EventObserver(EventCounts):
    """Finds usage, meters text and hides the usage event that the caller did not ask for.

    `terminators` are how the lines begin that end a whole stream; from there on everything waits for the usage;
    `text_members` are how the members end whose text is output. `bad_usage` says that a usage could not be believed.
    `ended`: a terminator was seen. A line without an end may grow to `max_line_bytes`.
    """

    __slots__ = (
        "_held",
        "_hide_usage",
        "_last",
        "_lines",
        "_lines_behind_returns",
        "_max_line_bytes",
        "_meter",
        "_terminators",
        "_text_members",
        "bad_usage",
        "ended",
    )

    def __init__(
        self,
        terminators: tuple[bytes, ...],
        text_members: tuple[bytes, ...] = (),
        *,
        meter: Meter,
        hide_usage: bool,
        max_line_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._meter = meter
        self._max_line_bytes = max_line_bytes
        self._terminators = terminators
        # At the start of a line only: the text of an answer may hold the same words.
        self._lines = [b"\n" + terminator for terminator in terminators]
        self._lines_behind_returns = [b"\r" + terminator for terminator in terminators]
        self._text_members = text_members
        self._hide_usage = hide_usage
        self._held = bytearray()
        self._last = b""
        super().__init__()
        self.bad_usage = False
        self.ended = False

    @property
    def usage(self) -> Usage | None:
        """What the answer has cost in all, once that is told."""
        return self._meter.usage

    @property
    def so_far(self) -> Usage | None:
        """What was told before that, of dialects that do."""
        return self._meter.so_far

    @property
    def is_whole(self) -> bool:
        """Whether an upstream that ends here has sent all: as its dialect's terminator says, or else its last usage."""
        if self._terminators:
            return self.ended
        return self.usage is not None or self.so_far is None

    def feed(self, data: bytes) -> bytes:
        """The bytes that may be passed on now. Raises `BadAnswer` at what is endless, and at broken JSON."""
        if self._held or not data.endswith(_BLANK_LINES):
            data = self._hold_back(data)
            if not data:
                return b""
        events = data.count(b"data:")
        # Cheap before exact: events whose last line is JSON, all but the end, are nearly all that there is.
        whole = events - data.endswith(_DONE)
        if whole != data.count(b"}\n\n") and whole != data.count(b"}\r\n\r\n"):
            self._refuse_broken(data)
        self.events += events
        self.text_bytes += self._text_in(data)
        data = self._without_hidden(data)
        end = 0 if self.ended else self._terminator_in(data)
        if end < 0:
            return data
        self.ended = True
        data, self._last = self._last + data, b""
        if self.usage is None:
            data, self._last = data[:end], data[end:]
        return data

    def rest(self) -> bytes:
        """What was held back when the upstream ended in good order: the end, an event without its blank line."""
        held = bytes(self._held)
        self._held.clear()
        self.ended = self.ended or self._terminator_in(held) >= 0
        last, self._last = self._last, b""
        return last + self._without_hidden(held)

    def beginning(
        self, data: bytes, passed: EventCounts, covers: Callable[[EventCounts], bool]
    ) -> bytes:
        """As many of the events in `data` as are covered behind those that were `passed`, and none of the end's."""
        counts = EventCounts(passed.events, passed.text_bytes)
        end = 0
        for event in _events(data):
            counts.events += event.count(b"data:")
            counts.text_bytes += self._text_in(event)
            if self._terminator_in(event) >= 0 or not covers(counts):
                break
            end += len(event)
        return data[:end]

    def _text_in(self, data: bytes) -> int:
        """The bytes of output text. Cheap before exact: an escaped quote ends a text early."""
        size = 0
        for member in self._text_members:
            at = data.find(member)
            while at >= 0:
                start = data.find(b'"', at + len(member)) + 1
                end = data.find(b'"', start) if start else -1
                if end < 0:
                    break
                size += end - start
                at = data.find(member, end)
        return size

    def _terminator_in(self, data: bytes) -> int:
        """Where the first line of the end begins; -1 where there is none."""
        if data.startswith(self._terminators):
            return 0
        first = -1
        lines = self._lines if b"\r" not in data else self._lines + self._lines_behind_returns
        for line in lines:
            place = data.find(line) + 1
            if place and (first < 0 or place < first):
                first = place
        return first

    def _hold_back(self, data: bytes) -> bytes:
        """The whole events among what is held and `data`; the rest is held."""
        held = self._held
        seen = max(len(held) - 2, 0)  # a blank line may have come in halves
        held += data
        end = max(
            at + len(blank) if (at := held.rfind(blank, seen)) >= 0 else 0
            for blank in _ALL_BLANK_LINES
        )
        whole = bytes(held[:end])
        del held[:end]
        if len(held) > self._max_line_bytes:
            self._refuse_endless(held)
        return whole

    def _refuse_endless(self, held: bytearray) -> None:
        last_line = len(held) - 1 - max(held.rfind(b"\n"), held.rfind(b"\r"))
        if last_line > self._max_line_bytes:
            raise BadAnswer("sent an endless line")
        if len(held) > MAX_EVENT_BYTES:
            raise BadAnswer("sent an endless event")

    def _refuse_broken(self, data: bytes) -> None:
        """Stop before an event that would be JSON and is none. Other text is not ours to judge."""
        start = 0
        for event in _events(data):
            payload = _payload(event)
            if payload.startswith(b"{") and not is_json(payload):
                self._held.clear()
                before = data[:start]
                raise BadAnswer("sent a malformed event", self.feed(before) if before else b"")
            start += len(event)

    def _without_hidden(self, data: bytes) -> bytes:
        """Read the events that carry usage, and leave out what is to be hidden."""
        member = self._meter.member
        if member not in data or not self._has_usage(data):
            return data
        if b"\r" in data:
            events = _events(data)
            return b"".join([e for e in events if member not in e or not self._is_hidden(e)])
        # The same where all lines end alike: only the events around the member are looked for.
        kept, start, at = b"", 0, data.find(member)
        while at >= 0:
            blank = data.rfind(b"\n\n", start, at)
            begin = start if blank < 0 else blank + 2
            blank = data.find(b"\n\n", at)
            end = len(data) if blank < 0 else blank + 2
            if self._is_hidden(data[begin:end]):
                kept += data[start:begin]
                start = end
            at = data.find(member, end)
        return kept + data[start:]

    def _has_usage(self, data: bytes) -> bool:
        member = self._meter.member
        if data.count(member) == data.count(member + b":null"):
            return False
        at = data.find(member)
        while at >= 0:
            if _OBJECT.match(data, at + len(member)):
                return True
            at = data.find(member, at + len(member))
        return False

    def _is_hidden(self, event: bytes) -> bool:
        """Read an event that may tell usage; whether the caller is not to see it."""
        payload = _payload(event)
        if self._meter.member not in payload:
            return False  # a comment, or another field
        try:
            return self._meter.event(payload) and self._hide_usage
        except BadUsage:
            self.bad_usage = True
            return False


def is_json(text: bytes) -> bool:
    """Whether a text is JSON."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _events(data: bytes) -> Iterator[bytes]:
    """The events in `data`, each with its blank line; what is behind the last of these is the last."""
    start = 0
    while start < len(data):
        blank = _END_OF_EVENT.search(data, start)
        end = len(data) if blank is None else blank.end()
        yield data[start:end]
        start = end


def _payload(event: bytes) -> bytes:
    """An event's data."""
    lines = event.removeprefix(_BYTE_ORDER_MARK).splitlines()
    return b"\n".join([line[5:].strip() for line in lines if line.startswith(b"data:")])
