"""Anthropic's answers: where they say what was used, and how a stream is ended early. Pure.

Its input leaves out what was read from the cache or written to it; `Usage` counts all of it as input:
https://docs.claude.com/en/docs/build-with-claude/prompt-caching#tracking-cache-performance
Streams: https://docs.claude.com/en/docs/build-with-claude/streaming
"""

import re
from typing import ClassVar

import msgspec
import orjson

from gateway.domain.dialects.meter import BadUsage, believed, decoded
from gateway.domain.usage import Usage


class _Details(msgspec.Struct):
    """Parts of the input or output. All but the thoughts are ours: what translated answers tell beside them."""

    thinking_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


_NONE = _Details()


class _Written(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    cache_creation: _Written | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Answer(msgspec.Struct):
    type: str = ""
    usage: _Usage | None = None
    message: _Message | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class MessagesMeter:
    """A stream tells its input at its beginning, and the rest, cumulated, before its end."""

    __slots__ = ("_counts", "so_far", "usage")
    member: ClassVar[bytes] = b'"usage"'

    def __init__(self) -> None:
        self._counts = _Usage()
        self.usage: Usage | None = None
        self.so_far: Usage | None = None

    def whole(self, payload: bytes) -> Usage | None:
        """The usage in a whole answer; None where there is none. Raises `BadUsage`."""
        found = decoded(_decode, payload).usage
        return None if found is None else _usage(found)

    def event(self, payload: bytes) -> bool:
        """Read an event of a stream; none carries nothing but usage. Raises `BadUsage`."""
        answer = decoded(_decode, payload)
        found = answer.usage if answer.message is None else answer.message.usage
        if found is None:
            return False
        counts = self._counts
        merged = _Usage(
            *(
                getattr(counts if getattr(found, name) is None else found, name)
                for name in _Usage.__struct_fields__
            )
        )
        usage = _usage(merged)
        self._counts = merged
        if answer.type == "message_start":
            self.so_far = usage
        else:
            self.usage = usage
        return False


def _usage(found: _Usage) -> Usage:
    if found.input_tokens is None or found.output_tokens is None:
        raise BadUsage("usage lacks a count of input or output")
    cached = found.cache_read_input_tokens or 0
    written = found.cache_creation_input_tokens or 0
    if min(found.input_tokens, cached, written) < 0:
        raise BadUsage(f"counts out of range: {found}")
    inputs = found.input_tokens + cached + written
    into = found.input_tokens_details or _NONE
    out = found.output_tokens_details or _NONE
    # https://docs.claude.com/en/docs/build-with-claude/prompt-caching#1-hour-cache-duration
    long = None if found.cache_creation is None else found.cache_creation.ephemeral_1h_input_tokens
    usage = Usage(
        inputs,
        found.output_tokens,
        cached,
        written,
        out.thinking_tokens or 0,
        into.audio_tokens or 0,
        into.image_tokens or 0,
        out.audio_tokens,
        out.image_tokens,
        out.rejected_prediction_tokens or 0,
        long,
    )
    return believed(usage)


# Events begin so, as the provider and its kin write them; text inside a string has its quotes escaped. A number of more
# digits is no block's, and could not be written.
_BLOCKS = re.compile(
    rb'"type"\s*:\s*"content_block_(?:(start)|stop)"\s*,\s*"index"\s*:\s*(\d{1,9})(?!\d)'
    rb'|"index"\s*:\s*(\d{1,9})\s*,[^{}]*"type"\s*:\s*"content_block_(?:(start)|stop)"'
)


class MessagesEnding:
    """Ends a stream of a message before its time: as one that has reached its maximum."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: int | None = None

    def passed(self, data: bytes) -> None:
        """Remember which block is open."""
        if b"content_block_st" not in data:
            return
        for found in _BLOCKS.finditer(data):
            starts = found[1] or found[4]
            self._open = int(found[2] or found[3]) if starts else None

    def events(self, choices: int, usage: Usage | None) -> bytes:  # noqa: ARG002 -- there is one
        """The last events."""
        events: list[dict[str, object]] = []
        if self._open is not None:
            events.append({"type": "content_block_stop", "index": self._open})
        counts = {} if usage is None else {"output_tokens": usage.output_tokens}
        delta = {"stop_reason": "max_tokens", "stop_sequence": None}
        events += [
            {"type": "message_delta", "delta": delta, "usage": counts},
            {"type": "message_stop"},
        ]
        return b"".join(
            b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), orjson.dumps(event))
            for event in events
        )
