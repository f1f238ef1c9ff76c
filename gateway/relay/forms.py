"""In which form an answer is delivered: as its head says, and as its call was sent."""

from gateway.domain.catalog import Upstream
from gateway.relay.allowance import Allowance
from gateway.relay.answer import AnswerWriter
from gateway.relay.call import Call
from gateway.relay.delivery import Begun, Delivery, EventDelivery, Settle, WholeDelivery
from gateway.relay.headers import answer_lines, form_of
from gateway.relay.sent import Sent
from gateway.relay.translated import TranslatedEvents, TranslatedWhole, lines_of
from gateway.relay.upstream import Fields

_NO_ANSWER = 300


def delivery_of(
    call: Call,
    sent: Sent,
    writer: AnswerWriter,
    settle: Settle,
    *,
    status: int,
    headers: Fields,
    upstream: Upstream,
    secret: str,
    allowance: Allowance | None,
) -> Delivery | str:
    """The delivery of an answer that begins so, or what is wrong with it, as it goes on after "The upstream …".

    `secret` is the key that was sent; `allowance` is what a stream may do beyond its hold.
    """
    media_type, encoding = form_of(headers)
    answers = status < _NO_ANSWER
    streams = answers and media_type == b"text/event-stream" and not encoding
    most_bytes, hides = upstream.max_line_bytes, sent.hide_usage
    translation = sent.translation
    if answers and media_type == b"text/html" and call.route.metering == "usage":
        return "answered with a web page"
    if translation is None:
        begun = Begun(call, writer, settle, status, answer_lines(headers), secret)
        if not streams:
            return WholeDelivery(begun, encoding=encoding)
        return EventDelivery(
            begun, hide_usage=hides, max_line_bytes=most_bytes, allowance=allowance
        )
    if encoding or (answers and streams != call.ask.stream):
        return (
            f"answered with {media_type.decode('latin-1')!r} where it was asked for something else"
        )
    told = lines_of(headers, translation, media_type if streams else b"application/json")
    begun = Begun(call, writer, settle, status, told, secret)
    if not streams:
        return TranslatedWhole(begun, translation)
    events = translation.events(most_bytes)
    return TranslatedEvents(
        begun, events, hide_usage=hides, max_line_bytes=most_bytes, allowance=allowance
    )
