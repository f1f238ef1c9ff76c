"""OpenAI's answers: where they say what was used, and how a stream is ended early. Pure.

It counts cached tokens inside the input and reasoning inside the output, as `Usage` does:
https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage
"""

from typing import ClassVar

import msgspec
import orjson

from gateway.domain.dialects.meter import BadUsage, believed, decoded
from gateway.domain.usage import Usage


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None  # ours: what a translated answer tells beside it
    audio_tokens: int | None = None
    image_tokens: int | None = None
    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Inner(msgspec.Struct):
    usage: _Usage | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None
    response: _Inner | None = None  # events of the Responses API wrap the answer
    choices: list[msgspec.Raw] | None = None


_NONE = _Details()
_decode = msgspec.json.Decoder(_Answer).decode


class OpenAIMeter:
    """Usage comes once, in the last event or beside each; the last one counts."""

    __slots__ = ("so_far", "usage")
    member: ClassVar[bytes] = b'"usage"'

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.so_far: Usage | None = None

    def whole(self, payload: bytes) -> Usage | None:
        """The usage in a whole answer; None where there is none. Raises `BadUsage`."""
        return _usage(decoded(_decode, payload))

    def event(self, payload: bytes) -> bool:
        """Read an event of a stream; whether it carries nothing but usage. Raises `BadUsage`."""
        answer = decoded(_decode, payload)
        usage = _usage(answer)
        if usage is None:
            return False
        self.usage = usage
        return bool(answer.choices == [])


class RerankMeter(OpenAIMeter):
    """Nothing is written for a ranking: all that it counts is input. https://docs.jina.ai (`/v1/rerank`)."""

    __slots__ = ()

    def whole(self, payload: bytes) -> Usage | None:
        """The usage in a whole answer; None where there is none. Raises `BadUsage`."""
        found = decoded(_decode, payload).usage
        if found is None or found.total_tokens is None:
            return None
        return believed(Usage(found.total_tokens, 0))


def _usage(answer: _Answer) -> Usage | None:
    found = answer.usage or (answer.response.usage if answer.response is not None else None)
    if found is None:
        return None
    inputs = found.input_tokens if found.prompt_tokens is None else found.prompt_tokens
    outputs = found.output_tokens if found.completion_tokens is None else found.completion_tokens
    total = found.total_tokens
    if inputs is None or (outputs is None and total is None):
        raise BadUsage("usage lacks a count of input or output")
    # Some leave reasoning out of the completion and have it in the total, Gemini's thoughts and Grok's among them:
    # https://github.com/router-for-me/CLIProxyAPI/issues/5733
    outputs = max(outputs or 0, (total or 0) - inputs)
    into = found.prompt_tokens_details or found.input_tokens_details or _NONE
    out = found.completion_tokens_details or found.output_tokens_details or _NONE
    usage = Usage(
        inputs,
        outputs,
        into.cached_tokens or 0,
        into.cache_write_tokens or 0,
        out.reasoning_tokens or 0,
        into.audio_tokens or 0,
        into.image_tokens or 0,
        out.audio_tokens,
        out.image_tokens,
        out.rejected_prediction_tokens or 0,
        into.cache_write_1h_tokens,
    )
    return believed(usage, total or 0, out.accepted_prediction_tokens or 0)


class ChunksEnding:
    """Ends a stream of chunks before its time: as one that has reached its maximum.

    `kind` is the chunks' `object`. https://platform.openai.com/docs/api-reference/chat-streaming
    """

    __slots__ = ("_first", "_kind")

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._first = b""

    def passed(self, data: bytes) -> None:
        """Keep the stream's beginning, whose id and model all chunks bear."""
        self._first = self._first or data

    def events(self, choices: int, usage: Usage | None) -> bytes:
        """The last events; with `usage`, the one that tells it stands before the terminator."""
        content: dict[str, object] = (
            {"text": ""} if self._kind == "text_completion" else {"delta": {}}
        )
        ends = [
            {"index": index, **content, "logprobs": None, "finish_reason": "length"}
            for index in range(choices)
        ]
        event = {**_common_members(self._first), "object": self._kind, "choices": ends}
        events = [event]
        if usage is not None:
            counts = {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
                "total_tokens": usage.total_tokens,
            }
            events.append({**event, "choices": [], "usage": counts})
        return (
            b"".join(b"data: %b\n\n" % orjson.dumps(each) for each in events) + b"data: [DONE]\n\n"
        )


def _common_members(first: bytes) -> dict[str, object]:
    for line in first.splitlines():
        if line.startswith(b"data:"):
            try:
                members = orjson.loads(line[5:])
            except orjson.JSONDecodeError:
                continue
            if isinstance(members, dict):
                return {n: members[n] for n in ("id", "created", "model") if n in members}
    return {}
