"""Calls that go to an upstream of another dialect, and the answers that come back: deliveries that translate first."""

import asyncio
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Final

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.errors import Reason, Refusal
from gateway.domain.translation.answers import FaultKind
from gateway.domain.translation.one_call import Events, Translation, asked_of
from gateway.relay.allowance import Allowance
from gateway.relay.call import Call, Outcome, Target
from gateway.relay.delivery import Begun, EventDelivery, WholeDelivery
from gateway.relay.envelopes import body_of, status_of
from gateway.relay.headers import answer_lines
from gateway.relay.metering import estimate
from gateway.relay.record import uuid_text

_MOST_BYTES = 33_554_432  # pictures come in answers; what is translated is there as a whole
_ERROR = 400
_FORMS: Final = "gateway.domain.translation.translators"
_NO_NAME: Final = re.compile(
    r"[^\x20-\x7e]"
)  # of what a line may hold: some names are the caller's
_REASONS: Final[dict[FaultKind, Reason]] = {
    "invalid_request": Reason.INVALID_REQUEST,
    "authentication": Reason.UPSTREAM_ERROR,
    "permission": Reason.UPSTREAM_ERROR,
    "not_found": Reason.MODEL_NOT_FOUND,
    "too_large": Reason.BODY_TOO_LARGE,
    "rate_limit": Reason.RATE_LIMIT_EXCEEDED,
    "overloaded": Reason.OVERLOADED,
    "timeout": Reason.UPSTREAM_TIMEOUT,
    "internal": Reason.UPSTREAM_ERROR,
}


async def load_forms() -> None:
    """Import what translates, once, while others go on: two megabytes that few workers need."""
    if _FORMS not in sys.modules:
        await asyncio.to_thread(import_module, _FORMS)


def translation_of(call: Call, target: Target) -> Translation:
    """The call as `target` has it, once the forms are loaded. Raises `Untranslatable`."""
    from gateway.domain.translation.translators import translate  # noqa: PLC0415 -- see load_forms

    return translate(
        asked_of(
            call.route,
            target.upstream,
            target.model,
            target.model_name,
            call.ask,
            call.body,
            max_output=call.hold.write_max_output,
            now=int(call.started_at),
        )
    )


def lines_of(
    headers: Iterable[tuple[bytes, bytes]], translation: Translation, media_type: bytes
) -> bytes:
    """The lines of an upstream's head that the caller may see, and what was left out of the call."""
    passed = answer_lines([field for field in headers if field[0] != b"content-type"])
    lines = b"content-type: %b\r\n%b" % (media_type, passed)
    if translation.dropped:
        names = _NO_NAME.sub("?", ", ".join(translation.dropped))
        lines += b"x-tollhouse-dropped: %b\r\n" % names.encode()
    return lines


class TranslatedWhole(WholeDelivery):
    """A whole answer in another dialect."""

    __slots__ = ("_translation",)

    def __init__(self, begun: Begun, translation: Translation) -> None:
        super().__init__(begun)
        self._translation = translation

    @property
    def too_large(self) -> bool:
        """Never: it is translated as a whole."""
        return False

    def feed(self, data: bytes) -> None:
        """Keep it. Raises `BadAnswer` for an endless one."""
        super().feed(data)
        if self._size_bytes > _MOST_BYTES:
            raise BadAnswer("sent an answer that is too large to be translated")

    def end(self) -> None:
        """Translate, then settle and pass on. Raises `BadAnswer`."""
        if self.status < _ERROR:
            body = self._translation.whole(self.body)
        else:
            fault = self._translation.fault(self.status, self.body)
            refusal = Refusal(_REASONS[fault.kind], fault.message, param=fault.param or None)
            self.status = status_of(refusal)
            body = body_of(refusal, self._call.dialect, uuid_text(self._call.request_id))
        self._pieces, self._size_bytes = [body], len(body)
        super().end()

    def outcome(self, status: int, anomaly: str | None = None) -> Outcome:
        """An answer that told no usage may have one now, of zeros, for its caller's dialect wants one."""
        if self.status < _ERROR and anomaly is None and not self._translation.is_counted:
            anomaly = "no_usage"
        return super().outcome(status, anomaly)


class TranslatedEvents(EventDelivery):
    """A stream of events in another dialect."""

    __slots__ = ("_events",)

    def __init__(
        self,
        begun: Begun,
        events: Events,
        *,
        hide_usage: bool,
        max_line_bytes: int,
        allowance: Allowance | None,
    ) -> None:
        super().__init__(
            begun, hide_usage=hide_usage, max_line_bytes=max_line_bytes, allowance=allowance
        )
        self._events = events

    def feed(self, data: bytes) -> None:
        """Translate, then pass on or keep. Raises `BadAnswer` and `Overrun`."""
        try:
            data = self._events.feed(data)
        except BadAnswer as bad:
            if bad.before:
                super().feed(bad.before)
            raise
        if data:
            super().feed(data)

    def end(self) -> None:
        """The same, with what the other dialect says by its end."""
        try:
            rest = self._events.end()
        except BadAnswer as bad:
            if bad.before:
                super().feed(bad.before)
            raise
        if rest:
            super().feed(rest)
        super().end()

    def outcome(self, status: int, anomaly: str | None = None) -> Outcome:
        """A stream that told no usage may have one now, of zeros, for its caller's dialect wants one."""
        if self._events.is_counted and self._observer.usage is not None:
            return super().outcome(status, anomaly)
        return estimate(self._call, status, self._observer.output_tokens, anomaly or "no_usage")
