"""Gemini's answers: where they say what was used, and how a stream is ended early. Pure.

Its candidates leave out thoughts, its prompt leaves out what tools brought in; `Usage` counts both:
https://ai.google.dev/api/generate-content#UsageMetadata
"""

from typing import ClassVar

import msgspec
import orjson

from gateway.domain.dialects.meter import BadUsage, believed, decoded
from gateway.domain.usage import Usage


class _Details(msgspec.Struct, rename="camel"):
    modality: str = ""
    token_count: int = 0


class UsageMetadata(msgspec.Struct, rename="camel"):
    """An answer's counts. Gemini has no word for the last three: answers of others that are told its way have them."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[_Details] | None = None
    candidates_tokens_details: list[_Details] | None = None
    cache_write_token_count: int | None = None
    cache_write_1h_token_count: int | None = msgspec.field(
        default=None, name="cacheWrite1hTokenCount"
    )
    rejected_prediction_token_count: int | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    finish_reason: str | None = None


class _Answer(msgspec.Struct, rename="camel"):
    usage_metadata: UsageMetadata | None = None
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None


_decode = msgspec.json.Decoder(_Answer | list[_Answer]).decode
_decode_event = msgspec.json.Decoder(_Answer).decode


class ContentMeter:
    """Each event of a stream tells all counts so far; those of the one with a finish reason are the last."""

    __slots__ = ("so_far", "usage")
    member: ClassVar[bytes] = b'"usageMetadata"'

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.so_far: Usage | None = None

    def whole(self, payload: bytes) -> Usage | None:
        """The usage in a whole answer, or in the last of a list of them; None where there is none.

        Raises `BadUsage`.
        """
        answer = decoded(_decode, payload)
        answers = answer if isinstance(answer, list) else [answer]
        found = [each.usage_metadata for each in answers if each.usage_metadata is not None]
        return usage_of(found[-1]) if found else None

    def event(self, payload: bytes) -> bool:
        """Read an event of a stream; none carries nothing but usage. Raises `BadUsage`."""
        answer = decoded(_decode_event, payload)
        if answer.usage_metadata is None:
            return False
        usage = usage_of(answer.usage_metadata)
        refused = answer.prompt_feedback is not None and answer.prompt_feedback.block_reason
        if refused or any(candidate.finish_reason for candidate in answer.candidates or ()):
            self.usage = usage
        elif self.usage is not None:
            self.usage = usage  # an event behind the last of a candidate
        else:
            self.so_far = usage
        return False


def usage_of(found: UsageMetadata) -> Usage:
    """The usage that these counts tell. Raises `BadUsage`."""
    if found.prompt_token_count is None and found.total_token_count is None:
        raise BadUsage("usageMetadata lacks a count of the prompt")
    inputs = (found.prompt_token_count or 0) + (found.tool_use_prompt_token_count or 0)
    thoughts = found.thoughts_token_count or 0
    total = found.total_token_count or 0
    outputs = max((found.candidates_token_count or 0) + thoughts, total - inputs)
    into = _by_modality(found.prompt_tokens_details)
    out = _by_modality(found.candidates_tokens_details)
    usage = Usage(
        inputs,
        outputs,
        cached_input_tokens=found.cached_content_token_count or 0,
        cache_write_tokens=found.cache_write_token_count or 0,
        reasoning_tokens=thoughts,
        audio_input_tokens=into.get("AUDIO", 0),
        image_input_tokens=into.get("IMAGE", 0),
        audio_output_tokens=out.get("AUDIO"),
        image_output_tokens=out.get("IMAGE"),
        rejected_prediction_tokens=found.rejected_prediction_token_count or 0,
        cache_write_1h_tokens=found.cache_write_1h_token_count,
    )
    if min(inputs, found.candidates_token_count or 0, thoughts) < 0:
        raise BadUsage(f"counts out of range: {usage}")
    return believed(usage, total)


def _by_modality(details: list[_Details] | None) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in details or ():
        counts[each.modality] = counts.get(each.modality, 0) + each.token_count
    return counts


class ContentEnding:
    """Ends a stream of contents before its time: as one that has reached its maximum."""

    __slots__ = ()

    def passed(self, data: bytes) -> None:
        """Nothing of it is needed."""

    def events(self, choices: int, usage: Usage | None) -> bytes:
        """The last event."""
        event: dict[str, object] = {
            "candidates": [
                {
                    "content": {"parts": [{"text": ""}], "role": "model"},
                    "finishReason": "MAX_TOKENS",
                    "index": index,
                }
                for index in range(choices)
            ]
        }
        if usage is not None:
            event["usageMetadata"] = {
                "promptTokenCount": usage.input_tokens,
                "candidatesTokenCount": usage.output_tokens,
                "totalTokenCount": usage.total_tokens,
            }
        return b"data: %b\n\n" % orjson.dumps(event)
