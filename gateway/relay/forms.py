"""In which form an answer is delivered: as its head says, and as its call was sent."""

from gateway.domain.catalog import Upstream
from gateway.relay.allowance import Allowance
from gateway.relay.answer import AnswerWriter
from gateway.relay.call import Call
from gateway.relay.delivery import Delivery, EventDelivery, Settle, WholeDelivery
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
    translation = sent.translation
    if translation is not None and (encoding or (answers and streams != call.ask.stream)):
        return (
            f"answered with {media_type.decode('latin-1')!r} where it was asked for something else"
        )
    if streams:
        if translation is None:
            return EventDelivery(
                call,
                writer,
                settle,
                status=status,
                lines=answer_lines(headers),
                hide_usage=sent.hide_usage,
                max_line_bytes=upstream.max_line_bytes,
                allowance=allowance,
                secret=secret,
            )
        return TranslatedEvents(
            call,
            writer,
            settle,
            translation.events(upstream.max_line_bytes),
            status=status,
            lines=lines_of(headers, translation, media_type),
            hide_usage=sent.hide_usage,
            max_line_bytes=upstream.max_line_bytes,
            allowance=allowance,
            secret=secret,
        )
    if answers and media_type == b"text/html" and call.route.metering == "usage":
        return "answered with a web page"
    if translation is not None:
        return TranslatedWhole(
            call,
            writer,
            settle,
            translation,
            status=status,
            lines=lines_of(headers, translation, b"application/json"),
            secret=secret,
        )
    return WholeDelivery(
        call,
        writer,
        settle,
        status=status,
        lines=answer_lines(headers),
        encoding=encoding,
        secret=secret,
    )
