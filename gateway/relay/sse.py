"""Server-sent events, observed: bytes pass as they are, whole events only. Pure.

Holding back the start of an unfinished event costs nothing where events arrive whole, and lets a cut stream end in a
clean error event. Event streams: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from gateway.domain.usage import Usage
from gateway.relay.dialects import BadUsage, read_event_usage

MAX_EVENT_BYTES = 8 * 1024 * 1024


class EventTooLong(Exception):
    """An event grew beyond `MAX_EVENT_BYTES` without an end."""


class EventObserver:
    """Finds usage, counts events and hides the usage event that the caller did not ask for.

    `usage` is the last believable one; `bad_usage` says that one could not be believed. `ended` is whether the
    dialect's own terminator was seen.
    """

    __slots__ = ("_held", "_hide_usage", "_terminators", "bad_usage", "ended", "events", "usage")

    def __init__(self, terminators: tuple[bytes, ...], *, hide_usage: bool) -> None:
        self._terminators = terminators
        self._hide_usage = hide_usage
        self._held = b""
        self.usage: Usage | None = None
        self.bad_usage = False
        self.events = 0
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The bytes that may be passed on now."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not data.endswith(b"\n\n"):
            end = max(data.rfind(b"\n\n") + 2, data.rfind(b"\n\r\n") + 3)
            if end < 3:  # noqa: PLR2004 -- neither was found
                end = 0
            if end != len(data):
                if len(data) - end > MAX_EVENT_BYTES:
                    raise EventTooLong
                self._held = data[end:]
                data = data[:end]
                if not data:
                    return b""
        self.events += data.count(b"data:")
        # Nulls stand in every event of some providers; an object is worth a look.
        if b'"usage":{' in data or b'"usage": {' in data:
            data = self._note_usage(data)
        if not self.ended:
            for terminator in self._terminators:
                if terminator in data:
                    self.ended = True
                    break
        return data

    def rest(self) -> bytes:
        """What was held back when the upstream ended in good order: an event without its blank line."""
        held, self._held = self._held, b""
        if held and b'"usage"' in held:
            held = self._note_usage(held)
        return held

    def _note_usage(self, data: bytes) -> bytes:
        """Read the events that carry usage, and leave out what is to be hidden."""
        kept, start = [], 0
        while start < len(data):
            end = _event_end(data, start)
            event = data[start:end]
            start = end
            if b'"usage"' in event and self._is_hidden(event):
                continue
            kept.append(event)
        return b"".join(kept)

    def _is_hidden(self, event: bytes) -> bool:
        payload = b"\n".join(
            line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")
        )
        try:
            usage, alone = read_event_usage(payload)
        except BadUsage:
            self.bad_usage = True
            return False
        if usage is None:
            return False
        self.usage = usage
        return alone and self._hide_usage


def _event_end(data: bytes, start: int) -> int:
    ends = [
        at + len(blank) for blank in (b"\n\n", b"\n\r\n") if (at := data.find(blank, start)) >= 0
    ]
    return min(ends, default=len(data))
