"""An upstream's stream, cut into events. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import re
from typing import Final

from gateway.domain.dialects.meter import BadAnswer

_END_OF_EVENT: Final = re.compile(rb"\r\n\r\n|\n\r?\n|\r\r")
_END_OF_LINE: Final = re.compile(rb"\r\n|\n|\r")
_MOST_LINES: Final = 3  # a name, data, and nothing
_LONGEST_END: Final = 3  # bytes of one that is not whole
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class EventCutter:
    """Keeps what is no whole event yet, up to `most_bytes`; what was looked through is not looked through again."""

    __slots__ = ("_held", "_is_first", "_most_bytes")

    def __init__(self, most_bytes: int) -> None:
        self._held = bytearray()
        self._most_bytes = most_bytes
        self._is_first = True

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The events that are whole now, each as its name and data; one without data is none. Raises `BadAnswer`."""
        held = self._held
        if not held and data.endswith(b"\n\n") and data.count(b"\n") <= _MOST_LINES:
            # One event alone, as they nearly always come.
            event = _plain(data[:-2])
            if event is not None:
                self._is_first = False
                return [event]
        if self._is_first and data:
            self._is_first = False
            data = data.removeprefix(_BYTE_ORDER_MARK)
        events = []
        at = max(len(held) - _LONGEST_END, 0)  # an end may have come in halves
        begin = 0
        held += data
        while (found := _END_OF_EVENT.search(held, at)) is not None:
            event = _event(bytes(held[begin : found.start()]))
            begin = at = found.end()
            if event is not None:
                events.append(event)
        del held[:begin]
        if len(held) > self._most_bytes:
            raise BadAnswer("sent an endless event")
        return events

    def rest(self) -> list[tuple[bytes, bytes]]:
        """The event that the stream ended in: some send no blank line behind the last."""
        event, self._held = _event(bytes(self._held)), bytearray()
        return [] if event is None else [event]


def _plain(text: bytes) -> tuple[bytes, bytes] | None:
    """An event as nearly all are written: one line of data, or a name before it. None of any other."""
    if text.startswith(b"data: "):
        return None if b"\n" in text or b"\r" in text else (b"", text[6:])
    name, _, data = text.partition(b"\n")
    if name.startswith(b"event: ") and data.startswith(b"data: "):
        return None if b"\n" in data or b"\r" in text else (name[7:], data[6:])
    return None


def _event(text: bytes) -> tuple[bytes, bytes] | None:
    plain = _plain(text)
    if plain is not None:
        return plain
    name, data = b"", []
    for line in _END_OF_LINE.split(text):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return (name, b"\n".join(data)) if data else None
