"""What every dialect's meter has in common: how usage is asked of it, and what of it is believed. Pure."""

from typing import Any, ClassVar, Protocol

import msgspec

from gateway.domain.usage import Usage

_LARGEST_COUNT = 2**31


class BadUsage(Exception):
    """The upstream's usage is no usage: wrong types, negative, or absurdly large."""


class BadAnswer(Exception):
    """The upstream's answer is none: cut, broken or endless, though its framing is in order.

    `problem` goes on after "The upstream …"; `before` is what may be passed on of what came with it.
    """

    def __init__(self, problem: str, before: bytes = b"") -> None:
        super().__init__(problem)
        self.problem = problem
        self.before = before


class Meter(Protocol):
    """Reads the usage of one answer. `member` is how its member stands in an answer, quotes included.

    `usage` is what the answer has cost in all, once an event has told it; `so_far` the latest count before that, of
    dialects that tell one.
    """

    member: ClassVar[bytes]
    usage: Usage | None
    so_far: Usage | None

    def whole(self, payload: bytes) -> Usage | None:
        """The usage in a whole answer; None where there is none. Raises `BadUsage`."""
        ...

    def event(self, payload: bytes) -> bool:
        """Read an event of a stream; whether it carries nothing but usage. Raises `BadUsage`."""
        ...


def decoded(decode: Any, payload: bytes) -> Any:
    """What a decoder of msgspec makes of a payload. Raises `BadUsage`."""
    try:
        return decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadUsage(str(error)) from None


def believed(usage: Usage, total: int = 0, accepted: int = 0) -> Usage:
    """The usage, unless a count is out of range or parts are more than their whole. Raises `BadUsage`.

    `total` and `accepted` (tokens of a prediction) are counts beside it.
    """
    inputs, outputs, cached, written, reasoning, audio, images, spoken, drawn, rejected, long = (
        usage
    )
    spoken, drawn, long = spoken or 0, drawn or 0, long or 0
    parts = (cached, written, reasoning, audio, images, spoken, drawn, rejected, accepted, long)
    if inputs < 0 or outputs < 0 or max(inputs, outputs, total) >= _LARGEST_COUNT:
        raise BadUsage(f"counts out of range: {usage}")
    if not any(parts):
        return usage
    if min(parts) < 0:
        raise BadUsage(f"counts out of range: {usage}")
    if (
        cached + written > inputs
        or long > written
        or audio + images > inputs
        or reasoning + spoken + drawn > outputs
        or rejected + accepted > outputs
    ):
        raise BadUsage(f"parts are more than their whole: {usage}")
    return usage
