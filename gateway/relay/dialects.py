"""Wire families: where each says what was used, and how its streams end. Pure.

OpenAI counts cached tokens inside the input and reasoning inside the output, as `Usage` does:
https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage
"""

import msgspec
import orjson

from gateway.domain.usage import Usage

_LARGEST_COUNT = 2**31


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _OpenAIUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Inner(msgspec.Struct):
    usage: _OpenAIUsage | None = None


class _Answer(msgspec.Struct):
    usage: _OpenAIUsage | None = None
    response: _Inner | None = None  # events of the Responses API wrap the answer
    choices: list[msgspec.Raw] | None = None


class BadUsage(Exception):
    """The upstream's usage is no usage: wrong types, negative, or absurdly large."""


_decode = msgspec.json.Decoder(_Answer).decode


def read_usage(payload: bytes) -> Usage | None:
    """The usage in an answer or an event's data; None where there is none.

    Raises `BadUsage` for one that cannot be believed.
    """
    return _usage(_read(payload))


def read_event_usage(payload: bytes) -> tuple[Usage | None, bool]:
    """The usage in a stream event, and whether the event carries nothing else."""
    answer = _read(payload)
    return _usage(answer), answer.choices == []


def _read(payload: bytes) -> _Answer:
    try:
        return _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadUsage(str(error)) from None


def _usage(answer: _Answer) -> Usage | None:
    found = answer.usage or (answer.response.usage if answer.response is not None else None)
    if found is None:
        return None
    inputs = found.prompt_tokens if found.prompt_tokens is not None else found.input_tokens
    outputs = (
        found.completion_tokens if found.completion_tokens is not None else found.output_tokens
    )
    into = found.prompt_tokens_details or found.input_tokens_details
    out = found.completion_tokens_details or found.output_tokens_details
    usage = Usage(
        input_tokens=inputs or 0,
        output_tokens=outputs or 0,
        cached_input_tokens=(into.cached_tokens or 0) if into is not None else 0,
        reasoning_tokens=(out.reasoning_tokens or 0) if out is not None else 0,
    )
    if inputs is None and outputs is None:
        raise BadUsage("usage names no counts")
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.reasoning_tokens,
    )
    if min(counts) < 0 or max(counts) >= _LARGEST_COUNT:
        raise BadUsage(f"counts out of range: {counts}")
    if usage.cached_input_tokens > usage.input_tokens:
        raise BadUsage(f"more cached than input tokens: {counts}")
    return usage


def early_end(kind: str, first: bytes, *, choices: int, usage: Usage | None) -> bytes:
    """The last events of an OpenAI stream that ends before its time: as one that has reached its maximum.

    `kind` is the events' `object`, `first` the stream's beginning, whose id and model they bear. With `usage`, the
    event that tells it stands before the terminator.
    https://platform.openai.com/docs/api-reference/chat-streaming
    """
    content: dict[str, object] = {"text": ""} if kind == "text_completion" else {"delta": {}}
    ends = [
        {"index": index, **content, "logprobs": None, "finish_reason": "length"}
        for index in range(choices)
    ]
    event = {**_common_members(first), "object": kind, "choices": ends}
    events = [event]
    if usage is not None:
        counts = {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }
        events.append({**event, "choices": [], "usage": counts})
    return b"".join(b"data: %b\n\n" % orjson.dumps(each) for each in events) + b"data: [DONE]\n\n"


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
