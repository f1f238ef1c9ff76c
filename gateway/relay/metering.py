"""What a whole answer cost: as its usage says, or else as it is estimated."""

import zlib

from gateway.domain.dialects.meter import BadAnswer, BadUsage
from gateway.domain.passages import Metering
from gateway.domain.usage import NOTHING, ONE_CALL, Usage
from gateway.relay.call import Call, Outcome
from gateway.relay.sse import EventObserver, is_json

_BYTES_PER_TOKEN = 4  # of an estimate: English text has about as many
_TOKENS_PER_IMAGE = (
    1024  # likewise: https://platform.openai.com/docs/guides/images-vision#calculating-costs
)
# What is packed denser than any answer is no answer.
_MOST_UNPACKED_BYTES = 8 * 1024 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def estimate(call: Call, status: int, output_tokens: int, anomaly: str) -> Outcome:
    """What a call is charged where the provider's own figure is missing."""
    if call.route.metering != "usage":
        return unmetered(call, status, anomaly)
    inputs = tokens_of(call.ask.size_bytes) + call.ask.images * _TOKENS_PER_IMAGE
    usage = Usage(inputs, output_tokens)
    return Outcome(status, usage, estimated=True, anomaly=anomaly)


def unmetered(call: Call, status: int, anomaly: str | None = None) -> Outcome:
    """What a call is charged whose tokens are not counted: its price, or nothing."""
    rule = call.route.rule
    if anomaly is None and rule is not None and rule.metering is Metering.UNCAPPED:
        anomaly = "unmetered"
    return Outcome(status, NOTHING if call.route.metering == "free" else ONE_CALL, anomaly=anomaly)


def tokens_of(size_bytes: int) -> int:
    """How many tokens so much text is taken for."""
    return -(-size_bytes // _BYTES_PER_TOKEN)


def metered(call: Call, status: int, answer: bytes, size_bytes: int) -> Outcome:
    """The usage in an answer of `size_bytes`, or an estimate that says what was wrong with it."""
    route = call.route
    if route.metering != "usage":
        return unmetered(call, status)
    try:
        usage = route.meter().whole(answer)
        anomaly = "no_usage"
    except BadUsage:
        usage = None
        anomaly = "bad_usage"
    if usage is not None:
        return Outcome(status, usage)
    return estimate(call, status, tokens_of(size_bytes), anomaly)


def metered_packed(call: Call, status: int, answer: bytes, encoding: bytes) -> Outcome:
    """The same of an answer that came encoded although we asked for none, events or not."""
    plain = _unpacked(answer, encoding)
    if plain is None:
        return metered(call, status, answer, len(answer))
    if not plain.startswith((b"data:", b"event:", b"id:", b":")):
        return metered(call, status, plain, len(plain))
    route = call.route
    observer = EventObserver(
        route.terminators, route.text_members, meter=route.meter(), hide_usage=False
    )
    try:
        observer.feed(plain)
        observer.rest()
    except BadAnswer:
        return estimate(call, status, observer.output_tokens, "bad_usage")
    if observer.usage is not None:
        return Outcome(status, observer.usage)
    return estimate(call, status, observer.output_tokens, "no_usage")


def is_broken(answer: bytes) -> bool:
    """Whether an answer is nothing, or JSON that was cut."""
    text = answer.strip()
    return not text or (text.startswith((b"{", b"[")) and not is_json(text))


def _unpacked(body: bytes, encoding: bytes) -> bytes | None:
    """The plain body; None where the standard library cannot tell it, or it is cut or absurdly large."""
    if encoding not in {b"gzip", b"x-gzip", b"deflate"}:
        return None
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = unpacking.decompress(body, _MOST_UNPACKED_BYTES)
    except zlib.error:
        return None
    return plain if unpacking.eof else None
