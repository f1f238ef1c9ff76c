"""Wire families: where each says what was used, what of it is believed, and how streams end. Pure.

OpenAI counts cached tokens inside the input and reasoning inside the output, as `Usage` does:
https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage
"""

import msgspec
import orjson

from gateway.domain.usage import Usage

_LARGEST_COUNT = 2**31


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class _OpenAIUsage(msgspec.Struct):
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
    usage: _OpenAIUsage | None = None


class _Answer(msgspec.Struct):
    usage: _OpenAIUsage | None = None
    response: _Inner | None = None  # events of the Responses API wrap the answer
    choices: list[msgspec.Raw] | None = None


class BadUsage(Exception):
    """The upstream's usage is no usage: wrong types, negative, or absurdly large."""


_NONE = _Details()
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
    inputs = _first(found.prompt_tokens, found.input_tokens)
    outputs = _first(found.completion_tokens, found.output_tokens)
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
    )
    _believe(usage, total or 0, out.accepted_prediction_tokens or 0)
    return usage


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


def _believe(usage: Usage, total: int, accepted: int) -> None:
    """Raise `BadUsage` where a count is out of range or parts are more than their whole."""
    inputs, outputs, cached, written, reasoning, audio, images, spoken, drawn, rejected = usage
    spoken, drawn = spoken or 0, drawn or 0
    parts = (cached, written, reasoning, audio, images, spoken, drawn, rejected, accepted)
    if min(parts) < 0 or min(inputs, outputs) < 0 or max(inputs, outputs, total) >= _LARGEST_COUNT:
        raise BadUsage(f"counts out of range: {usage}")
    if (
        cached + written > inputs
        or audio + images > inputs
        or reasoning + spoken + drawn > outputs
        or rejected + accepted > outputs
    ):
        raise BadUsage(f"parts are more than their whole: {usage}")


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
